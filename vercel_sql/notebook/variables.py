"""A notebook's variables in a statement: values for its placeholders, tables for its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from vercel_sql import Connection
from vercel_sql.errors import ParameterError
from vercel_sql.notebook.rows import Rows
from vercel_sql.sql import Parameters, Statement
from vercel_sql.sql.parameters import is_table
from vercel_sql.sql.tokens import Kind

# Does a name mean a table already, by DuckDB's search path? A local one wins.
_TAKEN = """
SELECT name FROM (
    SELECT database_name, schema_name, table_name AS name FROM duckdb_tables()
    UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views()
)
WHERE database_name IN (current_database(), 'temp') AND schema_name IN current_schemas(true)
"""


def values_for(statements: Sequence[Statement], variables: Mapping[str, object]) -> Parameters:
    """The values of the placeholders that stand in a script, and of no others.

    What a placeholder inside a longer string names is among them, so that the script is refused:
    nothing would be put in its place.

    Raises:
        ParameterError: a variable holds no value, or a name fits several.
    """
    found: dict[str, object] = {}
    for statement in statements:
        written = [(need.name, need.written) for need in statement.needs()]
        written += [(each.name, each.name) for each in statement.templates()]
        for name, text in written:
            variable = _variable(name, text, variables)
            if variable is not None and name not in found:
                found[name] = variables[variable]
    return Parameters(found)


def _variable(name: str, written: str, variables: Mapping[str, object]) -> str | None:
    """The variable for a placeholder: the one of its very name, else one in another case."""
    near = [each for each in variables if each.lower() == name]
    if len(near) < 2:
        return near[0] if near else None
    for each in near:
        if each in written:
            return each
    raise ParameterError(f"The placeholder {written} may mean {' or '.join(near)}.")


@contextmanager
def tables_lent(
    connection: Connection, statements: Sequence[Statement], variables: Mapping[str, object]
) -> Iterator[None]:
    """Lets statements read the notebook's DataFrames that they name, while the context lasts.

    DuckDB itself looks for them in the frame that calls it, which is one of this package.
    """
    tables = _named(statements, variables)
    if not tables:
        yield
        return
    taken = {name.lower() for (name,) in connection.execute(_TAKEN).fetchall()}
    lent = [name for name in tables if name.lower() not in taken]
    for name in lent:
        connection.duckdb.register(name, tables[name])
    try:
        yield
    finally:
        # Ends whatever an error left unread: DuckDB 2.0 does nothing else before.
        connection.execute("SELECT 1").fetchall()
        for name in lent:
            connection.duckdb.unregister(name)


def _named(statements: Sequence[Statement], variables: Mapping[str, object]) -> dict[str, Any]:
    names = {
        lexeme.value
        for statement in statements
        for lexeme in statement.fragment.lexemes
        if lexeme.kind in (Kind.WORD, Kind.QUOTED)
    }
    found = {name: variables[name] for name in names if is_table(variables.get(name))}
    return {
        name: value.arrow() if isinstance(value, Rows) else value for name, value in found.items()
    }
