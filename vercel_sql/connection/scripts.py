"""Reads scripts into statements, and those that are DuckDB's alone without looking into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import duckdb

from vercel_sql.connection.live_catalog import Attachment
from vercel_sql.errors import Error, PartialWriteError, TooManyWritesError
from vercel_sql.sql import Native, Parameters, Statement, Write, check, parse
from vercel_sql.sql.parser import Plain
from vercel_sql.sql.plan import Outcome
from vercel_sql.writes.policy import SETTING, Pace, WriteBudget

if TYPE_CHECKING:
    import pyarrow as pa

_READS_WHOLE = duckdb.__version__.startswith("1.")
"""Whether DuckDB finds what is wrong with a later statement before the first one runs."""


class Scripts:
    """The scripts of one connection."""

    def __init__(self, native: duckdb.DuckDBPyConnection, catalogs: Sequence[Attachment]) -> None:
        self._native = native
        self._catalogs = catalogs
        resources = (r for c in catalogs for r in c.manifest.provider.services.values())
        self._plain = Plain({catalog.name for catalog in catalogs}.union(*resources))

    def read(
        self, text: str, parameters: Parameters, batch: Batch | None, timeout: float | None
    ) -> Sequence[Statement]:
        """The statements of a script; one that is DuckDB's alone may be a single one."""
        statements: list[Statement] | None = batch.statements if batch is not None else None
        if not len(parameters) and batch is None:
            # With a timeout, each statement has its own; and one that fails since a table was not
            # made yet is run again.
            is_made = not any(catalog.missing for catalog in self._catalogs)
            plain = self._plain.read(text, whole=is_made and timeout is None)
            if plain is not None:
                return [plain]
        is_new = statements is None
        if statements is None:
            statements = parse(text)
        if batch is not None:
            batch.statements = statements
        check(statements, parameters)
        is_script = is_new and len(statements) > 1
        if _READS_WHOLE and is_script and all(map(_is_duckdb_s, statements)):
            self._native.extract_statements(text)
        return statements


def _is_duckdb_s(statement: Statement) -> bool:
    """Whether DuckDB can read a statement as it is written."""
    is_read = isinstance(statement, Native) or (
        isinstance(statement, Write) and statement.malformed is None
    )
    return is_read and not statement.fragment.placeholders


class Batch:
    """What all runs together may send, and what they have written so far.

    Attributes:
        allowance: what they may still send.
        statements: the script, once it was read.
    """

    DROPPED: ClassVar = "executemany drops the rows"

    def __init__(self, max_writes: int | None, max_wait: float | None) -> None:
        self.allowance = WriteBudget(max_writes)
        self._max_wait = max_wait
        self.statements: list[Statement] | None = None
        self._tables: list[pa.Table] = []
        self._done: list[str] = []
        self._runs = 0

    def refuse_too_many(self, sets: int, each: int, pace: Pace) -> None:
        """Stops, before the first, what may send too many writes; nothing is taken yet."""
        if refusal := pace.refusal("executemany", self._max_wait):
            raise refusal
        most, count = self.allowance.most, sets * each
        if most is not None and count > most:
            raise TooManyWritesError(
                f"executemany: {sets} sets of parameters would send {count} writes, if each sends "
                f"{each}, and {SETTING} allows {most}. Nothing was sent. If you mean it, raise "
                f"{SETTING} to {count} or more",
                writes=count,
                limit=most,
            )

    def note(self, outcome: Outcome) -> None:
        """Keeps what a statement has written, for an error that may come later."""
        if outcome.written is not None and outcome.changed:
            self._tables.append(outcome.written)
            self._done += outcome.done

    def run_is_over(self) -> None:
        """Counts a run that went well."""
        self._runs += 1

    def error(self, error: Error | KeyboardInterrupt) -> BaseException:
        """The error for a run that failed, with what the runs before it have written."""
        if not self._tables:
            return error
        partly = error if isinstance(error, PartialWriteError) else None
        tables, done = list(self._tables), list(self._done)
        if partly is not None and partly.table is not None:
            tables.append(partly.table)
            done += partly.done
        # A script may have several statements, which need not give the same columns.
        import pyarrow as pa

        table = pa.concat_tables(tables, promote_options="default")
        reason = (str(error) or type(error).__name__).removesuffix(PartialWriteError.KEPT)
        return PartialWriteError(
            f"executemany: set {self._runs + 1} of the parameters failed: {reason.rstrip('.')}. "
            f"{len(table)} rows were carried out altogether{PartialWriteError.KEPT}",
            cause=error if partly is None else partly.cause,
            table=table,
            done=done,
            missing=partly.missing if partly else (),
            failed=partly.failed if partly else (),
            unknown=partly.unknown if partly else (),
            not_started=partly.not_started if partly else (),
        )
