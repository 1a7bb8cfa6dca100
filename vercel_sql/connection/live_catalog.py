"""The tables and functions of accounts in one DuckDB database, whose connections share them."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import chain
from typing import Any, Protocol

import duckdb

from vercel_sql.catalog.ddl import (
    LIVE,
    comment_statements,
    create_catalog,
    create_tables,
    literal,
    live_schema,
    quoted,
    run_script,
    view_statements,
)
from vercel_sql.catalog.sources import Failures, Source, Sources
from vercel_sql.errors import InterfaceError, ParameterError
from vercel_sql.http.client import Client
from vercel_sql.manifest import Manifest, Service
from vercel_sql.redaction.hidden import NotPicklable
from vercel_sql.runtime.shutdown import leave
from vercel_sql.writes.functions import Functions, Idempotency
from vercel_sql.writes.policy import WriteBudgets, WritePolicy


class LiveCatalog:
    """A catalog in a database, under its name.

    Attributes:
        sources: whom the tables ask, for each connection that shares them.
        kept: the connection, where it is to stay open.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        manifest: Manifest,
        functions: Callable[[duckdb.DuckDBPyConnection, str, Sources], Functions],
        key: str = "",
    ) -> None:
        self.key = key
        self._con = weakref.ref(con)
        self.kept: duckdb.DuckDBPyConnection | None = None
        self.name = name
        self.manifest = manifest
        self.sources = Sources()
        self._functions = functions(con, name, self.sources)
        self._services: set[str] = set()
        self._described: set[str] = set()
        self._lock = threading.Lock()
        self._is_shared = False

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection that makes everything."""
        con = self._con()
        if con is None:
            raise InterfaceError("the connection that Vercel's tables were made on is closed")
        return con

    @property
    def missing(self) -> list[str]:
        """The services whose tables have not been made yet."""
        return [name for name in self.manifest.service_names if name not in self._services]

    @property
    def is_complete(self) -> bool:
        """Whether all tables and all comments have been made."""
        return len(self._described) == len(self.manifest.service_names)

    def add(self, services: Iterable[str], *, described: bool = True) -> None:
        """Makes the tables, views and functions of services, where they are not there yet."""
        with self._lock:
            script: list[str] = []
            new = {self.manifest.service(name).name for name in services} - self._services
            added = [self.manifest.service(name) for name in sorted(new)]
            create_tables(self.con, self.name, added, self.sources)
            for service in added:
                script += [*self._views(service), *self._functions.create(service)]
            bare = (self._services | new) - self._described if described else set()
            run_script(self.con, [*script, *self._comments(bare)])
            self._services |= new
            self._described |= bare

    def share(self) -> None:
        """Makes each query name the connection that it is of, from now on."""
        with self._lock:
            if not self._is_shared:
                self._is_shared = True
                made = map(self.manifest.service, sorted(self._services))
                views = chain.from_iterable(map(self._views, made))
                run_script(self.con, [*views, *self._comments(self._described)])

    def come_to(self, con: duckdb.DuckDBPyConnection) -> None:
        """Makes the tables anew on another connection, where their own was closed."""
        with self._lock:
            if not _is_closed(self._con()):
                return
            self._con = weakref.ref(con)
            self._functions.come_to(con)
            made = [self.manifest.service(name) for name in sorted(self._services)]
            create_tables(con, self.name, made, self.sources)

    def _views(self, service: Service) -> Iterator[str]:
        session = self._functions.session if self._is_shared else None
        return view_statements(self.name, service, session)

    def _comments(self, services: Iterable[str]) -> Iterator[str]:
        for name in sorted(services):
            yield from comment_statements(self.name, self.manifest.service(name))

    def remove(self, con: duckdb.DuckDBPyConnection | None = None) -> None:
        """Takes everything out of the database again."""
        self._functions.remove()
        (con or self.con).execute(f"DETACH {quoted(self.name)}")


# Literals, since DuckDB 1.5 imports pandas where it is given values.
_TAKEN = {
    "database": "SELECT 1 FROM duckdb_databases() WHERE lower(database_name) = lower({name})",
    # With a catalog of that name beside it, DuckDB would call its tables ambiguous.
    "schema": (
        "SELECT 1 FROM duckdb_schemas() "
        "WHERE database_name = current_database() AND lower(schema_name) = lower({name})"
    ),
}
_OURS = (
    f"FROM duckdb_schemas() WHERE lower(database_name) = lower({{name}}) AND schema_name = '{LIVE}'"
)
_shared: dict[str, LiveCatalog] = {}
"""The catalogs of `connect`, by the key that stands in each."""
joining = threading.RLock()
"""Held while a connection joins or leaves a catalog of `connect`."""


def joined(con: duckdb.DuckDBPyConnection, name: str, manifest: Manifest) -> LiveCatalog:
    """The catalog of that name in a database, made where no connection of ours has done so yet.

    It is made on this connection, which is then the catalog's: nothing of a user's session changes.
    """
    live = _shared.get(key_of(con, name) or "")
    if live is None:
        key = begin_catalog(con, name)
        functions = partial(
            Functions, policy=WritePolicy(), idempotency=Idempotency(), budgets=WriteBudgets(None)
        )
        live = _shared[key] = LiveCatalog(con, name, manifest, functions, key)
        live.kept = con
    return live


def begin_catalog(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """Makes a catalog with nothing in it but its key, which it gives."""
    if not name:
        raise ParameterError("name= is empty: it is what the catalog is called in SQL")
    _refuse_taken(con, name)
    key = str(uuid.uuid4())
    create_catalog(con, name, f"CREATE MACRO {_key_macro(name)}() AS {literal(key)}")
    return key


def left(live: LiveCatalog, session: str) -> None:
    """A connection does not use a catalog any more; after the last one, nothing is left of it."""
    with joining:
        live.sources.remove(session)
        if len(live.sources) or _shared.pop(live.key, None) is None:
            return
        with suppress(duckdb.Error):
            live.remove()
        live.con.close()


def _refuse_taken(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Stops what would hide a database or a schema that is there."""
    if key_of(con, name) is not None:
        raise InterfaceError(
            f"this database has Vercel's tables already, under the name {name}, and they work on "
            "each of its connections: use those, or choose another name with name="
        )
    for kind, query in _TAKEN.items():
        if con.execute(query.format(name=literal(name))).fetchall():
            raise InterfaceError(
                f"the connection has a {kind} called {name} already: rename it, or choose another "
                "name for Vercel's tables with name="
            )


