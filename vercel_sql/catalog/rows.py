"""Rows of a resource in Arrow: exact values from decoded JSON, column types, and batches.

A value is as it was sent, or NULL with a note of what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import types as kinds

from vercel_sql.errors import ManifestError
from vercel_sql.http.decode import Inexact, encode_json, problem_in, text_problem
from vercel_sql.http.events import Doubt
from vercel_sql.http.server_clock import ServerClock
from vercel_sql.manifest import Column, Resource

JSON = pa.json_(pa.string())
SESSION = Column(
    name="session",
    type="VARCHAR",
    description="the connection that asks, where several share a catalog",
    source="session",
)
"""A column that only live tables have."""
_INT64 = range(-(2**63), 2**63)
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
        in_doubt: for each row the fields whose values could not be decoded exactly; None where that
            is none of any row.
        doubts: the same in words.
        requested: what was asked for, where it is not the key: a word such as ``current``.
    """

    count: int
    arrays: Mapping[str, pa.Array]
    rest: pa.Array | None = None
    requested: str | None = None
    in_doubt: pa.Array | None = None
    doubts: Sequence[Doubt] = ()

    def take(self, positions: list[int]) -> Fields:
        """The rows at these positions; the doubts stay those of all."""
        taken = pa.array(positions, pa.int64())
        return replace(
            self,
            count=len(positions),
            arrays={name: array.take(taken) for name, array in self.arrays.items()},
            rest=None if self.rest is None else self.rest.take(taken),
            in_doubt=None if self.in_doubt is None else self.in_doubt.take(taken),
        )


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
        return [self._columns[name] for name in names]

    def resource_column(self, name: str) -> Column:
        return self._columns[self.qualified(name)]

    @property
    def column_names(self) -> list[str]:
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
        self,
        column: Column,
        fields: Fields,
        own_key: str | None,
        clock: ServerClock | None,
        session: str | None,
    ) -> pa.Array:
        storage = self.types[column.name]
        if column.source == "clock":
            return _clock_array(clock or ServerClock(), storage, fields.count)
        if column.source == "doubt":
            return pa.nulls(fields.count, storage) if fields.in_doubt is None else fields.in_doubt
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
        keys = key.to_pylist()
        known = own_key is not None
        return pa.array([k == own_key if known and k is not None else None for k in keys], storage)

    def exporter(self, names: list[str]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        """Makes the batch that DuckDB is to see: those columns, JSON as JSON."""
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
        self,
        columns: list[Column],
        clock: ServerClock | None = None,
        session: str | None = None,
    ) -> Callable[[Fields, str | None], pa.RecordBatch]:
        """Makes a batch of some columns, JSON still as text.

        The second argument of what it returns is the key of the calling credential's own row, if
        a column needs it.
        """
        schema = pa.schema([(self.qualified(c.name), self.types[c.name]) for c in columns])

        def assemble(fields: Fields, own_key: str | None) -> pa.RecordBatch:
            arrays = [self._array(c, fields, own_key, clock, session) for c in columns]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        return assemble


def _clock_array(clock: ServerClock, storage: pa.DataType, count: int) -> pa.Array:
    values = {"ahead": int((clock.skew_seconds or 0.0) * 1000), "read_at": clock.now_ms()}
    parts = [pa.repeat(pa.scalar(values[field.name], field.type), count) for field in storage]
    return pa.StructArray.from_arrays(parts, fields=list(storage))


