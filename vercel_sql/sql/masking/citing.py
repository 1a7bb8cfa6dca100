"""Errors that repeat a part of a statement, or one of its values, without what is secret in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from vercel_sql.api.redaction import MASK, Redactor, mask_known, mask_shapes
from vercel_sql.api.redaction.forms import SHORTEST
from vercel_sql.api.redaction.known import known_in
from vercel_sql.api.redaction.structures import texts_in
from vercel_sql.sql.masking.statement import holds_secrets, secret_values
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters

# Where DuckDB cuts what it repeats: "LINE 1: ...ret' AND nix", and "the-sec...".
_CUT = re.compile(r"\.\.\.")
# Characters: less of a secret than this may be left beside a cut.
_REMAINDER = 4
_PIECE = 5


def mask_cited(text: str, statement: str, parameters: Parameters = NO_PARAMETERS) -> str:
    """What DuckDB says about a statement, without what is secret in it or known to be secret.

    Args:
        text: what DuckDB says.
        statement: the script that it is about.
        parameters: the values of its placeholders.
    """
    hidden = _hidden(statement, parameters)
    # What is cut first: a secret that another begins with would take a part of that away.
    return mask_shapes(mask_known(_redactor(hidden).mask(_mask_cut(text, hidden))))


def mask_plan(text: str, statement: str, parameters: Parameters = NO_PARAMETERS) -> str:
    """A plan of DuckDB's, without what is secret in the statement or known to be secret.

    Args:
        text: the plan, in any of its formats; in boxes, long values are broken over lines.
        statement: the script that it is of.
        parameters: the values of its placeholders.
    """
    hidden = _hidden(statement, parameters)
    masked = mask_shapes(mask_known(_redactor(hidden).mask(text)))
    return _mask_pieces(masked, hidden)


def _hidden(statement: str, parameters: Parameters) -> list[str]:
    """The secrets that stand in a statement, or that it is given."""
    given = [each for name in parameters for each in texts_in(parameters[name])]
    hidden = secret_values(statement)
    if given and holds_secrets(statement):
        hidden += given
    return hidden + known_in("\n".join([statement, *given]))


def _redactor(values: Iterable[str]) -> Redactor:
    redactor = Redactor()
    for value in _with_lines(values):
        redactor.add(value)
    return redactor


def _mask_pieces(text: str, hidden: Iterable[str]) -> str:
    """The text without pieces of values, wherever those are broken."""
    pieces = {
        value[at : at + _PIECE]
        for value in hidden
        if len(value) >= SHORTEST
        for at in range(len(value) - _PIECE + 1)
    }
    shown: list[str] = []
    done = 0
    for at in range(len(text) - _PIECE + 1):
        if text[at : at + _PIECE] in pieces:
            if at >= done:
                shown += [text[done:at], MASK]
            done = at + _PIECE
    return "".join([*shown, text[done:]])


def _with_lines(values: Iterable[str]) -> Iterator[str]:
    """Values, and the lines of those that have several: DuckDB repeats one line."""
    for value in values:
        yield value
        yield from value.splitlines()


def _mask_cut(text: str, hidden: Iterable[str]) -> str:
    """The text without the ends of values that are cut off in it."""
    pieces: list[str] = []
    done = 0
    values = set(hidden)
    for cut in _CUT.finditer(text):
        head = text[done : cut.start()]
        left = max((_kept_head(head, value) for value in values), default=0)
        pieces += [head[: len(head) - left], MASK if left else "", "..."]
        right = max((_kept_tail(text[cut.end() :], value) for value in values), default=0)
        pieces.append(MASK if right else "")
        done = cut.end() + right
    return "".join([*pieces, text[done:]])


def _kept_head(text: str, value: str) -> int:
    """How many characters at the end of a text a value begins with."""
    most = min(len(text), len(value) - 1)
    return next((n for n in range(most, _REMAINDER - 1, -1) if text.endswith(value[:n])), 0)


def _kept_tail(text: str, value: str) -> int:
    """How many characters at the beginning of a text a value ends with."""
    most = min(len(text), len(value) - 1)
    return next((n for n in range(most, _REMAINDER - 1, -1) if text.startswith(value[-n:])), 0)
