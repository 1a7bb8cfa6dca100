"""The tokens of a text, as DuckDB reads them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

_BLANKS = frozenset(
    " \t\n\v\f\r\xa0\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
)
"""What DuckDB takes for a blank: not all that Python's `str.isspace` does, and more besides."""

_BETWEEN_WORDS = "".join({" ", *string.punctuation} - {"_", "$"}) + "".join(_BLANKS)
_WORD = re.compile(f"[^{re.escape(_BETWEEN_WORDS)}]+")
"""An identifier, keyword or number, from any character of it on."""

_NUMBER = re.compile(r"(?:(?<=\$)\d+|(?<!\$)\d+(?:_\d+)*(?:[eE]\d+)?)(?=\$)", re.ASCII)
"""A number with a dollar after it, which isn't part of it; an identifier may have one inside."""

_DOLLAR_TAG = re.compile(r"\$([a-zA-Z_\x80-\U0010ffff][a-zA-Z0-9_\x80-\U0010ffff]*)?\$")
"""What opens and closes a dollar quote. In here DuckDB takes only ASCII for blanks."""

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


class TokenError(ValueError):
    """A quote or comment is not closed."""


class Kind(Enum):
    """What a lexeme is, as far as our statements need to know."""

    WORD = auto()  # a keyword or an unquoted name: which of the two depends on where it stands
    QUOTED = auto()  # a quoted name
    STRING = auto()  # a plain string: '…'
    DOLLAR = auto()  # a dollar-quoted string
    PREFIXED = auto()  # any other string: E'…', X'…', U&'…'
    NUMBER = auto()
    SYMBOL = auto()


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which blanks separate."""
    return frozenset(text.split())


STRINGS = frozenset({Kind.STRING, Kind.DOLLAR, Kind.PREFIXED})


@dataclass(frozen=True, slots=True, repr=False)
class Lexeme:
    """One token, with what it reads as and where it stands.

    Attributes:
        kind: what it is.
        raw: the token as it is written.
        value: the content of a string or quoted name without its quotes; else as `raw`.
        upper: a word in upper case, with single blanks (``GROUP BY``); else empty.
        start: the offset of its first character.
        end: the offset after its last character.
    """

    kind: Kind
    raw: str
    value: str
    upper: str
    start: int
    end: int


_SYMBOLS = """
<<->> <=> <-> ->> #>> ~~~ ~~* &< &> == :: || |> >= <= <> != := -> => #> && ~~ ~* // ** ^@ @> <@
"""
_SINGLE = re.escape("!\"#%&'()*+,-./:;<=>?@[\\]^`{|}~")
_TOKEN = re.compile(
    rf"""
      (?P<dollar>\0[^\0]*\0)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<national>[nN]'(?:[^']|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<phrase>(?:GROUP|ORDER|PARTITION)\s+BY(?![^\s{_SINGLE}])
        |SIMILAR\s+TO(?![^\s{_SINGLE}]))
    | (?P<number>(?<=\$)[0-9]+
        |[0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)?(?:[eE](?:[+-]?[0-9]+)?)?)
    | (?P<symbol>{"|".join(map(re.escape, _SYMBOLS.split()))}|[${_SINGLE}])
    | (?P<word>[^\s{_SINGLE}]+)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_KINDS = {
    "dollar": Kind.DOLLAR,
    "escaped": Kind.PREFIXED,
    "national": Kind.PREFIXED,
    "string": Kind.STRING,
    "quoted": Kind.QUOTED,
    "phrase": Kind.WORD,
    "number": Kind.NUMBER,
    "symbol": Kind.SYMBOL,
}


def tokenize(text: str) -> list[Lexeme]:
    """The tokens of a text."""
    quoting = scan(text)
    if quoting.unfinished:
        raise TokenError(f"{quoting.unfinished} is not closed")
    lexemes: list[Lexeme] = []
    for found in _TOKEN.finditer(quoting.masked):
        start, end = found.span()
        raw, group = text[start:end], found.lastgroup or ""
        kind = _KINDS.get(group) or (Kind.WORD if begins_word(raw[0]) else Kind.SYMBOL)
        if kind is Kind.STRING and _has_prefix(start, lexemes):
            kind = Kind.PREFIXED
        upper = " ".join(found[0].upper().split()) if kind is Kind.WORD else ""
        value = quoting.dollars[start] if kind is Kind.DOLLAR else _value(raw, group)
        lexemes.append(Lexeme(kind, raw, value, upper, start, end))
    return lexemes


def _value(raw: str, group: str) -> str:
    """What a token reads as."""
    match group:
        case "escaped":
            return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1] or "'"), raw[2:-1])
        case "national":
            return raw[2:-1].replace("''", "'")
        case "string" | "quoted":
            return raw[1:-1].replace(raw[0] * 2, raw[0])
        case _:
            return raw


def _has_prefix(start: int, before: list[Lexeme]) -> bool:
    """Whether the string that starts here is the tail of ``X'…'``, ``B'…'`` or ``U&'…'``."""
    if not before or before[-1].end != start:
        return False
    if before[-1].raw == "&":
        return len(before) > 1 and before[-2].upper == "U" and before[-2].end == start - 1
    return before[-1].upper in ("X", "B")


_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def flat(lexemes: Sequence[Lexeme]) -> Iterator[tuple[int, Lexeme]]:
    """Each token with the number of brackets that it stands in."""
    depth = 0
    for lexeme in lexemes:
        depth -= lexeme.raw in _CLOSE
        yield depth, lexeme
        depth += lexeme.raw in _OPEN


def is_nested(text: str, most: int) -> bool:
    """Whether more brackets than that lie in one another, or the text can't be read."""
    if sum(map(text.count, _OPEN)) <= most:
        return False
    try:
        return any(depth > most for depth, _ in flat(tokenize(text)))
    except TokenError:
        return True


def top_level(lexemes: Sequence[Lexeme]) -> list[tuple[int, Lexeme]]:
    """The tokens that stand in no brackets, with their indices."""
    return [(at, lexeme) for at, (depth, lexeme) in enumerate(flat(lexemes)) if depth == 0]


def matching(lexemes: Sequence[Lexeme], opening: int) -> int:
    """The index of the bracket that closes the one at `opening`, or -1."""
    for index, (depth, lexeme) in enumerate(flat(lexemes[opening:])):
        if index and depth == 0 and lexeme.raw in _CLOSE:
            return opening + index
    return -1


def split(lexemes: Sequence[Lexeme]) -> list[Sequence[Lexeme]]:
    """The parts between top-level commas; a comma at the end has none after it."""
    parts: list[Sequence[Lexeme]] = []
    start = 0
    for index, lexeme in top_level(lexemes):
        if lexeme.raw == ",":
            parts.append(lexemes[start:index])
            start = index + 1
    return [*parts, lexemes[start:]] if start < len(lexemes) else parts
