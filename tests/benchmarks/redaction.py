"""How long a line takes to mask, by how many secrets are known: ``python redaction.py``.

The floor is a line without any. A process that makes many tokens adds each, and masks each line
of its log: neither may take longer with every token.
"""

from __future__ import annotations

import random
import string
import time

from vercel_sql.redaction import Redactor

LINE = "2026-01-02T03:04:05.678Z DEBUG GET /v6/user/tokens -> 200 in 12.5 ms (attempt 1) " * 2
ROUNDS = 200


def main() -> None:
    """Prints a line for each number of secrets."""
    letters, chance = string.ascii_letters + string.digits, random.Random(1)
    print(f"{'secrets':>8} {'add one':>12} {'mask a line':>12}")
    for count in (0, 1, 10, 100, 1_000, 10_000, 100_000):
        secrets = ["vcp_" + "".join(chance.choices(letters, k=24)) for _ in range(count)]
        redactor = Redactor()
        started = time.perf_counter()
        for secret in secrets:
            redactor.add(secret)
        added = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(ROUNDS):
            redactor.mask(LINE)
        masked = time.perf_counter() - started
        each = added / count if count else 0.0
        print(f"{count:>8,} {each * 1e6:>9.1f} µs {masked / ROUNDS * 1e6:>9.1f} µs")


if __name__ == "__main__":
    main()
