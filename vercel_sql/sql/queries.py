"""What the user's DuckDB connection is asked, and the files that COPY … TO writes there."""

from __future__ import annotations

import builtins
import shutil
import sys
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from vercel_sql.errors import NotSupportedError
from vercel_sql.sql.tokens import Kind, matching, tokenize, top_level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    import pyarrow as pa

    from vercel_sql.sql.fragments import Fragment
    from vercel_sql.sql.parameters import Parameters

_caller: ContextVar[FrameType | None] = ContextVar("vercel_sql_caller", default=None)
# Calls what stands under names that no SQL and no Python can write.
_RUN, _THEN = "\0run", "\0then"
_CODE = compile("run()", "<statement>", "eval").replace(co_names=(_RUN,))
_TWICE = compile("then(run())", "<statement>", "eval").replace(co_names=(_THEN, _RUN))
_OWN = "vercel_sql"
_IS_2 = duckdb.__version__ >= "2"


class for_caller:  # noqa: N801 - used like a function, as in contextlib
    """Lets the statements that run meanwhile see the variables of whoever calls this package.

    DuckDB takes a name that isn't a table for a variable of the frame that it is called from. Our
    own doors, such as the command line, have none to show.
    """

    def __enter__(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        inner = f"{_OWN}.connection"
        while frame is not None and frame.f_globals.get("__name__", "").startswith(inner):
            frame = frame.f_back
        if frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OWN:
            frame = None
        self._token = _caller.set(frame)

    def __exit__(self, *_exception: object) -> None:
        _caller.reset(self._token)


def as_caller(text: str, run: Callable[[], Any], then: Callable[[Any], Any] | None = None) -> Any:
    """Calls DuckDB as if from the caller's own frame, never from one of this package."""
    frame = _caller.get()
    # What Arrow and DuckDB import, they import with the builtins of the frame.
    outer: dict[str, Any] = {"__builtins__": builtins} if frame is None else frame.f_globals
    seen = {**(_locals(frame, text) if frame is not None else {}), _RUN: run, _THEN: then}
    try:
        return eval(_TWICE if then else _CODE, outer, seen)  # noqa: S307 - our own code
    finally:
        seen.clear()  # the frame may live on in a traceback, and tools write its variables down


def _locals(frame: FrameType, text: str) -> Mapping[str, Any]:
    """The local variables that a statement may name.

    They are looked at only where it does: looking makes a copy that keeps them all alive.
    """
    code = frame.f_code
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return frame.f_locals if any(name in text for name in names) else {}


def rows_of(
    con: duckdb.DuckDBPyConnection, query: str, values: object = None
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = as_caller(query, partial(con.execute, query, values)).fetchall()
    return rows


def table_of(
    con: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object] | None = None
) -> pa.Table:
    """The result of a query in Arrow; its columns keep their names, even equal ones."""
    with _plain_arrow(con):
        given = dict(values or {})
        if given and not _IS_2:
            # There sql() computes a result of parameters while it holds Python's lock, which the
            # scan of a live table waits for on another thread.
            run: Callable[[], object] = partial(con.execute, query, given)
        else:
            run = partial(con.sql, query, params=given or None)
        # Without a variable: the repr of a relation, in somebody's traceback, runs it again.
        return as_caller(query, run, methodcaller("to_arrow_table"))


@contextmanager
def _plain_arrow(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Makes DuckDB give Arrow's plain types: a HUGEINT as a number and not as 16 opaque bytes."""
    ((lossless,),) = rows_of(con, "SELECT current_setting('arrow_lossless_conversion')")
    if not lossless:
        yield
        return
    rows_of(con, "SET arrow_lossless_conversion = false")
    try:
        yield
    finally:
        rows_of(con, "SET arrow_lossless_conversion = true")


@contextmanager
def registered(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Lets queries on the connection see a table under a name, for a while."""
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a transaction is open: outside of one each statement has an id of its own."""
    try:
        first, second = (rows_of(con, "SELECT txid_current()") for _ in range(2))
    except duckdb.TransactionException:
        return True  # one that failed, and waits for its ROLLBACK
    return first == second


def refuse_transaction(con: duckdb.DuckDBPyConnection, what: str) -> None:
    """Stops a write to the API inside ``BEGIN … COMMIT``, which promises what it can't keep."""
    if in_transaction(con):
        raise NotSupportedError(
            f"{what} can't run inside BEGIN … COMMIT: a write to the API can't be rolled back. "
            "COMMIT or ROLLBACK first"
        )


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
        if len(words) < 2:
            return []
        opening, name = words[0].upper, words[1].value.casefold()
        if opening == "EXECUTE":
            return self._prepared.get(name, [])
        targets = list(_targets(fragment))
        if opening == "PREPARE":
            self._prepared[name] = targets
        return [] if opening == "PREPARE" else targets


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


def path_entries(setting: str) -> list[tuple[str, str]]:
    """The entries of a search path such as ``memory.main,"my db".main``."""
    entries: list[list[str]] = [[]]
    for lexeme in tokenize(setting):
        if lexeme.raw == ",":
            entries.append([])
        elif lexeme.kind in (Kind.WORD, Kind.QUOTED):
            entries[-1].append(lexeme.value)
    return [(parts[0], parts[1] if len(parts) > 1 else "main") for parts in entries if parts]
