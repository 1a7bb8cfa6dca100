"""Our dialect of SQL for sqlglot: DuckDB's, tokenized the way DuckDB itself does it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from vercel_sql.sql.quoting import begins_word, scan

_NOT_DUCKDB = frozenset(
    {"?::", "??", "-|-", "USER-DEFINED"}
    | {key for key in DuckDB.Tokenizer.KEYWORDS if "{" in key or "}" in key}
)
"""Keywords of sqlglot that join what DuckDB reads apart, such as ``?::INT`` and Jinja's ``{{-``."""


class Vercel(DuckDB):
    """DuckDB's SQL, in which every statement gives ordinary tokens."""

    class Tokenizer(DuckDB.Tokenizer):
        """DuckDB's tokenizer without commands that swallow the rest of the text."""

        COMMANDS: ClassVar[set[TokenType]] = set()
        HEREDOC_STRINGS: ClassVar[list[str | tuple[str, str]]] = []
        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"', "`"]
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            key: value for key, value in DuckDB.Tokenizer.KEYWORDS.items() if key not in _NOT_DUCKDB
        }

        def tokenize(self, sql: str) -> list[Token]:
            """Tokenize a text.

            Raises:
                TokenError: a quote or comment is not closed, or sqlglot cannot read the text.
            """
            quoting = scan(sql)
            if quoting.unfinished:
                raise TokenError(f"{quoting.unfinished} is not closed")
            tokens = super().tokenize(quoting.masked)
            for token in tokens:
                if token.start in quoting.dollars:
                    token.token_type = TokenType.HEREDOC_STRING
                    token.text = quoting.dollars[token.start]
            return tokens


# Every dialect of sqlglot's has Jinja's comments; in DuckDB a brace is only ever a brace.
Vercel.Tokenizer._COMMENTS.pop("{#", None)


_DIALECT = Vercel()


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

_KINDS = {
    TokenType.STRING: Kind.STRING,
    TokenType.HEREDOC_STRING: Kind.DOLLAR,
    TokenType.BYTE_STRING: Kind.PREFIXED,
    TokenType.NATIONAL_STRING: Kind.PREFIXED,
    TokenType.IDENTIFIER: Kind.QUOTED,
    TokenType.NUMBER: Kind.NUMBER,
}


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


def tokenize(text: str) -> list[Lexeme]:
    """The tokens of a text.

    Raises:
        TokenError: the text is not made of DuckDB's tokens.
    """
    lexemes: list[Lexeme] = []
    for token in Vercel.tokenizer_class(dialect=_DIALECT).tokenize(text):
        lexemes.append(_lexeme(text, token, lexemes))
    return lexemes


def _lexeme(text: str, token: Token, before: list[Lexeme]) -> Lexeme:
    raw = text[token.start : token.end + 1]
    kind = _KINDS.get(token.token_type)
    if kind is None:
        kind = Kind.WORD if begins_word(raw[0]) else Kind.SYMBOL
    if kind is Kind.STRING and _has_prefix(token.start, before):
        kind = Kind.PREFIXED
    value = token.text if kind in STRINGS or kind is Kind.QUOTED else raw
    upper = " ".join(token.text.upper().split()) if kind is Kind.WORD else ""
    return Lexeme(kind, raw, value, upper, token.start, token.end + 1)


def _has_prefix(start: int, before: list[Lexeme]) -> bool:
    """Whether the string that starts here is the tail of ``X'…'``, ``B'…'`` or ``U&'…'``."""
    if not before or before[-1].end != start:
        return False
    if before[-1].raw == "&":
        return len(before) > 1 and before[-2].upper == "U" and before[-2].end == start - 1
    return before[-1].upper in ("X", "B")
