"""Masks known values, in all forms that a secret takes on its way."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus
from weakref import WeakSet

MASK = "[secret]"
"""What stands where a secret stood."""

SHORTEST = 6
"""Characters: shorter values would mask ordinary words wherever they occur."""


class NotPicklable:
    """The base of what holds a secret, or leads to one, in its attributes."""

    __slots__ = ()

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError(f"a {type(self).__name__} holds secrets and is not pickled")


class SecretText(NotPicklable):
    """Holds a text that may be or hold a secret.

    It is no string: what shortens strings for display would show a part of it.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<{len(self.value)} characters, not shown>"


def secret_forms(value: str) -> list[str]:
    """The forms in which a secret may occur in text, itself among them."""
    raw = value.encode("utf-8", "surrogatepass")  # a server may send half a character
    forms = [value, quote(raw, safe=""), quote_plus(raw), value.replace("'", "''")]
    forms += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    forms += [repr(value)[1:-1]]
    for offset, start in enumerate((0, 2, 3)):
        # The part of the base64 text that depends on the secret alone, at each alignment.
        whole = (offset + len(raw)) // 3 * 4
        core = base64.b64encode(b"\0" * offset + raw).decode()[start:whole]
        if len(core) >= SHORTEST + 2:
            forms += [core, core.replace("+", "-").replace("/", "_")]
    return [form for form in dict.fromkeys(forms) if len(form) >= SHORTEST]


# Where few forms are known, to look for each with `in` is fastest; beyond, an index is.
_FEW = 100
_MANY = 1_000


class Redactor(NotPicklable):
    """Knows secrets and masks them in text; threads may share it.

    A secret is masked in the forms that it takes on its way: plain, base64 at each of the three
    alignments, URL-encoded, quoted and JSON-escaped. To add one, and to mask a line, takes as long
    with a hundred thousand of them as with a hundred.
    """

    def __init__(self) -> None:
        # By their first characters, and of those by their length: none is looked at in vain.
        self._index: dict[str, dict[int, set[str]]] = {}
        self._few: tuple[str, ...] = ()
        self._count = 0
        self._values: set[str] = set()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Redactor: {self._count} forms>"

    def add(self, value: object) -> None:
        """Makes a value known as secret; what is no text, or too short, is left alone."""
        if not isinstance(value, str) or len(value) < SHORTEST or value in MASK:
            return
        with self._lock:
            if value in self._values:
                return
            self._values.add(value)
            forms = secret_forms(value)
            for form in forms:
                by_length = self._index.get(form[:SHORTEST], {})
                if len(form) in by_length:
                    by_length[len(form)].add(form)
                else:
                    # A copy takes the old one's place: another thread may be looking through that.
                    self._index[form[:SHORTEST]] = {**by_length, len(form): {form}}
            self._count += len(forms)
            if self._count <= _MANY:
                self._few = (*self._few, *forms)

    def mask(self, text: str) -> str:
        """The text with every known secret replaced."""
        few = self._count <= min(max(_FEW, len(text)), _MANY)
        if few and not any(form in text for form in self._few):
            return text
        pieces: list[str] = []
        done = 0
        for start, end in self._places(text):
            # One that begins within another, and ends after it, is hidden with it.
            if start >= done:
                pieces += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*pieces, text[done:]])

    def found(self, text: str) -> list[str]:
        """The forms of known secrets that stand in a text."""
        return [text[start:end] for start, end in self._places(text)]

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a secret begins, and where the longest that begins there ends."""
        index = self._index
        for at in range(len(text) - SHORTEST + 1):
            by_length = index.get(text[at : at + SHORTEST])
            if by_length is not None:
                found = [n for n, forms in by_length.items() if text[at : at + n] in forms]
                if found:
                    yield at, at + max(found)


class KnownSecrets(Redactor):
    """The secrets of one connection; it masks those of all connections of the process.

    They are forgotten with the connection, so that none is kept in memory for longer than needed.
    """

    def __init__(self) -> None:
        super().__init__()
        with _lock:
            _all.add(self)

    def mask(self, text: str) -> str:
        """The text with every secret replaced that any connection of the process knows."""
        return mask_known(text)

    def mask_own(self, text: str) -> str:
        """The text with the secrets of this connection replaced."""
        return super().mask(text)


_all: WeakSet[KnownSecrets] = WeakSet()
_lock = threading.Lock()


def _every() -> list[KnownSecrets]:
    with _lock:
        return list(_all)


def mask_known(text: str) -> str:
    """The text with every secret replaced that any connection of the process knows."""
    for secrets in _every():
        text = secrets.mask_own(text)
    return text


def known_in(text: str) -> list[str]:
    """The forms of secrets, known to any connection of the process, that stand in a text."""
    return [form for secrets in _every() for form in secrets.found(text)]


def masked_values(value: Any, mask: Callable[[str], str]) -> Any:
    """Decoded JSON with every text in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask(key): masked_values(part, mask) for key, part in value.items()}
    if isinstance(value, list):
        return [masked_values(part, mask) for part in value]
    return value


def texts_in(value: object) -> Iterator[str]:
    """The texts in a value, however deep; the keys of mappings are none of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from texts_in(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        for each in value:
            yield from texts_in(each)
