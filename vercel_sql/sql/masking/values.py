"""The parts of a statement's text that are masked: every value, or what is given to secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from vercel_sql.api.redaction import MASK
from vercel_sql.api.redaction.names import sensitive, word_set
from vercel_sql.api.redaction.shapes import assigns_secret
from vercel_sql.sql.dialect import STRINGS, Kind, Lexeme
from vercel_sql.sql.placeholders import braces

TEXT = f"'{MASK}'"
NAMES = (Kind.WORD, Kind.QUOTED)
GIVES = frozenset(["=", "==", ":=", "=>"])
_COMPARES = word_set("""
    = == := => : <> != < > <= >= ~ !~ ^@ ~~ ~~* LIKE ILIKE IN NOT IS BETWEEN GLOB SIMILAR TO
""") | {"SIMILAR TO", "NOT IN"}
ENDS = word_set("""
    AND OR WHERE FROM HAVING QUALIFY LIMIT RETURNING UNION EXCEPT INTERSECT WHEN THEN ELSE END
    AS ON USING SELECT SET , ;
""") | {"GROUP BY", "ORDER BY"}
_OPENING = word_set("( [ { CASE")
_BRACKETS = _OPENING | word_set(") ] } END")
_EXPRESSIONS = word_set("""
    ALL ANY ARRAY CASE CAST DEFAULT EXISTS FALSE MAP NOT NULL SELECT STRUCT TRUE TRY_CAST
""")
_BEFORE_NAMES = word_set(". @ AS FROM INTO JOIN MACRO PREPARE SECRET TABLE UPDATE VARIABLE VIEW")


class Edit(NamedTuple):
    """A part of a text, by its offsets, and what is to stand there."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made; where two overlap, the first one's text stands for both."""
    pieces: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda each: (each.start, -each.end)):
        if edit.start >= done:
            pieces += [text[done : edit.start], edit.text]
        done = max(done, edit.end)
    return "".join([*pieces, text[done:]])


def comments(
    text: str, lexemes: Sequence[Lexeme], masks: Callable[[str], bool] = lambda _: True
) -> Iterator[Edit]:
    """Takes out the comments that `masks` says so of, and leaves their line breaks."""
    bounds = [0, *(bound for each in lexemes for bound in (each.start, each.end)), len(text)]
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        between = text[start:end]
        if between.strip() and masks(between):
            last_line = between[between.rfind("\n") + 1 :]
            indent = last_line if last_line.isspace() else ""
            yield Edit(start, end, "\n" + indent if "\n" in between else " ")


def all_values(text: str, lexemes: Sequence[Lexeme], kept: frozenset[int]) -> Iterator[Edit]:
    """Masks every value, but for the strings that begin at the offsets `kept`, and the comments."""
    for index, lexeme in enumerate(lexemes):
        if lexeme.kind in STRINGS:
            if lexeme.start not in kept and not _placeholder(lexeme):
                yield Edit(lexeme.start, lexeme.end, TEXT)
        elif lexeme.kind is Kind.QUOTED and _stands_as_value(lexemes, index):
            yield Edit(lexeme.start, lexeme.end, f'"{MASK}"')
        elif _gives_bare_json(lexemes, index):
            yield Edit(lexeme.end, len(text), f" {TEXT}")
        elif index and lexeme.raw in GIVES and _secret_name(lexemes[index - 1]):
            argument = index > 1 and lexemes[index - 2].raw == "@"
            yield from _bare_value(text, lexemes, index + 1, may_be_name=not argument)
    yield from comments(text, lexemes)


def _placeholder(lexeme: Lexeme) -> bool:
    """Whether a string is nothing but a placeholder, or masked already."""
    whole = (0, len(lexeme.value))
    found = any((start, end) == whole for start, end, _ in braces(lexeme.value))
    return found or lexeme.value == MASK


