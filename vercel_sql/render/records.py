"""The modes that write one record after the other, such as `insert`, `line` and `list`.

They stream. Their bytes are those of DuckDB's shell, except that SQL always runs: control
characters are calls of `chr`, and NaN and the infinities are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TextIO

from vercel_sql.escapes import respelt
from vercel_sql.render.result import Options, Result, Row, is_number, quoted, text_literal
from vercel_sql.render.terminal import display_width, padded


class Records:
    """A mode of records, for one result.

    Attributes:
        header: what stands before the rows.
        between: what stands between two rows.
    """

    header = ""
    between = ""

    def __init__(self, options: Options) -> None:
        self._null = "NULL" if options.null is None else options.null

    def row(self, row: Row) -> str:
        """A row, its line end included."""
        raise NotImplementedError

    def _texts(self, row: Row) -> list[str]:
        return [self._null if text is None else text for text in row]


def write(result: Result, out: TextIO, mode: str, options: Options) -> int:
    """Write the result as one of the modes; give the number of its rows."""
    records = MODES[mode](result, options)
    out.write(records.header)
    count = 0
    for rows in result.texts():
        for row in rows:
            out.write((records.between if count else "") + records.row(row))
            count += 1
        out.flush()
    out.flush()
    return count


class _Joined(Records):
    """Texts with something between them."""

    separator = "|"

    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(options)
        if options.headers:
            self.header = self._joined(result.names)

    def row(self, row: Row) -> str:
        return self._joined(self._texts(row))

    def _joined(self, texts: Iterable[str]) -> str:
        return self.separator.join(map(self._text, texts)) + "\n"

    def _text(self, text: str) -> str:
        return text


class _Ascii(_Joined):
    separator = "\n"  # not the control characters that `.help` promises


class _Tabs(_Joined):
    separator = "\t"


class _Tcl(_Joined):
    separator = " "

    def _text(self, text: str) -> str:
        return '"' + re.sub(rb'[^ -~]|["\\]', _tcl_escape, text.encode()).decode() + '"'


_TCL_NAMED = {b'"': rb"\"", b"\\": rb"\\", b"\t": rb"\t", b"\n": rb"\n", b"\r": rb"\r"}


def _tcl_escape(found: re.Match[bytes]) -> bytes:
    return _TCL_NAMED.get(found[0]) or b"\\%03o" % found[0][0]


class _Html(Records):
    """Rows of a table, whose element is for the reader to write."""

    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(options)
        if options.headers:
            self.header = self._row("th", result.names)

    def row(self, row: Row) -> str:
        return self._row("td", self._texts(row))

    def _row(self, tag: str, texts: Iterable[str]) -> str:
        cells = "".join(f"<{tag}>{text.translate(_ENTITIES)}</{tag}>\n" for text in texts)
        return f"<tr>{cells}</tr>\n"


_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;"})


class _Line(Records):
    """A line for each value, and an empty one between rows."""

    between = "\n"

    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(options)
        widest = max(5, *map(display_width, result.names))
        self._names = [padded(name, widest, ">") for name in result.names]

    def row(self, row: Row) -> str:
        pairs = zip(self._names, self._texts(row), strict=True)
        return "".join(f"{name} = {text}\n" for name, text in pairs)


class _Literals(Records):
    """Values as SQL."""

    bare: frozenset[str] = frozenset()

    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(options)
        self._bare = [is_number(dtype) or str(dtype.id) in self.bare for dtype in result.types]

    def _values(self, row: Row) -> str:
        return ",".join(
            "NULL"
            if text is None
            else text
            if bare and text not in _NO_LITERALS
            else _literal(text)
            for text, bare in zip(row, self._bare, strict=True)
        )


def _literal(text: str) -> str:
    """A string as an SQL expression on one line, without control and invisible characters."""
    literal = text_literal(text)
    spelt = respelt(literal, lambda character: f"', chr({ord(character)}), '")
    return literal if spelt == literal else f"concat({spelt})"


def _identifier(name: str, keywords: frozenset[str]) -> str:
    """A name as DuckDB writes it: quoted where it is a keyword or not plain."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII)
    return name if plain and name.lower() not in keywords else quoted(name)


_NO_LITERALS = frozenset(("nan", "inf", "-inf", "-nan"))


class _Quote(_Literals):
    bare = frozenset(("boolean",))

    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(result, options)
        if options.headers:
            self.header = ",".join(map(_literal, result.names)) + "\n"

    def row(self, row: Row) -> str:
        return self._values(row) + "\n"


class _Insert(_Literals):
    def __init__(self, result: Result, options: Options) -> None:
        super().__init__(result, options)
        keywords = result.keywords()
        names = ",".join(_identifier(name, keywords) for name in result.names)
        table = _identifier(options.table_name, keywords)
        self._into = f"INSERT INTO {table}" + (f"({names})" if options.headers else "")

    def row(self, row: Row) -> str:
        return f"{self._into} VALUES({self._values(row)});\n"


MODES: Mapping[str, Callable[[Result, Options], Records]] = MappingProxyType(
    {
        "ascii": _Ascii,
        "html": _Html,
        "insert": _Insert,
        "line": _Line,
        "list": _Joined,
        "quote": _Quote,
        "tabs": _Tabs,
        "tcl": _Tcl,
    }
)
