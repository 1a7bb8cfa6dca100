"""Statements without their secrets: for a history, and for errors that repeat a part of one.

Where a statement touches a secret parameter, every value in it is masked. What can't be understood,
and speaks of secrets, keeps nothing from its first value on.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from vercel_sql.errors import Error
from vercel_sql.manifest import Method, vercel
from vercel_sql.redaction import MASK, Redactor, mask_known, mask_shapes
from vercel_sql.redaction.known import SHORTEST, known_in, texts_in
from vercel_sql.redaction.names import assigns_secret, masked_line, sensitive, word_set
from vercel_sql.sql.fragments import Need, sole_name
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters
from vercel_sql.sql.parser import parse
from vercel_sql.sql.statements import Exec, Explain, Insert, Statement
from vercel_sql.sql.tokens import STRINGS, Kind, Lexeme, TokenError, matching, split, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_TEXT = f"'{MASK}'"
_NAMES = (Kind.WORD, Kind.QUOTED)
_STARTS = word_set("""
    ( ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT COPY CREATE DEALLOCATE
    DELETE DESC DESCRIBE DETACH DROP END EXEC EXECUTE EXPLAIN EXPORT FORCE FROM IMPORT INSERT
    INSTALL LOAD MERGE PIVOT PRAGMA PREPARE RESET ROLLBACK SELECT SET SHOW START SUMMARIZE
    TABLE TRUNCATE UNPIVOT UPDATE USE VACUUM VALUES WITH
""")
"""What a statement begins with, where it is not misspelt."""
_COMPARES = word_set("""
    = == := => : <> != < > <= >= ~ !~ ^@ ~~ ~~* LIKE ILIKE IN NOT IS BETWEEN GLOB SIMILAR TO
""") | {"SIMILAR TO", "NOT IN"}
_GIVES = word_set("= == := =>")
_BEFORE_NAMES = word_set(". @ AS FROM INTO JOIN MACRO PREPARE SECRET TABLE UPDATE VARIABLE VIEW")
_BEFORE_ITEMS = word_set("RETURNING SELECT")
_NOT_SECRETS = word_set("FUNCTION INDEX MACRO SCHEMA SEQUENCE TABLE TYPE VIEW")
"""What CREATE makes that may be called SECRET."""

_WORD = re.compile(r"\w+")
_UNREADABLE = re.compile(r"[^\s'\"`$=;,()]{6,}")
_BARE = re.compile(r"(?![\"'$?{\[:])[^\s,;()]++(?!\s*\()")
_NAME = re.compile(r"(?ai:[a-z_]\w*)(?:\.(?ai:[a-z_]\w*))*")

_DIALECTS = ("tsql", "mysql", "postgres", "bigquery", "snowflake", "oracle")
_TRANSLATED = word_set("SELECT WITH")
"""What begins a query, which other databases may write in another way."""
_LONGEST_HINT = 2_000

# Where DuckDB cuts what it repeats: "LINE 1: ...ret' AND nix", and "the-sec...".
_CUT = re.compile(r"\.\.\.")
# Characters: less of a secret than this may be left beside a cut.
_REMAINDER = 4
_PIECE = 5


class _Edit(NamedTuple):
    """A part of a text, by its offsets, and what is to stand there."""

    start: int
    end: int
    text: str


def masked_statement(text: str) -> str:
    """A text that was entered, statements or dot commands, with what is secret in it masked.

    Masked are all values of statements that touch a secret parameter, and what looks like a token
    or password wherever it stands. A statement without any stays as it is.
    """
    lines = text.split("\n")
    first = next((at for at, line in enumerate(lines) if not _is_command(line)), len(lines))
    # Commands at the beginning are not SQL, and a quote in one of them opens nothing.
    lines[first:] = _masked_script("\n".join(lines[first:])).split("\n") if lines[first:] else []
    masked = [masked_line(line) if _is_command(line) else line for line in lines]
    return mask_shapes("\n".join(masked))


def _is_command(line: str) -> bool:
    return line.lstrip().startswith(".")


def secret_values(text: str) -> list[str]:
    """The values that `masked_statement` takes out of a script, as they are once they are read."""
    edits = _script_edits(text)
    if edits is None:
        words = _UNREADABLE.findall(text[len(_readable_part(text)) :])
        return [word for word in words if not sensitive().known.issuperset(_words_of(word))]
    return [value for edit in edits for value in _values_in(text[edit.start : edit.end])]


def _values_in(part: str) -> Iterator[str]:
    """What a part of a statement says, its comments included."""
    yield part.strip()
    try:
        lexemes = tokenize(part)
    except TokenError:
        return
    for each in lexemes:
        if each.kind in STRINGS:
            yield each.value
            with_members = each.value.lstrip().startswith(("{", "["))
            yield from _members(each.value) if with_members else ()
        elif _UNREADABLE.fullmatch(each.raw) and each.value.casefold() not in sensitive().known:
            yield each.raw


def _members(value: str) -> Iterator[str]:
    """The texts in a string that is JSON."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return
    yield from texts_in(content)


def _masked_script(text: str) -> str:
    edits = _script_edits(text)
    if edits is None:
        readable = _readable_part(text)
        return text if readable == text else f"{readable}{_TEXT}"
    pieces: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda each: (each.start, -each.end)):
        # Where two overlap, the first one's text stands for both.
        if edit.start >= done:
            pieces += [text[done : edit.start], edit.text]
        done = max(done, edit.end)
    return "".join([*pieces, text[done:]])


