"""Ctrl-C and other signals while statements run: DuckDB stops as well, and no secret is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from vercel_sql.messages import complain

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


_STUBBORN = 3.0
"""For how many seconds DuckDB is given time to stop, before a command leaves without it."""
_DEAF = b"vercel-sql: DuckDB can't be stopped here; Ctrl-C again ends the session\n"
_PUT_OFF = b"vercel-sql: finishing what can't be repeated; Ctrl-C again stops it at once\n"


class Interrupts:
    """Turns signals into KeyboardInterrupt, and remembers which came.

    Python runs a signal's handler only between two steps of its own, and DuckDB may compute for
    minutes within one. So a thread waits for the signals too, and stops DuckDB.

    Args:
        stop: stops what runs outside Python; it is called in another thread.
        signals: the signals.
        leaves: which signal ends the process where DuckDB does not stop, such as for another server
            of the user's that is silent: the first, the second, or none.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        signals: Collection[int] = (signal.SIGINT, signal.SIGTERM),
        *,
        leaves: int = 0,
    ) -> None:
        self._stop = stop
        self._signals = signals
        self._leaves = leaves
        self._met = threading.Event()
        self._held_back = False
        self._asking = False
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
        """Handles the signals while the context lasts; does nothing outside the main thread.

        Raises:
            KeyboardInterrupt: one came, and what ran has ended.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True)
        watcher.start()
        before = {number: signal.signal(number, self._handle) for number in self._signals}
        woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            with _quiet_finalizers():
                yield
        except RuntimeError:
            # DuckDB's word for a signal, where it was stopped within one of its own steps.
            if not self.came:
                raise
            raise KeyboardInterrupt from None
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()
            self._met.set()
            watcher.join()
            reader.close()

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

    def _watch(self, reader: socket.socket) -> None:
        is_put_off, unmet = False, 0
        while received := reader.recv(64):
            number = next((each for each in received if each in self._signals), None)
            if number is None or self._asking:
                continue
            if self._held_back and not is_put_off:
                is_put_off = True
                continue
            self._stop()
            if not self._leaves or self._met.wait(_STUBBORN):
                continue
            unmet += 1
            if unmet >= self._leaves:
                self.number = number
                leave(self.exit_code, "interrupted")
            with suppress(OSError):
                os.write(2, _DEAF)


def leave(code: int, reason: str) -> NoReturn:
    """Ends the process at once, whatever DuckDB waits for: its connections can't be closed."""
    complain(reason)
    os._exit(code)


@contextmanager
def _quiet_finalizers() -> Iterator[None]:
    """Keeps Python from telling of a KeyboardInterrupt that came where none can be raised.

    A signal may find Python clearing something away, such as a generator that is closed. Python
    would write a traceback and go on; the watcher has stopped DuckDB all the same.
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
