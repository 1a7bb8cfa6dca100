"""Decoded JSON to Arrow, exactly: a value is as it was sent, or NULL with word of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

from vercel_sql.api import encode_json
from vercel_sql.api.decode import Inexact, problem_in, text_problem
from vercel_sql.manifest import Column

_INT64 = range(-(2**63), 2**63)


class Misfit(Exception):  # noqa: N818 - whoever knows the row makes an error of it
    """A value that its type can't hold.

    Attributes:
        reason: what is wrong, to stand after the name of the place.
        place: where inside the column's value, such as ``[1].sudo``; empty for all of it.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place

    def inside(self, step: str) -> Misfit:
        """The same, seen from one level further out."""
        return Misfit(self.reason, step + self.place)


def exact_value(value: Any, column_type: pa.DataType) -> Any:
    """A decoded JSON value as a Python value that Arrow takes for a type without changing it.

    Args:
        value: what `decode_json` gave.
        column_type: the storage type.

    Raises:
        Misfit: the value is not of that type.
    """
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


def json_text(value: Any) -> str | None:
    """A decoded JSON value as JSON text, numbers exactly as they came; None for null.

    Raises:
        Misfit: it can't be written as such.
    """
    if value is None:
        return None
    try:
        return encode_json(value)
    except (UnicodeEncodeError, TypeError):  # some of it is `Inexact`
        raise Misfit(problem_in(value) or "can't be kept as JSON") from None


def column_array(
    values: list[Any], column: Column, storage: pa.DataType
) -> tuple[pa.Array, dict[int, str]]:
    """One column of decoded values as an Arrow array, and what is wrong with some of them.

    Args:
        values: a decoded value a row.
        column: the manifest's column.
        storage: its storage type.

    Returns:
        The array, and for each position whose value is not of the column's type, and so is NULL,
        the place and what is wrong there.
    """
    is_json = column.type == "JSON"
    converted: list[Any] = []
    problems = {}
    for position, value in enumerate(values):
        try:
            converted.append(json_text(value) if is_json else exact_value(value, storage))
        except Misfit as misfit:
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
            made[field.name] = exact_value(value.get(field.name), field.type)
        except Misfit as misfit:
            raise misfit.inside(f".{field.name}") from None
    return made


def _list(value: Any, column_type: pa.DataType) -> list[Any]:
    _plain(value, list, "a list")
    made: list[Any] = []
    for part in value:
        try:
            made.append(exact_value(part, column_type.value_type))
        except Misfit as misfit:
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
        raise Misfit("is an integer of more than 64 bits")
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong(value, "a number")
    number = float(value)
    if Decimal(repr(number)) != value:
        raise Misfit("is a number that a DOUBLE can't hold exactly")
    return number


def _text(value: Any) -> str:
    _plain(value, str, "text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Misfit(text_problem(value) or "") from None
    return str(value)


def _plain(value: Any, wanted: type, words: str) -> Any:
    if not isinstance(value, wanted):
        raise _wrong(value, words)
    return value


def _wrong(value: Any, wanted: str) -> Misfit:
    if isinstance(value, Inexact):
        return Misfit(value.reason)
    return Misfit(f"is {_kind(value)} in Vercel's answer, where {wanted} belongs")


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", str: "text", list: "a list", dict: "an object"}
    if isinstance(value, Decimal):
        return "a fraction" if value != value.to_integral_value() else "a number"
    return names.get(type(value), "something else")
