"""COPY … TO: what is copied is read to its end before DuckDB writes any of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.tokens import Kind, matching, top_level

_PLACE = "__vercel_sql_place"
_AROUND = frozenset(["COPY", "PREPARE", "EXPLAIN"])


def read_first(fragment: Fragment, parameters: Parameters) -> tuple[str, dict[str, object]]:
    """A statement and the values of its placeholders; a COPY … TO reads whole first in it."""
    copied = _copied(fragment)
    if copied is None:
        return fragment.bind(parameters)
    start, query, rest = copied
    text, values = fragment.slice(fragment.first, start).bind(parameters)
    tail, more = fragment.slice(rest, fragment.stop).bind(parameters)
    source, used = _query(query, parameters)
    placed = f"SELECT *, row_number() OVER () AS {_PLACE} FROM ({source}\n)"
    rows = f"SELECT * EXCLUDE ({_PLACE}) FROM ({placed}) ORDER BY {_PLACE}"
    return f"{text} ({rows}) {tail}", {**values, **used, **more}


def copies(fragment: Fragment) -> bool:
    """Whether a statement is a COPY … TO, or has one in it."""
    return _copied(fragment) is not None


class Copies:
    """The files that COPY … TO writes, at once or where a prepared one is executed."""

    def __init__(self) -> None:
        self._prepared: dict[str, list[Path]] = {}

    @contextmanager
    def nothing_left(self, fragment: Fragment) -> Iterator[None]:
        """Removes what a COPY … TO that fails has written, which DuckDB 1.5 does not do.

        What was there before stays as it was: DuckDB writes to another file, and renames that.
        """
        try:
            new = [path for path in self._targets(fragment) if not path.exists()]
        except (OSError, ValueError):  # no name of a file
            new = []
        try:
            yield
        except BaseException:
            for path in new:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with suppress(OSError):  # the error says more
                        path.unlink(missing_ok=True)
            raise

    def _targets(self, fragment: Fragment) -> list[Path]:
        words = fragment.script.lexemes[fragment.first : fragment.first + 2]
        opening, name = (words[0].upper, words[1].value.casefold()) if len(words) == 2 else ("", "")
        if opening == "PREPARE":
            self._prepared[name] = list(_targets(fragment))
            return []
        return self._prepared.get(name, []) if opening == "EXECUTE" else list(_targets(fragment))


def _targets(fragment: Fragment) -> Iterator[Path]:
    """The file or directory that is written, and the file that takes its name at the end."""
    copied = _copied(fragment)
    if copied is not None and copied[2] + 1 < fragment.stop:
        target = fragment.script.lexemes[copied[2] + 1]
        if target.kind is Kind.STRING and target.value:
            path = Path(target.value)
            yield from (path, path.with_name(f"tmp_{path.name}"))


def _copied(fragment: Fragment) -> tuple[int, Fragment, int] | None:
    """Where what is copied begins, what it is, and where TO stands; None where nothing is."""
    lexemes, first = fragment.lexemes, fragment.first
    if not lexemes or lexemes[0].upper not in _AROUND:
        return None
    words = {lexeme.upper: at for at, lexeme in reversed(top_level(lexemes))}
    start, to = words.get("COPY", len(lexemes)) + 1, words.get("TO", 0)
    if start >= to or lexemes[start].upper == "FROM":  # COPY FROM DATABASE copies none of our rows
        return None
    return first + start, fragment.slice(first + start, first + to), first + to


def _query(copied: Fragment, parameters: Parameters) -> tuple[str, dict[str, object]]:
    """What is copied as a query: a query in parentheses, or a table's name with columns or not."""
    lexemes, first = copied.lexemes, copied.first
    opening = next((at for at, lexeme in enumerate(lexemes) if lexeme.raw == "("), len(lexemes))
    if opening == 0:
        return copied.slice(first + 1, first + matching(lexemes, 0)).bind(parameters)
    table, values = copied.slice(first, first + opening).bind(parameters)
    if opening == len(lexemes):
        return f"FROM {table}", values
    columns, more = copied.slice(first + opening + 1, copied.stop - 1).bind(parameters)
    return f"SELECT {columns} FROM {table}", {**values, **more}
