"""Exact JSON: what can't be represented is an error, never a rounded or dropped value."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

TOO_DEEP = "the JSON is nested too deeply"
# A value in Python takes up to fifty times the bytes that it takes as JSON.
_MOST_VALUES = 4_000_000
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode_json(body: bytes | str, *, deepest: int | None = None) -> Any:
    """Decodes JSON exactly: integers as they are, other numbers as `decimal.Decimal`.

    Args:
        body: the JSON text, in UTF-8 where it is bytes.
        deepest: how many levels may be nested; None is as many as Python can read.

    Raises:
        ValueError: the text is not valid JSON, a key stands twice in an object, the nesting is
            too deep, there are too many values for the memory, or a number is NaN, infinite or
            beyond what Python can hold or write.
    """
    text = body if isinstance(body, str) else body.decode("utf-8")
    if text.count(",") > _MOST_VALUES:
        raise ValueError(f"the JSON holds more than {_MOST_VALUES:,} values")
    try:
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if deepest is not None and _is_deeper(value, deepest):
        raise ValueError(TOO_DEEP)
    return value


def encode_json(value: Any) -> str:
    """The JSON text of what `decode_json` gave, numbers exactly as they were."""
    return _encoder.encode(value).decode("utf-8")


def encode_any_json(value: Any) -> str:
    """The same for what holds any strings: half a character, which UTF-8 has not, is escaped."""
    try:
        return encode_json(value)
    except UnicodeEncodeError:
        return json.dumps(value, default=str)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more levels than so many are nested, found without nesting as deep."""
    level = [value]
    for _ in range(levels):
        level = [part for whole in level for part in _parts(whole)]
    return any(_parts(whole) for whole in level)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("a number has thousands of digits") from None


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError("a number has an exponent beyond all bounds") from None


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {doubled!r} stands twice in one object")
    return made