def _key_macro(name: str) -> str:
    return f"{quoted(name)}.{quoted(LIVE)}.catalog_key"


def key_of(con: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """The key of the catalog of that name, if the database has one of ours."""
    try:
        # An error of the macro's would end the transaction that the connection may be in.
        if not con.execute(_OURS.format(name=literal(name))).fetchall():
            return None
        ((key,),) = con.execute(f"SELECT {_key_macro(name)}()").fetchall()
    except duckdb.ConnectionException:
        raise InterfaceError("the connection is closed") from None
    except duckdb.Error:
        return None
    return str(key)


def _is_closed(con: duckdb.DuckDBPyConnection | None) -> bool:
    """Whether a connection was closed; one that another thread uses is left in peace."""
    if con is None:
        return True
    try:
        con.query_progress()
    except duckdb.ConnectionException:
        return True
    return False


class Attachment(NotPicklable):
    """The catalog of one account in one DuckDB connection.

    Attributes:
        live: the catalog, which other connections of the database may share.
        client: the HTTP client that this one's tables and functions use.
        failures: the originals of errors that went through DuckDB.
        session: the key of this one among those that share the catalog.
        dropped: leaves the catalog when nobody holds the DuckDB connection any more.
    """

    def __init__(self, live: LiveCatalog, client: Client) -> None:
        self.live = live
        self.client = client
        self.failures = Failures()
        self.session = live.sources.add(Source(client, self.failures))
        self.dropped: weakref.finalize[..., Any] | None = None

    def __repr__(self) -> str:
        return f"<Attachment {self.name} of {self.client!r}>"

    @property
    def name(self) -> str:
        """The name of the catalog."""
        return self.live.name

    @property
    def manifest(self) -> Manifest:
        """What the catalog has."""
        return self.live.manifest

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection that the tables and functions were made on."""
        return self.live.con

    @property
    def missing(self) -> list[str]:
        """The services whose tables have not been made yet."""
        return self.live.missing

    @property
    def is_complete(self) -> bool:
        """Whether all tables and all comments have been made."""
        return self.live.is_complete

    def add(self, services: Iterable[str], *, described: bool = True) -> None:
        """Makes the tables, views and functions of services, as `LiveCatalog.add` does."""
        self.live.add(services, described=described)

    def acting(self) -> AbstractContextManager[None]:
        """What this thread has DuckDB plan meanwhile is for this one."""
        sources = self.live.sources
        return sources.acting(self.session) if len(sources) > 1 else nullcontext()

    def leave(self) -> None:
        """Leaves the catalog to the other connections that share it, if any."""
        if self.dropped is not None:
            self.dropped.detach()
        left(self.live, self.session)
        self.client.close()

    def remove(self, con: duckdb.DuckDBPyConnection | None = None) -> None:
        """Takes everything out of the database again, and closes the client."""
        found = (con or self.con).execute("SELECT current_database()").fetchall()
        if found[0][0] == self.name:
            raise InterfaceError(
                f"the connection stands in {self.name}: USE another database before you detach it"
            )
        self.live.remove(con)
        self.client.close()


def make_attachment(
    con: duckdb.DuckDBPyConnection,
    name: str,
    client: Client,
    manifest: Manifest,
    keeping: WritePolicy,
    allowances: WriteBudgets | None = None,
) -> Attachment:
    """An attachment without tables yet."""
    key = begin_catalog(con, name)
    functions = partial(
        Functions,
        policy=keeping,
        idempotency=Idempotency(),
        budgets=allowances or WriteBudgets(None),
    )
    return Attachment(LiveCatalog(con, name, manifest, functions, key), client)


def shared_attachment(
    con: duckdb.DuckDBPyConnection, name: str, client: Client, manifest: Manifest
) -> tuple[duckdb.DuckDBPyConnection, Attachment]:
    """The user's connection, and an attachment to the catalog that all of a database share."""
    with joining:
        attachment = Attachment(joined(con, name, manifest), client)
        # DuckDB closes the cursors of a connection with it, and the catalog's has to stay open.
        native = con.cursor() if attachment.con is con else con
        if len(attachment.live.sources) > 1:
            attachment.live.share()
        # Whoever was given the DuckDB connection may use it when ours is gone.
        gone = partial(left, attachment.live, attachment.session)
        attachment.dropped = when_dropped(native, gone)
    return native, attachment


def attach_in_place(
    con: duckdb.DuckDBPyConnection,
    name: str,
    client: Client,
    manifest: Manifest,
    keeping: WritePolicy,
    memo: Idempotency,
    allowances: WriteBudgets,
) -> Attachment:
    """An attachment without tables yet, in a connection's own empty database of that name.

    Quack's clients see the server's own database, and no other that is attached to it.
    """
    con.execute(live_schema(name))
    # A function that makes a secret may be called by many; each is given only its own.
    functions = partial(
        Functions,
        policy=keeping,
        idempotency=memo,
        budgets=allowances,
        caller="current_connection_id()",
    )
    return Attachment(LiveCatalog(con, name, manifest, functions), client)


class _Closes(Protocol):
    def close(self) -> None: ...


_open: weakref.WeakSet[_Closes] = weakref.WeakSet()
"""The connections of `connect` that are open."""


def closed_at_its_end(
    connection: _Closes, native: duckdb.DuckDBPyConnection
) -> weakref.finalize[..., Any]:
    """Has a connection closed that nobody closes; gives what does so when it is dropped.

    DuckDB holds our functions, and these hold DuckDB: Python alone never clears them away.
    """
    _open.add(connection)
    return when_dropped(connection, native.close)


def when_dropped(held: object, act: Callable[[], None]) -> weakref.finalize[..., Any]:
    """Has something done once nobody holds an object any more, but not at the process's end."""
    dropped = weakref.finalize(held, _act, act, os.getpid())
    dropped.atexit = False
    return dropped


def _act(act: Callable[[], None], pid: int) -> None:
    """Acts on a thread of its own, since the garbage collector runs anywhere, within DuckDB too.

    After a fork, DuckDB's threads are in the parent, and closing would wait for them.
    """
    if os.getpid() == pid:
        threading.Thread(target=act, name="vercel-sql-dropped", daemon=True).start()


@atexit.register
def _close_all() -> None:
    """Closes what is still open: DuckDB 2.0 complains on stderr about objects that outlive it."""
    leave()
    for connection in list(_open):
        connection.close()
