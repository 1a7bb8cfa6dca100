"""Another reading of JSON answers, simple and slow, to hold the decoders against."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

_DEEPEST = 60
_LONGEST_NUMBER = 1000
_INT64 = range(-(2**63), 2**63)


class NotExact(Exception):
    """A value that can't be had exactly; a decoder has to refuse it."""


class Number(str):
    """A number as it is written."""

    @property
    def value(self) -> Decimal:
        try:
            return Decimal(str(self))
        except InvalidOperation:
            raise NotExact("a number beyond all bounds") from None


class Constant(str):
    """NaN or an infinity."""


class Object(list[tuple[str, Any]]):
    """An object as its members, in order, equal names and all."""

    def member(self, name: str) -> Any:
        """The only member of a name; None where there is none."""
        found = [value for key, value in self if key == name]
        if len(found) > 1:
            raise NotExact(f"{name} stands twice")
        return found[0] if found else None


def load(body: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        NotExact: it is none, or too deep to read.
    """
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=Object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=Constant,
        )
    except (ValueError, RecursionError) as error:
        raise NotExact(str(error)) from None


def at(content: Any, path: list[str]) -> Any:
    """What stands at a path."""
    for name in path:
        if not isinstance(content, Object):
            raise NotExact("no object")
        content = content.member(name)
    return content


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON is of the kind that no decoder may refuse for its form."""
    if depth > _DEEPEST or isinstance(value, Constant):
        return False
    if isinstance(value, Number):
        return _is_plain_number(value)
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, Object):
        names = [name for name, _ in value]
        unique = len(names) == len(set(names))
        return unique and all(map(_is_text, names)) and _all_plain([v for _, v in value], depth)
    return _all_plain(value, depth) if isinstance(value, list) else True


def _is_plain_number(number: Number) -> bool:
    try:
        return len(number) < _LONGEST_NUMBER and abs(number.value.adjusted()) < _LONGEST_NUMBER
    except NotExact:
        return False


def _all_plain(values: list[Any], depth: int) -> bool:
    return all(is_plain(value, depth + 1) for value in values)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def exact(value: Any, of_type: pa.DataType) -> Any:
    """What a column of a type holds for a value.

    Raises:
        NotExact: it can't hold that.
    """
    if value is None:
        return None
    if kinds.is_struct(of_type):
        _require(isinstance(value, Object))
        return {field.name: exact(value.member(field.name), field.type) for field in of_type}
    if kinds.is_list(of_type):
        _require(isinstance(value, list) and not isinstance(value, Object))
        return [exact(part, of_type.value_type) for part in value]
    if kinds.is_int64(of_type):
        return _integer(value)
    if kinds.is_boolean(of_type):
        _require(isinstance(value, bool))
        return value
    if kinds.is_floating(of_type):
        return _double(value)
    _require(type(value) is str and _is_text(value))
    return value


def _integer(value: Any) -> int:
    _require(isinstance(value, Number))
    number = value.value
    _require(abs(number.adjusted()) < 25 and number == number.to_integral_value())
    _require(int(number) in _INT64)
    return int(number)


def _double(value: Any) -> float:
    _require(isinstance(value, Number))
    number = float(value.value)
    _require(Decimal(number) == value.value or Decimal(repr(number)) == value.value)
    return number


def _require(holds: bool) -> None:
    if not holds:
        raise NotExact("a value of another type")


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """Each value that is no object or list, by its path; what is empty stands for itself."""
    if isinstance(value, Object):
        parts: Any = list(value)
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        return {path: value.value if isinstance(value, Number) else value}
    found = {} if parts else {path: type(value)}
    for name, part in parts:
        found.update(leaves(part, (*path, name)))
    return found


def known_at(path: tuple[str | int, ...], of_types: dict[str, pa.DataType | None]) -> bool:
    """Whether a row's columns have a place for the value at a path.

    Args:
        path: the path in the row.
        of_types: the columns' types; None for JSON, which has a place for anything.
    """
    name, *steps = path
    of_type = of_types.get(str(name), pa.null())
    for step in steps:
        if of_type is None:
            return True
        if isinstance(step, int):
            of_type = of_type.value_type if kinds.is_list(of_type) else pa.null()
        else:
            index = of_type.get_field_index(step) if kinds.is_struct(of_type) else -1
            of_type = of_type.field(index).type if index >= 0 else pa.null()
    return of_type is None or not kinds.is_null(of_type)
