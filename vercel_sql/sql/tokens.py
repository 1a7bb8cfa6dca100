"""The tokens of a text, as DuckDB reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLANKS = " \t\n\v\f\r\xa0\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
"""What DuckDB takes for a blank: not all that Python's `str.isspace` does, and more besides."""
_PUNCTUATION = re.escape("!\"#%&'()*+,-./:;<=>?@[\\]^`{|}~")
_SYMBOLS = r"""
<<->> <=> <-> ->> #>> ~~~ ~~* &< &> == :: || |> >= <= <> != := -> => #> && ~~ ~* ** ^@ @> <@
"""


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


@dataclass(repr=False)
class Scan:
    """A text's tokens, as far as they can be told apart.

    Attributes:
        lexemes: the tokens.
        unfinished: what is still open where the text ends, such as ``a comment``, or None.
        opened: the offset where that was opened.
    """

    lexemes: list[Lexeme]
    unfinished: str | None = None
    opened: int = 0


_TOKEN = rf"""
      (?P<blank>[{_BLANKS}]+|--[^\r\n]*)
    | (?P<comment>/\*)
      # Only ASCII is a blank in a tag.
    | (?P<dollar>(?P<tag>\$(?:[a-zA-Z_\x80-\U0010ffff][a-zA-Z0-9_\x80-\U0010ffff]*)?\$).*?(?P=tag))
    | (?P<escaped>[eE]'(?:[^'\\]++|\\.|'')*+')
    | (?P<national>[nN]'(?:[^']++|'')*+')
    | (?P<string>'(?:[^']++|'')*+')
    | (?P<quoted>"(?:[^"]++|"")*+"|`(?:[^`]++|``)*+`)
    | (?P<open>[eE]?'|["`]|\$(?:[a-zA-Z_\x80-\U0010ffff][a-zA-Z0-9_\x80-\U0010ffff]*)?\$)
      # A dollar after a number isn't part of it, and one after a word is.
    | (?P<number>(?<=\$)[0-9]+
        |[0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)?(?:[eE](?:[+-]?[0-9]+|(?!\$)))?)
    | (?P<symbol>//(?!\*)|{"|".join(map(re.escape, _SYMBOLS.split()))}|[${_PUNCTUATION}])
    | (?P<word>[^{_BLANKS}{_PUNCTUATION}]+)
    """.replace(" \t\n\v\f\r", r"\x20\t\n\v\f\r")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_KINDS = {
    "dollar": Kind.DOLLAR,
    "escaped": Kind.PREFIXED,
    "national": Kind.PREFIXED,
    "string": Kind.STRING,
    "quoted": Kind.QUOTED,
    "number": Kind.NUMBER,
    "symbol": Kind.SYMBOL,
    "word": Kind.WORD,
}
_OPENED = {'"': "a quoted name", "`": "a quoted name", "$": "a dollar-quoted string"}
_PHRASES = frozenset(["GROUP BY", "ORDER BY", "PARTITION BY", "SIMILAR TO"])


@cache
def _token() -> re.Pattern[str]:
    """Compiled when a text is first read: it takes milliseconds, and `SELECT 1` needs no tokens."""
    return re.compile(_TOKEN, re.VERBOSE | re.DOTALL)


def scan(text: str) -> Scan:
    """The tokens of a text, up to a quote or comment that isn't closed."""
    lexemes: list[Lexeme] = []
    at, token = 0, _token()
    while found := token.match(text, at):
        start, at = found.span()
        group = found.lastgroup or ""
        if group == "comment":
            at = _comment_end(text, at)
            if at < 0:
                return Scan(lexemes, "a comment", start)
        elif group == "open":
            return Scan(lexemes, _OPENED.get(found[0][0], "a string"), start)
        elif group != "blank":
            _add(lexemes, group, found)
    return Scan(lexemes)


def tokenize(text: str) -> list[Lexeme]:
    found = scan(text)
    if found.unfinished:
        raise TokenError(f"{found.unfinished} is not closed")
    return found.lexemes


def _comment_end(text: str, at: int) -> int:
    """Where a block comment ends, which may hold others; -1 if nowhere."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return -1


def _add(lexemes: list[Lexeme], group: str, found: re.Match[str]) -> None:
    raw, (start, end) = found[0], found.span()
    kind = _KINDS[group]
    before = lexemes[-1] if lexemes else None
    upper = raw.upper() if kind is Kind.WORD else ""
    if before is not None and f"{before.upper} {upper}" in _PHRASES:
        lexemes.pop()
        start, upper = before.start, f"{before.upper} {upper}"
        raw = found.string[start:end]
    elif kind is Kind.STRING and _has_prefix(start, lexemes):
        kind = Kind.PREFIXED
    lexemes.append(Lexeme(kind, raw, _value(raw, group, found), upper, start, end))


def _value(raw: str, group: str, found: re.Match[str]) -> str:
    match group:
        case "dollar":
            return raw[len(found["tag"]) : -len(found["tag"])]
        case "escaped":
            return _ESCAPE.sub(lambda part: _ESCAPES.get(part[1], part[1] or "'"), raw[2:-1])
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


def in_brackets(lexemes: Sequence[Lexeme]) -> str:
    """The innermost bracket that is open after these tokens, or nothing."""
    depth = 0
    for lexeme in reversed(lexemes):
        depth += (lexeme.raw in _CLOSE) - (lexeme.raw in _OPEN)
        if depth < 0:
            return lexeme.raw
    return ""


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
