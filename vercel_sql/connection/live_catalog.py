"""The tables and functions of accounts in one DuckDB database, whose connections share them."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
import weakref
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

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
from vercel_sql.catalog.sources import Failures, Sources
from vercel_sql.errors import InterfaceError, ParameterError
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.runtime.process_state import leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vercel_sql.http.client import Client
    from vercel_sql.manifest import Manifest
    from vercel_sql.runtime.scope import CancelScope
    from vercel_sql.writes.functions import Functions, Idempotency
    from vercel_sql.writes.policy import WriteBudgets, WritePolicy


class LiveCatalog:
    """A catalog in a database; its manifest is read when something is made in it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        key: str = "",
        policy: WritePolicy | None = None,
        budgets: WriteBudgets | None = None,
        idempotency: Idempotency | None = None,
        caller: str | None = None,
    ) -> None:
        self.key = key  # stands in the database, to recognize the catalog
        self._con = weakref.ref(con)
        self.kept: duckdb.DuckDBPyConnection | None = None  # if it must stay open
        self.name = name
        self.sources = Sources()
        self._function_options = policy, idempotency, budgets, caller
        self.made: set[str] = set()  # services
        self._described: set[str] = set()
        self._lock = threading.Lock()
        self._is_shared = False

    @cached_property
    def manifest(self) -> Manifest:
        """What the catalog contains."""
        from vercel_sql.manifest import vercel

        return vercel()

    @cached_property
    def _functions(self) -> Functions:
        from vercel_sql.writes.functions import Functions, Idempotency
        from vercel_sql.writes.policy import WriteBudgets, WritePolicy

        policy, idempotency, budgets, caller = self._function_options
        return Functions(
            self.con,
            self.name,
            self.sources,
            policy=policy or WritePolicy(),
            idempotency=idempotency or Idempotency(),
            budgets=budgets or WriteBudgets(None),
            caller=caller or "NULL",
        )

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection that makes everything."""
        con = self._con()
        if con is None:
            raise InterfaceError("the connection that Vercel's tables were made on is closed")
        return con

    def add(self, services: Iterable[str], *, described: bool = True) -> None:
        """Makes the tables, views and functions of services that don't exist yet."""
        with self._lock:
            new = {self.manifest.service(name).name for name in services} - self.made
            added = [self.manifest.service(name) for name in sorted(new)]
            create_tables(self.con, self.name, added, self.sources)
            script = [*self._views(new)]
            for service in added:
                script += self._functions.create(service)
            bare = (self.made | new) - self._described if described else set()
            run_script(self.con, [*script, *self._comments(bare)])
            self.made |= new
            self._described |= bare

    def share(self) -> None:
        """Makes each query name its connection from now on."""
        with self._lock:
            if not self._is_shared:
                self._is_shared = True
                views = self._views(self.made)
                run_script(self.con, [*views, *self._comments(self._described)])

    def come_to(self, con: duckdb.DuckDBPyConnection) -> None:
        """Makes the tables again on another connection if their own was closed."""
        with self._lock:
            if not _is_closed(self._con()):
                return
            self._con = weakref.ref(con)
            self._functions.come_to(con)
            made = [self.manifest.service(name) for name in sorted(self.made)]
            create_tables(con, self.name, made, self.sources)

    def _views(self, services: Iterable[str]) -> Iterator[str]:
        for name in sorted(services):
            session = self._functions.session if self._is_shared else None
            yield from view_statements(self.name, self.manifest.service(name), session)

    def _comments(self, services: Iterable[str]) -> Iterator[str]:
        for name in sorted(services):
            yield from comment_statements(self.name, self.manifest.service(name))

    def remove(self, con: duckdb.DuckDBPyConnection | None = None) -> None:
        """Removes everything from the database."""
        if "_functions" in vars(self):
            self._functions.remove()
        (con or self.con).execute(f"DETACH {quoted(self.name)}")

    def leave(self, session: str) -> None:
        """Ends a connection's use of the catalog; after the last one, nothing is left of it."""
        with joining:
            self.sources.remove(session)
            if len(self.sources) or _shared.pop(self.key, None) is None:
                return
            with suppress(duckdb.Error):
                self.remove()
            self.con.close()


