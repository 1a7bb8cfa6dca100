"""What a statement gives to whom: which of its values may stay, and which are secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from vercel_sql.api.redaction import MASK
from vercel_sql.api.redaction.names import sensitive, word_set
from vercel_sql.manifest import Method, vercel
from vercel_sql.sql.brackets import matching, split, top_level
from vercel_sql.sql.dialect import STRINGS, Lexeme
from vercel_sql.sql.exec_json import JSONArgument
from vercel_sql.sql.jsontext import JSONText, Mixed, Slot
from vercel_sql.sql.masking.values import (
    ENDS,
    GIVES,
    NAMES,
    TEXT,
    Edit,
    all_values,
    comments,
)
from vercel_sql.sql.statements import Exec, Insert, Statement

_HARMLESS_OPTIONS = word_set("""
    ACCOUNT_NAME CHAIN DATABASE ENDPOINT HOST PORT PROVIDER REGION SCOPE TYPE URL_STYLE
    USE_SSL USER
""")


def kept_values(
    statement: Statement | None, lexemes: Sequence[Lexeme], is_plain: Callable[[str], bool]
) -> frozenset[int]:
    """The offsets of the strings that are plainly given to something that is no secret."""
    kept = {
        value.start
        for name, sign, value, after in _windows(lexemes)
        if name.kind in NAMES
        and (sign.raw in GIVES or sign.upper in ("LIKE", "ILIKE"))
        and value.kind in STRINGS
        and (after is None or (after.kind not in STRINGS and after.raw != "||"))
        and is_plain(name.value)
        and sensitive().is_plain(name.value)
    }
    if isinstance(statement, Insert) and statement.source and not statement.by_name:
        for row in _rows(statement.source.lexemes):
            if len(row) == len(statement.columns or ()):
                for column, item in zip(statement.columns or (), row, strict=True):
                    if is_plain(column):
                        kept |= {each.start for each in item if each.kind in STRINGS}
    return frozenset(kept)


def _windows(
    lexemes: Sequence[Lexeme],
) -> Iterator[tuple[Lexeme, Lexeme, Lexeme, Lexeme | None]]:
    for index in range(len(lexemes) - 2):
        after = lexemes[index + 3] if index + 3 < len(lexemes) else None
        yield lexemes[index], lexemes[index + 1], lexemes[index + 2], after


def _rows(source: Sequence[Lexeme]) -> Iterator[list[Sequence[Lexeme]]]:
    """The items of ``SELECT a, b …`` or of each row of ``VALUES (a, b), …``."""
    if source[0].upper == "SELECT":
        ends = [
            at for at, each in top_level(source) if at and each.upper in ENDS - {"AS", "END", ","}
        ]
        yield split(source[1 : min(ends, default=len(source))])
    elif source[0].upper == "VALUES":
        for row in split(source[1:]):
            if row and row[0].raw == "(" and matching(row, 0) == len(row) - 1:
                yield split(row[1:-1])


def secret_definition(text: str, lexemes: Sequence[Lexeme]) -> list[Edit] | None:
    """What to mask in DuckDB's CREATE SECRET; None if it is another statement."""
    opening = next((at for at, each in enumerate(lexemes) if each.raw == "("), len(lexemes))
    before = {each.upper for each in lexemes[:opening]}
    others = {"FUNCTION", "INDEX", "MACRO", "SCHEMA", "SEQUENCE", "TABLE", "TYPE", "VIEW"}
    if "CREATE" not in before or "SECRET" not in before or before & others:
        return None
    closing = matching(lexemes, opening) if opening < len(lexemes) else -1
    if closing < 0:
        return list(all_values(text, lexemes, frozenset()))
    edits = list(comments(text, lexemes))
    for option in split(lexemes[opening + 1 : closing]):
        harmless = option[:1] and option[0].upper in _HARMLESS_OPTIONS
        if len(option) > 1 and not harmless and option[1].raw not in ("$", "?", "{"):
            edits.append(Edit(option[1].start, option[-1].end, TEXT))
    rest = [*lexemes[:opening], *lexemes[closing + 1 :]]
    return [*edits, *(Edit(e.start, e.end, TEXT) for e in rest if e.kind in STRINGS)]


def exec_arguments(text: str, call: Exec, lexemes: Sequence[Lexeme]) -> Iterator[Edit]:
    """Masks the secret arguments of EXEC, and with them the comments."""
    methods = _methods(call.name.parts)
    if not methods:
        yield from all_values(text, lexemes, frozenset())
        return

    def may_stay(name: str) -> bool:
        return all(_is_plain_argument(method, name) for method in methods)

    for argument in call.arguments:
        if not may_stay(argument.name) and argument.value.sole is None:
            yield Edit(argument.value.start, argument.value.end, TEXT)
    if call.json is not None:
        yield from _masked_json(call.json, may_stay)
    if any(method.secrets for method in methods):
        yield from comments(text, lexemes)


def _methods(name: Sequence[str]) -> list[Method]:
    """The methods that a name may mean, qualified or not."""
    given = [part.casefold() for part in reversed(name[-3:])]
    return [
        method
        for resource in vercel().resources()
        for method in resource.methods.values()
        if given
        == [
            part.casefold() for part in (method.name, resource.name, resource.service)[: len(given)]
        ]
    ]


def _is_plain_argument(method: Method, name: str) -> bool:
    parameter = method.parameter(name)
    if parameter is not None:
        return not parameter.secret
    takes_secrets = any(parameter.secret for parameter in method.given)
    return not takes_secrets and not sensitive().mentioned([name.casefold()])


def _masked_json(argument: JSONArgument, may_stay: Callable[[str], bool]) -> Iterator[Edit]:
    """Writes the JSON anew if a member of it is secret; one that is all placeholder stays."""
    tree = argument.content.tree if isinstance(argument.content, JSONText) else None
    if not isinstance(tree, dict):
        return
    secret = [
        name
        for name, value in tree.items()
        if not isinstance(value, Slot) and (not may_stay(name) or isinstance(value, dict | list))
    ]
    if secret:
        members = {
            name: MASK if name in secret else _written(value) for name, value in tree.items()
        }
        # A number that no float holds exactly is written as text.
        written = json.dumps(members, ensure_ascii=False, default=str).replace("'", "''")
        yield Edit(argument.fragment.start, argument.fragment.end, f"'{written}'")


def _written(value: object) -> object:
    match value:
        case Slot():
            return value.written
        case Mixed(parts):
            return "".join(part.written if isinstance(part, Slot) else part for part in parts)
    return value
