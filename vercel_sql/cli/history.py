"""``vercel-sql snapshot``: appends all tokens of the account to a history, as one run.

A history is a DuckDB file, or anything else DuckDB can attach. Snapshots and reports take turns:
one that another process has open is waited for.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import tempfile
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa

from vercel_sql._version import __version__
from vercel_sql.catalog.ddl import literal, quoted
from vercel_sql.cli import FAILED, FINE
from vercel_sql.cli.accounts import opened
from vercel_sql.cli.terminal import complain, counted, in_time, watched
from vercel_sql.errors import DataError, Error, OperationalError, ParameterError
from vercel_sql.files import READABLE, named_path, require_private, require_replaceable
from vercel_sql.manifest import vercel
from vercel_sql.progress import progress
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.text import SAID_AFTER, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from vercel_sql import Connection

_VERSION = 1  # raised if the meaning of a column changes; new columns leave it
_IS_CURRENT = "is_current"

# Only these, and no keys, constraints, sequences or indexes: not every database that DuckDB can
# attach has them. Nested values are JSON text, so that the API may add to them.
_PLAIN = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
_RUNS = {
    "run_id": "BIGINT",
    "taken_at": "TIMESTAMP WITH TIME ZONE",
    "account_id": "VARCHAR",
    "account": "VARCHAR",
    "api_url": "VARCHAR",
    "column_names": "VARCHAR",  # that the run knew; the table may have newer ones
    "token_count": "BIGINT",
    "request_count": "BIGINT",
    "tool_version": "VARCHAR",
    "schema_version": "INTEGER",
}
# A table of that name without these columns is somebody else's.
_REQUIRED = {
    "runs": ("run_id", "taken_at", "account_id", "schema_version"),
    "tokens": ("run_id", "id"),
}
# How many seconds a remote database may take.
_CHECK_SECONDS, _WRITE_SECONDS = 60.0, 600.0

_CATALOG = "history"  # the name of the attached database, here and in reports
# Both DuckDB versions open such a file. An existing file keeps its version.
_STORAGE = "STORAGE_VERSION 'v1.5.0'"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]+(?=:)")  # one letter is a Windows drive
_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)
_USERINFO = re.compile(r"(:/+)[^\s\"']+@")  # DuckDB 1.5 drops one of two slashes
_MISSING_EXTENSION = re.compile(
    r"(?:download extension \"|required extension '|Extension \"(?:[^\"]*/)?)(\w+)"
    r"(?=[\"':]|\.duckdb_extension\" not found)"
)
# How systems say that a file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# DuckDB's message, and that of Windows.
_LOCKED = re.compile(r"(?:Could not set lock|used by another process)(?:.*?\(PID (\d+)\))?", re.S)
_BUSY_SECONDS = 60.0

T = TypeVar("T")
Run = dict[str, Any]  # a row of the table runs


def _stored_columns() -> dict[str, tuple[str, str]]:
    """The columns of the live table that the API returns: each one's type here, and its SQL."""
    return {
        column.name: (column.type, quoted(column.name))
        if column.type in _PLAIN
        else ("VARCHAR", f"to_json({quoted(column.name)})::VARCHAR")
        for column in vercel().tokens().columns
        if column.source in ("field", "rest")
    }


def _check_target(target: Target) -> None:
    """Find out, before the first request, whether a run can be appended."""
    with target.waited_for(_CHECK_SECONDS, "no snapshot was added to"), target.read() as con:
        if con is None:
            return
        _check(con)
        for table in _REQUIRED if target.is_file else ():
            # Nothing is added to a damaged file, so all of it is read.
            if _names(con, table):
                whole = f"SELECT bit_xor(hash(whole)) FROM {_CATALOG}.{table} AS whole"
                con.execute(whole).fetchall()


