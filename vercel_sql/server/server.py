"""The server: an account's catalog in a DuckDB of its own, which Quack clients attach."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
from duckdb import sqltypes

from vercel_sql.catalog.ddl import LIVE, literal
from vercel_sql.connection import Attachment
from vercel_sql.connection.live_catalog import attach_in_place
from vercel_sql.errors import ParameterError
from vercel_sql.http.client import Client
from vercel_sql.logger import logger
from vercel_sql.manifest import vercel
from vercel_sql.redaction.hidden import NotPicklable
from vercel_sql.server.bounds import Settings
from vercel_sql.server.client_setup import acceptable_token, lines_to_paste, uri_of
from vercel_sql.server.database import (
    Database,
    has_active,
    listen,
    listen_on,
    load_quack,
    lock,
    results_database,
    stop_listening,
)
from vercel_sql.server.judge import Judge, Refusal
from vercel_sql.server.run_function import NAME, StatementRunner
from vercel_sql.server.sessions import Sessions, failing
from vercel_sql.writes.functions import Idempotency
from vercel_sql.writes.policy import WriteBudgets, WritePolicy

log = logger("server")

_CATALOG = "vercel"
_JUDGE = "__vercel_sql_judge"
_LAST_WORDS = 3.0  # seconds
_QUIET = 0.2  # seconds
_LAST_STEPS = 2.0  # seconds
_BROKEN_SECONDS = 15.0
"""How long writes may go on in a process whose database is broken: their secrets are saved."""
_ATTEMPTS, _ROOM_SECONDS = 3, 0.1
"""How often a statement is begun where memory is short, and how long others get to make room."""


@dataclass(frozen=True)
class Guards:
    """What keeps clients to what they may do. Tests leave some out, to show that the others hold.

    Attributes:
        client: the HTTP client refuses whatever changes something, unless writes are allowed.
        judge: each statement is judged before it runs.
        lock: DuckDB has no access to files and other hosts, and its settings can't be changed.
    """

    client: bool = True
    judge: bool = True
    lock: bool = True


ALL_GUARDS = Guards()


class Server(NotPicklable):
    """Serves the live tables of an account to Quack clients of this machine until it is closed.

    It listens on a port of its own, as tests have it, or on a socket that only a `Front` reaches.

    Args:
        client: calls the API; read-only unless writes are allowed.
        settings: what clients may do.
        port: the TCP port, on the loopback interface.
        listener: a socket that listens, in place of the port.
        token: what clients have to know; a random one of 256 bits where it is None.
        guards: for tests.
        claim: called with a `request_id` and the session that brought it before it is carried
            out, and may refuse it.
        say: tells the front of sessions whose statements it should know of, as `Sessions` does.
        on_broken: called when DuckDB has given up a database, after writes under way have ended:
            the process has to end.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        port: int = 0,
        listener: socket.socket | None = None,
        token: str | None = None,
        guards: Guards = ALL_GUARDS,
        claim: Callable[[str, str], None] = lambda _request_id, _session: None,
        say: Callable[..., None] = lambda **_words: None,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        can_write = settings.writes or not guards.client
        if can_write and settings.secrets_file is None:
            raise ParameterError(
                "a server that allows writes needs a file for the secrets that are shown once: a "
                "client may be gone before it has read them"
            )
        self.token = acceptable_token(token)
        self._port = port
        self._has_process = listener is not None
        self._settings = settings
        self._guards = guards
        self._client = client
        client.redactor.add(self.token)
        self._say = say
        self._on_broken = on_broken
        self._claim = claim
        self._memo = Idempotency(self._claimed)
        self._allowances = WriteBudgets(settings.max_writes, "the server's --max-writes")
        self._lock = threading.Lock()
        self._serving = False
        self._stopping = False
        self._ended: bool | None = None
        # DuckDB 1.5 has no reference of its own, and its threads may outlive its connection.
        self._function = self._answer
        self._judge: Judge | None = None
        self._runner: StatementRunner | None = None
        self._sessions: Sessions | None = None
        unsigned = bool(settings.extensions)
        self._database = Database(_CATALOG, settings.bounds, unsigned=unsigned)
        self._con = self._database.con
        # Without the judge nobody would run what clients send, so that Quack does it itself.
        self._quack = results_database(unsigned) if guards.judge else self._con
        try:
            load_quack(self._quack, settings.extensions)
            keeping = WritePolicy(
                settings.secrets_file if can_write else None,
                settings.on_orphan,
                settings.mark_names,
                is_shared=True,
            )
            self._start(self._attach(keeping), keeping, listener)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Server of {self._client!r}>"

    @property
    def uri(self) -> str:
        """What clients attach, where it has a port."""
        return uri_of(self._port)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def sessions(self) -> Sessions:
        """What its clients run."""
        assert self._sessions is not None  # noqa: S101 - it has them, but for tests
        return self._sessions

    def pasted(self, token: str | None = None) -> list[str]:
        """The three lines for a DuckDB shell."""
        return lines_to_paste(self._port, self.token if token is None else token)

    def close(self, patience: float = 60.0) -> bool:
        """Lets writes end, cancels what only reads, stops listening, and closes everything.

        New writes are refused from the beginning. What DuckDB computes for a client by itself can't
        be cancelled, nor can a wait for an answer of the API: they get some seconds.
        """
        with self._lock:
            if self._ended is None:
                self._ended = False
                self._ended = self._close(patience)
            return self._ended

    def _close(self, patience: float) -> bool:
        steps = 0.0  # none where somebody has no patience left: Ctrl-C in here
        try:
            if not self._memo.drain(patience):
                log.warning("some writes did not end in %.0f s, and are cut off", patience)
            self._client.close()
            if self._serving:
                self._say_last_words()
                self._stopping = True
                stop_listening(self._quack, self._port)
            steps = _LAST_STEPS
        finally:
            is_idle = self._sessions is None or self._sessions.close(steps)
            ended = self._database.close(steps, is_idle=is_idle)
            if ended and not self._has_process:
                self._quack.close()  # it waits for Quack's threads, which may want Python
            if self._judge is not None:
                self._judge.close()
        return ended

    def _say_last_words(self) -> None:
        """Cancels what runs, and waits, not for long, until clients know how it ended.

        Some clients send a statement twice, and read the outcome the second time.
        """
        now = time.monotonic()
        end, quiet_since = now + _LAST_WORDS, now
        while now < min(end, quiet_since + _QUIET):
            if self._sessions is not None:
                self._sessions.cancel_all()
            if self._runner is not None:
                self._runner.cancel()
            time.sleep(0.02)
            now = time.monotonic()
            if has_active(self._quack):
                quiet_since = now

    def _attach(self, keeping: WritePolicy) -> Attachment:
        attachment = attach_in_place(
            self._con, _CATALOG, self._client, vercel(), keeping, self._memo, self._allowances
        )
        # At once: a database in a file waits for the disk at the end of each transaction.
        self._con.execute("BEGIN")
        attachment.add(attachment.missing)
        self._con.execute("COMMIT")
        self._database.watch()
        return attachment

    def _start(
        self, attachment: Attachment, keeping: WritePolicy, listener: socket.socket | None
    ) -> None:
        if self._guards.judge:
            outermost = [("", NAME), ("main", NAME)]
            self._judge = Judge(_CATALOG, self._tables(), self._table_functions(), outermost)
        self._runner = StatementRunner(
            self._con,
            attachment,
            self._judge,
            self._settings,
            keeping=keeping,
            memo=self._memo,
            allowances=self._allowances,
        )
        self._runner.create()
        if self._judge is not None:
            self._sessions = Sessions(
                self._con,
                self._quack,
                attachment,
                self._settings.bounds,
                self._runner.cancel,
                self._say,
                self._broken,
            )
            self._quack.create_function(
                _JUDGE,
                self._function,
                [sqltypes.VARCHAR, sqltypes.VARCHAR],
                sqltypes.VARCHAR,
                side_effects=True,
            )
            self._quack.execute(f"SET GLOBAL quack_authorization_function = '{_JUDGE}'")
        if listener is None:
            listen(self._quack, self._port, self.token)
        else:
            self._port = listen_on(self._quack, listener, self.token)
        self._serving = True
        for con in {self._con, self._quack}:
            # Else a cast to a type that is not there, or a name in a string, could load an
            # extension.
            con.execute("SET GLOBAL autoload_known_extensions = false")
            if self._guards.lock:
                lock(con)

    def _tables(self) -> list[tuple[str, str]]:
        query = (
            "SELECT schema_name, view_name FROM duckdb_views() "
            f"WHERE database_name = {literal(_CATALOG)} AND NOT internal "
            f"AND schema_name <> {literal(LIVE)}"
        )
        return self._con.execute(query).fetchall()

    def _table_functions(self) -> list[tuple[str, str]]:
        query = (
            "SELECT schema_name, function_name FROM duckdb_functions() "
            f"WHERE database_name = {literal(_CATALOG)} AND function_type = 'table_macro'"
        )
        found = self._con.execute(query).fetchall()
        if not self._settings.writes:
            changing = _changing_functions()
            found = [each for each in found if each not in changing]
        return found

    def _claimed(self, request_id: str, caller: object) -> None:
        session = "" if self._sessions is None else self._sessions.wrote(caller)
        self._claim(request_id, session)

    def _broken(self) -> None:
        self._memo.drain(_BROKEN_SECONDS)
        self._on_broken()

    def _answer(self, session: str, text: str) -> str | None:
        """Quack's question before each statement: what to run instead, or NULL for a refusal."""
        if self._judge is None or self._sessions is None or self._stopping:
            return None
        for _ in range(_ATTEMPTS):
            try:
                self._judge.check(text)
                return self._sessions.answer(session, text)
            except Refusal as refusal:
                log.warning("refused: %s", refusal)
                return failing("Authorization failed: the server's log says why")
            except duckdb.FatalException:
                self._broken()
            except (MemoryError, RuntimeError, duckdb.Error) as error:
                # Before it ran, or when its result was handed over: there is no memory for it, or
                # no thread. What a statement meets while it runs, it is told.
                log.info("short of memory: %s", type(error).__name__)
                self._sessions.check()
                self._sessions.shed()
                time.sleep(_ROOM_SECONDS)
        return None  # the front asks again, another process where this one is replaced


def _changing_functions() -> set[tuple[str, str]]:
    manifest = vercel()
    return {
        (service.name, method.name)
        for service in map(manifest.service, manifest.service_names)
        for resource in service.resources.values()
        for method in resource.methods.values()
        if not method.reads
    }
