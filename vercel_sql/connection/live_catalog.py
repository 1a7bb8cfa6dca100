"""The tables and functions of accounts in one DuckDB database, whose connections share them."""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain

import duckdb

from vercel_sql.catalog.ddl import (
    LIVE,
    comment_statements,
    create_catalog,
    create_tables,
    literal,
    quoted,
    run_script,
    view_statements,
)
from vercel_sql.catalog.sources import Sources
from vercel_sql.errors import InterfaceError, ParameterError
from vercel_sql.manifest import Manifest, Service
from vercel_sql.writes.budget import WriteBudgets
from vercel_sql.writes.functions import Functions
from vercel_sql.writes.idempotency import Idempotency
from vercel_sql.writes.policy import WritePolicy


class LiveCatalog:
    """A catalog in a database, under its name.

    Args:
        con: the connection that makes everything; it is not kept open.
        name: the name of the catalog.
        manifest: what there is to make.
        functions: makes the functions that ask the sources it is given.
        key: what stands in it, as `begin_catalog` gave it; empty where nothing does.

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
        """The connection that makes everything.

        Raises:
            InterfaceError: it is gone.
        """
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
        """Makes the tables, views and functions of services, where they are not there yet.

        Args:
            services: their names.
            described: whether all views that are there by then have their comments, which take
                as long as the rest.
        """
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
        """Takes everything out of the database again.

        Args:
            con: a connection of the database that is open, where its own may not be.
        """
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

    Raises:
        InterfaceError: the database has another of that name already.
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
    """Makes a catalog with nothing in it but its key, which it gives.

    Raises:
        ParameterError: the name is empty.
        InterfaceError: the name is taken.
    """
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
    """Stops what would hide a database or a schema that is there.

    Raises:
        InterfaceError: the connection has one of that name.
    """
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
    """The key of the catalog of that name, if the database has one of ours.

    Raises:
        InterfaceError: the connection is closed.
    """
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
