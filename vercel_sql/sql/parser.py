"""Scripts, read into their statements and held against their parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql.fragments import Fragment, Script
from vercel_sql.sql.grammar import (
    Reader,
    read_describe,
    read_exec,
    read_show,
    read_with,
    read_write,
)
from vercel_sql.sql.parameters import Parameters, half_character
from vercel_sql.sql.placeholders import Finder
from vercel_sql.sql.statements import Exec, Explain, Native, Need, Statement
from vercel_sql.sql.tokens import Lexeme, TokenError, scan, tokenize, word_set

_READERS: dict[str, Callable[[Reader], Statement | None]] = {
    **dict.fromkeys(["INSERT", "DELETE", "UPDATE", "MERGE", "TRUNCATE", "COPY"], read_write),
    **dict.fromkeys(["DESCRIBE", "DESC"], read_describe),
    "WITH": read_with,
    "EXEC": read_exec,
    "SHOW": read_show,
}

_QUERIES = word_set("DESCRIBE FROM PIVOT SELECT SHOW SUMMARIZE TABLE UNPIVOT VALUES WITH")
"""Words that begin a query in parentheses, where EXPLAIN's options could stand."""


def parse(text: str) -> list[Statement]:
    """Read a script into its statements, in order; comments alone are not a statement.

    A text that can't be read into tokens is one statement, for DuckDB to refuse.
    """
    unread = Script(text, ())
    _refuse_half_characters(unread)
    try:
        lexemes = tokenize(text)
    except TokenError:
        return [Native(fragment=Fragment(unread, 0, 0), first_keyword="")]
    finder = Finder(lexemes)
    script = Script(text, lexemes, finder.placeholders, finder.templates)
    fragments = [Fragment(script, first, stop) for first, stop in _statements(lexemes)]
    for fragment in fragments:
        # What PREPARE leaves open is for EXECUTE to fill.
        words = [lexeme.upper for lexeme in fragment.lexemes[:2]]
        prepare = "PREPARE" in (words[:1] if words[0] != "EXPLAIN" else words)
        finder.scan(fragment.first, fragment.stop, braces_only=prepare)
        if prepare:
            _refuse_placeholders(fragment)
    return [_read(fragment) for fragment in fragments]


def complete(text: str) -> bool:
    """Whether a text ends with a semicolon that ends a statement: none in quotes or a comment."""
    quoting = scan(text)
    return quoting.unfinished is None and quoting.masked.rstrip().endswith(";")


def _refuse_half_characters(script: Script) -> None:
    """Refuse what DuckDB has no error for: a command line that isn't UTF-8 has such characters."""
    at = half_character(script.source)
    if at is not None:
        raise SQLSyntaxError(
            f"The text has half a character (a lone surrogate) at {script.position(at)}."
        )


def _statements(lexemes: Sequence[Lexeme]) -> Iterator[tuple[int, int]]:
    """The tokens between semicolons, as first and stop, without empty statements."""
    first = 0
    for index, lexeme in enumerate(lexemes):
        if lexeme.raw == ";":
            if first < index:
                yield first, index
            first = index + 1
    if first < len(lexemes):
        yield first, len(lexemes)


def _read(fragment: Fragment) -> Statement:
    reader = Reader(fragment)
    if reader.take("EXPLAIN"):
        return _explain(reader) or _native(fragment)
    return _read_plain(fragment)


def _read_plain(fragment: Fragment) -> Statement:
    """Read a statement that is not EXPLAIN, or that EXPLAIN can't explain."""
    read = _READERS.get(fragment.lexemes[0].upper)
    return (read(Reader(fragment)) if read else None) or _native(fragment)


def _native(fragment: Fragment) -> Native:
    return Native(fragment=fragment, first_keyword=fragment.lexemes[0].upper)


def _explain(reader: Reader) -> Explain | None:
    analyze = reader.take("ANALYZE") or reader.take("ANALYSE")
    options = ""
    if reader.symbol() == "(" and reader.word(1) and reader.word(1) not in _QUERIES:
        start = reader.index
        if not reader.brackets():
            return None
        written = reader.since(start)
        options = written.text
        analyze = analyze or any(each.upper in ("ANALYZE", "ANALYSE") for each in written.lexemes)
    inner = reader.rest()
    if inner is None:
        return None
    return Explain(
        fragment=reader.statement,
        inner=_read_plain(inner),
        options_text=options,
        analyze=analyze,
    )


def _refuse_placeholders(prepare: Fragment) -> None:
    for placeholder in prepare.placeholders:
        name = placeholder.name
        raise ParameterError(
            f"The placeholder {placeholder.written} can't stand in PREPARE: write ${name} there, "
            f"and give its value to EXECUTE."
        )


