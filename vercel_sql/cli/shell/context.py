"""The cursor's place in a statement, found from its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vercel_sql.redaction.names import word_set
from vercel_sql.sql.tokens import STRINGS, Kind, Lexeme, TokenError, flat, scan, tokenize

_NAMES = (Kind.WORD, Kind.QUOTED)
_BEFORE_TABLES = word_set("FROM JOIN INTO UPDATE TABLE USING SUMMARIZE")
_AFTER_TABLES = word_set("""
    ANTI ASOF CROSS EXCEPT FULL HAVING INNER INTERSECT JOIN LEFT LIMIT NATURAL ON POSITIONAL QUALIFY
    RETURNING RIGHT SELECT SEMI SET TABLESAMPLE UNION USING VALUES WHERE
""") | {"GROUP BY", "ORDER BY"}
_BEFORE_VALUES = word_set("BETWEEN BY DISTINCT ESCAPE IF RETURNING SET VALUES")


@dataclass(frozen=True)
class Mention:
    """A table that a statement names.

    Attributes:
        parts: its name, qualified or not.
        alias: its alias, or else its own name.
    """

    parts: tuple[str, ...]
    alias: str


@dataclass(frozen=True)
class Context:
    """The cursor's place in its statement.

    Attributes:
        before: the statement's tokens before what is being typed.
        whole: all its tokens, including those after the cursor.
        qualifiers: the parts of a name before a dot at the cursor.
        typed: the word so far.
        is_quoted: whether it is a name with an open quote.
    """

    before: tuple[Lexeme, ...]
    whole: tuple[Lexeme, ...]
    qualifiers: tuple[str, ...] = ()
    typed: str = ""
    is_quoted: bool = False

    def word(self, back: int = 1) -> str:
        """The last token before the cursor, or an earlier one; words in upper case."""
        if back > len(self.before):
            return ""
        lexeme = self.before[-back]
        return lexeme.upper or lexeme.raw

    @property
    def statement(self) -> tuple[str, ...]:
        """The words before the cursor, without a leading EXPLAIN."""
        words = tuple(each.upper or each.raw for each in self.before)
        while words[:1] in (("EXPLAIN",), ("ANALYZE",)):
            words = words[1:]
        return words

    def names_table(self) -> bool:
        """Whether a table's name is next: after FROM, JOIN and so on, or a comma there."""
        if self.word() in _BEFORE_TABLES:
            return True
        if self.word() != ",":
            return False
        depth = 0
        for index in range(len(self.before) - 2, -1, -1):
            lexeme = self.before[index]
            depth += (lexeme.raw in (")", "]", "}")) - (lexeme.raw in ("(", "[", "{"))
            if depth < 0:
                return False
            if depth == 0 and lexeme.upper in ("FROM", "USING"):
                return True
            if depth == 0 and lexeme.upper in _AFTER_TABLES - {"ON", "JOIN", "USING"}:
                return False
        return False

    def insert_target(self) -> tuple[tuple[str, ...], frozenset[str]] | None:
        """The table and the columns so far, if the cursor is in INSERT's list of columns."""
        for index, lexeme in enumerate(self.before):
            if lexeme.upper != "INTO" or index == 0 or self.before[index - 1].upper != "INSERT":
                continue
            parts, after = name_at(self.before, index + 1)
            if after < len(self.before) and self.before[after].upper == "AS":
                after += 2
            inside = self.before[after + 1 :]
            opened = after < len(self.before) and self.before[after].raw == "("
            if parts and opened and all(e.kind in _NAMES or e.raw == "," for e in inside):
                if self.word() not in ("(", ","):
                    return None
                return parts, frozenset(e.value.casefold() for e in inside if e.kind in _NAMES)
        return None

    def common_tables(self) -> list[str]:
        """The names of WITH."""
        here = self.whole if "WITH" in self.statement else ()
        return [
            name.value
            for name, word, opening in zip(here, here[1:], here[2:], strict=False)
            if name.kind in _NAMES and word.upper == "AS" and opening.raw == "("
        ]

    def mentions(self) -> list[Mention]:
        """The tables that the statement names, before and after the cursor."""
        found: list[Mention] = []
        expects = 0
        for index, (depth, lexeme) in enumerate(flat(self.whole)):
            starts = lexeme.upper in _BEFORE_TABLES or lexeme.upper in ("DESCRIBE", "DESC")
            continues = lexeme.raw == "," and expects == depth + 1
            if starts or continues:
                parts, after = name_at(self.whole, index + 1)
                expects = depth + 1
                if parts:
                    found.append(Mention(parts, _alias(self.whole, after) or parts[-1]))
            elif lexeme.upper in _AFTER_TABLES and expects == depth + 1:
                expects = 0
        return found


