"""The server's own DuckDB database, which is called like the catalog that clients attach."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from pathlib import Path

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import LIVE, literal, quoted
from vercel_sql.connection.opening import match_versions
from vercel_sql.server.bounds import Bounds

# DuckDB frees what a schema holds in the reverse order of the names: this is the last of them.
_MARKER = "!open"


class Database:
    """A database of that name in a DuckDB of its own, with one connection to it.

    Args:
        name: what the database is called; Quack's clients see the server's own database, and no
            other that is attached to it.
        bounds: how much memory it may take, and how many threads.
        unsigned: whether extension files without a signature may be loaded.

    Attributes:
        con: the connection that what is in it belongs to.
    """

    def __init__(self, name: str, bounds: Bounds, *, unsigned: bool) -> None:
        self._name = name
        self._bounds = bounds
        self._folder = tempfile.mkdtemp(prefix="vercel-sql-")
        self._marker: weakref.ref[pa.Table] | None = None
        try:
            self.con = self._open(unsigned)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def watch(self) -> None:
        """Lets `close` know when the database is gone; the schema of the live tables is there."""
        marker = pa.table({"open": [True]})
        self.con.execute(f"USE {quoted(self._name)}.{quoted(LIVE)}")
        self.con.from_arrow(marker).create_view(_MARKER)
        self.con.execute(f"USE {quoted(self._name)}.main")
        self._marker = weakref.ref(marker)

    def close(self, patience: float, *, is_idle: bool = True) -> bool:
        """Closes the connection, and waits until nobody uses the database any more.

        Threads of Quack's keep it open while a statement runs in them, and the last of them frees
        it. They need Python for that, and crash the process where Python has ended meanwhile.

        Args:
            patience: how many seconds to wait.
            is_idle: whether nothing runs; else closing the connection would wait for it.

        Returns:
            Whether the database is gone.
        """
        try:
            if not is_idle:
                return False
            self.con.close()
            end = time.monotonic() + patience
            while self._is_open() and time.monotonic() < end:
                time.sleep(0.01)
            return not self._is_open()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _is_open(self) -> bool:
        return self._marker is not None and self._marker() is not None

    def _open(self, unsigned: bool) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "allow_unsigned_extensions": unsigned
        }
        if duckdb.__version__.startswith("1."):
            # DuckDB 1.5 calls each database in memory `memory`, and files by their names.
            con = duckdb.connect(str(Path(self._folder) / f"{self._name}.db"), config=config)
        else:
            # DuckDB 2.0 keeps no views of Python objects in files. What is left alone is what new
            # connections stand in.
            con = duckdb.connect(config=config)
            con.execute(f"ATTACH ':memory:' AS {quoted(self._name)}")
            con.execute(f"USE {quoted(self._name)}")
            con.execute("DETACH memory")
        settle(con)
        for setting, value in (
            # Else what one statement took is given back to the system at the end alone.
            ("allocator_background_threads", "true"),
            ("allocator_flush_threshold", "1 MiB"),
            ("allocator_bulk_deallocation_flush_threshold", "1 MiB"),
            ("memory_limit", f"{self._bounds.memory // 2} MiB"),
            ("threads", self._bounds.threads),
            ("temp_directory", str(Path(self._folder) / "temp")),
            ("max_temp_directory_size", f"{self._bounds.temp} MiB"),
        ):
            con.execute(f"SET GLOBAL {setting} = {literal(str(value))}")
        return con


def results_database(unsigned: bool) -> duckdb.DuckDBPyConnection:
    """A connection to the database that Quack serves: it gets results, and runs no client's text.

    Args:
        unsigned: whether extension files without a signature may be loaded.
    """
    con = duckdb.connect(
        config={"allow_unsigned_extensions": unsigned, "threads": 1, "memory_limit": "256 MiB"}
    )
    settle(con)
    return con


def settle(con: duckdb.DuckDBPyConnection) -> None:
    """Gives a DuckDB that runs clients' statements its settings."""
    for setting in (
        "SET enable_progress_bar = false",
        "SET GLOBAL TimeZone = 'UTC'",
        # Else a name that is no table may be found among Python's variables.
        "SET GLOBAL python_enable_replacements = false",
    ):
        con.execute(setting)
    match_versions(con)


def lock(con: duckdb.DuckDBPyConnection) -> None:
    """Takes files and other hosts away from a DuckDB, for good."""
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