_OPENING = re.compile(r"[\s(]*([A-Za-z]+)\b")
_OURS = word_set("BEGIN DESC DESCRIBE EXEC EXECUTE EXPLAIN SHOW START")
"""What begins our own statements, or DuckDB's that have to be read into tokens."""
_ANYWHERE = (
    # Placeholders and dollar quotes.
    *("$", "?", "{{"),
    # What writes files, or tells what there is.
    *("copy", "describe", "duckdb_", "information_schema", "pg_", "show", "sqlite_"),
)
_LATER = tuple(word.casefold() for word in _OURS)
_COLON = re.compile(r"(?<!:):[^\W\d]")


class Plain:
    """Knows the texts in which nothing can be ours."""

    def __init__(self, names: Iterable[str]) -> None:
        self._anywhere = (*_ANYWHERE, *(name.casefold() for name in names))

    def read(self, text: str, *, whole: bool) -> Native | None:
        """A text as one DuckDB statement; None where it has to be read into tokens."""
        opening = _OPENING.match(text)
        if opening is None or opening[1].upper() in _OURS or half_character(text) is not None:
            return None
        folded = text.casefold()
        for part in self._anywhere:
            if part in folded:
                return None
        if _COLON.search(text):
            return None
        several = ";" in text.rstrip().removesuffix(";")
        if several and not (whole and not any(word in folded for word in _LATER)):
            return None
        keyword = "" if several else opening[1].upper()
        return Native(fragment=Fragment(Script(text, ()), 0, 0), first_keyword=keyword)


# How many placeholders a message names at most.
_NAMED = 8


def check(statements: Sequence[Statement], parameters: Parameters) -> None:
    """Refuse a script whose placeholders and parameters do not fit together.

    An argument of EXEC, or a member of ``@@json``, that is all placeholder needs no value here:
    whether it may be left out is for the method to say.
    """
    if any(isinstance(statement, Native) and statement.unreadable for statement in statements):
        # DuckDB refuses the script, and its error comes before any about parameters.
        return
    needs = [need for statement in statements for need in statement.needs()]
    _refuse_mixture(needs)
    _refuse_templates(statements, parameters)
    _refuse_missing(needs, parameters)
    _refuse_unused(needs, parameters)


def _refuse_mixture(needs: Sequence[Need]) -> None:
    by_position = next((need for need in needs if need.name.isdecimal()), None)
    by_name = next((need for need in needs if not need.name.isdecimal()), None)
    if by_position and by_name:
        raise ParameterError(
            f"A script takes its parameters by position or by name, not both: it has "
            f"{by_position.written} and {by_name.written}."
        )


def _refuse_templates(statements: Iterable[Statement], parameters: Parameters) -> None:
    """Refuse what would stay in a literal as it is written.

    Any text may hold ``{{ name }}`` as long as no value is given for it, but for those that are
    sent to the API.
    """
    for statement in statements:
        for template in statement.templates():
            may_stay = template.is_ours and not isinstance(statement, Exec)
            if not may_stay or template.name in parameters:
                raise statement.not_filled_in(template)


def _refuse_missing(needs: Iterable[Need], parameters: Parameters) -> None:
    missing = dict.fromkeys(
        need.written for need in needs if not need.optional and need.name not in parameters
    )
    if not missing:
        return
    if parameters.positional:
        raise ParameterError(
            f"The script asks for more values by position than the {len(parameters)} that "
            "were given."
        )
    what = "placeholder" if len(missing) == 1 else "placeholders"
    have = "has" if len(missing) == 1 else "have"
    named = ", ".join(list(missing)[:_NAMED])
    more = len(missing) - _NAMED
    named += f" and {more} more" if more > 0 else ""
    raise ParameterError(f"The {what} {named} {have} no value.")


def _refuse_unused(needs: Sequence[Need], parameters: Parameters) -> None:
    used = {need.name for need in needs}
    for written in parameters:
        if written.lower() in used:
            continue
        if parameters.positional:
            raise ParameterError(
                f"Value {written} of the {len(parameters)} that were given is used by no "
                "placeholder."
            )
        raise ParameterError(
            f"No placeholder uses the parameter {written}.{_suggestion(written, needs)}"
        )


def _suggestion(name: str, needs: Sequence[Need]) -> str:
    """The placeholder that was meant, most likely."""
    written = {need.name: need.written for need in needs}
    for near in get_close_matches(name.lower(), written, n=1):
        return f" Did you mean {written[near]}?"
    return ""
