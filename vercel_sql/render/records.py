"""The modes that write one record after the other, such as `insert`, `line` and `list`.

They stream. Their bytes are those of DuckDB's shell, except that SQL always runs: control
characters are calls of `chr`, and NaN and the infinities are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TextIO, TypeAlias

from vercel_sql.escapes import respelt
from vercel_sql.render.result import Options, Result, Row, is_number, quoted, text_literal
from vercel_sql.render.terminal import display_width, padded

_Records: TypeAlias = tuple[str, Callable[[Row], str]]  # what stands before the rows; a row


def write(result: Result, out: TextIO, mode: str, options: Options) -> int:
    """Write the result as one of the modes; give the number of its rows."""
    header, record = MODES[mode](result, options)
    out.write(header)
    count = 0
    for rows in result.texts():
        for row in rows:
            out.write(("\n" if count and mode == "line" else "") + record(row))
            count += 1
        out.flush()
    out.flush()
    return count


def _of_texts(
    line: Callable[[Iterable[str]], str], header: Callable[[Iterable[str]], str] | None = None
) -> Callable[[Result, Options], _Records]:
    """A mode whose rows are lines of texts, as is its header."""

    def records(result: Result, options: Options) -> _Records:
        names = (header or line)(result.names) if options.headers else ""
        null = "NULL" if options.null is None else options.null
        return names, lambda row: line(null if text is None else text for text in row)

    return records


def _tcl(text: str) -> str:
    return '"' + re.sub(rb'[^ -~]|["\\]', _tcl_escape, text.encode()).decode() + '"'


_TCL_NAMED = {b'"': rb"\"", b"\\": rb"\\", b"\t": rb"\t", b"\n": rb"\n", b"\r": rb"\r"}


def _tcl_escape(found: re.Match[bytes]) -> bytes:
    return _TCL_NAMED.get(found[0]) or b"\\%03o" % found[0][0]


def _html(tag: str) -> Callable[[Iterable[str]], str]:
    def row(texts: Iterable[str]) -> str:
        cells = "".join(f"<{tag}>{text.translate(_ENTITIES)}</{tag}>\n" for text in texts)
        return f"<tr>{cells}</tr>\n"

    return row


_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;"})


def _line(result: Result, options: Options) -> _Records:
    widest = max(5, *map(display_width, result.names))
    names = [padded(name, widest, ">") for name in result.names]
    null = "NULL" if options.null is None else options.null
    return "", lambda row: "".join(
        f"{name} = {null if text is None else text}\n"
        for name, text in zip(names, row, strict=True)
    )


def _quote(result: Result, options: Options) -> _Records:
    header = ",".join(map(_literal, result.names)) + "\n" if options.headers else ""
    values = _values(result, bare=("boolean",))
    return header, lambda row: values(row) + "\n"


def _insert(result: Result, options: Options) -> _Records:
    keywords = result.keywords()
    names = ",".join(_identifier(name, keywords) for name in result.names)
    table = _identifier(options.table_name, keywords)
    into = f"INSERT INTO {table}" + (f"({names})" if options.headers else "")
    values = _values(result)
    return "", lambda row: f"{into} VALUES({values(row)});\n"


def _values(result: Result, *, bare: tuple[str, ...] = ()) -> Callable[[Row], str]:
    """Rows as SQL, with numbers and some other types without quotes."""
    unquoted = [is_number(dtype) or str(dtype.id) in bare for dtype in result.types]

    def value(text: str | None, is_bare: bool) -> str:
        if text is None:
            return "NULL"
        return text if is_bare and text not in _NO_LITERALS else _literal(text)

    return lambda row: ",".join(map(value, row, unquoted))


_NO_LITERALS = frozenset(("nan", "inf", "-inf", "-nan"))


def _literal(text: str) -> str:
    """A string as an SQL expression on one line, without control and invisible characters."""
    literal = text_literal(text)
    spelt = respelt(literal, lambda character: f"', chr({ord(character)}), '")
    return literal if spelt == literal else f"concat({spelt})"


def _identifier(name: str, keywords: frozenset[str]) -> str:
    """A name as DuckDB writes it: quoted where it is a keyword or not plain."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII)
    return name if plain and name.lower() not in keywords else quoted(name)


MODES: Mapping[str, Callable[[Result, Options], _Records]] = MappingProxyType(
    {
        # Not the control characters between fields that `.help` promises.
        "ascii": _of_texts(lambda texts: "\n".join(texts) + "\n"),
        "html": _of_texts(_html("td"), _html("th")),
        "insert": _insert,
        "line": _line,
        "list": _of_texts(lambda texts: "|".join(texts) + "\n"),
        "quote": _quote,
        "tabs": _of_texts(lambda texts: "\t".join(texts) + "\n"),
        "tcl": _of_texts(lambda texts: " ".join(map(_tcl, texts)) + "\n"),
    }
)
