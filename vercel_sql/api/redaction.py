"""Keeps secrets out of everything that is shown: the values that are known to be secret, masked."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import quote, quote_plus

MASK = "[secret]"

# Shorter values would mask ordinary words wherever they occur.
_SHORTEST = 6


class Redactor:
    """Knows the secrets of a connection and masks them in text.

    A secret is masked in the forms that it takes on its way: plain, base64 at each of the three
    alignments, URL-encoded and JSON-escaped.
    """

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}
        self._ordered: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._ordered)} forms>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Redactor holds secrets and is not pickled")

    def add(self, value: object) -> None:
        """Makes a value known as secret; what is no text, or too short, is left alone."""
        if not isinstance(value, str) or len(value) < _SHORTEST:
            return
        with self._lock:
            if value in self._forms:
                return
            self._forms.update(dict.fromkeys(secret_forms(value)))
            # The longest first, so that a secret within another leaves no remainder.
            self._ordered = tuple(sorted(self._forms, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """The text with every known secret replaced."""
        for form in self._ordered:
            if form in text:
                text = text.replace(form, MASK)
        return text


def secret_forms(value: str) -> list[str]:
    """The forms in which a secret may occur in text, itself among them."""
    forms = [value, quote(value, safe=""), quote_plus(value), value.replace("'", "''")]
    forms += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    forms += [repr(value)[1:-1]]
    forms += _base64_forms(value.encode())
    return [form for form in dict.fromkeys(forms) if len(form) >= _SHORTEST]


def _base64_forms(raw: bytes) -> list[str]:
    """The part of the base64 text that depends on the secret alone, at each alignment."""
    forms = []
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).decode()
        start = (0, 2, 3)[offset]
        whole = (offset + len(raw)) // 3 * 4
        core = padded[start:whole] if offset else padded[:whole]
        if len(core) >= _SHORTEST + 2:
            forms += [core, core.replace("+", "-").replace("/", "_")]
    return forms
