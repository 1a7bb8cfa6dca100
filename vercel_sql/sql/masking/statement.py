"""Statements as they may be kept: what is secret in them is masked.

Where a statement may hold a secret argument, a value stays only if it is plainly given to a
parameter that is none. What can't be understood, and speaks of secrets, keeps no value at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

from vercel_sql.api.redaction import MASK
from vercel_sql.api.redaction.names import sensitive, word_set
from vercel_sql.api.redaction.shapes import assigns_secret, mask_shapes, masked_line
from vercel_sql.api.redaction.structures import texts_in
from vercel_sql.errors import Error
from vercel_sql.manifest import vercel
from vercel_sql.sql.dialect import STRINGS, Kind, Lexeme, TokenError, tokenize
from vercel_sql.sql.masking.arguments import exec_arguments, kept_values, secret_definition
from vercel_sql.sql.masking.values import (
    Edit,
    all_values,
    comments,
    edited,
    named_values,
)
from vercel_sql.sql.parser import parse
from vercel_sql.sql.statements import Exec, Explain, Insert, Statement

_STARTS = word_set("""
    ( ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT COPY CREATE DEALLOCATE
    DELETE DESC DESCRIBE DETACH DROP END EXEC EXECUTE EXPLAIN EXPORT FORCE FROM IMPORT INSERT
    INSTALL LOAD MERGE PIVOT PRAGMA PREPARE RESET ROLLBACK SELECT SET SHOW START SUMMARIZE
    TABLE TRUNCATE UNPIVOT UPDATE USE VACUUM VALUES WITH
""")
"""What a statement begins with, where it is not misspelt."""

_WORD = re.compile(r"\w+")
_QUOTED_OR_BARE = re.compile(r"[^\s'\"`$=;,()]{6,}")


def masked_statement(text: str) -> str:
    """A text that was entered, statements or dot commands, with what is secret in it masked.

    Masked are the values of secret parameters, whatever form they are written in, and what looks
    like a token or password wherever it stands. A statement without any stays as it is.
    """
    lines = text.split("\n")
    first = next((at for at, line in enumerate(lines) if not _is_command(line)), len(lines))
    # Commands at the beginning are no SQL, and a quote in one of them opens nothing.
    lines[first:] = _masked_script("\n".join(lines[first:])).split("\n") if lines[first:] else []
    masked = [masked_line(line) if _is_command(line) else line for line in lines]
    return mask_shapes("\n".join(masked))


def _is_command(line: str) -> bool:
    return line.lstrip().startswith(".")


def secret_values(text: str) -> list[str]:
    """The values that stand in a script and are secret, as they are once they were read.

    They are what `masked_statement` takes out: each secret literal, and where only a part of one
    is secret, as in ``@@json``, that part.
    """
    edits = _script_edits(text)
    if edits is None:
        words = _QUOTED_OR_BARE.findall(text[len(_readable_part(text)) :])
        return [word for word in words if not sensitive().known.issuperset(_words_of(word))]
    found: list[str] = []
    for edit in edits:
        found += _values_in(text[edit.start : edit.end])
    return found


def holds_secrets(text: str) -> bool:
    """Whether a script speaks of what is secret, so that any of its values may be."""
    return sensitive().mentioned(_words_of(text))


def _values_in(part: str) -> Iterator[str]:
    """What a part of a statement says, its comments included."""
    yield part.strip()
    try:
        strings = [each.value for each in tokenize(part) if each.kind in STRINGS]
    except TokenError:
        return
    for value in strings:
        yield value
        yield from _members(value)


def _members(value: str) -> Iterator[str]:
    """The texts in a string that is JSON."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return
    yield from texts_in(content)


def _masked_script(text: str) -> str:
    edits = _script_edits(text)
    if edits is not None:
        return edited(text, edits)
    readable = _readable_part(text)
    return text if readable == text else f"{readable}'{MASK}'"


def _script_edits(text: str) -> list[Edit] | None:
    """What has to change in a script; None where nobody knows what is quoted in it."""
    try:
        lexemes = tokenize(text)
        if _is_misquoted(lexemes):
            return None
        ends = [lexeme.end for lexeme in lexemes if lexeme.raw == ";"]
        found: list[Edit] = []
        for start, end in pairwise([0, *ends, len(text)]):
            piece = text[start:end]
            found += [
                Edit(start + edit.start, start + edit.end, edit.text)
                for edit in _edits(piece, tokenize(piece))
            ]
    except TokenError:
        return None
    return found


def _is_misquoted(lexemes: Sequence[Lexeme]) -> bool:
    """Whether a quote too many or too few (``'it's'``) may have turned texts inside out."""
    return any(
        (one.kind in STRINGS or one.kind is Kind.QUOTED)
        and one.end == two.start
        and two.kind is not Kind.SYMBOL
        for one, two in pairwise(lexemes)
    )


def _readable_part(text: str) -> str:
    """What may stay of a text in which nobody knows what is quoted: all, or its beginning."""
    if not (sensitive().mentioned(_words_of(text)) or assigns_secret(text)):
        return text
    return re.split(r"['\"`$=]", text, maxsplit=1)[0]


def _edits(text: str, lexemes: Sequence[Lexeme]) -> Iterator[Edit]:
    """What has to change in the text of one statement."""
    if not lexemes:
        yield from comments(text, lexemes, _tells)
        return
    statement = _read(text)
    definition = secret_definition(text, lexemes)
    if definition is not None:
        yield from definition
    elif isinstance(statement, Exec):
        yield from exec_arguments(text, statement, lexemes)
    elif _holds_secrets(statement, lexemes):
        yield from all_values(text, lexemes, kept_values(statement, lexemes, sensitive().is_plain))
    elif _fills_secret_columns(statement):
        kept = kept_values(statement, lexemes, lambda name: not sensitive().looks_secret(name))
        yield from all_values(text, lexemes, kept)
    elif edits := list(named_values(lexemes, sensitive().looks_secret)):
        yield from edits
        yield from comments(text, lexemes)
    yield from comments(text, lexemes, _tells)


def _read(text: str) -> Statement | None:
    """The statement, or the one that EXPLAIN explains; None if it is malformed."""
    try:
        (statement,) = parse(text)
    except (Error, ValueError):
        return None
    return statement.inner if isinstance(statement, Explain) else statement


def _holds_secrets(statement: Statement | None, lexemes: Sequence[Lexeme]) -> bool:
    """Whether any value in a statement may be a secret argument."""
    first = lexemes[0].upper or lexemes[0].raw
    if first == "EXECUTE":
        # What was prepared is not known here.
        return True
    if _sets_secret(lexemes):
        return True
    words = _words(lexemes)
    nested = {word for each in lexemes if each.kind in STRINGS for word in _words_of(each.value)}
    if sensitive().touched(words | nested):
        return True
    understood = statement is not None and first in _STARTS and not _names_nothing(lexemes)
    return not understood and sensitive().mentioned(words)


def _sets_secret(lexemes: Sequence[Lexeme]) -> bool:
    """Whether it is SET of a variable or setting that is called like a secret."""
    is_set = any(each.upper in ("SET", "PRAGMA") for each in lexemes[:2])
    before = takewhile(lambda each: each.raw != "=" and each.upper != "TO", lexemes)
    return is_set and any(sensitive().is_secret(each.value) for each in before)


def _fills_secret_columns(statement: Statement | None) -> bool:
    columns = statement.columns if isinstance(statement, Insert) else None
    return any(sensitive().looks_secret(column) for column in columns or ())


def _tells(comment: str) -> bool:
    """Whether a comment may hold a secret."""
    return assigns_secret(comment) or sensitive().touched(_words_of(comment))


def _words(lexemes: Sequence[Lexeme]) -> frozenset[str]:
    names = (each for each in lexemes if each.kind in (Kind.WORD, Kind.QUOTED))
    return frozenset(word for name in names for word in _words_of(name.value))


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _names_nothing(lexemes: Sequence[Lexeme]) -> bool:
    """Whether a name of three parts begins with the catalog and leads nowhere."""
    manifest = vercel()
    for index, lexeme in enumerate(lexemes[:-4]):
        if lexeme.value.casefold() != manifest.provider.name or lexemes[index + 1].raw != ".":
            continue
        schema, name = (lexemes[index + ahead].value.casefold() for ahead in (2, 4))
        if lexemes[index + 3].raw == "." and name not in _named_in(schema):
            return True
    return False


def _named_in(schema: str) -> set[str]:
    """The tables, views and functions of a schema of the manifest, in lower case."""
    manifest = vercel()
    names: set[str] = set()
    if schema in {name.casefold() for name in manifest.service_names}:
        for resource in manifest.service(schema).resources.values():
            names |= {resource.name, *resource.methods}
    for defining in manifest.provider.views.get(schema, []):
        names.update(manifest.service(defining).views[schema])
    return {name.casefold() for name in names}
