"""Large numbers in words: `12345678` is `12.35 million`, as DuckDB's shell says it."""

from __future__ import annotations

import re

_UNITS = {6: "million", 9: "billion", 12: "trillion", 15: "quadrillion", 18: "quintillion"}
_NUMBER = re.compile(r"(-?)(\d{1,19})(?:\.\d*)?")


def readable(number: str) -> str:
    """The number rounded to two places of its unit; empty below a million, and if it is no number.

    Args:
        number: its digits as DuckDB writes them, an exponent being too much.
    """
    found = _NUMBER.fullmatch(number)
    if not found:
        return ""
    sign, whole = found[1], int(found[2])
    for power in sorted(_UNITS, reverse=True):
        hundredth = 10 ** (power - 2)
        if whole + hundredth // 2 >= 10**power:
            units, rest = divmod((whole + hundredth // 2) // hundredth, 100)
            return f"{sign}{units}.{rest:02} {_UNITS[power]}"
    return ""
