"""The operating system's keyring, which may never answer: each call of it has a time limit.

A keyring that is locked asks the person to unlock it, and where there is no screen, as over SSH,
some wait for that for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any, TypeVar

from vercel_sql.api.cancel_scope import workers
from vercel_sql.api.logger import logger
from vercel_sql.messages import SAID_AFTER

T = TypeVar("T")
log = logger("api")

VARIABLE = "VERCEL_SQL_KEYRING"
# After how many seconds it is said what is waited for, and for how many altogether.
_LIMIT = 20.0
# For so many seconds a keyring that did not answer is not asked again.
_REST = 60.0
# Backends that keep nothing, or keep it in the open.
_NO_KEYRINGS = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt")
_rests_until = 0.0


class KeyringError(Exception):
    """The keyring failed, or did not answer in time; the message has no secret in it."""


def with_keyring(act: Callable[[Any], T]) -> T | None:
    """Does something with the keyring, and gives what comes of it; None where there is no keyring.

    Args:
        act: takes the backend.

    Raises:
        KeyringError: it failed, or did not answer in time.
    """
    if os.environ.get(VARIABLE, "").strip().lower() in ("off", "0", "no", "false"):
        return None
    if time.monotonic() < _rests_until:
        raise KeyringError("it did not answer before")

    def found_and_used() -> T | None:
        backend = _working_backend()
        return None if backend is None else act(backend)

    # A daemon thread, which nobody waits for at the end of the process either.
    box: Queue[tuple[T | None, BaseException | None]] = Queue()
    workers.begin(found_and_used, box)
    result, error = _taken(box)
    if error is not None:
        raise KeyringError(type(error).__name__) from None
    return result


def _taken(
    box: Queue[tuple[T | None, BaseException | None]],
) -> tuple[T | None, BaseException | None]:
    global _rests_until
    try:
        return box.get(timeout=SAID_AFTER)
    except Empty:
        log.warning(
            "waiting for the keyring, which may have to be unlocked, for %.0f s at most "
            "(%s=off does without it)",
            _LIMIT,
            VARIABLE,
        )
    try:
        return box.get(timeout=_LIMIT - SAID_AFTER)
    except Empty:
        _rests_until = time.monotonic() + _REST
        raise KeyringError(f"it did not answer within {_LIMIT:.0f} s") from None


def _working_backend() -> Any:
    """The first backend that keeps secrets, or None."""
    try:
        # Imported here: it takes longer than all that a query without a login does.
        import keyring

        chosen = keyring.get_keyring()
        backends: list[Any] = list(getattr(chosen, "backends", [chosen]))
    except Exception as error:  # whatever a backend that was asked for raises, the import too
        log.warning("there is no keyring: %s", type(error).__name__)
        return None
    return next((backend for backend in backends if _is_safe(backend)), None)


def _is_safe(backend: Any) -> bool:
    return backend.priority >= 1 and not type(backend).__module__.startswith(_NO_KEYRINGS)
