"""The judge: says of a client's text, before it runs, why it may not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import duckdb

from vercel_sql.own_duckdb import own_duckdb
from vercel_sql.server.allowed import builtin
from vercel_sql.server.bounds import OUT_OF_MEMORY
from vercel_sql.server.tree import Refusal, TreeJudge, mark_table_functions
from vercel_sql.sql.tokens import TokenError, tokenize

LONGEST, _SHORT = 100_000, 1_000
"""Characters of a statement; people write far less, and judging takes time. Short ones don't wait
for others."""

_DEEPEST = 200
"""Brackets in one another, and comments. DuckDB 2.0's parser takes minutes for a text that opens
thousands of them, and for some it ends the process."""

_LONGEST_TREE = 4_000_000
"""Characters of a tree as JSON. In Python it takes ten times the memory."""

_AT_ONCE = 4
"""Long statements that are judged at the same time."""

_OF_TEXT = (None, "parser", "syntax", "not implemented")
"""Errors that come of the text, and none at all."""

_OPEN, _CLOSED = frozenset("([{"), frozenset(")]}")


class Judge:
    """Judges statements; threads may share it.

    Args:
        catalog: the name of the catalog that clients see.
        tables: its tables and views, by schema and name.
        table_functions: its functions that clients may call, by schema and name.
        outermost: those of them that stand in what a client sends, and in no text within that.
    """

    def __init__(
        self,
        catalog: str,
        tables: Iterable[tuple[str, str]],
        table_functions: Iterable[tuple[str, str]],
        outermost: Iterable[tuple[str, str]] = (),
    ) -> None:
        inner = builtin().extended(tables=tables, table_functions=table_functions)
        self._inner = TreeJudge(catalog, inner)
        self._outer = TreeJudge(catalog, inner.extended(tables=(), table_functions=outermost))
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._con = own_duckdb()
        self._con.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Closes the judge's own DuckDB."""
        self._con.close()

    def check(self, text: str, *, inner: bool = False) -> None:
        """Judges one statement for DuckDB.

        Args:
            text: the statement.
            inner: whether it stood in a text within what the client sent.

        Raises:
            Refusal: it may not run.
            MemoryError: there is no memory to judge it.
            duckdb.Error: there is no memory to judge it, or DuckDB is broken.
        """
        if len(text) > LONGEST or "\0" in text:
            raise Refusal("it is too long to be judged, or has a NUL in it")
        if _is_deep(text):
            raise Refusal("it is nested too deeply to be judged")
        try:
            with self._room if len(text) > _SHORT else nullcontext():
                tree = self._parsed(text)
                mark_table_functions(tree)
                (self._inner if inner else self._outer).check(tree)
        except (duckdb.OutOfMemoryException, duckdb.FatalException):
            raise
        except duckdb.InternalException:
            with self._con.cursor() as con:  # a FatalException where that was the end of it
                con.execute("SELECT 1")
            raise Refusal("it can't be judged") from None
        except (duckdb.Error, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            # A tree of another form than DuckDB's so far, or text that it does not read.
            raise Refusal("it can't be judged") from None

    def _parsed(self, text: str) -> Any:
        text.encode()  # half a surrogate pair is a ValueError here, and no DuckDB takes one
        with self._con.cursor() as con:  # one text that takes its time delays no other
            rows = con.execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()
        if len(rows[0][0]) > _LONGEST_TREE:
            raise Refusal("it has too many parts to be judged")
        tree = json.loads(rows[0][0])
        if tree.get("error_type") not in _OF_TEXT and OUT_OF_MEMORY.search(str(tree)):
            raise MemoryError
        return tree


def _is_deep(text: str) -> bool:
    """Whether brackets may go deeper than people write; cheap for what people do write."""
    if text.count("/*") > _DEEPEST:
        return True
    if sum(map(text.count, _OPEN)) <= _DEEPEST:
        return False
    try:
        lexemes = tokenize(text)
    except TokenError:
        return True
    depth = deepest = 0
    for lexeme in lexemes:
        depth += (lexeme.raw in _OPEN) - (lexeme.raw in _CLOSED)
        deepest = max(deepest, depth)
    return deepest > _DEEPEST
