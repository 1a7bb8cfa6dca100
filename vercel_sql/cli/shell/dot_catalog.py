"""The dot commands about what tables there are: ``.tables`` and ``.schema``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from vercel_sql.catalog.ddl import LIVE, quoted
from vercel_sql.cli.shell.dot import CommandError, at_most

if TYPE_CHECKING:
    from vercel_sql.cli.shell.session import Session

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

_RELATIONS = f"""
SELECT database_name, schema_name, table_name, sql, comment,
       schema_name = current_schema() AND database_name = current_database()
       OR database_name = 'temp' AS is_near
FROM (
    SELECT database_name, schema_name, table_name, sql, comment
    FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name, view_name, sql, comment
    FROM duckdb_views() WHERE NOT internal
)
WHERE NOT (database_name = $ours AND schema_name = '{LIVE}')
ORDER BY ALL
"""
_COLUMNS = """
SELECT column_name, data_type, comment FROM duckdb_columns()
WHERE database_name = $database AND schema_name = $schema AND table_name = $name
ORDER BY column_index
"""


class _Relation(NamedTuple):
    database: str
    schema: str
    name: str
    sql: str | None
    comment: str | None
    is_near: bool

    @property
    def written(self) -> str:
        """The name as it is written in SQL, without what is understood."""
        parts = (self.name,) if self.is_near else (self.database, self.schema, self.name)
        return ".".join(part if _PLAIN.fullmatch(part) else quoted(part) for part in parts)


def list_tables(session: Session, arguments: Sequence[str]) -> None:
    """``.tables``: the tables' names."""
    found = _matching(session, at_most(1, arguments))
    session.destination.write_lines(*(relation.written for relation in found))


def show_schema(session: Session, arguments: Sequence[str]) -> None:
    """``.schema``: how the tables are made; of live tables, their columns."""
    ours = session.connection.client.provider.name
    for relation in _matching(session, at_most(1, arguments)):
        live = relation.database == ours
        text = _described(session, relation) if live else f"{(relation.sql or '').rstrip(';')};"
        session.destination.write_lines(*text.split("\n"))


def _matching(session: Session, pattern: str | None) -> list[_Relation]:
    """The relations whose name, with or without its place, is LIKE a pattern or holds it.

    Raises:
        CommandError: there are none.
    """
    ours = session.connection.client.provider.name
    relations = [_Relation(*row) for row in session.rows(_RELATIONS, {"ours": ours})]
    if pattern is not None:
        like = _as_expression(pattern if "%" in pattern else f"%{pattern}%")
        relations = [
            relation
            for relation in relations
            if like.fullmatch(relation.name) or like.fullmatch(".".join(relation[:3]))
        ]
    if not relations:
        raise CommandError(f"no table is like {pattern}" if pattern else "there are no tables")
    return relations


def _as_expression(pattern: str) -> re.Pattern[str]:
    """The regular expression of a LIKE pattern."""
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in pattern), re.IGNORECASE)


def _described(session: Session, relation: _Relation) -> str:
    """A live table in the form of the statement that would make it, for its reader."""
    names = {"database": relation.database, "schema": relation.schema, "name": relation.name}
    rows = session.rows(_COLUMNS, names)
    columns = [(_name(name), str(kind), _line(comment)) for name, kind, comment in rows]
    lines = []
    for at, (name, kind, text) in enumerate(columns):
        comma = "," if at + 1 < len(columns) else ""
        lines.append(f"  {name} {kind}{comma}" + (f"  -- {text}" if text else ""))
    head = f"-- {_line(relation.comment)}\n" if relation.comment else ""
    body = "\n".join(lines)
    return f"{head}CREATE VIEW {relation.written} (\n{body}\n);  -- live: read from the API"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name.lower()) else quoted(name)


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