def _stands_as_value(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether somebody may have put a value in double quotes here."""
    if index == 0 or lexemes[index].value.casefold() in sensitive().known:
        return False
    after = lexemes[index + 1].raw if index + 1 < len(lexemes) else ""
    before = lexemes[index - 1]
    return after not in (".", "(") and (before.upper or before.raw) not in _BEFORE_NAMES


def _gives_bare_json(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether ``@@json =`` stands here, and after it more or less than the one string it takes."""
    before = [each.raw.lower() for each in lexemes[max(index - 3, 0) : index + 1]]
    value = [each for each in lexemes[index + 1 :] if each.raw != ";"]
    one_string = len(value) == 1 and value[0].kind in STRINGS
    return before == ["@", "@", "json", "="] and bool(value) and not one_string


def _secret_name(lexeme: Lexeme) -> bool:
    return lexeme.kind in NAMES and sensitive().is_secret(lexeme.value)


def _bare_value(
    text: str, lexemes: Sequence[Lexeme], index: int, *, may_be_name: bool
) -> Iterator[Edit]:
    """Masks what stands for a secret without any quotes, unless it is plainly an expression."""
    lexeme = lexemes[index] if index < len(lexemes) else None
    if lexeme is None or lexeme.kind not in (Kind.WORD, Kind.NUMBER):
        return
    (run,) = re.findall(r"\A[^\s,;()]+", text[lexeme.start :])
    called = text[lexeme.start + len(run) :].lstrip().startswith("(")
    is_name = re.fullmatch(r"(?a:[a-z_]\w*)(?:\.(?a:[a-z_]\w*))*", run.casefold())
    random = any(len(part) >= 8 and re.search(r"\d", part) for part in run.split("."))
    named = may_be_name and is_name and not random
    if lexeme.upper not in _EXPRESSIONS and not called and not named:
        yield Edit(lexeme.start, lexeme.start + len(run), TEXT)


def named_values(lexemes: Sequence[Lexeme], is_secret: Callable[[str], bool]) -> Iterator[Edit]:
    """Masks the strings that are given to, or compared with, what is called a secret."""
    for index, lexeme in enumerate(lexemes):
        if lexeme.kind in STRINGS:
            if assigns_secret(lexeme.value):
                yield Edit(lexeme.start, lexeme.end, TEXT)
            names_value = index + 1 < len(lexemes) and lexemes[index + 1].raw == ":"
        else:
            names_value = lexeme.kind in NAMES
        if names_value and is_secret(lexeme.value):
            for at in _beside(lexemes, index):
                value = lexemes[at]
                if value.kind in STRINGS and not _placeholder(value):
                    yield Edit(value.start, value.end, TEXT)
                elif value.kind is Kind.QUOTED and _stands_as_value(lexemes, at):
                    yield Edit(value.start, value.end, f'"{MASK}"')


def _beside(lexemes: Sequence[Lexeme], index: int) -> Iterator[int]:
    """The tokens of the expression that a name at `index` is given, compared with or made from."""
    after = index + 1
    while after < len(lexemes) and lexemes[after].raw == ")":
        after += 1
    if after < len(lexemes) and (_operator(lexemes[after]) or lexemes[after].kind in STRINGS):
        yield from _expression(lexemes, range(after, len(lexemes)), _OPENING)
    if index and (_operator(lexemes[index - 1]) or lexemes[index - 1].upper == "AS"):
        yield from _expression(lexemes, range(index - 2, -1, -1), _BRACKETS - _OPENING)


def _operator(lexeme: Lexeme) -> bool:
    return lexeme.raw in _COMPARES or lexeme.upper in _COMPARES


def _expression(
    lexemes: Sequence[Lexeme], way: Iterable[int], opening: frozenset[str]
) -> Iterator[int]:
    """The tokens on the way to where the expression ends."""
    depth = 0
    for at in way:
        word = lexemes[at].upper or lexemes[at].raw
        depth += (word in opening) - (word in _BRACKETS and word not in opening)
        if depth < 0 or (depth == 0 and word in ENDS - _BRACKETS):
            return
        yield at
