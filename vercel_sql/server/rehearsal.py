"""EXPLAIN of a write for one client, apart from what all others do meanwhile.

It is done with a client that sends no writes, and by watching what that client sends. With the
server's own client, the writes of others would be refused for as long as it takes, and their
requests shown.
"""

from __future__ import annotations

import duckdb

from vercel_sql.connection import Attachment
from vercel_sql.connection.attachment import make_attachment
from vercel_sql.errors import NotSupportedError
from vercel_sql.server.database import lock, settle
from vercel_sql.sql import NO_PARAMETERS, Explain
from vercel_sql.sql.engine import Engine
from vercel_sql.sql.plan import Limits, Outcome
from vercel_sql.tables.catalog import quoted
from vercel_sql.tables.keeping import Keeping


class Rehearsal:
    """A DuckDB and an HTTP client for one EXPLAIN, closed with the context.

    Args:
        attachment: the account; the new DuckDB has its tables by the same names.
    """

    def __init__(self, attachment: Attachment) -> None:
        self._original = attachment
        self._client = attachment.client.twin()
        self._con = duckdb.connect(
            config={
                "threads": 1,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()
        self._con.close()

    def cancel(self) -> None:
        """Cancels what runs, from another thread."""
        self._client.close()
        self._con.interrupt()

    def explain(self, statement: Explain, limits: Limits) -> Outcome:
        """The requests that a write or an EXEC would send.

        Args:
            statement: the statement.
            limits: what it may do when it is run.

        Raises:
            Error: it can't be prepared.
        """
        settle(self._con)
        name, manifest = self._original.name, self._original.manifest
        attachment = make_attachment(self._con, name, self._client, manifest, Keeping())
        self._con.execute(f"USE {quoted(name)}")
        # All at once, since making a table changes a setting, and settings are locked then.
        attachment.add(attachment.missing)
        lock(self._con)
        result = Engine(self._con, [attachment]).run(statement, NO_PARAMETERS, limits)
        if not isinstance(result, Outcome):
            raise NotSupportedError("this can't be explained")
        return result
