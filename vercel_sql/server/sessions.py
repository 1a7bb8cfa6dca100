"""Runs what clients send, each statement within its bounds, and hands the rows to Quack.

Quack can't be told to end a statement. So what a client sends runs here, on a connection that can
be interrupted, and Quack is given the name of the result.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import literal, quoted
from vercel_sql.connection import Attachment
from vercel_sql.connection.translate import translated
from vercel_sql.errors import (
    Error,
    NotSupportedError,
    OperationalError,
    StatementCancelledError,
)
from vercel_sql.server.bounds import MEBIBYTE, NEEDS_MORE, OUT_OF_MEMORY, Bounds, is_short, resident

_IS_2 = duckdb.__version__ >= "2"
_TICK = 0.05  # seconds
# How long a statement that wrote something may go on when its time is over: its answer may hold a
# secret that is shown once.
_WRITE_SECONDS = 60.0
# A statement is stuck that goes on when it should be over: for so long, when waiting for an answer
# of the API would be over too, or as long as its thread, or the process, computes for so long.
_STUCK_SECONDS, _STUCK_THREAD_SECONDS, _STUCK_PROCESS_SECONDS = 45.0, 2.0, 10.0
# A statement whose thread has computed for so long may be what ends the process. To take memory
# takes time, and one that others keep waiting computes nothing.
_HEAVY_SECONDS = 0.1
# A statement that has run for less is not ended in favour of others.
_SHORT_SECONDS = 1.0
_BATCH_ROWS = 2_048
_KIND = re.compile(r"\A[A-Z][A-Za-z ]* Error: ")
# A statement under which the process grew by less is not ended because memory is short.
_GROWTH = 64 * MEBIBYTE
_STACK = re.compile(r"\n\s*Stack Trace:")  # of DuckDB's own code, with paths of this machine
_LONGEST_ERROR = 2_000  # characters
_ATTEMPTS = 10
_ROOM_SECONDS = 0.1
# What Arrow has no place for, so that something of it would be lost on the way.
_LOSSY = re.compile(r"\b(BIT|TIME WITH TIME ZONE)\b")

_Result = tuple[list[tuple[str, str]], pa.Table]
"""Names and types of the columns, and the rows."""


@dataclass
class _Running:
    """A statement that runs.

    Attributes:
        began: when, on the monotonic clock.
        ends: when it is interrupted.
        why: what its client is told then.
        resident: how many bytes of the process were resident then.
        thread: where it runs.
        thread_began: for how many seconds that thread had computed before.
        wrote: whether it has begun to change something.
        is_abandoned: whether its client is gone.
        computed: what its thread and the process had computed when it should have been over.
        is_stuck: whether it was reported as one that can't be interrupted.
        is_heavy: whether it was reported as one that may be what ends the process.
    """

    began: float
    ends: float
    why: str
    resident: int
    thread: int = field(default_factory=threading.get_ident)
    thread_began: float = field(default_factory=time.thread_time)
    wrote: bool = False
    is_abandoned: bool = False
    computed: tuple[float, float] | None = None
    is_stuck: bool = False
    is_heavy: bool = False

    def end(self, why: str) -> None:
        """Interrupts it soon."""
        now = time.monotonic()
        if now < self.ends:
            self.ends, self.why = now, why

    @property
    def overtime(self) -> float:
        """For how many seconds it should have been over."""
        grace = _WRITE_SECONDS if self.wrote and not self.is_abandoned else 0
        return time.monotonic() - self.ends - grace

    def computes_much(self) -> bool:
        return _computed(self.thread)[0] - self.thread_began > _HEAVY_SECONDS

    def is_uninterruptible(self) -> bool:
        """Whether interrupting it, which was done already, has no effect."""
        now = _computed(self.thread)
        before = self.computed = self.computed or now
        return (
            now[0] - before[0] > _STUCK_THREAD_SECONDS
            or now[1] - before[1] > _STUCK_PROCESS_SECONDS
            or self.overtime > _STUCK_SECONDS
        )


@dataclass
class _Session:
    """What a client has here.

    Attributes:
        key: what Quack calls it.
        con: where its statements run.
        caller: the number of that connection.
        lock: held while a statement runs.
        result: the table of its last result; Quack reads it.
        bytes: how many the result has.
        used: when it was made, on the monotonic clock.
        running: the statement that runs.
        wrote: whether the last one began to change something.
        was_heavy: whether the last one computed much.
    """

    key: str
    con: duckdb.DuckDBPyConnection
    caller: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    result: str | None = None
    bytes: int = 0
    used: float = 0.0
    running: _Running | None = None
    wrote: bool = False
    was_heavy: bool = False


class Sessions:
    """The statements of all clients; threads may share it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        quack: duckdb.DuckDBPyConnection,
        attachment: Attachment,
        bounds: Bounds,
        cancel: Callable[[int], None],
        say: Callable[..., None],
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._con = con
        self._quack = quack
        self._attachment = attachment
        self._bounds = bounds
        self._cancel = cancel
        self._say = say
        self._on_broken = on_broken
        self._most_bytes = bounds.memory * MEBIBYTE // 8
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look_at_all, daemon=True)
        self._watch.start()

    def answer(self, key: str, text: str) -> str:
        """Runs a judged statement, and gives another one for Quack, which shows the outcome."""
        session = self._session(key)
        with session.lock:
            for _ in range(_ATTEMPTS):
                try:
                    return self._shown(session, *self._result(session, text))
                except Error as error:
                    said = str(error)
                    is_hungry = isinstance(error.__context__, duckdb.OutOfMemoryException)
                except MemoryError:
                    said, is_hungry = "Out of Memory", True
                self.check()
                # Who came last is not to suffer from what others took before.
                if not is_hungry or session.wrote or not self.shed():
                    break
                time.sleep(_ROOM_SECONDS)
        is_crowded = bool(self._all_running()) and is_short("self", self._bounds)
        if is_hungry and is_crowded and not (session.wrote or session.was_heavy):
            raise MemoryError
        if is_hungry or OUT_OF_MEMORY.search(said):
            said = NEEDS_MORE
        # Quack's client puts a kind of error of its own in front.
        said = _KIND.sub("", _STACK.split(said)[0])
        return failing(self._attachment.client.redactor.mask(said)[:_LONGEST_ERROR])

    def end(self, key: str) -> None:
        """Forgets a session whose client is gone."""
        session = self.cancel(key)
        if session is not None:
            with session.lock:  # until then the watch has to know of it
                self._forget_result(session)
                session.con.close()
                with self._lock:
                    self._sessions.pop(key, None)

    def cancel(self, key: str) -> _Session | None:
        """Ends what a session runs, because nobody waits for it any more."""
        with self._lock:
            session = self._sessions.get(key)
        running = None if session is None else session.running
        if running is not None:
            running.is_abandoned = True
            running.end("its client is gone")
        return session

    def cancel_all(self) -> None:
        for _, running in self._all_running():
            running.end("the server is stopping")

    def check(self) -> None:
        """Looks whether DuckDB has given up a database, as it does after an error of its own."""
        for database in (self._con, self._quack):
            try:
                with database.cursor() as con:
                    con.execute("SELECT 1").fetchall()
            except duckdb.FatalException:
                self._on_broken()
            except (duckdb.Error, MemoryError, RuntimeError):
                pass  # it is short of memory or threads, or closed

    def shed(self, growth: int = _GROWTH) -> bool:
        """Ends the statement that has run for the longest time; false if there is none to end.

        One at a time: the next one only when the last one had its chance to end.
        """
        all_running = [running for _, running in self._all_running()]
        if any(0 <= running.overtime < _SHORT_SECONDS for running in all_running):
            return True
        old = [
            running
            for running in all_running
            if running.overtime < 0
            and time.monotonic() - running.began > _SHORT_SECONDS
            and resident("self") - running.resident >= growth
        ]
        if old:
            min(old, key=lambda running: running.began).end(
                "the server needs its memory or its place; raise the server's --memory-limit or "
                "--max-statements"
            )
        return bool(old)

    def wrote(self, caller: object) -> str:
        """Notes that a caller's statement begins to change something; gives its session."""
        for session, running in self._all_running():
            if session.caller == caller:
                running.wrote = True
                return session.key
        return ""

    def close(self, patience: float) -> bool:
        """Waits for what runs, and closes the sessions if nothing does any more."""
        end = time.monotonic() + patience
        while self._all_running() and time.monotonic() < end:
            time.sleep(_TICK)
        self._closed.set()
        self._watch.join()
        is_idle = not self._all_running()
        if is_idle:  # else it would wait for what runs
            for session in self._sessions.values():
                session.con.close()
        return is_idle

    def _session(self, key: str) -> _Session:
        with self._lock:
            if key not in self._sessions:
                con = self._con.cursor()
                ((caller,),) = con.execute("SELECT current_connection_id()").fetchall()
                self._sessions[key] = _Session(key, con, caller)
            return self._sessions[key]

    def _result(self, session: _Session, text: str) -> _Result:
        with self._bounded(session) as running:
            try:
                with translated([self._attachment], text):
                    session.con.execute(text)
                    return self._fetched(session.con)
            except Error:
                if running.overtime < 0:
                    raise
                raise StatementCancelledError(
                    f"the statement was cancelled: {running.why}"
                ) from None
            finally:
                if _IS_2:  # an unread rest is in the way of what comes next
                    session.con.abort()

    def _fetched(self, con: duckdb.DuckDBPyConnection) -> _Result:
        columns = [(name, str(type_)) for name, type_, *_ in con.description]
        for name, type_ in columns:
            if _LOSSY.search(type_):
                raise NotSupportedError(
                    f"{quoted(name)} has the type {type_}, which this server can't send: cast it "
                    "to VARCHAR"
                )
        with warnings.catch_warnings():
            # DuckDB's advice, con.sql(), would run a text that DuckDB wrote anew: not the one that
            # was judged.
            warnings.simplefilter("ignore")
            reader: Any = con.to_arrow_reader(_BATCH_ROWS)
        with reader:  # what was not read is freed even where an error keeps this frame
            return columns, self._read(reader)

    def _read(self, reader: Any) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in reader:
            rows += batch.num_rows
            size += batch.nbytes
            if rows > self._bounds.rows:
                raise too_many_rows(self._bounds.rows)
            if size > self._most_bytes:
                raise OperationalError(
                    f"the result has more than {self._most_bytes:,} bytes, an eighth of the "
                    "server's --memory-limit: ask for fewer rows or columns, or raise it"
                )
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=reader.schema)

    @contextmanager
    def _bounded(self, session: _Session) -> Iterator[_Running]:
        count = len(self._all_running())
        if count >= self._bounds.statements and not self.shed(growth=-1 << 62):
            raise OperationalError(
                f"{count} statements run already, and the server's --max-statements allows no "
                "more. Nothing was run; try again"
            )
        now, seconds = time.monotonic(), self._bounds.statement_seconds
        why = f"it ran for {seconds:g} s, and the server's --statement-timeout allows no more"
        session.running = _Running(now, now + seconds, why, resident("self"))
        try:
            yield session.running
        finally:
            with self._lock:
                session.wrote = session.running.wrote
                session.was_heavy = session.running.computes_much()
                session.running = None

    def _shown(self, session: _Session, columns: list[tuple[str, str]], table: pa.Table) -> str:
        """Makes a result known to Quack's database, in place of the session's last one."""
        places = [f"c{place}" for place in range(len(columns))]
        view = f"result_{next(self._numbers)}"
        with self._quack.cursor() as con:
            # Not a view: to drop one frees what is Python's, for which a thread of Quack's would
            # wait for Python while this one waits for that thread's transaction.
            con.from_arrow(table.rename_columns(places)).create(view)
        self._forget_result(session)
        session.result, session.bytes, session.used = view, table.nbytes, time.monotonic()
        self._make_room(session)
        # Arrow has no JSON, UUID or HUGEINT: they came as text and as decimal numbers.
        shown = (
            f"{place}::{type_} AS {quoted(name)}"
            for place, (name, type_) in zip(places, columns, strict=True)
        )
        return f"SELECT {', '.join(shown)} FROM {view}"

    def _forget_result(self, session: _Session) -> None:
        if session.result is not None:
            with self._quack.cursor() as con:
                con.execute(f"DROP TABLE IF EXISTS {session.result}")
            session.result, session.bytes = None, 0

    def _make_room(self, newest: _Session) -> None:
        """Forgets the oldest results of other sessions as long as all together are too large."""
        with self._lock:
            oldest = sorted(self._sessions.values(), key=lambda session: session.used)
        held = sum(session.bytes for session in oldest)
        for session in oldest:
            if held <= self._most_bytes:
                return
            # Who runs a statement forgets its result in a moment.
            if session is not newest and session.lock.acquire(blocking=False):
                try:
                    held -= session.bytes
                    self._forget_result(session)
                finally:
                    session.lock.release()

    def _all_running(self) -> list[tuple[_Session, _Running]]:
        with self._lock:
            sessions = list(self._sessions.values())
        pairs = ((session, session.running) for session in sessions)
        return [(session, running) for session, running in pairs if running is not None]

    def _look_at_all(self) -> None:
        """Interrupts what should be over, again and again: it may be between two queries.

        Tells of what computes much, too; before it can end, or its client's next statement would
        be taken for it.
        """
        while not self._closed.wait(_TICK):
            for session, running in self._all_running():
                with self._lock:
                    if session.running is running:  # else it ended, or its client's next one runs
                        self._look_at(session, running)
                if running.overtime >= 0:
                    self._cancel(session.caller)

    def _look_at(self, session: _Session, running: _Running) -> None:
        if not running.is_heavy and running.computes_much():
            running.is_heavy = True
            self._say(heavy=session.key)
        if running.overtime < 0:
            return
        session.con.interrupt()
        if not running.is_stuck and running.is_uninterruptible():
            running.is_stuck = True
            self._say(stuck=session.key, why=running.why)


def _computed(thread: int) -> tuple[float, float]:
    """For how many seconds a thread of this process has computed, and the whole process."""
    process = time.process_time()
    if not hasattr(time, "pthread_getcpuclockid"):
        return 0.0, process
    return time.clock_gettime(time.pthread_getcpuclockid(thread)), process


def failing(said: str) -> str:
    return f"SELECT error({literal(said)})"


def too_many_rows(most: int) -> OperationalError:
    return OperationalError(
        f"the result has more than {most:,} rows, which is what the server's --max-rows allows: "
        "add a WHERE, a LIMIT or an aggregate, or raise it"
    )
