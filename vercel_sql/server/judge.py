"""The judge: says of a client's text, before it runs, why it may not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any

import duckdb

from vercel_sql.server.allowed import builtin
from vercel_sql.server.tree import Refusal, TreeJudge, mark_table_functions

_LONGEST = 1_000_000
"""Characters of a statement; people write far less, and judging takes time."""


class Judge:
    """Judges statements; threads may share it.

    Args:
        catalog: the name of the catalog that clients see.
        tables: its tables and views, by schema and name.
        table_functions: its functions that clients may call, by schema and name.
    """

    def __init__(
        self,
        catalog: str,
        tables: Iterable[tuple[str, str]],
        table_functions: Iterable[tuple[str, str]],
    ) -> None:
        allowed = builtin().extended(tables=tables, table_functions=table_functions)
        self._tree = TreeJudge(catalog, allowed)
        self._con = duckdb.connect(
            config={
                "threads": 1,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_access": False,
                "lock_configuration": True,
            }
        )
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the judge's own DuckDB."""
        self._con.close()

    def check(self, text: str) -> None:
        """Judges one statement for DuckDB.

        Raises:
            Refusal: it may not run.
        """
        if len(text) > _LONGEST:
            raise Refusal("it is too long to be judged")
        try:
            tree = self._parsed(text)
            mark_table_functions(tree)
            self._tree.check(tree)
        except (duckdb.Error, ValueError, KeyError, TypeError, RecursionError):
            # A tree of another form than DuckDB's so far, or text that it does not read.
            raise Refusal("it can't be judged") from None

    def _parsed(self, text: str) -> Any:
        with self._lock:
            rows = self._con.execute("SELECT json_serialize_sql($1::VARCHAR)", [text]).fetchall()
        return json.loads(rows[0][0])
