"""What all clients of a process know together, for as long as one of them is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class Shared(Generic[T]):
    """One object a key for the whole process; forgotten with the last who holds it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._all: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T:
        """The object of a key, which is made where nobody holds one."""
        with self._lock:
            found = self._all.get(key)
            if found is None:
                found = self._all[key] = self._make()
            return found