_shared: dict[str, LiveCatalog] = {}
"""The catalogs of `connect`, by the key that stands in each."""
joining = threading.RLock()
"""Held while a connection joins or leaves a catalog of `connect`."""
# Literals, since DuckDB 1.5 imports pandas if it is given values. With a schema of the catalog's
# name beside it, DuckDB would call its tables ambiguous.
_TAKEN = """
SELECT 'database', bool_or(schema_name = '{live}') FROM duckdb_databases()
LEFT JOIN duckdb_schemas() USING (database_name)
WHERE lower(database_name) = lower({name}) HAVING count(*) > 0
UNION ALL SELECT 'schema', false FROM duckdb_schemas()
WHERE database_name = current_database() AND lower(schema_name) = lower({name})
"""


_BUILT_IN = frozenset(["information_schema", "main", "memory", "pg_catalog", "system", "temp"])
"""The databases and schemas of an empty DuckDB."""


def key_and_taken(con: duckdb.DuckDBPyConnection, name: str) -> tuple[str | None, list[str]]:
    """The key of our catalog of that name, and which things have that name already."""
    try:
        query = _TAKEN.format(name=literal(name), live=LIVE)
        found: list[tuple[str, bool]] = con.execute(query).fetchall()
    except duckdb.ConnectionException:
        raise InterfaceError("the connection is closed") from None
    except duckdb.Error:  # a transaction failed, and waits for its ROLLBACK
        return None, []
    kinds = [kind for kind, _ in found]
    if not any(is_live for _, is_live in found):
        # An error in the macro would end the transaction that the connection may be in.
        return None, kinds
    try:
        ((key,),) = con.execute(f"SELECT {_key_macro(name)}()").fetchall()
    except duckdb.Error:
        return None, kinds
    return str(key), kinds


def _key_macro(name: str) -> str:
    return f"{quoted(name)}.{quoted(LIVE)}.catalog_key"


