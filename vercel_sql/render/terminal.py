"""Text for terminals: how wide it is, and free of what a terminal or a CI service acts on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TextIO, cast

from vercel_sql.text import visible, without_commands

_KEPT = {"tabs": "\t"}  # what parts the fields of a mode
_CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")


# wcwidth is imported where text is not ASCII: a script that pipes JSON should start fast.


def display_width(text: str) -> int:
    """The terminal columns that harmless text takes."""
    if text.isascii():
        return len(text)
    import wcwidth

    return max(wcwidth.wcswidth(text), 0)


def padded(text: str, columns: int, side: str) -> str:
    """The text in at least so many terminal columns, on a side as in format strings: `<^>`."""
    spare = max(columns - display_width(text), 0)
    left = {"<": 0, "^": spare // 2, ">": spare}[side]
    return " " * left + text + " " * (spare - left)


class _LineByLine:
    """A stream that is given each line in another spelling, while line ends stay what they are."""

    def __init__(self, out: TextIO, spell: Callable[[str], str]) -> None:
        self._out = out
        self._spell = spell

    def write(self, text: str) -> int:
        """Write text, of which each line begins at its start."""
        return self._out.write("\n".join(map(self._spell, text.split("\n"))))

    def flush(self) -> None:
        """Flush the stream."""
        self._out.flush()


def for_terminal(out: TextIO, mode: str) -> TextIO:
    """A terminal that no data can steer; JSON has a spelling of its own for control characters."""
    kept = _KEPT.get(mode)

    def line(text: str) -> str:
        if mode in ("json", "jsonlines"):
            return _spelt_in_json(text)
        if kept:
            return kept.join(map(visible, text.split(kept)))
        return visible(text)

    return cast("TextIO", _LineByLine(out, line))


def for_log(out: TextIO) -> TextIO:
    """The stream as it is, unless it may be the log of a CI service, which looks for commands.

    There a mark is spelt out of what it would take for one, in any line that a value begins. A
    file gets what is written.
    """
    if not any(os.environ.get(name) for name in _CI) or _is_file(out):
        return out

    def line(text: str) -> str:
        return "\r".join(map(without_commands, text.split("\r")))

    return cast("TextIO", _LineByLine(out, line))


def _is_file(out: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, ValueError):  # a stream of Python's own
        return False


def _spelt_in_json(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
