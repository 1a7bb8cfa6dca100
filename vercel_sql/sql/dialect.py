"""The tokens of a text, as DuckDB reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from vercel_sql.sql.quoting import begins_word, scan


class TokenError(ValueError):
    """A quote or comment is not closed."""


class Kind(Enum):
    """What a lexeme is, as far as the statements of ours need to know."""

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
    """The tokens of a text.

    Raises:
        TokenError: a quote or comment is not closed.
    """
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