def _append(target: Target, run: Run, tokens: pa.Table) -> int:
    """Append a run, and return its number; after an error the history is as it was."""
    unknown = "it is not known whether a snapshot was added to"
    with (
        target.waited_for(_WRITE_SECONDS, unknown),
        target.written() as con,
        _transaction(con),
    ):
        prepare(con)
        next_id = f"SELECT coalesce(max(run_id), 0) + 1 FROM {_CATALOG}.runs"
        ((run_id,),) = con.execute(next_id).fetchall()
        _insert_run(con, {"run_id": run_id, **run})
        _insert_tokens(con, run_id, tokens)
    return int(run_id)


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables, or add the columns of a newer manifest."""
    stored = {name: kind for name, (kind, _) in _stored_columns().items()}
    tables = {"runs": _RUNS, "tokens": {"run_id": "BIGINT", **stored, _IS_CURRENT: "BOOLEAN"}}
    for table, columns in tables.items():
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS {_CATALOG}.{table} ({declared})")
    _check(con)
    for table, columns in tables.items():
        present = _names(con, table)
        for name, kind in columns.items():
            if name.casefold() not in present:
                con.execute(f"ALTER TABLE {_CATALOG}.{table} ADD COLUMN {quoted(name)} {kind}")


def _check(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse what is neither empty nor a history that this version can append to."""
    names = {table: _names(con, table) for table in _REQUIRED}
    if not any(names.values()):
        return
    for table, columns in _REQUIRED.items():
        missing = [column for column in columns if column not in names[table]]
        if missing:
            raise OperationalError(
                f"this is not a history: it has other tables called runs or tokens ({table} has no "
                f"{missing[0]}); choose another file"
            )
    ((newest,),) = con.execute(f"SELECT max(schema_version) FROM {_CATALOG}.runs").fetchall()
    if newest is not None and newest > _VERSION:
        raise OperationalError("a newer vercel-sql has written to it; update this one")


