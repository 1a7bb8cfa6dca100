"""Who wants to be told of what happens, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Observers(Generic[Event]):
    """Those who are told of one kind of event; threads may share it."""

    def __init__(self) -> None:
        self._all: tuple[Callable[[Event], None], ...] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    @contextmanager
    def told(self, observer: Callable[[Event], None]) -> Iterator[None]:
        """Tells an observer of every event while the context lasts."""
        with self._lock:
            self._all = (*self._all, observer)
        try:
            yield
        finally:
            with self._lock:
                left = list(self._all)
                left.remove(observer)
                self._all = tuple(left)

    def tell(self, event: Event) -> None:
        """Tells all of them."""
        for observer in self._all:
            observer(event)
