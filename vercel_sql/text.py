"""Text that is safe to show, the one printer of messages, and lengths of time in words."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import TextIO

SAID_AFTER = 2.0
"""After how many seconds a person is told what is waited for."""

# Emoji, Persian and Indic scripts cannot be written without these; elsewhere they are invisible,
# and at the end of a cell they would swallow what stands next to it.
JOINERS = "\u200c\u200d"
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, formats, surrogates, line ends
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_ANYWHERE = re.compile(r"#(?=#[\w.-]*\[)")
_COMMAND = re.compile(rf"{_ANYWHERE.pattern}|^\s*:(?=:[A-Za-z][\w-]*(?: .*)?::)")
_INDENT = "    "


def visible(text: str) -> str:
    r"""The text with control characters, escape sequences and bidi overrides spelt out (`\x1b`)."""
    return without_commands(respelt(text, _spelt))


def message(text: str) -> str:
    """A text of several lines, each visible, of which only the first begins at the margin.

    So whatever it cites, no line of it can be taken for another message.
    """
    if text.isprintable():
        return without_commands(text)
    lines = text.rstrip().replace("\r\n", "\n").split("\n")
    first, *more = [visible(line.expandtabs(4)) for line in lines]
    if any(line and not line.startswith(_INDENT) for line in more):
        more = [f"{_INDENT}{line}" if line else "" for line in more]
    return "\n".join([first, *more])


def without_commands(line: str) -> str:
    """A line with a mark spelt out of whatever a CI service would take for a command."""
    if "##" not in line and "::" not in line:
        return line
    return _COMMAND.sub(lambda found: found[0][:-1] + _spelt(found[0][-1]), line)


def json_without_commands(text: str) -> str:
    """The same JSON, in which no line is a command: in strings, a mark has another spelling."""
    return _ANYWHERE.sub(r"\\u0023", text) if "##" in text else text


def respelt(text: str, spell: Callable[[str], str]) -> str:
    """The text with each character that is not harmless spelt in another way."""
    if text.isprintable():
        return text
    around = zip(" " + text, text, text[1:] + " ", strict=False)
    return "".join(
        character if _harmless(character, before, after) else spell(character)
        for before, character, after in around
    )


def _harmless(character: str, before: str, after: str) -> bool:
    if character in JOINERS:
        return _joins(before, after)
    return unicodedata.category(character) not in _UNSAFE


def _joins(before: str, after: str) -> bool:
    return not before.isascii() and after.isprintable() and not after.isascii()


def _spelt(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def spelled(seconds: float) -> str:
    """A length of time in its two largest units, such as ``1 hour 15 minutes``."""
    left, parts = max(1, round(seconds)), list[str]()
    for name, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}" if count else "")
    return " ".join(filter(None, parts[:2]))


def about(seconds: float) -> str:
    """A length of time that was estimated: in minutes, or in seconds where it is short."""
    return f"about {spelled(round(seconds / 60) * 60 if seconds >= 90 else seconds)}"


def moment_in(seconds: float) -> str:
    """What the clock on the wall shows in so many seconds; with its date, unless that is today."""
    now = datetime.now(UTC).astimezone()
    try:
        then = now + timedelta(seconds=seconds)
    except OverflowError:
        return "the end of time"
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M:%S}"


def complain(text: str, prefix: str = "vercel-sql: ") -> None:
    """Says on standard error what went wrong; further lines of it are indented."""
    with suppress(OSError):  # nobody is there to be told
        sys.stderr.write(f"{message(prefix + text)}\n")
        sys.stderr.flush()


def say(*lines: str, out: TextIO | None = None) -> None:
    """Says something line by line, whatever is cited in them."""
    with suppress(OSError) if out is None else nullcontext():  # nobody is there to be told
        out = out or sys.stderr
        out.write("".join(f"{visible(line)}\n" for line in lines))
        out.flush()
