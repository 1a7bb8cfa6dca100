"""Constants that can be read off a statement without running it.

Everything here errs on one side: what is not plainly a constant is not called one, and is left
for DuckDB to evaluate.
"""

from __future__ import annotations

from collections.abc import Sequence

from vercel_sql.sql.brackets import matching, split, top_level, unwrapped
from vercel_sql.sql.dialect import Kind, Lexeme
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters

_OPERATORS = frozenset(
    [
        "AND",
        "AS",
        "BETWEEN",
        "COLLATE",
        "ILIKE",
        "IN",
        "IS",
        "ISNULL",
        "LIKE",
        "NOT",
        "NOTNULL",
        "OR",
    ]
)
_IN_TYPES = frozenset("()[].") | {"::"}

_DEEPEST = 20  # casts within casts: what is deeper is not called constant

NOT_CONSTANT = object()
"""What `Constants.value` gives for anything but a constant: None is the value of a placeholder."""


class Constants:
    """Reads constants: strings, NULL and placeholders."""

    def __init__(self, fragment: Fragment, parameters: Parameters) -> None:
        self._parameters = parameters
        self._placeholders = {
            fragment.script.lexemes[each.first].start: (
                fragment.script.lexemes[each.stop - 1].end,
                each,
            )
            for each in fragment.placeholders
        }

    def value(self, lexemes: Sequence[Lexeme]) -> object:
        """The string or placeholder's value that these tokens are, or `NOT_CONSTANT`."""
        if not lexemes:
            return NOT_CONSTANT
        end, placeholder = self._placeholders.get(lexemes[0].start, (0, None))
        if placeholder and end == lexemes[-1].end:
            known = placeholder.name in self._parameters
            return self._parameters.value(placeholder) if known else NOT_CONSTANT
        if len(lexemes) == 1 and lexemes[0].kind in (Kind.STRING, Kind.DOLLAR):
            return lexemes[0].value
        return NOT_CONSTANT

    def strings(self, lexemes: Sequence[Lexeme]) -> tuple[str, ...]:
        """The strings of a list in parentheses; none if anything else is in it."""
        if len(lexemes) < 3 or lexemes[0].raw != "(" or matching(lexemes, 0) != len(lexemes) - 1:
            return ()
        values = [self.value(item) for item in split(lexemes[1:-1])]
        texts = tuple(value for value in values if isinstance(value, str))
        return texts if len(texts) == len(values) else ()

    def is_null(self, lexemes: Sequence[Lexeme]) -> bool:
        """Whether these tokens are NULL, in parentheses or cast to some type or not."""
        for _ in range(_DEEPEST):
            lexemes = unwrapped(lexemes)
            if len(lexemes) == 1 and lexemes[0].upper == "NULL":
                return True
            if self.value(lexemes) is None:
                return True
            inner = _uncast(lexemes)
            if inner is None:
                return False
            lexemes = inner
        return False


def _uncast(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme] | None:
    """What is cast to some type; None where it is no cast."""
    for index, lexeme in top_level(lexemes):
        if lexeme.raw == "::":
            return lexemes[:index] if _is_type(lexemes[index + 1 :]) else None
    if len(lexemes) < 6 or lexemes[0].upper not in ("CAST", "TRY_CAST"):
        return None
    if lexemes[1].raw != "(" or matching(lexemes, 1) != len(lexemes) - 1:
        return None
    inner = lexemes[2:-1]
    return next((inner[:at] for at, lexeme in top_level(inner) if lexeme.upper == "AS"), None)


def _is_type(lexemes: Sequence[Lexeme]) -> bool:
    """Whether these tokens can be a type, with arguments and further casts, and nothing else."""
    return bool(lexemes) and all(
        (lexeme.kind in (Kind.WORD, Kind.QUOTED) and lexeme.upper not in _OPERATORS)
        or lexeme.raw in _IN_TYPES
        for _, lexeme in top_level(lexemes)
    )
