"""How a resource looks in Arrow: its column types, and batches put together from its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.errors import ManifestError
from vercel_sql.manifest import Column, Resource

JSON = pa.json_(pa.string())
SESSION = Column(
    name="session",
    type="VARCHAR",
    description="the connection that asks, where several share a catalog",
    source="session",
)
"""A column of the live tables alone."""
_PLAIN = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
}


def arrow_types(columns: Iterable[Column]) -> dict[str, pa.DataType]:
    """The Arrow type of each column: DuckDB itself reads the manifest's type names.

    JSON is plain text here, because Arrow can't compare its own JSON type.
    """
    return {column.name: _arrow_type(column.type) for column in columns}


@cache
def _arrow_type(name: str) -> pa.DataType:
    return _converted(duckdb.sqltype(name))


def _converted(duck_type: Any) -> pa.DataType:
    """DuckDB's own reading of a type name, as an Arrow type."""
    if duck_type.id == "struct":
        return pa.struct([(name, _converted(child)) for name, child in duck_type.children])
    if duck_type.id == "list":
        ((_, child),) = duck_type.children
        return pa.list_(_converted(child))
    plain = _PLAIN.get(str(duck_type))
    if plain is None:
        raise ManifestError(f"columns of type {duck_type} are not supported")
    return plain


@dataclass(frozen=True)
class Fields:
    """Some rows of a resource, by field, and what came beside the known fields.

    Attributes:
        count: the number of rows.
        arrays: an array for each field that was asked for.
        rest: JSON text of the unknown fields, or None where it was not asked for.
        requested: what was asked for, where it is not the key: a word such as ``current``.
    """

    count: int
    arrays: Mapping[str, pa.Array]
    rest: pa.Array | None = None
    requested: str | None = None


class TableShape:
    """The columns of a resource's live table.

    Inside the table a column is called by its full name (``authentication.user_tokens.id``), so
    that a query plan says which table each scan reads. The views give the short names.
    """

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        columns = (*resource.columns, SESSION)
        self._columns = {self.qualified(column.name): column for column in columns}

    def qualified(self, name: str) -> str:
        """The name of a column inside the live table."""
        return f"{self.resource.full_name}.{name}"

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """The storage type of each column, by its short name."""
        return arrow_types(self._columns.values())

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema that DuckDB sees."""
        return pa.schema([pa.field(name, self._exported(c)) for name, c in self._columns.items()])

    def _exported(self, column: Column) -> pa.DataType:
        return JSON if column.type == "JSON" else self.types[column.name]

    def columns(self, names: Iterable[str]) -> list[Column]:
        """The columns of those full names."""
        return [self._columns[name] for name in names]

    def resource_column(self, name: str) -> Column:
        """The column of that short name."""
        return self._columns[self.qualified(name)]

    @property
    def column_names(self) -> list[str]:
        """The full names of all columns."""
        return list(self._columns)

    def fields_needed(self, columns: Iterable[Column]) -> list[str]:
        """The fields that are needed to make some columns, in the manifest's order."""
        needed = {self.resource.key} if self.resource.key_is_field else set()
        for column in columns:
            if column.source == "field":
                needed.add(column.name)
            elif column.source == "row":
                needed.update(field.name for field in self.resource.fields)
        return [field.name for field in self.resource.fields if field.name in needed]

    def _array(
        self, column: Column, fields: Fields, own_key: str | None, session: str | None
    ) -> pa.Array:
        storage = self.types[column.name]
        if column.source == "session":
            return pa.repeat(pa.scalar(session, storage), fields.count)
        if column.source == "row":
            parts = [fields.arrays[name] for name in (f.name for f in self.resource.fields)]
            return pa.StructArray.from_arrays(parts, fields=list(storage))
        if column.source == "rest":
            return fields.rest
        if column.source == "field":
            return fields.arrays[column.name]
        if column.source == "request" and fields.requested is not None:
            return pa.array([fields.requested] * fields.count, storage)
        key = fields.arrays[self.resource.key]
        if column.source == "request":
            return key
        return pa.array([k.as_py() == own_key for k in key], storage)

    def exporter(self, names: list[str]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        """What makes of a batch the one that DuckDB is to see: those columns, JSON as JSON."""
        schema = pa.schema([self.schema.field(name) for name in names])
        json = {n for n, name in enumerate(names) if self._columns[name].type == "JSON"}

        def export(batch: pa.RecordBatch) -> pa.RecordBatch:
            if not json and batch.schema.names == names:
                return batch
            arrays = [
                pa.ExtensionArray.from_storage(JSON, batch.column(name))
                if n in json
                else batch.column(name)
                for n, name in enumerate(names)
            ]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        return export

    def assembler(
        self, columns: list[Column], session: str | None = None
    ) -> Callable[[Fields, str | None], pa.RecordBatch]:
        """What puts some columns together as one batch, JSON still as text.

        The second argument is the key of the calling credential's own row, where a column needs
        it. What is the same for every page is worked out only once.
        """
        schema = pa.schema([(self.qualified(c.name), self.types[c.name]) for c in columns])

        def assemble(fields: Fields, own_key: str | None) -> pa.RecordBatch:
            arrays = [self._array(column, fields, own_key, session) for column in columns]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        return assemble