class _Misfit(Exception):  # noqa: N818 - whoever knows the row makes an error of it
    """A value that its type can't hold.

    Attributes:
        reason: what is wrong, to stand after the name of the place.
        place: where inside the column's value, such as ``[1].sudo``; empty for all of it.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place

    def inside(self, step: str) -> _Misfit:
        return _Misfit(self.reason, step + self.place)


def _exact_value(value: Any, column_type: pa.DataType) -> Any:
    """A decoded JSON value as a Python value that Arrow takes for a type without changing it."""
    if value is None:
        return None
    if kinds.is_struct(column_type):
        return _struct(value, column_type)
    if kinds.is_list(column_type):
        return _list(value, column_type)
    if kinds.is_int64(column_type):
        return _integer(value)
    if kinds.is_boolean(column_type):
        return _plain(value, bool, "true or false")
    if kinds.is_floating(column_type):
        return _number(value)
    return _text(value)


def _json_text(value: Any) -> str | None:
    """A decoded JSON value as JSON text, numbers exactly as they came; None for null."""
    if value is None:
        return None
    try:
        return encode_json(value)
    except (UnicodeEncodeError, TypeError):  # some of it is `Inexact`
        raise _Misfit(problem_in(value) or "can't be kept as JSON") from None


def column_array(
    values: list[Any], column: Column, storage: pa.DataType
) -> tuple[pa.Array, dict[int, str]]:
    """One column of decoded values, and what is wrong at each position that is NULL for it."""
    is_json = column.type == "JSON"
    converted: list[Any] = []
    problems = {}
    for position, value in enumerate(values):
        try:
            converted.append(_json_text(value) if is_json else _exact_value(value, storage))
        except _Misfit as misfit:
            converted.append(None)
            problems[position] = f"{column.name}{misfit.place} {misfit.reason}"
    return pa.array(converted, storage), problems


def unknown_fields(value: Mapping[str, Any], known: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """What an object holds that its type does not know, each where it stood.

    A list keeps the positions of its elements, so that ``scopes[2]`` in the table and
    ``$.scopes[1]`` in the JSON are about the same element.
    """
    rest: dict[str, Any] = {}
    for name, part in value.items():
        if name not in known:
            rest[name] = part
        else:
            inner = _unknown_inside(part, known[name])
            if inner:
                rest[name] = inner
    return rest


def _unknown_inside(value: Any, value_type: pa.DataType) -> Any:
    if kinds.is_struct(value_type) and isinstance(value, dict):
        return unknown_fields(value, {field.name: field.type for field in value_type})
    if kinds.is_list(value_type) and isinstance(value, list):
        inner = [_unknown_inside(part, value_type.value_type) for part in value]
        return [part or {} for part in inner] if any(inner) else None
    return None


def _struct(value: Any, column_type: pa.DataType) -> dict[str, Any]:
    _plain(value, dict, "an object")
    made = {}
    for field in column_type:
        try:
            made[field.name] = _exact_value(value.get(field.name), field.type)
        except _Misfit as misfit:
            raise misfit.inside(f".{field.name}") from None
    return made


def _list(value: Any, column_type: pa.DataType) -> list[Any]:
    _plain(value, list, "a list")
    made: list[Any] = []
    for part in value:
        try:
            made.append(_exact_value(part, column_type.value_type))
        except _Misfit as misfit:
            raise misfit.inside(f"[{len(made) + 1}]") from None
    return made


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong(value, "an integer")
    # Zero is zero, whatever its exponent; others of many digits are not worth computing.
    if isinstance(value, Decimal) and value and (abs(value.adjusted()) > 20 or value != int(value)):
        raise _wrong(value, "an integer")
    number = int(value)
    if number not in _INT64:
        raise _Misfit("is an integer of more than 64 bits")
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong(value, "a number")
    number = float(value)
    if Decimal(repr(number)) != value:
        raise _Misfit("is a number that a DOUBLE can't hold exactly")
    return number


def _text(value: Any) -> str:
    _plain(value, str, "text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Misfit(text_problem(value) or "") from None
    return str(value)


def _plain(value: Any, expected: type, words: str) -> Any:
    if not isinstance(value, expected):
        raise _wrong(value, words)
    return value


def _wrong(value: Any, expected: str) -> _Misfit:
    if isinstance(value, Inexact):
        return _Misfit(value.reason)
    return _Misfit(f"is {_kind(value)} in Vercel's answer, where {expected} belongs")


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", str: "text", list: "a list", dict: "an object"}
    if isinstance(value, Decimal):
        return "a fraction" if value != value.to_integral_value() else "a number"
    return names.get(type(value), "something else")
