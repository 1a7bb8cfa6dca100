"""Runs checked reports on a connection, to their last row, and notes how that went."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from vercel_sql import Connection, Cursor
from vercel_sql.api import RequestEvent
from vercel_sql.api.doubts import Doubt
from vercel_sql.catalog.ddl import literal
from vercel_sql.cli.exit_codes import WRONG_USE
from vercel_sql.cli.history.target import Target
from vercel_sql.cli.history.turns import BusyError, holder, in_turn
from vercel_sql.cli.reports.checks import Ready
from vercel_sql.cli.reports.outputs import Outcome
from vercel_sql.cli.reports.report import RunFacts
from vercel_sql.cli.reports.variables import set_variables
from vercel_sql.cli.waiting import in_time
from vercel_sql.errors import Error, ParameterError
from vercel_sql.sql import NO_PARAMETERS

_UNATTACHED = "--history can't be attached"
_ATTACHED_IN = 60.0  # seconds
_USER = "SELECT coalesce(name, username), email FROM vercel.user.user"


class Desk:
    """Runs reports one after the other.

    Args:
        connection: the connection.
        with_account: whether somebody wants to know whose tokens they are, which is a request.
    """

    def __init__(self, connection: Connection, *, with_account: bool) -> None:
        self._connection = connection
        self._with_account = with_account
        self._account: str | None = None

    def attach_history(self, target: str) -> None:
        """Puts the database of a history in, as ``history``, to be read only.

        Args:
            target: a file, or what DuckDB's ATTACH takes.

        Raises:
            ParameterError: it can't be attached.
        """
        named = Target(target, "--history")
        try:
            in_turn(lambda: self._attach(target))
        except Error as error:
            raise ParameterError(f"{_UNATTACHED}: {named.reason(str(error))}") from None

    def _attach(self, target: str) -> None:
        try:
            with in_time("the database of --history", WRONG_USE, _UNATTACHED, _ATTACHED_IN):
                self._connection.execute(f"ATTACH {literal(target)} AS history (READ_ONLY)")
        except Error as error:
            if (other := holder(str(error))) is not None:
                raise BusyError(f"{other} has it open") from None
            raise

    def run(self, ready: Ready) -> Outcome:
        """Runs a report.

        Raises:
            Error: it could not be run to its last row.
        """
        account = self._account_name() if self._with_account else ""
        requests = 0

        def count(_: RequestEvent) -> None:
            nonlocal requests
            requests += 1

        client, doubts = self._connection.client, list[Doubt]()
        start = time.monotonic()
        set_variables(self._connection, ready.report, ready.values)
        with self._connection.observed(count), client.doubts.observers.told(doubts.append):
            cursor = self._last(ready)
            table = cursor.arrow()
        seconds = time.monotonic() - start
        note = client.servers.origin("api").clock_note if requests else ""
        facts = RunFacts(
            at=datetime.fromtimestamp(client.clock("api").now_ms() / 1000 - seconds, UTC),
            account=account,
            api=client.urls["api"],
            parameters=ready.values,
            requests=requests,
            seconds=seconds,
            warnings=[*([note] if note else []), *dict.fromkeys(map(str, doubts))],
        )
        return Outcome(ready.report, table, facts)

    def _last(self, ready: Ready) -> Cursor:
        """The cursor of the last statement; all are run."""
        *before, query = ready.statements
        for _ in self._connection.run(before, NO_PARAMETERS):
            pass
        _, cursor = next(self._connection.run([query], NO_PARAMETERS))
        return cursor

    def _account_name(self) -> str:
        """Who the account belongs to, such as ``Ada Lovelace (ada@example.com)``."""
        if self._account is None:
            row = self._connection.execute(_USER).fetchone()
            name, email = row or (None, None)
            self._account = f"{name} ({email})" if name and email else name or email or "unknown"
        return self._account
