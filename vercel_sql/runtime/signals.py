"""Ctrl-C and other signals while statements run: DuckDB stops as well, and no secret is lost.

Python runs a signal's handler only between two steps of its own, on its main thread, and DuckDB may
compute or wait for minutes within one. So a thread waits for the signals too, and stops DuckDB.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from _signal import getsignal, set_wakeup_fd  # type: ignore[import-not-found]
from _signal import signal as set_handler  # those of `signal` make an enum of each number
from _thread import interrupt_main
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from vercel_sql.errors import (
    DataError,
    Error,
    NotSupportedError,
    ProgrammingError,
    StatementCancelledError,
)
from vercel_sql.text import complain

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from vercel_sql.runtime.scope import CancelScope

_STUBBORN = 3.0
"""For how many seconds DuckDB is given time to stop, before a command leaves without it."""
_SETTLING, _FLUSH = b"\0", b"\xff"  # no numbers of signals
# How long the main thread waits for the listener at most, in seconds.
_FLUSHED_IN = 1.0
_DEAF = b"vercel-sql: DuckDB can't be stopped here; Ctrl-C again ends the session\n"
_PUT_OFF = b"vercel-sql: finishing what can't be repeated; Ctrl-C again stops it at once\n"
# How long a result has to reach its caller, in seconds.
_LATER = 0.02
# Errors that say nothing was written, so that the Ctrl-C takes their place. DuckDB raises a
# RuntimeError for a signal; a scan's Python code may have met it, too.
_SAY_LESS = (StatementCancelledError, RuntimeError, ProgrammingError, NotSupportedError, DataError)


class _Listener:
    """A thread that hears of signals, for whoever has taken them; it is kept for the next."""

    def __init__(self) -> None:
        self._writer: socket.socket | None = None
        self._hear: Callable[[bytes], None] = lambda _received: None
        self._flushed = threading.Event()
        self._releases: list[Callable[[], None]] = []

    @contextmanager
    def on_signal(
        self,
        numbers: Collection[int],
        handle: Callable[[int, FrameType | None], None],
        hear: Callable[[bytes], None],
    ) -> Iterator[None]:
        """Has signals handled on the main thread, and heard on the other, meanwhile."""
        came = False

        def handle_one(number: int, frame: FrameType | None) -> None:
            nonlocal came
            came = True
            handle(number, frame)

        outer, self._hear = self._hear, hear
        woken = set_wakeup_fd(self._fileno(), warn_on_full_buffer=False)
        before = {number: set_handler(number, handle_one) for number in numbers}
        release = partial(_release, woken, before)
        self._releases.append(release)
        try:
            yield
        finally:
            if release in self._releases:  # not in a process that was forked off meanwhile
                self._releases.remove(release)
                release()
                if came:
                    # So that what is heard late does not end what comes next.
                    self._flushed.clear()
                    self.send(_FLUSH)
                    self._flushed.wait(_FLUSHED_IN)
                self._hear = outer

    def send(self, said: bytes) -> None:
        """Has the other thread hear something that is not a signal."""
        if self._writer is not None:
            self._writer.send(said)

    def after_fork(self) -> None:
        """In the child: the thread did not come along, and what it hears is for the parent."""
        for release in reversed(self._releases):
            release()
        self.__init__()  # type: ignore[misc]

    def _fileno(self) -> int:
        if self._writer is None:
            reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            threading.Thread(
                target=self._listen, args=(reader,), name="vercel-sql-signals", daemon=True
            ).start()
        return self._writer.fileno()

    def _listen(self, reader: socket.socket) -> None:
        while received := reader.recv(64):
            signals = received.replace(_FLUSH, b"")
            if signals:
                with suppress(Error):  # the connection was closed meanwhile
                    self._hear(signals)
            if signals != received:
                self._flushed.set()


def _release(woken: int, handlers: Mapping[int, Any]) -> None:
    """Gives signals back to whoever had them before."""
    set_wakeup_fd(woken)
    for number, handler in handlers.items():
        set_handler(number, handler)


_listener = _Listener()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_listener.after_fork)


class Interrupts:
    """Turns signals into KeyboardInterrupt, and remembers which came.

    Args:
        stop: stops what runs outside Python; it is called in another thread.
        signals: the signals.
        leaves: which signal ends the process where DuckDB does not stop, such as for another server
            of the user's that is silent: the first, the second, or none.
        settle: waits for what DuckDB still has to end when a signal came, where its connection is
            used again. DuckDB itself would wait in its next statement, and hear of no signal there.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        signals: Collection[int] = (signal.SIGINT, signal.SIGTERM),
        *,
        leaves: int = 0,
        settle: Callable[[], object] | None = None,
    ) -> None:
        self._stop = stop
        self._signals = signals
        self._leaves = leaves
        self._settle = settle
        self._met = threading.Event()
        self._unmet = 0
        self._held_back = self._is_put_off = self._asking = False
        self.number: int | None = None

    @property
    def came(self) -> bool:
        """Whether one of the signals came."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The exit code that shells give a command that a signal ended."""
        return 128 + (self.number or signal.SIGINT)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals meanwhile; does nothing outside the main thread.

        Raises KeyboardInterrupt where one came, once what ran has ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with _listener.on_signal(self._signals, self._handle, self._hear):
            try:
                with _quiet_finalizers():
                    yield
            except RuntimeError:
                # DuckDB's word for a signal, where it was stopped within one of its own steps.
                if not self.came:
                    raise
                raise KeyboardInterrupt from None
            finally:
                if self.came and self._settle is not None:
                    # Until that is done, it counts as if DuckDB had not met the signal.
                    self._met.clear()
                    _listener.send(_SETTLING)
                    with suppress(Error, KeyboardInterrupt):
                        self._settle()
                self._met.set()

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Puts a signal off until the context ends; a second one is obeyed at once."""
        self._held_back = True
        try:
            yield
        finally:
            self._held_back = False
        if self.came:
            raise KeyboardInterrupt

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Makes Ctrl-C an answer to a question: it raises here, and does not end what asks."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._met.set()
        if self._asking and number == signal.SIGINT:
            raise KeyboardInterrupt
        first = not self.came
        self.number = number
        if self._held_back and first:
            with suppress(OSError):  # no stream of Python's: it may be in the middle of a line
                os.write(2, _PUT_OFF)
            return
        raise KeyboardInterrupt

    def _hear(self, received: bytes) -> None:
        number = next((each for each in received if each in self._signals), None)
        if received != _SETTLING:
            if number is None or self._asking:
                return
            if self._held_back and not self._is_put_off:
                self._is_put_off = True
                return
            self._stop()
        # Whoever was told that it can't be stopped has waited long enough.
        if not self._leaves or self._met.wait(0 if self._unmet else _STUBBORN):
            return
        self._unmet += 1
        if self._unmet >= self._leaves:
            self.number = number or self.number
            leave(self.exit_code, "interrupted")
        with suppress(OSError):
            os.write(2, _DEAF)


class StatementInterrupt:
    """A context for one statement of a script: Ctrl-C cancels the running statement only.

    Where somebody else handles the signal, it is left to them. `KeyboardInterrupt` takes the place
    of the error that the statement ends with, unless that says more than that it was interrupted,
    such as which rows were written. Where there is no error, nothing of the result is lost: it is
    raised a moment later. It may be entered again, for rows that are read later.

    Attributes:
        scope: the statement's scope.
        came: whether the signal came.
    """

    def __init__(self, scope: CancelScope) -> None:
        self.scope = scope
        self.came = False
        self._is_handled = False
        self._taken: ExitStack | None = None
        self._later: threading.Timer | None = None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and getsignal(signal.SIGINT) is signal.default_int_handler and _is_unwatched():
            self._taken = ExitStack()
            listening = _listener.on_signal([signal.SIGINT], self._handle, self._hear)
            self._taken.enter_context(listening)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._release()
        if error is None and self.came:
            self._later = threading.Timer(_LATER, interrupt_main)
            self._later.daemon = True
            self._later.start()
        if isinstance(error, _SAY_LESS) and (self.came or self.scope.interruption is not None):
            if self._later is not None:
                self._later.cancel()  # one Ctrl-C is raised once
            raise KeyboardInterrupt from None

    def _release(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Leaves the signal to Python for a while, in which the caller's own code runs."""
        self._release()
        try:
            yield
        finally:
            self.__enter__()

    def stop(self) -> None:
        """Stops what runs outside Python: the scope was cancelled."""

    def check(self) -> None:
        """Raises KeyboardInterrupt where the signal came."""
        if self.came:
            raise KeyboardInterrupt

    def _hear(self, received: bytes) -> None:
        """Cancels the statement, whatever the main thread does."""
        if signal.SIGINT in received:
            self.came = True
            self.scope.interrupt(KeyboardInterrupt())
            self.stop()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        """The main thread is in Python: only a second signal is raised there."""
        if self._is_handled:
            raise KeyboardInterrupt
        self.came = self._is_handled = True


def _is_unwatched() -> bool:
    """Whether nobody else, such as an event loop, is woken by signals."""
    other: int = set_wakeup_fd(-1)
    if other != -1:
        set_wakeup_fd(other)
    return other == -1


def leave(code: int, reason: str) -> NoReturn:
    """Ends the process at once, whatever DuckDB waits for: its connections can't be closed."""
    complain(reason)
    os._exit(code)


@contextmanager
def _quiet_finalizers() -> Iterator[None]:
    """Keeps Python from telling of a KeyboardInterrupt that came where none can be raised.

    A signal may find Python clearing something away, such as a generator that is closed. Python
    would write a traceback and go on; DuckDB was stopped all the same.
    """
    before = sys.unraisablehook

    def tell(unraisable: UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)

    sys.unraisablehook = tell
    try:
        yield
    finally:
        sys.unraisablehook = before
