"""Makes text harmless to a terminal: no control or invisible character reaches it raw."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

# Emoji, Persian and Indic scripts cannot be written without these; elsewhere they are invisible,
# and at the end of a cell they would swallow what stands next to it.
JOINERS = "\u200c\u200d"
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, formats, surrogates, line ends
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    r"""The text with control characters, escape sequences and bidi overrides spelt out (`\x1b`)."""
    return respelt(text, _spelt)


def visible_lines(text: str) -> str:
    """The lines of a text, each made visible; a tab is the blanks that it stands for."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(visible(line.expandtabs(4)) for line in lines)


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
