"""The server's own DuckDB database, which is called like the catalog that clients attach."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import LIVE, literal, quoted
from vercel_sql.connection.opening import match_versions
from vercel_sql.errors import OperationalError
from vercel_sql.server.bounds import Bounds, uri_of

# DuckDB frees what a schema holds in the reverse order of the names: this is the last of them.
_MARKER = "!open"


class Database:
    """A database of that name in a DuckDB of its own, with one connection to it.

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
    """A connection to the database that Quack serves: it gets results, and no client's text."""
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
        # Else a name that is not a table's may be found among Python's variables.
        "SET GLOBAL python_enable_replacements = false",
    ):
        con.execute(setting)
    match_versions(con)


def lock(con: duckdb.DuckDBPyConnection) -> None:
    """Takes files and other hosts away from a DuckDB, for good."""
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def listen(con: duckdb.DuckDBPyConnection, listener: socket.socket, token: str) -> int:
    """Has Quack listen on a socket of ours in place of a port; the port is what it is called by.

    Quack can only be told a port. It gets one, and is then given the other socket by its number.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    uri = uri_of(port)
    try:
        con.execute(f"CALL quack_serve({literal(uri)}, token := {literal(token)})").fetchall()
    except duckdb.Error as error:
        reason = _first_line(error).partition("Traceback")[0].replace(token, "[secret]")
        raise OperationalError(f"{uri} can't be served: {reason}") from None
    own = [number for number in map(int, os.listdir("/dev/fd")) if _listens_on(number, port)]
    for number in own:
        os.dup2(listener.fileno(), number, inheritable=False)
    listener.close()
    if not own:
        raise OperationalError("the socket that Quack listens on was not found")
    # Quack's thread may wait at the old socket, which lives until something comes to it.
    with suppress(OSError):
        while True:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    return port


def _listens_on(number: int, port: int) -> bool:
    with suppress(OSError):  # the folder was read through it, or it is another kind of socket
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as copy:
                return (
                    copy.family in (socket.AF_INET, socket.AF_INET6)
                    and copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
                    and copy.getsockname()[1] == port
                )
    return False


def stop_listening(con: duckdb.DuckDBPyConnection, port: int) -> None:
    """Closes the port; statements that run go on in threads of Quack's."""
    con.execute(f"CALL quack_stop({literal(uri_of(port))})").fetchall()


def has_active(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a client is still being answered, or stopped reading in the middle.

    Versions of the extension that do not say count as those where one is.
    """
    query = "FROM quack_active_connections() WHERE state = 'active'"
    try:
        return bool(con.execute(query).fetchall())
    except duckdb.Error:
        return True


def load_quack(con: duckdb.DuckDBPyConnection, files: Sequence[Path] = ()) -> None:
    """Loads Quack: from files that were named, else the way DuckDB has extensions."""
    for file in files:
        try:
            con.execute(f"LOAD '{str(file).replace(chr(39), chr(39) * 2)}'")
        except duckdb.Error as error:
            raise OperationalError(
                f"the extension file {file} can't be loaded: {_first_line(error)}. It has to be "
                f"made for DuckDB {duckdb.__version__}, and httpfs comes before quack"
            ) from None
    if files:
        return
    try:
        con.execute("INSTALL quack")
        con.execute("LOAD quack")
    except duckdb.Error as error:
        raise OperationalError(
            "the DuckDB extension quack isn't available. DuckDB downloads it once from its own "
            "extension repository, and keeps it; this machine did not get it "
            f"({_first_line(error)}). Run INSTALL quack where there is a network, in the same "
            "user's DuckDB, or name the extension's files: --extension httpfs.duckdb_extension "
            "--extension quack.duckdb_extension (for DuckDB 1.5.5 the PyPI packages "
            "duckdb-extension-httpfs and duckdb-extension-quack have them)"
        ) from None


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
