"""Exact JSON: what can't be represented is an error, never a rounded or dropped value."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")


def decode_json(body: bytes | str) -> Any:
    """Decodes JSON exactly: integers of any size, other numbers as `decimal.Decimal`.

    Raises:
        ValueError: the text is not valid JSON, a key stands twice in an object, the nesting is
            too deep, or a number is NaN, infinite or beyond what any decimal can be.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        return json.loads(
            text,
            parse_float=_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def encode_json(value: Any) -> str:
    """The JSON text of what `decode_json` gave, numbers exactly as they were."""
    return _encoder.encode(value).decode("utf-8")


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
