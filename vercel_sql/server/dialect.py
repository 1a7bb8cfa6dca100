"""Judges statements of our dialect: whatever of them DuckDB would evaluate, as queries."""

from __future__ import annotations

from collections.abc import Iterator

from vercel_sql.server.judge import Judge
from vercel_sql.server.tree import Refusal
from vercel_sql.sql import (
    NO_PARAMETERS,
    Delete,
    Describe,
    Exec,
    Explain,
    Fragment,
    Insert,
    Native,
    Show,
    Statement,
    Write,
)
from vercel_sql.sql.resolver import Resolver


class DialectJudge:
    """Judges a statement before it runs.

    Args:
        judge: judges the queries in it.
        resolver: says which names are resources.
        writes: whether clients may change something.
    """

    def __init__(self, judge: Judge, resolver: Resolver, *, writes: bool) -> None:
        self._judge = judge
        self._resolver = resolver
        self._writes = writes

    def check(self, statement: Statement) -> None:
        """Judges a statement.

        Raises:
            Refusal: it may not run.
            ProgrammingError: it names a method that is not there.
        """
        if isinstance(statement, Explain):
            if not _plain(statement):
                raise Refusal("EXPLAIN with options or comments can't be judged")
            self._check_parts(statement.inner)
            return
        if not self._writes and changes(self._resolver, statement):
            raise Refusal("it changes something, and clients may only read")
        self._check_parts(statement)

    def _check_parts(self, statement: Statement) -> None:
        if isinstance(statement, Write) and self._resolver.resource(statement.target) is None:
            raise Refusal("it writes to a table of DuckDB's, and here are none")
        for query in self._queries(statement):
            self._judge.check(query, inner=True)

    def _queries(self, statement: Statement) -> Iterator[str]:
        """What of a statement DuckDB evaluates, each as a query."""
        if isinstance(statement, Native):
            yield _text(statement.fragment)
        elif isinstance(statement, Describe):
            if self._resolver.resource(statement.name) is None and not statement.method:
                yield _text(statement.fragment)
        elif isinstance(statement, Insert):
            yield from _insert_queries(statement)
        elif isinstance(statement, Delete):
            yield from _delete_queries(statement)
        elif isinstance(statement, Exec):
            yield from (f"SELECT (\n{_text(each.value)}\n)" for each in statement.arguments)
        elif not isinstance(statement, Show | Write):
            raise Refusal("it can't be judged")


def _plain(explain: Explain) -> bool:
    """Whether there is the word EXPLAIN and the statement, which alone is judged."""
    return explain.text.removesuffix(explain.inner.text).strip().upper() == "EXPLAIN"


def changes(resolver: Resolver, statement: Statement) -> bool:
    """Whether a statement changes something at the API.

    Raises:
        ProgrammingError: it names a method that is not there.
    """
    if isinstance(statement, Exec):
        return not resolver.method(statement.name)[1].reads
    return isinstance(statement, Write)


def _insert_queries(statement: Insert) -> Iterator[str]:
    if statement.source is not None:
        yield f"{_optional(statement.with_clause)}\nSELECT * FROM (\n{_text(statement.source)}\n)"
    if statement.returning is not None:
        yield f"SELECT {_text(statement.returning)}"


def _delete_queries(statement: Delete) -> Iterator[str]:
    tables = "(SELECT 1) AS target"
    if statement.using is not None:
        tables += f", {_text(statement.using)}"
    where = f"WHERE {_text(statement.where)}" if statement.where is not None else ""
    yield f"{_optional(statement.with_clause)}\nSELECT 1 FROM {tables}\n{where}"
    if statement.returning is not None:
        yield f"SELECT {_text(statement.returning)}"


def _optional(fragment: Fragment | None) -> str:
    return "" if fragment is None else _text(fragment)


def _text(fragment: Fragment) -> str:
    # Without parameters: a placeholder is an error, as there is nothing to give its value.
    return fragment.bind(NO_PARAMETERS)[0]
