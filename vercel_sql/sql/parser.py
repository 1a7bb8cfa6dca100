"""A script, read into its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql.dialect import Lexeme, TokenError, tokenize
from vercel_sql.sql.fragments import Fragment, Script
from vercel_sql.sql.grammar.calls import read_exec
from vercel_sql.sql.grammar.looking import read_describe, read_show
from vercel_sql.sql.grammar.reader import Reader
from vercel_sql.sql.grammar.writes import read_with, read_write
from vercel_sql.sql.parameters import half_character
from vercel_sql.sql.placeholders import Finder
from vercel_sql.sql.quoting import scan
from vercel_sql.sql.statements import Explain, Native, Statement

_READERS: dict[str, Callable[[Reader], Statement | None]] = {
    "INSERT": read_write,
    "DELETE": read_write,
    "UPDATE": read_write,
    "MERGE": read_write,
    "TRUNCATE": read_write,
    "COPY": read_write,
    "WITH": read_with,
    "EXEC": read_exec,
    "SHOW": read_show,
    "DESCRIBE": read_describe,
    "DESC": read_describe,
}

_QUERIES = frozenset(
    [
        "DESCRIBE",
        "FROM",
        "PIVOT",
        "SELECT",
        "SHOW",
        "SUMMARIZE",
        "TABLE",
        "UNPIVOT",
        "VALUES",
        "WITH",
    ]
)
"""Words that begin a query in parentheses, where EXPLAIN's options could stand."""


def parse(text: str) -> list[Statement]:
    """Read a script into its statements, in order; what is only comments is none.

    A text that can't be read into tokens is one statement: DuckDB says what is wrong with it.

    Raises:
        SQLSyntaxError: a statement of ours is malformed, or the text is no text at all.
        ParameterError: a placeholder stands where none can.
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
    """Refuse what DuckDB has no error for; a command line with bytes that are no UTF-8 has such."""
    at = half_character(script.source)
    if at is not None:
        raise SQLSyntaxError(
            f"Half a character (a lone surrogate) is at {script.position(at)}: that is no text."
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