def name_at(lexemes: Sequence[Lexeme], index: int) -> tuple[tuple[str, ...], int]:
    """The parts of the name at an index, which may be none, and the index after it."""
    parts: list[str] = []
    while index < len(lexemes) and _is_name(lexemes[index]):
        parts.append(lexemes[index].value)
        index += 1
        if index >= len(lexemes) or lexemes[index].raw != ".":
            break
        index += 1
    return tuple(parts), index


def _is_name(lexeme: Lexeme) -> bool:
    return lexeme.kind in _NAMES and " " not in lexeme.upper


def _alias(lexemes: Sequence[Lexeme], index: int) -> str | None:
    if index < len(lexemes) and lexemes[index].raw == "(":
        depths = flat(lexemes[index:])
        index += next((at + 1 for at, (d, e) in enumerate(depths) if at and d == 0), len(lexemes))
    if index < len(lexemes) and lexemes[index].upper == "AS":
        index += 1
    if index < len(lexemes) and lexemes[index].kind in _NAMES:
        lexeme = lexemes[index]
        return None if lexeme.upper in _AFTER_TABLES or " " in lexeme.upper else lexeme.value
    return None


def read_context(text: str, position: int) -> Context | None:
    """The cursor's place; None if nothing can be completed, as in a string or comment."""
    before = text[:position]
    quoting = scan(before)
    opened = ""
    if quoting.unfinished == "a quoted name":
        opened = before[quoting.opened + 1 :]
        before = before[: quoting.opened]
    elif quoting.unfinished:
        return None
    lexemes = _tokens(before)
    if lexemes is None or _in_comment(before):
        return None
    typed = opened
    if not opened and lexemes and lexemes[-1].end == len(before):
        last = lexemes[-1]
        if last.kind is Kind.WORD and " " not in last.upper:
            typed = last.raw
            lexemes = lexemes[:-1]
            if _touches_value(lexemes, last.start):
                return None
        elif last.kind is not Kind.SYMBOL:
            return None
    start = max((at + 1 for at, each in enumerate(lexemes) if each.raw == ";"), default=0)
    here = lexemes[start:]
    parts: list[str] = []
    while len(here) >= 2 and here[-1].raw == "." and here[-2].kind in _NAMES:
        parts.insert(0, here[-2].value)
        here = here[:-2]
    if here and (
        here[-1].raw in (".", "$", ":", "?") or [each.raw for each in here[-2:]] == ["{", "{"]
    ):
        return None
    return Context(
        before=tuple(here),
        whole=tuple(_whole(before + text[position:], lexemes, start)),
        qualifiers=tuple(parts),
        typed=typed,
        is_quoted=quoting.unfinished is not None,
    )


def _tokens(text: str) -> list[Lexeme] | None:
    try:
        return tokenize(text)
    except TokenError:
        return None


def _in_comment(before: str) -> bool:
    """Whether the cursor is in a comment."""
    longer = _tokens(before + "x")
    return not longer or longer[-1].end != len(before) + 1


def _touches_value(lexemes: Sequence[Lexeme], start: int) -> bool:
    """Whether the word touches a string, number or quoted name."""
    values = (*STRINGS, Kind.NUMBER, Kind.QUOTED)
    return bool(lexemes) and lexemes[-1].end == start and lexemes[-1].kind in values


def _whole(text: str, before: Sequence[Lexeme], start: int) -> Sequence[Lexeme]:
    """The statement's tokens; only those before the cursor if the rest is broken."""
    everything = _tokens(text)
    if everything is None:
        return before[start:]
    rest = everything[start:]
    end = next((at for at, each in enumerate(rest) if each.raw == ";"), len(rest))
    return rest[:end]


def is_operand_next(context: Context, reserved: frozenset[str]) -> bool:
    """Whether a value is next, and not an operator or clause."""
    if not context.before:
        return False
    last = context.before[-1]
    if last.kind in STRINGS or last.kind in (Kind.NUMBER, Kind.QUOTED):
        return False
    if last.raw == "*":
        return context.word(2) not in ("SELECT", "DISTINCT", ",", "(", ".")
    if last.kind is Kind.SYMBOL:
        return last.raw not in (")", "]", "}")
    return " " in last.upper or last.raw.casefold() in reserved or last.upper in _BEFORE_VALUES
