"""A result as lines of text, made by DuckDB: nobody casts DuckDB's values more exactly.

What reaches a terminal or a log is free of what one acts on.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeAlias, cast

import duckdb
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.own_duckdb import own_duckdb
from vercel_sql.plain_rows import PlainRows
from vercel_sql.text import visible, without_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    Batch: TypeAlias = pa.Table | PlainRows
    Rows: TypeAlias = pa.RecordBatchReader | Batch

_KEPT = {"tabs": "\t"}  # what parts the fields of a mode
_CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")


# wcwidth is imported where text is not ASCII: a script that pipes JSON should start fast.


def display_width(text: str) -> int:
    if text.isascii():
        return len(text)
    import wcwidth

    return max(wcwidth.wcswidth(text), 0)


def padded(text: str, columns: int, side: str) -> str:
    """The text in at least so many terminal columns, on a side as in format strings: `<^>`."""
    spare = max(columns - display_width(text), 0)
    left = {"<": 0, "^": spare // 2, ">": spare}[side]
    return " " * left + text + " " * (spare - left)


class _LineByLine:
    """A stream that is given each line in another spelling, while line ends stay what they are."""

    def __init__(self, out: TextIO, spell: Callable[[str], str]) -> None:
        self._out = out
        self._spell = spell

    def write(self, text: str) -> int:
        """Write text, of which each line begins at its start."""
        return self._out.write("\n".join(map(self._spell, text.split("\n"))))

    def flush(self) -> None:
        self._out.flush()


def for_terminal(out: TextIO, mode: str) -> TextIO:
    """A terminal that no data can steer; JSON has a spelling of its own for control characters."""
    kept = _KEPT.get(mode)

    def line(text: str) -> str:
        if mode in ("json", "jsonlines"):
            return _spelt_in_json(text)
        if kept:
            return kept.join(map(visible, text.split(kept)))
        return visible(text)

    return cast("TextIO", _LineByLine(out, line))


def for_log(out: TextIO) -> TextIO:
    """The stream as it is, unless it may be the log of a CI service, which looks for commands.

    There a mark is spelt out of what it would take for one, in any line that a value begins. A
    file gets what is written.
    """
    if not any(os.environ.get(name) for name in _CI) or _is_file(out):
        return out

    def line(text: str) -> str:
        return "\r".join(map(without_commands, text.split("\r")))

    return cast("TextIO", _LineByLine(out, line))


def _is_file(out: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, ValueError):  # a stream of Python's own
        return False


def _spelt_in_json(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


Row: TypeAlias = tuple[str | None, ...]

_CHUNK = 2048  # rows of text in memory at a time: DuckDB's own vector size
_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "hugeint")
_NUMBERS = frozenset(
    (*_INTEGERS, *(f"u{name}" for name in _INTEGERS), "float", "double", "decimal")
)


@dataclass(frozen=True)
class Options:
    """Settings of the shell that only some of the modes look at.

    Attributes:
        max_rows: `.maxrows`, how many rows `duckbox` shows in a terminal; None shows all.
        headers: `.headers`, whether the modes that can do without the columns' names show them.
        widths: `.width`, the least width of each column in terminal columns; a negative one puts
            the column on the right. For `box`, `column`, `latex` and `table`.
        null: `.nullvalue`, what stands for NULL; None leaves it to the mode.
        table_name: the table that the statements of `insert` name.
    """

    max_rows: int | None = 40
    headers: bool = True
    widths: tuple[int, ...] = ()
    null: str | None = None
    table_name: str = "tbl"


class Result:
    """A result under way, read once, batch by batch.

    Its batches go through a private DuckDB, which runs in UTC on one thread, so that the text of a
    value depends on no setting and on no time zone, and rows keep their order.

    Attributes:
        names: the columns' names as they are, which may occur twice.
        types: the columns' DuckDB types.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        named = rows.column_names if isinstance(rows, PlainRows) else rows.schema.names
        self.names: list[str] = list(named)
        # Columns go by position: names may be equal, or empty, or need quotes.
        self._columns = [f"c{position}" for position in range(len(self.names))]
        self._con = own_duckdb()
        self._con.execute("SET TimeZone = 'UTC'")
        self.types = self._types()

    def _types(self) -> list[DuckDBPyType]:
        if not self.names:
            return []
        if isinstance(self._rows, PlainRows):
            self._load(PlainRows(self.names, self._rows.types, ()))
        else:
            import pyarrow as pa

            # Unlike `schema.empty_table`, it has all types, such as unions.
            self._load(pa.Table.from_batches([], self._rows.schema))
        return list(self._con.sql("FROM batch").types)

    def _load(self, batch: Batch) -> None:
        if isinstance(batch, PlainRows):
            source = batch.source(self._con.register)
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {source}")
        else:
            self._con.register("batch", batch.rename_columns(self._columns))

    def _batches(self) -> Iterator[Batch]:
        if isinstance(self._rows, PlainRows) or hasattr(self._rows, "num_rows"):
            yield self._rows
            return
        import pyarrow as pa

        for batch in self._rows:
            yield pa.Table.from_batches([batch])

    def columns(self) -> list[tuple[str, DuckDBPyType]]:
        """The SQL name by which `lines` knows each column, and its type."""
        return list(zip(self._columns, self.types, strict=True))

    def positions(self, names: frozenset[str]) -> set[int]:
        """Where the columns of these names are, in any case."""
        wanted = {name.lower() for name in names}
        return {at for at, name in enumerate(self.names) if name.lower() in wanted}

    def lines(self, expression: str) -> Iterator[list[str]]:
        """The value of an SQL expression, a text that is never NULL, for each row; in chunks."""
        for table in self._batches():
            self._load(table)
            for chunk in self._chunks(f"SELECT {expression} FROM batch"):
                yield [line for (line,) in chunk]

    def texts(
        self,
        as_text: Callable[[str, DuckDBPyType], str] = lambda value, _: f"CAST({value} AS VARCHAR)",
    ) -> Iterator[Sequence[Row]]:
        """Each row as texts, None for NULL; in chunks. `as_text` is the SQL for a column."""
        casts = ", ".join(as_text(*column) for column in self.columns())
        for table in self._batches():
            self._load(table)
            yield from self._chunks(f"SELECT {casts} FROM batch")

    def keep(self, most: int | None) -> int:
        """Read what is left, and keep it, or its first and last rows; return the number of all."""
        if isinstance(self._rows, PlainRows):
            rows = self._rows.rows
            if most is not None and len(rows) > most:
                ends = [*rows[: (most + 1) // 2], *rows[len(rows) - most // 2 :]]
                self._rows = replace(self._rows, rows=ends)
            return len(rows)
        import pyarrow as pa

        total, kept = 0, pa.Table.from_batches([], self._rows.schema)
        for table in self._batches():
            total += table.num_rows
            kept = pa.concat_tables([kept, table])
            if most is not None and kept.num_rows > most:
                last = kept.slice(kept.num_rows - most // 2)
                kept = pa.concat_tables([kept.slice(0, (most + 1) // 2), last])
        self._rows = kept
        return total

    def relation(
        self, names: Sequence[str], texts: Mapping[int, Sequence[str | None]]
    ) -> duckdb.DuckDBPyRelation:
        (batch,) = self._batches()
        self._load(_with_texts(batch, texts))
        columns = zip(self._columns, names, strict=True)
        return self._con.sql(
            f"SELECT {', '.join(f'{column} AS {quoted(name)}' for column, name in columns)} "
            "FROM batch"
        )

    def _chunks(self, query: str) -> Iterator[list[tuple[Any, ...]]]:
        found = self._con.execute(query)
        while chunk := found.fetchmany(_CHUNK):
            yield chunk

    def keywords(self) -> frozenset[str]:
        """The words of DuckDB's SQL, which are no names unless they are quoted."""
        found = self._con.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()
        return frozenset(name for (name,) in found)

    def drain(self) -> int:
        return sum(table.num_rows for table in self._batches())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()


def _with_texts(batch: Batch, texts: Mapping[int, Sequence[str | None]]) -> Batch:
    """A batch with texts in place of some columns."""
    if isinstance(batch, PlainRows):
        types = ["VARCHAR" if at in texts else kind for at, kind in enumerate(batch.types)]
        rows = [
            tuple(texts[at][number] if at in texts else value for at, value in enumerate(row))
            for number, row in enumerate(batch.rows)
        ]
        return PlainRows(batch.column_names, types, rows)
    import pyarrow as pa

    for at, column in texts.items():
        batch = batch.set_column(at, str(at), pa.array(column, pa.string()))
    return batch


def is_number(dtype: DuckDBPyType) -> bool:
    """Whether values of this type stand on the right; as in DuckDB, BIGNUM does not."""
    return str(dtype.id) in _NUMBERS


def text_literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
