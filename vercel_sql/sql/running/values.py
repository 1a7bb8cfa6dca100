"""The rows of a query as arguments of a method."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

from vercel_sql.errors import DataError, ParameterError
from vercel_sql.manifest import Method, Parameter

BODY_PREFIX = "data__"
_PER_MILLISECOND = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
_INFINITE = (2**63 - 1, -(2**63 - 1), -(2**63))
_INFINITE_DAYS = (2**31 - 1, -(2**31 - 1), -(2**31))


def parameter_named(method: Method, name: str) -> Parameter | None:
    """The parameter that a column or argument means; ``data__`` marks a field of the body."""
    found = method.parameter(name)
    if found is not None or not name.casefold().startswith(BODY_PREFIX):
        return found
    found = method.parameter(name[len(BODY_PREFIX) :])
    return found if found is not None and found.location == "body" else None


def column_values(column: pa.ChunkedArray, where: str) -> list[Any]:
    """The values of a column as Python values that say all that the column said.

    A date or timestamp becomes milliseconds since the epoch, rounded down.

    Raises:
        DataError: a value is infinite, or of a type that no parameter takes.
    """
    if kinds.is_timestamp(column.type):
        return [_timestamp(v, column.type.unit, where) for v in _integers(column, pa.int64())]
    if kinds.is_date(column.type):
        return [_date(v, where) for v in _integers(column, pa.int32())]
    if isinstance(column.type, pa.BaseExtensionType):
        return [None if v is None else str(v) for v in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def is_moment(column: pa.ChunkedArray) -> bool:
    """Whether a column holds dates or timestamps."""
    return bool(kinds.is_timestamp(column.type) or kinds.is_date(column.type))


def _integers(column: pa.ChunkedArray, storage: pa.DataType) -> list[int | None]:
    return [value for chunk in column.chunks for value in chunk.view(storage).to_pylist()]


def _timestamp(value: int | None, unit: str, where: str) -> int | None:
    if value is None:
        return None
    if value in _INFINITE:
        raise DataError(f"{where} is infinite; leave the column out for what has no end")
    times, per = _PER_MILLISECOND[unit]
    return value * times // per


def _date(value: int | None, where: str) -> int | None:
    if value is None:
        return None
    if value in _INFINITE_DAYS:
        raise DataError(f"{where} is infinite; leave the column out for what has no end")
    return value * 86_400_000


def refuse_moment(parameter: Parameter, column: pa.ChunkedArray, where: str) -> None:
    """Stops a date from becoming a number where a parameter is no point in time.

    Raises:
        DataError: the column holds dates or timestamps and the parameter is none.
    """
    if is_moment(column) and parameter.moment is None:
        raise DataError(f"{where} takes {parameter.type}, not a date or time")


def require_parameter(method: Method, name: str, where: str, suggestion: str) -> Parameter:
    """The parameter that a column means.

    Raises:
        ParameterError: it means none.
    """
    parameter = parameter_named(method, name)
    if parameter is None:
        if (instead := method.refused(name)) is not None:
            raise ParameterError(f"{where} takes no {name}. {instead}")
        required = ", ".join(p.name for p in method.required)
        optional = ", ".join(p.name for p in method.optional)
        raise ParameterError(
            f"{where}: there is no {name!r}{suggestion}; required: {required}; "
            f"optional: {optional or 'nothing'}"
        )
    return parameter
