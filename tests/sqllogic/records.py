"""DuckDB's own test files, read: https://duckdb.org/docs/stable/dev/sqllogictest/intro."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_TURNS = 3
"""How often a loop is run at most; what it would show more of is not about us."""

_SIGNED = ["tinyint", "smallint", "integer", "bigint", "hugeint"]
_NUMERIC = [*_SIGNED, "utinyint", "usmallint", "uinteger", "ubigint"]
_TYPES = {
    "<integral>": _NUMERIC,
    "<signed>": _NUMERIC[:5],
    "<unsigned>": _NUMERIC[5:],
    "<numeric>": [*_NUMERIC, "float", "double"],
    "<alltypes>": [*_NUMERIC, "float", "double", "bool", "varchar", "interval", "date"],
    "<compression>": ["none", "uncompressed", "rle", "bitpacking", "dictionary", "fsst", "alp"],
    "<all_types_columns>": ["bool", "int", "varchar", "date"],
}


@dataclass(frozen=True)
class Record:
    """What is to be done.

    Attributes:
        kind: ``run``, ``load`` or ``restart``.
        text: the SQL, or the file to load.
        label: the connection that runs it; empty for the first one.
    """

    kind: str
    text: str = ""
    label: str = ""


def read(text: str) -> list[Record]:
    """The records of a file, with its loops unrolled."""
    blocks = [block.strip("\n").split("\n") for block in re.split(r"\n\s*\n", _plain(text))]
    return list(_unrolled([block for block in blocks if block[0].strip()], {}))


def _plain(text: str) -> str:
    """The text without comments, in which each directive of one line stands alone."""
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if not line.startswith("#")]
    directives = r"loop|foreach|concurrent\w+|endloop|require|mode|load|restart|set|unzip"
    alone = re.compile(rf"({directives})\b")
    return "\n".join(f"\n{line}\n" if alone.match(line) else line for line in lines)


def _unrolled(blocks: list[list[str]], values: dict[str, str]) -> Iterator[Record]:
    at, skips = 0, False
    while at < len(blocks):
        block = [line for line in blocks[at] if not line.startswith("#")]
        words = block[0].split() if block else [""]
        if words[0] == "mode":
            skips = words[1:2] == ["skip"] or (skips and words[1:2] != ["unskip"])
        elif words[0] in ("loop", "foreach", "concurrentloop", "concurrentforeach"):
            end = _end(blocks, at)
            for turn in _turns(words)[:MOST_TURNS]:
                if not skips:
                    yield from _unrolled(blocks[at + 1 : end], {**values, **turn})
            at = end
        elif not skips:
            yield from _record(block, values)
        at += 1


def _end(blocks: list[list[str]], at: int) -> int:
    depth = 0
    for index in range(at, len(blocks)):
        word = blocks[index][0].split()[0]
        depth += ("loop" in word and word != "endloop") or "foreach" in word
        depth -= word == "endloop"
        if depth == 0:
            return index
    return len(blocks)


def _turns(words: list[str]) -> list[dict[str, str]]:
    names = words[1].split(",")
    if "loop" in words[0]:
        try:
            return [{names[0]: str(n)} for n in range(int(words[2]), int(words[3]))]
        except (ValueError, IndexError):
            return []
    values = [each for word in words[2:] for each in _TYPES.get(word.lower(), [word])]
    return [dict(zip(names, value.split(","), strict=False)) for value in values if value[0] != "!"]


def _record(block: list[str], values: dict[str, str]) -> Iterator[Record]:
    while block and block[0].split()[:1] in (["onlyif"], ["skipif"]):
        if block[0].split()[:2] == ["skipif", "duckdb"]:
            return
        block = block[1:]
    words = block[0].split() if block else []
    if words[:1] in (["load"], ["restart"]):
        yield Record(words[0], _filled(" ".join(words[1:2]), values))
    elif words[:1] in (["statement"], ["query"]):
        text = "\n".join(block[1:]).split("\n----")[0].strip()
        label = words[-1] if re.fullmatch(r"con\w*\d+|con\d*", words[-1]) else ""
        if text:
            yield Record("run", _filled(text, values), label)


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value).replace(f"{{{name}}}", value)
    return text
