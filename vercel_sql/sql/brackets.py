"""Tokens by the brackets that they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vercel_sql.sql.dialect import Lexeme

_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def unwrapped(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """Tokens without the parentheses around all of them."""
    closing, last, around = _closing(lexemes), len(lexemes) - 1, 0
    while 2 * around < last - 1 and lexemes[around].raw == "(":
        if closing.get(around) != last - around:
            break
        around += 1
    return lexemes[around : len(lexemes) - around]


def _closing(lexemes: Sequence[Lexeme]) -> dict[int, int]:
    """For each opening bracket the index of the one that closes it; one pass, however deep."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, lexeme in enumerate(lexemes):
        if lexeme.raw in _OPEN:
            opened.append(index)
        elif lexeme.raw in _CLOSE and opened:
            found[opened.pop()] = index
    return found


def flat(lexemes: Sequence[Lexeme]) -> Iterator[tuple[int, Lexeme]]:
    """Each token with the number of brackets that it stands in."""
    depth = 0
    for lexeme in lexemes:
        depth -= lexeme.raw in _CLOSE
        yield depth, lexeme
        depth += lexeme.raw in _OPEN


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
