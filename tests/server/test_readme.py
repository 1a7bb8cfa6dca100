"""The examples for a stock shell in docs/server.md, pasted into one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"


def _examples() -> list[str]:
    return re.findall(r"^```sql stock\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def test_every_example_gives_rows(serve: Any, shell: Any, authenticates: Any, sim: Any) -> None:
    examples = _examples()
    assert len(examples) == 4
    ended = shell(serve(writes=True), "\n".join(examples), "-json")
    assert ended.stderr == ""
    results = [json.loads(text) for text in re.split(r"(?<=\])\n(?=\[)", ended.stdout.strip())]
    assert [len(rows) > 0 for rows in results] == [True] * 5
    (made,), (other,) = results[-2:]
    assert authenticates(made["secret"])
    assert authenticates(other["bearerToken"])
    assert {made["id"], other["token"]["id"]} <= {token.id for token in sim.state.tokens()}
