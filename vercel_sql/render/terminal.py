"""Spells control characters out where exact data would hand them to a terminal."""

from __future__ import annotations

from typing import TextIO

from vercel_sql.escapes import visible

_KEPT = {"tabs": "\t"}  # what parts the fields of a mode


class ForTerminal:
    """A terminal that no data can steer.

    In JSON control characters stay what they are, in its own spelling.

    Args:
        out: the terminal.
        mode: the shell's mode in which it is written.
    """

    def __init__(self, out: TextIO, mode: str) -> None:
        self._out = out
        self._is_json = mode in ("json", "jsonlines")
        self._kept = _KEPT.get(mode)

    def write(self, text: str) -> int:
        """Write text, in which line ends stay what they are."""
        return self._out.write("\n".join(map(self._line, text.split("\n"))))

    def flush(self) -> None:
        """Flush the terminal."""
        self._out.flush()

    def _line(self, text: str) -> str:
        if self._is_json:
            return _spelt_in_json(text)
        if self._kept:
            return self._kept.join(map(visible, text.split(self._kept)))
        return visible(text)


def _spelt_in_json(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
