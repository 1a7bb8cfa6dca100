"""Rows of a resource in Arrow: exact values from decoded JSON, column types, and batches.

A value is as it was sent, or NULL with a note of what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        self.column_names = list(self._columns)

    def qualified(self, name: str) -> str:
        return f"{self.resource.full_name}.{name}"

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """The storage type of each column, by its short name."""
        return arrow_types(self._columns.values())

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema that DuckDB sees."""
        return pa.schema(
            [
                (name, JSON if column.type == "JSON" else self.types[column.name])
                for name, column in self._columns.items()
            ]
        )

    def columns(self, names: Iterable[str]) -> list[Column]:
        return [self._columns[name] for name in names]

    def resource_column(self, name: str) -> Column:
        return self._columns[self.qualified(name)]

    def fields_needed(self, columns: Iterable[Column]) -> list[str]:
        """The fields that are needed to make some columns, in the manifest's order."""
        fields = [field.name for field in self.resource.fields]
        if any(column.source == "row" for column in columns):
            return fields
        needed = {self.resource.key, *(c.name for c in columns if c.source == "field")}
        return [name for name in fields if name in needed]

    def batch(
        self,
        fields: Fields,
        columns: Sequence[Column],
        own_key: str | None = None,
        clock: ServerClock | None = None,
        session: str | None = None,
    ) -> pa.RecordBatch:
        """A batch of some columns, JSON still as text."""
        arrays = {}
        for column in columns:
            storage, name = self.types[column.name], self.qualified(column.name)
            if column.source == "clock":
                arrays[name] = _clock_array(clock or ServerClock(), storage, fields.count)
            elif column.source == "session":
                arrays[name] = pa.repeat(pa.scalar(session, storage), fields.count)
            elif column.source == "self":
                keys = fields.arrays[self.resource.key].to_pylist()
                is_own = [None if None in (key, own_key) else key == own_key for key in keys]
                arrays[name] = pa.array(is_own, storage)
            else:
                arrays[name] = self._array(column, storage, fields)
        return pa.RecordBatch.from_pydict(arrays)

    def _array(self, column: Column, storage: pa.DataType, fields: Fields) -> pa.Array:
        """A column that the fields alone make."""
        if column.source == "field":
            return fields.arrays[column.name]
        if column.source == "rest":
            return fields.rest
        if column.source == "row":
            parts = [fields.arrays[field.name] for field in self.resource.fields]
            return pa.StructArray.from_arrays(parts, fields=list(storage))
        if column.source == "doubt":
            return pa.nulls(fields.count, storage) if fields.in_doubt is None else fields.in_doubt
        if fields.requested is None:
            return fields.arrays[self.resource.key]
        return pa.array([fields.requested] * fields.count, storage)

    def exported(self, batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """The batch that DuckDB is to see: those columns, JSON as JSON."""
        schema = pa.schema(map(self.schema.field, names))
        if schema.equals(batch.schema):
            return batch
        arrays = [
            pa.ExtensionArray.from_storage(JSON, batch.column(field.name))
            if field.type == JSON
            else batch.column(field.name)
            for field in schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


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


def _exact_value(value: Any, kind: pa.DataType) -> Any:
    """A decoded JSON value as a Python value that Arrow takes for a type without changing it."""
    if value is None:
        return None
    if kinds.is_struct(kind):
        _require(value, dict, "an object")
        return {f.name: _inside(f".{f.name}", value.get(f.name), f.type) for f in kind}
    if kinds.is_list(kind):
        _require(value, list, "a list")
        return [_inside(f"[{n}]", part, kind.value_type) for n, part in enumerate(value, start=1)]
    if kinds.is_int64(kind):
        return _integer(value)
    if kinds.is_floating(kind):
        return _number(value)
    if kinds.is_boolean(kind):
        _require(value, bool, "true or false")
        return value
    _require(value, str, "text")
    if problem := text_problem(value):
        raise _Misfit(problem)
    return value


def _inside(step: str, value: Any, kind: pa.DataType) -> Any:
    try:
        return _exact_value(value, kind)
    except _Misfit as misfit:
        raise _Misfit(misfit.reason, step + misfit.place) from None


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


def _integer(value: Any) -> int:
    _require(value, (int, Decimal), "an integer")
    # Zero is zero, whatever its exponent; others of many digits are not worth computing.
    if isinstance(value, Decimal) and value and (abs(value.adjusted()) > 20 or value != int(value)):
        raise _wrong(value, "an integer")
    number = int(value)
    if number not in _INT64:
        raise _Misfit("is an integer of more than 64 bits")
    return number


def _number(value: Any) -> float:
    _require(value, (int, Decimal), "a number")
    number = float(value)
    if Decimal(repr(number)) != value:
        raise _Misfit("is a number that a DOUBLE can't hold exactly")
    return number


def _require(value: Any, expected: type | tuple[type, ...], words: str) -> None:
    is_other = isinstance(value, bool) and expected is not bool
    if is_other or not isinstance(value, expected):
        raise _wrong(value, words)


def _wrong(value: Any, expected: str) -> _Misfit:
    if isinstance(value, Inexact):
        return _Misfit(value.reason)
    names = {bool: "a boolean", int: "a number", str: "text", list: "a list", dict: "an object"}
    kind = names.get(type(value), "something else")
    if isinstance(value, Decimal):
        kind = "a fraction" if value != value.to_integral_value() else "a number"
    return _Misfit(f"is {kind} in Vercel's answer, where {expected} belongs")