def _script_edits(text: str) -> list[_Edit] | None:
    """What has to change in a script; None where nobody knows what is quoted in it."""
    try:
        lexemes = tokenize(text)
        if _is_misquoted(lexemes):
            return None
        ends = [lexeme.end for lexeme in lexemes if lexeme.raw == ";"]
        return [
            _Edit(start + edit.start, start + edit.end, edit.text)
            for start, end in pairwise([0, *ends, len(text)])
            for edit in _edits(text[start:end], tokenize(text[start:end]))
        ]
    except TokenError:
        return None


def _is_misquoted(lexemes: Sequence[Lexeme]) -> bool:
    """Whether a quote too many or too few (``'it's'``) may have turned texts inside out."""
    return any(
        (one.kind in STRINGS or one.kind is Kind.QUOTED)
        and one.end == two.start
        and two.kind is not Kind.SYMBOL
        for one, two in pairwise(lexemes)
    )


def _readable_part(text: str) -> str:
    """What may stay of a text that can't be understood: all, or what stands before any value."""
    if not (sensitive().mentioned(_words_of(text)) or assigns_secret(text)):
        return text
    return re.split(r"['\"`$=]", text, maxsplit=1)[0]


def _edits(text: str, lexemes: Sequence[Lexeme]) -> Iterator[_Edit]:
    """What has to change in the text of one statement."""
    statement = _read(text)
    if isinstance(statement, Exec):
        if _gives_secret(statement):
            yield from _arguments(statement)
            yield from _comments(text, lexemes)
    elif lexemes and (options := _secret_definition(lexemes)) is not None:
        yield from options
        yield from _comments(text, lexemes)
    elif lexemes and not _is_understood(statement, lexemes):
        readable = _readable_part(text)
        if readable != text:
            yield _Edit(len(readable), len(text), _TEXT)
    elif lexemes and _touches_secret(statement, lexemes):
        yield from _values(text, lexemes)
        yield from _comments(text, lexemes)
    yield from _comments(text, lexemes, _tells)


def _read(text: str) -> Statement | None:
    """The statement, or the one that EXPLAIN explains; None if it is malformed."""
    try:
        (statement,) = parse(text)
    except (Error, ValueError):
        return None
    return statement.inner if isinstance(statement, Explain) else statement


def _is_understood(statement: Statement | None, lexemes: Sequence[Lexeme]) -> bool:
    first = lexemes[0].upper or lexemes[0].raw
    return statement is not None and first in _STARTS | {";"} and not _names_nothing(lexemes)


