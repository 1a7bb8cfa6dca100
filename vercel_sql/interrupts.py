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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


_PUT_OFF = b"vercel-sql: finishing what can't be repeated; Ctrl-C again stops it at once\n"


class Interrupts:
    """Turns signals into KeyboardInterrupt, and remembers which came.

    Python runs a signal's handler only between two steps of its own, and DuckDB may compute for
    minutes within one. So a thread waits for the signals too, and stops DuckDB.

    Args:
        stop: stops what runs outside Python; it is called in another thread.
        signals: the signals.
    """

    def __init__(
        self, stop: Callable[[], None], signals: Collection[int] = (signal.SIGINT, signal.SIGTERM)
    ) -> None:
        self._stop = stop
        self._signals = signals
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
        """Handles the signals while the context lasts; does nothing outside the main thread."""
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
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            writer.close()
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
        while received := reader.recv(64):
            deaf = self._held_back or self._asking
            if not deaf and any(number in self._signals for number in received):
                self._stop()


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
