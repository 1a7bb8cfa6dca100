"""Statements without their secrets: for a history, and for errors that repeat a part of one.

Where a statement touches a secret parameter, every value in it is masked. What can't be understood,
and speaks of secrets, keeps nothing from its first value on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from vercel_sql.errors import Error
from vercel_sql.manifest import Method, vercel
from vercel_sql.redaction import MASK, Redactor, mask_known, mask_shapes
from vercel_sql.redaction.known import SHORTEST, known_in, texts_in
from vercel_sql.redaction.names import assigns_secret, masked_line, sensitive, word_set
from vercel_sql.sql.json_arguments import Slot
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters
from vercel_sql.sql.parser import parse
from vercel_sql.sql.placeholders import braces
from vercel_sql.sql.statements import Exec, Explain, Insert, Statement
from vercel_sql.sql.tokens import STRINGS, Kind, Lexeme, TokenError, matching, split, tokenize

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
    names = [argument.name for argument in call.arguments if argument.value.sole is None]
    tree = call.json.tree if call.json is not None else None
    if isinstance(tree, dict):
        names += [name for name, value in tree.items() if not isinstance(value, Slot)]
        nested = any(isinstance(value, dict | list) for value in tree.values())
        takes_secrets = any(each.secret for method in methods for each in method.given)
        if nested and (
            takes_secrets or sensitive().mentioned(_words_of(json.dumps(tree, default=str)))
        ):
            return True
    return not methods or not all(
        _is_plain_argument(method, name) for method in methods for name in names
    )


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


def _arguments(call: Exec) -> Iterator[_Edit]:
    """Masks all that an EXEC gives, but for placeholders."""
    for argument in call.arguments:
        if argument.value.sole is None:
            yield _Edit(argument.value.start, argument.value.end, _TEXT)
    if call.json is not None and isinstance(call.json.tree, dict):
        members = {
            name: value.written if isinstance(value, Slot) else MASK
            for name, value in call.json.tree.items()
        }
        text = json.dumps(members, ensure_ascii=False).replace("'", "''")
        yield _Edit(call.json.fragment.start, call.json.fragment.end, f"'{text}'")


def mask_cited(text: str, statement: str, parameters: Parameters = NO_PARAMETERS) -> str:
    """What DuckDB says about a statement, without what is secret in it or known to be secret."""
    hidden = _hidden(statement, parameters)
    # What is cut first: a secret that another begins with would take a part of that away.
    return mask_shapes(mask_known(_redactor(hidden).mask(_mask_cut(text, hidden))))


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
        left = max((_kept_head(head, value) for value in values), default=0)
        right = max((_kept_tail(tail, value) for value in values), default=0)
        pieces += [head[: len(head) - left], MASK if left else "", "...", MASK if right else ""]
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