def _names(con: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """The columns of a table in lower case; empty if there is no such table."""
    query = (
        "SELECT lower(column_name) FROM duckdb_columns() WHERE database_name = $1 "
        "AND table_name = $2 AND schema_name IN ('main', 'public')"
    )
    return {name for (name,) in con.execute(query, [_CATALOG, table]).fetchall()}


def _insert_run(con: duckdb.DuckDBPyConnection, run: Run) -> None:
    columns = ", ".join(f"${name} AS {name}" for name in run)
    con.execute(f"INSERT INTO {_CATALOG}.runs BY NAME SELECT {columns}", run)


def _insert_tokens(con: duckdb.DuckDBPyConnection, run_id: int, tokens: pa.Table) -> None:
    con.register("__listing", tokens)
    insert = f"INSERT INTO {_CATALOG}.tokens BY NAME SELECT $1 AS run_id, * FROM __listing"
    con.execute(insert, [run_id])


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # closing the connection rolls back as well
            con.execute("ROLLBACK")
        raise
    _commit(con)


def _commit(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("COMMIT")


def run(arguments: argparse.Namespace, _parser: argparse.ArgumentParser) -> int:
    target = Target(arguments.to)
    with Interrupts(lambda: None, [signal.SIGINT], leaves=1).listening():
        in_turn(lambda: _check_target(target))
    with opened(arguments, read_only=True) as connection:
        interrupts = Interrupts(connection.interrupt, leaves=1)

        def write() -> None:
            if interrupts.came:
                raise KeyboardInterrupt
            # Whatever is written is also reported.
            with interrupts.held_back():
                run_id = _append(target, taken, tokens)
                if not arguments.quiet:
                    say(_summary(run_id, taken))

        try:
            with interrupts.listening():
                with progress(connection, None if arguments.verbose else watched()):
                    taken, tokens = _read_listing(connection)
                in_turn(write)
        except (KeyboardInterrupt, Error):
            # DuckDB has its own message for being stopped.
            if not interrupts.came:
                raise
            complain("interrupted")
            return interrupts.exit_code
    return FINE


def _read_listing(connection: Connection) -> tuple[Run, pa.Table]:
    """Request the user and all tokens; part of a listing is never returned.

    The time is that before the listing, by the server's clock if this one is wrong.
    """
    requests: list[str] = []
    provider, resource = vercel().provider, vercel().tokens()
    table, own = f"{provider.name}.{resource.full_name}", resource.self_reference
    assert own is not None  # noqa: S101 - tokens have one
    with connection.observed(lambda event: requests.append(event.path)):
        query = provider.roles["user"].query(provider.name)
        [user] = connection.execute(query).arrow().to_pylist()
        taken_at = datetime.fromtimestamp(connection.client.clock("api").now_ms() / 1000, UTC)
        if user["id"] is None:
            raise DataError("no snapshot was taken: the owner of the tokens can't be read")
        query = f"SELECT {resource.key} FROM {table} WHERE {own.condition}"
        current = connection.execute(query).arrow().column(0).to_pylist()
        columns = ", ".join(
            f"{sql} AS {quoted(name)}" for name, (_, sql) in _stored_columns().items()
        )
        tokens = connection.execute(f"SELECT {columns} FROM {table}").arrow()
    ids = tokens.column(resource.key).to_pylist()
    is_current = pa.array([None if i is None else i in current for i in ids], pa.bool_())
    tokens = tokens.append_column(_IS_CURRENT, is_current)
    return {
        "taken_at": taken_at,
        "account_id": user["id"],
        "account": user["username"] or user["email"] or user["name"] or user["id"],
        "api_url": connection.client.urls["api"],
        "column_names": json.dumps(tokens.column_names),
        "token_count": tokens.num_rows,
        "request_count": len(requests),  # repeated ones included
        "tool_version": __version__,
        "schema_version": _VERSION,
    }, tokens


def _summary(run_id: int, run: Run) -> str:
    tokens, requests = (
        counted(run["token_count"], "token"),
        counted(run["request_count"], "request"),
    )
    return f"run {run_id}: {tokens} of {run['account']}, {requests}"


class BusyError(OperationalError):
    """Another process has the history open, or has just created it."""


def holder(message: str) -> str | None:
    """The process that has a file open, if that is what a DuckDB error says."""
    found = _LOCKED.search(message)
    if found is None:
        return None
    return f"process {found[1]}" if found[1] else "another process"


def in_turn(act: Callable[[], T]) -> T:
    """Call a function again while it raises `BusyError`, for a minute."""
    start = time.monotonic()
    is_told = False
    while True:
        try:
            return act()
        except BusyError as error:
            waited = time.monotonic() - start
            if waited > _BUSY_SECONDS:
                raise OperationalError(f"{error}, still after {_BUSY_SECONDS:.0f} s") from None
            if waited > SAID_AFTER and not is_told:
                is_told = True
                say(f"Waiting up to {_BUSY_SECONDS:.0f} s: {error}")
        time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - so that not all come at once


class Target:
    """The value of ``--to`` or ``--history``.

    It is a file name, or what DuckDB's ATTACH takes, such as ``ducklake:history.ducklake``.
    """

    def __init__(self, text: str, option: str = "--to") -> None:
        if not text.strip() or "\0" in text:
            raise ParameterError(f"{option} needs a file name, or what DuckDB's ATTACH takes")
        if ":memory:" in text.lower():
            raise ParameterError(f"{option} {text} would be lost with the command: name a file")
        scheme = _SCHEME.match(text)
        self._text = text
        try:
            self._path = None if scheme else named_path(text).absolute()
        except OSError as error:  # no working directory, or no home directory
            raise ParameterError(f"{option} {text} can't be found: {error.strerror}") from None
        # What follows the scheme may contain a password.
        self._shown = f"{scheme[0]}:…" if scheme else text

    def __repr__(self) -> str:
        return f"<Target {self._shown}>"

    @property
    def is_file(self) -> bool:
        return self._path is not None

    def waited_for(self, seconds: float, failure: str) -> AbstractContextManager[None]:
        """End the command if a remote database is silent for longer; `failure` is said before."""
        if self.is_file:
            return nullcontext()
        return in_time(self._shown, FAILED, f"{failure} {self._shown}", seconds)

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection to read the target; None if there is nothing yet."""
        with self._explained(), _owner_only():  # some targets are created by attaching them
            file = self._file()
            if file is None:
                with _attached(self._text) as con:
                    yield con
            elif file.exists():
                with _attached(str(file), "(READ_ONLY)") as con:
                    yield con
            else:
                yield None

    @contextmanager
    def written(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to write one transaction.

        A missing file is written beside its place and moved there when it is complete. Only its
        owner may read what is created.
        """
        with self._explained(), _owner_only():
            file = self._file()
            if file is None or file.exists():
                with _attached(str(file or self._text)) as con:
                    yield con
            else:
                with _made_whole(file) as made, _attached(str(made), f"({_STORAGE})") as con:
                    yield con
                    # Now, since its log does not move with the file.
                    con.execute(f"CHECKPOINT {_CATALOG}")

    def _file(self) -> Path | None:
        """The file, if it is one, after checking that nobody else can read, change or swap it.

        DuckDB opens it by name, and others beside it, so the folder is checked as well. A link
        that exists is the user's own.
        """
        if self._path is None:
            return None
        file = self._path.resolve()
        if not file.parent.is_dir():
            raise OperationalError(f"there is no folder {file.parent}")
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise OperationalError(f"the folder {file.parent} can't be written")
        for folder in (self._path.parent, file.parent):
            require_private(folder)
        require_replaceable(file, forbidden=READABLE)
        return file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Replace the errors of DuckDB and the system with readable ones."""
        try:
            yield
        except duckdb.Error as error:
            if (other := holder(str(error))) is not None:
                raise BusyError(f"{other} has {self._shown} open") from None
            # DuckDB's error, and its traceback, may repeat the whole target.
            raise self._error(self.reason(str(error))) from None
        except OSError as error:
            raise self._error(error.strerror or type(error).__name__) from None
        except BusyError:
            raise
        except OperationalError as error:
            raise self._error(str(error)) from None

    def _error(self, reason: str) -> OperationalError:
        return OperationalError(f"no snapshot was added to {self._shown}: {reason}")

    def reason(self, message: str) -> str:
        """The readable part of a DuckDB error, without the password that it may quote."""
        if self._path is not None:
            return message.splitlines()[0]
        if found := _MISSING_EXTENSION.search(message):
            return (
                f"DuckDB {duckdb.__version__} needs its extension {found[1]} for that, and it is "
                f"neither installed nor available; run INSTALL {found[1]} in DuckDB with a "
                "network connection"
            )
        line = message.splitlines()[0]
        for text in (self._text, self._text.partition(":")[2]):
            line = line.replace(text, "…")
        return _USERINFO.sub(r"\1…@", _PASSWORD.sub(r"\1…", line))


@contextmanager
def _attached(place: str, options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET enable_progress_bar = false")
        con.execute(f"ATTACH {literal(place)} AS {_CATALOG} {options}")
        yield con


@contextmanager
def _made_whole(path: Path) -> Iterator[Path]:
    """A place for a new file, which is moved to `path` if the context ends without an error."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        yield made
        try:
            os.link(made, path)
        except OSError as error:
            has_no_links = error.errno in _NO_LINKS
            if isinstance(error, FileExistsError) or (has_no_links and path.exists()):
                raise BusyError(f"another snapshot has just created {path}") from None
            if not has_no_links:
                raise
            made.rename(path)


@contextmanager
def _owner_only() -> Iterator[None]:
    """Whatever is created meanwhile, a transaction's log too, has mode 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