def _touches_secret(statement: Statement | None, lexemes: Sequence[Lexeme]) -> bool:
    """Whether any value in a statement may be one of a secret parameter."""
    if lexemes[0].upper == "EXECUTE":  # what was prepared is not known here
        return True
    named = (each for each in lexemes if each.kind in (*_NAMES, *STRINGS))
    words = frozenset(word for each in named for word in _words_of(each.value))
    columns = statement.columns if isinstance(statement, Insert) else None
    return (
        sensitive().touched(words)
        or _sets_secret(lexemes)
        or any(sensitive().looks_secret(column) for column in columns or ())
        or any(_compares_secret(lexemes, index) for index in range(len(lexemes)))
    )


def _sets_secret(lexemes: Sequence[Lexeme]) -> bool:
    """Whether it is SET of a variable or setting that is called like a secret."""
    is_set = any(each.upper in ("SET", "PRAGMA") for each in lexemes[:2])
    before = takewhile(lambda each: each.raw != "=" and each.upper != "TO", lexemes)
    return is_set and any(sensitive().is_secret(each.value) for each in before)


def _compares_secret(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether a token names what is called a secret, beside what it is given or compared with."""
    lexeme = lexemes[index]
    if lexeme.kind in STRINGS and assigns_secret(lexeme.value):
        return True
    after = next((each for each in lexemes[index + 1 :] if each.raw != ")"), None)
    is_name = lexeme.kind in _NAMES or (
        lexeme.kind in STRINGS and after is not None and after.raw == ":"
    )
    if not is_name or not sensitive().looks_secret(lexeme.value):
        return False
    beside = [each for each in (after, *lexemes[max(index - 1, 0) : index]) if each is not None]
    return (
        any((each.upper or each.raw) in _COMPARES for each in beside)
        or (after is not None and after.kind in STRINGS)
        or (index > 0 and lexemes[index - 1].upper == "AS" and _holds_string(lexemes[: index - 1]))
    )


def _holds_string(before: Sequence[Lexeme]) -> bool:
    """Whether there is a string in the expression that these tokens end with."""
    depth = 0
    for lexeme in reversed(before):
        depth += (lexeme.raw in (")", "]", "}")) - (lexeme.raw in ("(", "[", "{"))
        if depth < 0 or (depth == 0 and (lexeme.raw == "," or lexeme.upper in _BEFORE_ITEMS)):
            return False
        if lexeme.kind in STRINGS:
            return True
    return False


def _values(text: str, lexemes: Sequence[Lexeme]) -> Iterator[_Edit]:
    """Masks every value of a statement."""
    for index, lexeme in enumerate(lexemes):
        if lexeme.kind in STRINGS:
            if not _is_placeholder(lexeme):
                yield _Edit(lexeme.start, lexeme.end, _TEXT)
        elif lexeme.kind is Kind.QUOTED and _stands_as_value(lexemes, index):
            yield _Edit(lexeme.start, lexeme.end, f'"{MASK}"')
        elif index and lexeme.raw in _GIVES and sensitive().is_secret(lexemes[index - 1].value):
            value = lexemes[index + 1].start if index + 1 < len(lexemes) else len(text)
            bare = _BARE.match(text, value)
            if bare and (not _NAME.fullmatch(bare[0]) or _looks_random(bare[0])):
                yield _Edit(*bare.span(), _TEXT)


def _looks_random(name: str) -> bool:
    return any(len(part) >= 8 and re.search(r"\d", part) for part in name.split("."))


def _is_placeholder(lexeme: Lexeme) -> bool:
    """Whether a string is nothing but a placeholder, or masked already."""
    return sole_name(lexeme.value) is not None or lexeme.value == MASK


def _stands_as_value(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether somebody may have put a value in double quotes here."""
    if index == 0 or lexemes[index].value.casefold() in sensitive().known:
        return False
    after = lexemes[index + 1].raw if index + 1 < len(lexemes) else ""
    before = lexemes[index - 1]
    return after not in (".", "(") and (before.upper or before.raw) not in _BEFORE_NAMES


def _comments(
    text: str, lexemes: Sequence[Lexeme], masks: Callable[[str], bool] = lambda _: True
) -> Iterator[_Edit]:
    """Takes out the comments that `masks` says so of, and leaves their line breaks."""
    bounds = [0, *(bound for each in lexemes for bound in (each.start, each.end)), len(text)]
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        between = text[start:end]
        if between.strip() and masks(between):
            last_line = between[between.rfind("\n") + 1 :]
            indent = last_line if last_line.isspace() else ""
            yield _Edit(start, end, "\n" + indent if "\n" in between else " ")


def _tells(comment: str) -> bool:
    """Whether a comment may hold a secret."""
    return assigns_secret(comment) or sensitive().touched(_words_of(comment))


def _words_of(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _names_nothing(lexemes: Sequence[Lexeme]) -> bool:
    """Whether a name of three parts begins with the catalog and leads nowhere."""
    catalog = vercel().provider.name
    return any(
        first.value.casefold() == catalog
        and dot.raw == other.raw == "."
        and (schema.value.casefold(), name.value.casefold()) not in _tables()
        for first, dot, schema, other, name in zip(*(lexemes[n:] for n in range(5)), strict=False)
    )


@cache
def _tables() -> frozenset[tuple[str, str]]:
    """The tables, views and functions of the manifest with their schemas, in lower case."""
    manifest = vercel()
    names = [(r.service, name) for r in manifest.resources() for name in (r.name, *r.methods)]
    for schema, services in manifest.provider.views.items():
        for service in services:
            names += [(schema, view) for view in manifest.service(service).views[schema]]
    return frozenset((schema.casefold(), name.casefold()) for schema, name in names)


def _secret_definition(lexemes: Sequence[Lexeme]) -> list[_Edit] | None:
    """What to mask in DuckDB's CREATE SECRET; None if it is another statement."""
    opening = next((at for at, each in enumerate(lexemes) if each.raw == "("), len(lexemes))
    before = {each.upper for each in lexemes[:opening]}
    if not before.issuperset(["CREATE", "SECRET"]) or before & _NOT_SECRETS:
        return None
    closing = matching(lexemes, opening) if opening < len(lexemes) else -1
    stop = closing if closing >= 0 else len(lexemes)
    options = [each for each in split(lexemes[opening + 1 : stop]) if len(each) > 1]
    values = [each[1:] for each in options if each[0].upper != "TYPE"]
    edits = [
        _Edit(each[0].start, each[-1].end, _TEXT) for each in values if each[0].raw not in "$?{"
    ]
    rest = [*lexemes[:opening], *lexemes[stop:]]
    return [*edits, *(_Edit(each.start, each.end, _TEXT) for each in rest if each.kind in STRINGS)]


def _gives_secret(call: Exec) -> bool:
    """Whether an EXEC gives anything to a secret parameter, or to nobody knows what."""
    methods = _methods(call.name.parts)
    takes_secrets = any(parameter.secret for method in methods for parameter in method.given)
    names = [argument.name for argument in call.arguments if argument.value.sole is None]
    if call.json is not None and isinstance(tree := call.json.tree, dict):
        names += [name for name, value in tree.items() if not isinstance(value, Need)]
        if any(isinstance(value, dict | list) for value in tree.values()):
            words = _words_of(json.dumps(tree, default=str))
            if takes_secrets or sensitive().mentioned(words):
                return True
    given = [method.parameter(name) for method in methods for name in names]
    unknown = [name for method in methods for name in names if method.parameter(name) is None]
    return (
        not methods
        or any(parameter.secret for parameter in given if parameter is not None)
        or (bool(unknown) and takes_secrets)
        or sensitive().mentioned(name.casefold() for name in unknown)
    )


def _methods(name: Sequence[str]) -> list[Method]:
    """The methods that a name may mean, qualified or not."""
    given = [part.casefold() for part in name[-3:]]
    return [
        method
        for resource in vercel().resources()
        for method in resource.methods.values()
        if [*resource.full_name.casefold().split("."), method.name.casefold()][-len(given) :]
        == given
    ]


def _arguments(call: Exec) -> Iterator[_Edit]:
    """Masks all that an EXEC gives, but for placeholders."""
    for argument in call.arguments:
        if argument.value.sole is None:
            yield _Edit(argument.value.start, argument.value.end, _TEXT)
    if call.json is not None and isinstance(call.json.tree, dict):
        members = {
            name: value.written if isinstance(value, Need) else MASK
            for name, value in call.json.tree.items()
        }
        text = json.dumps(members, ensure_ascii=False).replace("'", "''")
        yield _Edit(call.json.fragment.start, call.json.fragment.end, f"'{text}'")


def mask_cited(text: str, statement: str, parameters: Parameters = NO_PARAMETERS) -> str:
    """What DuckDB says about a statement, without what is secret in it or known to be secret."""
    hidden = _hidden(statement, parameters)
    # What is cut first: a secret that another begins with would take a part of that away.
    return mask_shapes(mask_known(_redactor(hidden).mask(_mask_cut(text, hidden))))


def dialect_hint(statement: str) -> str:
    """What to write in place of a query in another database's dialect; empty if it isn't one.

    sqlglot is loaded for it, so only once DuckDB's own parser has refused a statement.
    """
    opening = _WORD.search(statement)
    is_query = opening is not None and opening[0].upper() in _TRANSLATED
    if not is_query or len(statement) > _LONGEST_HINT or secret_values(statement):
        return ""
    from sqlglot import ErrorLevel, transpile
    from sqlglot.errors import SqlglotError

    for dialect in _DIALECTS:
        with suppress(SqlglotError, ValueError, RecursionError, duckdb.Error):
            (found,) = transpile(
                statement, read=dialect, write="duckdb", unsupported_level=ErrorLevel.RAISE
            )
            (_,) = duckdb.extract_statements(found)
            return f"\n\nDuckDB writes it so: {found}"
    return ""


def mask_plan(text: str, statement: str, parameters: Parameters = NO_PARAMETERS) -> str:
    """A DuckDB plan, in any format, without what is secret in the statement or known to be."""
    hidden = _hidden(statement, parameters)
    masked = mask_shapes(mask_known(_redactor(hidden).mask(text)))
    return _mask_pieces(masked, hidden)


def _hidden(statement: str, parameters: Parameters) -> list[str]:
    """The secrets that stand in a statement, or that it is given."""
    given = [each for name in parameters for each in texts_in(parameters[name])]
    hidden = secret_values(statement)
    if given and sensitive().mentioned(_words_of(statement)):
        hidden += given
    return hidden + known_in("\n".join([statement, *given]))


def _redactor(values: Iterable[str]) -> Redactor:
    redactor = Redactor()
    for value in values:
        for part in (value, *value.splitlines()):  # DuckDB repeats one line
            redactor.add(part)
    return redactor


def _mask_pieces(text: str, hidden: Iterable[str]) -> str:
    """The text without pieces of values: in boxes, long values are broken over lines."""
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


def _mask_cut(text: str, hidden: Iterable[str]) -> str:
    """The text without the ends of values that are cut off in it."""
    pieces: list[str] = []
    done = 0
    values = set(hidden)
    for cut in _CUT.finditer(text):
        head, tail = text[done : cut.start()], text[cut.end() :]
        left = max((_overlap(head, each, len(each) - 1) for each in values), default=0)
        right = max((_overlap(each, tail, len(each) - 1) for each in values), default=0)
        pieces += [head[: len(head) - left], MASK if left else "", "...", MASK if right else ""]
        done = cut.end() + right
    return "".join([*pieces, text[done:]])


def _overlap(before: str, after: str, most: int) -> int:
    """How many characters the end of one text has in common with the beginning of the other."""
    longest = min(len(before), len(after), most)
    return next((n for n in range(longest, _REMAINDER - 1, -1) if before.endswith(after[:n])), 0)
