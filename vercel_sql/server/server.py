"""The server: an account's catalog in a DuckDB of its own, which Quack clients attach.

It runs in a process of its own, until the one that started it says so, or is gone.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import duckdb
from duckdb import sqltypes

from vercel_sql.catalog.ddl import LIVE, literal
from vercel_sql.connection.live_catalog import attach_in_place
from vercel_sql.errors import Error, InterfaceError, ParameterError
from vercel_sql.http.client import Client
from vercel_sql.logger import logger
from vercel_sql.manifest import vercel
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.server.bounds import (
    Bounds,
    Settings,
    limit_memory,
)
from vercel_sql.server.database import (
    Database,
    has_active,
    listen,
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
_PATIENCE = 60.0  # seconds
_NICER = 5


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

    Args:
        client: calls the API; read-only unless writes are allowed.
        settings: what clients may do.
        listener: the socket that it takes requests on, which only a `Front` reaches.
        token: what they bring.
        guards: for tests.
        claim: called with a `request_id` and its session before it is carried out; may refuse it.
        say: tells the front of sessions whose statements it should know of.
        on_broken: ends the process, when DuckDB has given up a database.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        listener: socket.socket,
        token: str,
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
        self.token = token
        self._port = 0
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
            self._start(keeping, listener)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<Server of {self._client!r}>"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def sessions(self) -> Sessions:
        assert self._sessions is not None  # noqa: S101 - it has them, but for tests
        return self._sessions

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
            # Not Quack's: that waits for threads of its own, which may want Python.
            ended = self._database.close(steps, is_idle=is_idle)
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

    def _start(self, keeping: WritePolicy, listener: socket.socket) -> None:
        memo, allowances = self._memo, self._allowances
        attachment = attach_in_place(self._con, _CATALOG, self._client, keeping, memo, allowances)
        # At once: a database in a file waits for the disk at the end of each transaction.
        self._con.execute("BEGIN")
        attachment.add(attachment.missing)
        self._con.execute("COMMIT")
        self._database.watch()
        if self._guards.judge:
            outermost = [("", NAME), ("main", NAME)]
            self._judge = Judge(_CATALOG, self._tables(), self._table_functions(), outermost)
        self._runner = StatementRunner(
            self._con, attachment, self._judge, self._settings, keeping, memo, allowances
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
            text = sqltypes.VARCHAR
            self._quack.create_function(
                _JUDGE, self._function, [text, text], text, side_effects=True
            )
            self._quack.execute(f"SET GLOBAL quack_authorization_function = '{_JUDGE}'")
        self._port = listen(self._quack, listener, self.token)
        self._serving = True
        for con in {self._con, self._quack}:
            # Else a cast to a type that is not there, or a name in a string, could load one.
            con.execute("SET GLOBAL autoload_known_extensions = false")
            if self._guards.lock:
                lock(con)

    def _tables(self) -> list[tuple[str, str]]:
        query = (
            "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal "
            f"AND database_name = {literal(_CATALOG)} AND schema_name <> {literal(LIVE)}"
        )
        return self._con.execute(query).fetchall()

    def _table_functions(self) -> list[tuple[str, str]]:
        query = (
            "SELECT schema_name, function_name FROM duckdb_functions() "
            f"WHERE database_name = {literal(_CATALOG)} AND function_type = 'table_macro'"
        )
        closed = set() if self._settings.writes else _changing_functions()
        return [each for each in self._con.execute(query).fetchall() if each not in closed]

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
        try:
            self._judge.check(text)
            return self._sessions.answer(session, text)
        except Refusal as refusal:
            log.warning("refused: %s", refusal)
            return failing("Authorization failed: the server's log says why")
        except duckdb.FatalException:
            self._broken()
        except (MemoryError, RuntimeError, duckdb.Error) as error:
            # Before it ran, or when its result was handed over: there is no memory for it, or no
            # thread. What a statement meets while it runs, it is told.
            log.info("short of memory: %s", type(error).__name__)
            self._sessions.check()
            self._sessions.shed()
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


class Link:
    """What a database process hears from the one that started it, and says to it.

    Attributes:
        settings: what it was told first.
        listener: the socket on which it takes requests.
        token: what they bring.
        folder: where it has its temporary files.
        is_alone: whether the one that started it is gone.
    """

    def __init__(self) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they mean the one that started it
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # whatever else prints
        self._lock = threading.Lock()
        self.is_alone = False
        self._replies: dict[str, queue.SimpleQueue[str | None]] = {}
        self.settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        self.listener = socket.socket(fileno=self.settings.pop("listener"))
        self.token: str = self.settings.pop("inner_token")
        self.folder: str = self.settings.pop("folder")

    def say(self, **words: Any) -> None:
        with self._lock, suppress(OSError):  # nobody may listen any more
            self._out.write(json.dumps(words).encode() + b"\n")
            self._out.flush()

    def give_up(self) -> NoReturn:
        """Ends the process, whose database is broken, so that it is started again."""
        self.say(problem="DuckDB gave up the database after an internal error")
        leave(1)

    def claim(self, request_id: str, session: str) -> None:
        """Asks whether this process may carry out a request id: another may have had it."""
        reply: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with self._lock:
            self._replies[request_id] = reply
        self.say(claim=request_id, session=session)
        try:
            refused = reply.get(timeout=_PATIENCE)
        except queue.Empty:
            raise InterfaceError("the server is stopping; nothing was sent") from None
        if refused is not None:
            raise ParameterError(refused)

    def obey(self, server: Server) -> float:
        """Does what it is told until it is to stop; gives for how long writes are waited for."""
        for line in sys.stdin.buffer:
            words = json.loads(line)
            if "stop" in words:
                return float(words["stop"])
            if "claim" in words:
                with self._lock:
                    reply = self._replies.pop(words["claim"], None)
                if reply is not None:
                    reply.put(words["refused"])
            elif "cancel" in words:
                server.sessions.cancel(words["cancel"])
            elif "end" in words:
                # A statement that still runs is waited for.
                end = threading.Thread(target=server.sessions.end, args=(words["end"],))
                try:
                    end.start()
                except RuntimeError:  # no memory for a thread: the session stays, without results
                    server.sessions.cancel(words["end"])
            elif "shed" in words:
                server.sessions.shed()
        self.is_alone = True
        return _PATIENCE


def live(link: Link, make: Callable[[], Server], bounds: Bounds) -> int:
    """Runs a server until the process is to end; gives its exit code."""
    limit_memory(bounds)
    try:
        server = make()
    except Error as error:
        link.say(problem=str(error))
        return 1
    _step_back()
    link.say(ready=True)
    try:
        patience = link.obey(server)
    except MemoryError:  # not even for what it is told: it finishes its writes, and is replaced
        patience = _PATIENCE
    try:
        stopped = server.close(patience)
    except (RuntimeError, MemoryError, duckdb.Error):
        stopped = False  # after its writes, it had no memory or thread left for the rest
    link.say(stopped=stopped)
    if link.is_alone:
        shutil.rmtree(link.folder, ignore_errors=True)
    return 0


def _step_back() -> None:
    """Lets others come first where statements take all processors.

    Those are what watches this process, and another one that starts because it is needed.
    """
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        if hasattr(os, "nice"):
            os.nice(_NICER)
        return
    # Linux counts each thread by itself, and DuckDB's are there by now.
    for task in tasks.iterdir():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), _NICER)


def leave(code: int) -> NoReturn:
    """Ends the process at once: a DuckDB thread may still want Python, which can't end then."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
