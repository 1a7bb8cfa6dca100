"""The Quack extension: loaded, listening, asked and stopped, with errors for people."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from vercel_sql.catalog.ddl import literal
from vercel_sql.errors import OperationalError
from vercel_sql.server.pasting import HOST, uri_of


def listen(con: duckdb.DuckDBPyConnection, port: int, token: str) -> None:
    """Listens on loopback.

    Raises:
        OperationalError: the port can't be had.
    """
    uri = uri_of(port)
    if _is_taken(port):
        raise OperationalError(f"{uri} can't be served: the port is taken; choose another")
    try:
        con.execute(f"CALL quack_serve({literal(uri)}, token := {literal(token)})").fetchall()
    except duckdb.Error as error:
        reason = _first_line(error).partition("Traceback")[0].replace(token, "[secret]")
        raise OperationalError(f"{uri} can't be served: {reason}") from None


def listen_on(con: duckdb.DuckDBPyConnection, listener: socket.socket, token: str) -> int:
    """Listens on a socket of ours in place of a port, so that nobody else reaches Quack.

    Quack can only be told a port. It gets one, and is then given the other socket by its number.

    Args:
        con: a connection to the database.
        listener: a socket that listens.
        token: what a client has to send.

    Returns:
        The port that Quack takes itself to listen on.

    Raises:
        OperationalError: Quack does not listen.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    listen(con, port, token)
    own = [number for number in _open_files() if _listens_on(number, port)]
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


def _open_files() -> list[int]:
    return [int(name) for name in os.listdir("/dev/fd")]


def _listens_on(number: int, port: int) -> bool:
    try:
        copy = socket.socket(fileno=os.dup(number))
    except OSError:
        return False  # it is no socket, or the one that the folder was read by
    with copy:
        return (
            copy.family in (socket.AF_INET, socket.AF_INET6)
            and copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
            and copy.getsockname()[1] == port
        )


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


def _is_taken(port: int) -> bool:
    """Whether somebody listens on the port already.

    Quack asks the system to share the port (SO_REUSEPORT), and two servers would take turns.
    """
    for family, kind, _, _, address in socket.getaddrinfo(HOST, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            if os.name == "posix":  # what was closed just now does not count
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


def load_quack(con: duckdb.DuckDBPyConnection, files: Sequence[Path] = ()) -> None:
    """Loads Quack: from files that were named, else the way DuckDB has extensions.

    Args:
        con: the connection; with files, one that allows unsigned extensions.
        files: extension files, in the order in which they are loaded (httpfs before quack).

    Raises:
        OperationalError: it can't be had.
    """
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
            "the DuckDB extension quack can't be had. DuckDB downloads it once from its own "
            "extension repository, and keeps it; this machine did not get it "
            f"({_first_line(error)}). Run INSTALL quack where there is a network, in the same "
            "user's DuckDB, or name the extension's files: --extension httpfs.duckdb_extension "
            "--extension quack.duckdb_extension (for DuckDB 1.5.5 the PyPI packages "
            "duckdb-extension-httpfs and duckdb-extension-quack have them)"
        ) from None


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
