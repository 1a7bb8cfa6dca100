"""Ctrl-C in a script while a statement runs: it ends the statement at once, and is raised then.

Python tells of a Ctrl-C between two steps of its own, on its main thread, and that waits for
DuckDB, which may wait for a request on another thread. So a thread waits for the signal too, and
ends the statement's scope. Where somebody else handles the signal, it is left to them.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from _signal import getsignal, set_wakeup_fd  # type: ignore[import-not-found]
from _signal import signal as set_handler  # those of `signal` make an enum of each number
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vercel_sql.api import CancelScope
from vercel_sql.connection.stopping import stopping
from vercel_sql.errors import (
    DataError,
    NotSupportedError,
    ProgrammingError,
    StatementCancelledError,
)

# How long the main thread waits for the listening one at most, in seconds.
_SETTLED = 0.2
# How long a result has to reach its caller, in seconds.
_LATER = 0.02
# Errors of what wrote nothing, so that the Ctrl-C takes their place. DuckDB's word for a signal is
# a RuntimeError; a scan's Python code may have met it, too.
_SAY_LESS = (StatementCancelledError, RuntimeError, ProgrammingError, NotSupportedError, DataError)


class CtrlC:
    """A context for what one statement does: a Ctrl-C ends the statement, and nothing less.

    It may be entered again, for the rows that are read one by one. `KeyboardInterrupt` takes the
    place of the error that the statement ends with, unless that says more than that it was
    interrupted, such as which rows were written. Where there is no error, nothing of the result is
    lost: it is raised a moment later.

    Args:
        scope: the statement's scope.

    Attributes:
        came: whether the signal came.
    """

    def __init__(self, scope: CancelScope) -> None:
        self.came = False
        self._scope = scope
        self._is_handled = False
        self._later: threading.Timer | None = None

    def __enter__(self) -> CtrlC:
        _listener.begin(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        _listener.end()
        if error is None and self.came:
            self._later = threading.Timer(_LATER, interrupt_main)
            self._later.daemon = True
            self._later.start()
        if isinstance(error, _SAY_LESS) and (self.came or self._scope.interruption is not None):
            if self._later is not None:
                # One Ctrl-C is raised once.
                self._later.cancel()
            raise KeyboardInterrupt from None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Leaves the signal to Python for a while, in which the caller's own code runs."""
        _listener.end()
        try:
            yield
        finally:
            _listener.begin(self)

    def check(self) -> None:
        """Raises KeyboardInterrupt where the signal came."""
        if self.came:
            raise KeyboardInterrupt

    def hear(self) -> None:
        """The signal came: ends the statement, whatever the main thread does."""
        self.came = True
        self._scope.interrupt(KeyboardInterrupt())
        stopping.look()

    def handle(self) -> None:
        """The signal came, and the main thread is in Python: only a second one is raised there."""
        if self._is_handled:
            raise KeyboardInterrupt
        self.came = self._is_handled = True


class _Listener:
    """Hears the signal for the statement that the main thread is busy with."""

    def __init__(self) -> None:
        self._writer: socket.socket | None = None
        self._busy: CtrlC | None = None
        self._is_on = False
        self._heard = threading.Event()

    def begin(self, ctrl_c: CtrlC) -> None:
        """The main thread is busy with a statement from now on."""
        if threading.current_thread() is threading.main_thread() and (self._stays() or self._on()):
            self._busy = ctrl_c

    def end(self) -> None:
        """It is not any more, as far as it was."""
        if threading.current_thread() is threading.main_thread():
            self._busy = None

    def rest(self) -> None:
        """Leaves the signal to Python again, until the next statement."""
        if not self._is_on or threading.current_thread() is not threading.main_thread():
            return
        self._is_on = False
        other = set_wakeup_fd(-1)
        if self._writer is not None and other != self._writer.fileno():
            set_wakeup_fd(other)
        if getsignal(signal.SIGINT) == self._handle:
            set_handler(signal.SIGINT, signal.default_int_handler)

    def _stays(self) -> bool:
        """Whether it was on and still is: others may have taken the signal since.

        An event loop takes only the word of signals, and at its end leaves nobody who hears it.
        """
        if not self._is_on:
            return False
        own = self._fileno()
        other = set_wakeup_fd(own, warn_on_full_buffer=False)
        if getsignal(signal.SIGINT) == self._handle and other in (own, -1):
            return True
        set_wakeup_fd(other)
        self.rest()
        return False

    def after_fork(self) -> None:
        """In the child: the thread did not come along, and what it hears is not for the parent."""
        self.rest()
        self.__init__()  # type: ignore[misc]

    def _on(self) -> bool:
        """Takes the signal over, if nobody else has."""
        if getsignal(signal.SIGINT) is not signal.default_int_handler:
            return False
        other = set_wakeup_fd(self._fileno(), warn_on_full_buffer=False)
        if other != -1:
            set_wakeup_fd(other)
            return False
        set_handler(signal.SIGINT, self._handle)
        self._is_on = True
        return True

    def _fileno(self) -> int:
        """Where Python is to write the numbers of signals."""
        if self._writer is None:
            reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            threading.Thread(
                target=self._listen, args=(reader,), name="vercel-sql-ctrl-c", daemon=True
            ).start()
        return self._writer.fileno()

    def _listen(self, reader: socket.socket) -> None:
        while received := reader.recv(64):
            busy = self._busy
            if busy is not None and signal.SIGINT in received:
                busy.hear()
            self._heard.set()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        busy = self._busy
        # So that what was heard late does not end the statement after this one.
        was_heard = self._heard.wait(_SETTLED)
        self._heard.clear()
        if busy is not None and not was_heard:
            # Not on this thread, which may be in the middle of what the scope locks.
            threading.Thread(target=busy.hear, name="vercel-sql-ctrl-c-late", daemon=True).start()
        if busy is None:
            signal.default_int_handler(number, frame)
        else:
            busy.handle()


_listener = _Listener()
rest = _listener.rest
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_listener.after_fork)
