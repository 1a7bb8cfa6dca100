"""Masks the values that are known to be secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from vercel_sql.api.redaction.forms import MASK, SHORTEST, secret_forms
from vercel_sql.api.redaction.unpickled import HoldsSecrets

# Where few forms are known, to look for each with `in` is fastest; beyond, an index is.
_FEW = 100
_MANY = 1_000


class Redactor(HoldsSecrets):
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
                by_length = self._index.setdefault(form[:SHORTEST], {})
                # A copy takes the old one's place: another thread may be looking through that.
                known = by_length.get(len(form))
                if known is None:
                    self._index[form[:SHORTEST]] = {**by_length, len(form): {form}}
                else:
                    known.add(form)
            self._count += len(forms)
            if self._count <= _MANY:
                self._few = (*self._few, *forms)

    def mask(self, text: str) -> str:
        """The text with every known secret replaced."""
        few = self._count <= min(max(_FEW, len(text)), _MANY)
        if few and not any(form in text for form in self._few):
            return text
        return self._mask_by_index(text)

    def found(self, text: str) -> list[str]:
        """The forms of known secrets that stand in a text."""
        return [text[start:end] for start, end in self._places(text)]

    def _mask_by_index(self, text: str) -> str:
        pieces: list[str] = []
        done = 0
        for start, end in self._places(text):
            # One that begins within another, and ends after it, is hidden with it.
            if start >= done:
                pieces += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*pieces, text[done:]])

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a secret begins, and where the longest that begins there ends."""
        index = self._index
        for at in range(len(text) - SHORTEST + 1):
            by_length = index.get(text[at : at + SHORTEST])
            if by_length is not None:
                found = [n for n, forms in by_length.items() if text[at : at + n] in forms]
                if found:
                    yield at, at + max(found)