def _begin_catalog(
    con: duckdb.DuckDBPyConnection, name: str, key: str | None, taken: list[str]
) -> str:
    """Makes a catalog that contains nothing but its key, and returns that."""
    if not name:
        raise ParameterError("name= must not be empty: it is the name of the catalog in SQL")
    if key is not None:
        raise InterfaceError(
            f"this database has Vercel's tables already, under the name {name}, and they work on "
            "each of its connections: use those, or choose another name with name="
        )
    if taken:
        raise InterfaceError(
            f"the connection has a {taken[0]} called {name} already: rename it, or choose another "
            "name for Vercel's tables with name="
        )
    key = str(uuid.uuid4())
    create_catalog(con, name, f"CREATE MACRO {_key_macro(name)}() AS {literal(key)}")
    return key


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
        name: its name.
        made: the services whose tables have been made.
        add: makes the tables, views and functions of more services.
        failures: the originals of errors that went through DuckDB.
        session: the key of this one among those that share the catalog.
        dropped: leaves the catalog when nobody holds the DuckDB connection any more.
    """

    def __init__(self, live: LiveCatalog, client: Client | Callable[[], Client]) -> None:
        self.live = live
        self.name, self.made, self.add = live.name, live.made, live.add
        self._client = client
        self._client_lock = threading.Lock()
        self._scope: CancelScope | None = None
        self.failures = Failures()
        self.session = live.sources.add(self)
        self.dropped: weakref.finalize[..., Any] | None = None

    def __repr__(self) -> str:
        return f"<Attachment {self.name} of {self.client!r}>"

    @property
    def client(self) -> Client:
        """The HTTP client that this one's tables and functions use, made when it is needed."""
        with self._client_lock:
            if callable(self._client):
                self._client = self._client()
                if self._scope is not None:
                    self._client.scope = self._scope
            return self._client

    @property
    def used_client(self) -> Client | None:
        """The client, unless nothing has needed it yet."""
        return None if callable(self._client) else self._client

    def begin(self, scope: CancelScope) -> None:
        """Runs a statement: its scope limits the client's calls until `end`."""
        self._scope = scope
        if (client := self.used_client) is not None:
            client.create_results.settle()
            client.scope = scope

    def end(self) -> None:
        """No statement runs from now on."""
        self._scope = None
        if (client := self.used_client) is not None:
            client.leave_scope()

    @property
    def manifest(self) -> Manifest:
        """What the catalog contains."""
        return self.live.manifest

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection that the tables and functions were made on."""
        return self.live.con

    @property
    def missing(self) -> list[str]:
        """The services whose tables have not been made yet."""
        return [name for name in self.manifest.service_names if name not in self.made]

    def acting(self) -> AbstractContextManager[None]:
        """Has DuckDB plan what this thread runs meanwhile for this account."""
        sources = self.live.sources
        return sources.acting(self.session) if len(sources) > 1 else nullcontext()

    def leave(self) -> None:
        """Leaves the catalog to the other connections that share it, if any."""
        if self.dropped is not None:
            self.dropped.detach()
        self.live.leave(self.session)
        self._close_client()

    def remove(self, con: duckdb.DuckDBPyConnection | None = None) -> None:
        """Removes everything from the database, and closes the client."""
        found = (con or self.con).execute("SELECT current_database()").fetchall()
        if found[0][0] == self.name:
            raise InterfaceError(
                f"the connection stands in {self.name}: USE another database before you detach it"
            )
        self.live.remove(con)
        self._close_client()

    def _close_client(self) -> None:
        if (client := self.used_client) is not None:
            client.close()


def make_attachment(
    con: duckdb.DuckDBPyConnection,
    name: str,
    client: Client,
    policy: WritePolicy | None = None,
    budgets: WriteBudgets | None = None,
) -> Attachment:
    """An attachment without tables yet."""
    key = _begin_catalog(con, name, *key_and_taken(con, name))
    return Attachment(LiveCatalog(con, name, key, policy, budgets), client)


def shared_attachment(
    con: duckdb.DuckDBPyConnection,
    name: str,
    client: Client | Callable[[], Client],
    *,
    is_new: bool,
) -> tuple[duckdb.DuckDBPyConnection, Attachment]:
    """The user's connection, and an attachment to the catalog that all of a database share.

    The first connection of a database becomes the catalog's: nothing of a user's session changes.
    ``is_new`` says that the database is empty.
    """
    with joining:
        is_free = is_new and name.casefold() not in _BUILT_IN
        key, taken = (None, []) if is_free else key_and_taken(con, name)
        live = _shared.get(key or "")
        if live is None:
            key = _begin_catalog(con, name, key, taken)
            live = _shared[key] = LiveCatalog(con, name, key)
            live.kept = con
        attachment = Attachment(live, client)
        # DuckDB closes the cursors of a connection with it, and the catalog's has to stay open.
        native = con.cursor() if live.con is con else con
        if len(live.sources) > 1:
            live.share()
        # Whoever was given the DuckDB connection may use it when ours is gone.
        attachment.dropped = when_dropped(native, partial(live.leave, attachment.session))
    return native, attachment


def attach_in_place(
    con: duckdb.DuckDBPyConnection,
    name: str,
    client: Client,
    policy: WritePolicy,
    idempotency: Idempotency,
    budgets: WriteBudgets,
) -> Attachment:
    """An attachment without tables yet, in a connection's own empty database of that name.

    Quack's clients see the server's own database, and no other that is attached to it.
    """
    con.execute(live_schema(name))
    # A function that makes a secret may be called by many; each is given only its own.
    caller = "current_connection_id()"
    return Attachment(LiveCatalog(con, name, "", policy, budgets, idempotency, caller), client)


class _Closes(Protocol):
    def close(self) -> None: ...


_open: weakref.WeakSet[_Closes] = weakref.WeakSet()
"""The connections of `connect` that are open."""


def closed_at_its_end(
    connection: _Closes, native: duckdb.DuckDBPyConnection
) -> weakref.finalize[..., Any]:
    """Closes a connection that nobody closes; returns what does so when it is dropped.

    DuckDB holds our functions, and these hold DuckDB: Python alone never clears them away.
    """
    _open.add(connection)
    return when_dropped(connection, native.close)


def when_dropped(held: object, act: Callable[[], None]) -> weakref.finalize[..., Any]:
    """Calls a function once nobody holds an object any more, but not when the process ends."""
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
