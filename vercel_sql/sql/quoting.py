"""Where DuckDB's quotes and comments begin and end.

They are found by DuckDB's rules, and masked by something of the same length, so that the tokens
can be found by a pattern and every offset stays true.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field

_BLANKS = frozenset(
    " \t\n\v\f\r\xa0\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
)
"""What DuckDB takes for a blank: not all that Python's `str.isspace` does, and more besides."""

_BETWEEN_WORDS = "".join({" ", *string.punctuation} - {"_", "$"}) + "".join(_BLANKS)
_WORD = re.compile(f"[^{re.escape(_BETWEEN_WORDS)}]+")
"""An identifier, keyword or number, from any character of it on."""

_NUMBER = re.compile(r"(?:(?<=\$)\d+|(?<!\$)\d+(?:_\d+)*(?:[eE]\d+)?)(?=\$)", re.ASCII)
"""A number with a dollar after it, which is no part of it; an identifier may have one inside."""

_DOLLAR_TAG = re.compile(r"\$([a-zA-Z_\x80-\U0010ffff][a-zA-Z0-9_\x80-\U0010ffff]*)?\$")
"""What opens and closes a dollar quote. In here what is no ASCII is no blank to DuckDB."""

_LINE_END = re.compile(r"[\r\n]")

_LETTER = "\xaa"
"""Stands for what DuckDB takes for a part of a word and Python for a blank."""


@dataclass(repr=False)
class Quoting:
    """A text with its comments and dollar quotes masked.

    Attributes:
        masked: as long as the text; comments are blanks, and dollar quotes are blanks between NULs.
        dollars: the content of each dollar-quoted string, by the offset where it starts.
        unfinished: what is still open where the text ends, such as ``a comment``, or None.
        opened: the offset where that was opened.
    """

    masked: str
    dollars: dict[int, str] = field(default_factory=dict)
    unfinished: str | None = None
    opened: int = 0


def scan(text: str) -> Quoting:
    """Find the quotes and comments of a text, by DuckDB's rules."""
    return _Scanner(text).run()


def begins_word(char: str) -> bool:
    """Whether an identifier can begin with this character."""
    if " " <= char < "\x7f":
        return char.isalpha() or char == "_"
    return char not in _BLANKS


def _blank(text: str) -> str:
    """Blanks as long as the text, with its line breaks, so that lines keep their numbers."""
    return "".join(char if char in "\r\n" else " " for char in text)


def _lettered(word: str) -> str:
    """A word in which every character reads as a part of it, as long as it was."""
    return "".join(char if char.isprintable() else _LETTER for char in word)


class _Scanner:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.pieces: list[str] = []
        self.result = Quoting("")
        self.handlers: dict[str, Callable[[], None]] = {
            "'": lambda: self.quote("'", "a string"),
            '"': lambda: self.quote('"', "a quoted name"),
            "`": lambda: self.quote("`", "a quoted name"),
            "-": self.dash,
            "/": self.slash,
            "$": self.dollar,
            **dict.fromkeys((blank for blank in _BLANKS if not blank.isspace()), self.blank),
        }

    def run(self) -> Quoting:
        while self.position < len(self.text):
            char = self.text[self.position]
            if handler := self.handlers.get(char):
                handler()
            elif number := _NUMBER.match(self.text, self.position):
                self.keep(number.end())
            elif word := _WORD.match(self.text, self.position):
                self.word(word[0])
            else:
                self.keep(self.position + 1)
        self.result.masked = "".join(self.pieces)
        return self.result

    def keep(self, end: int) -> None:
        self.pieces.append(self.text[self.position : end])
        self.position = end

    def mask(self, end: int) -> None:
        self.pieces.append(_blank(self.text[self.position : end]))
        self.position = end

    def leave_open(self, what: str) -> None:
        """Note that the text ends inside a quote or comment, and stop there."""
        self.result.unfinished = what
        self.result.opened = self.position
        self.keep(len(self.text))

    def word(self, word: str) -> None:
        """An identifier, keyword or number; ``E`` before a quote makes backslashes escape."""
        self.pieces.append(word if word.isprintable() else _lettered(word))
        self.position += len(word)
        if word in ("e", "E") and self.text.startswith("'", self.position):
            self.quote("'", "a string", escapes=True)

    def quote(self, mark: str, what: str, *, escapes: bool = False) -> None:
        """A string or quoted name, in which the doubled mark stands for itself."""
        end = self.position + 1
        while (close := self.text.find(mark, end)) >= 0:
            if escapes and (escape := self.text.find("\\", end, close)) >= 0:
                end = escape + 2
            elif self.text.startswith(mark, close + 1):
                end = close + 2
            else:
                self.keep(close + 1)
                return
        self.leave_open(what)

    def dash(self) -> None:
        if not self.text.startswith("--", self.position):
            self.keep(self.position + 1)
            return
        line_end = _LINE_END.search(self.text, self.position)
        self.mask(line_end.start() if line_end else len(self.text))

    def slash(self) -> None:
        """A block comment, which may hold others."""
        if not self.text.startswith("/*", self.position):
            self.keep(self.position + 1)
            return
        depth, end = 1, self.position + 2
        while depth:
            close = self.text.find("*/", end)
            if close < 0:
                self.leave_open("a comment")
                return
            opening = self.text.find("/*", end, close + 1)
            depth, end = (depth - 1, close + 2) if opening < 0 else (depth + 1, opening + 2)
        self.mask(end)

    def dollar(self) -> None:
        """A dollar-quoted string, or else the dollar of a parameter."""
        opening = _DOLLAR_TAG.match(self.text, self.position)
        if opening is None:
            self.keep(self.position + 1)
            return
        tag = opening[0]
        close = self.text.find(tag, opening.end())
        if close < 0:
            self.leave_open("a dollar-quoted string")
            return
        self.result.dollars[self.position] = self.text[opening.end() : close]
        end = close + len(tag)
        self.pieces.append("\0" + _blank(self.text[self.position + 1 : end - 1]) + "\0")
        self.position = end

    def blank(self) -> None:
        self.mask(self.position + 1)
