"""JSON as the simulated API reads and writes it."""

import json
from typing import Any

Object = dict[str, Any]


def encode(value: Any) -> bytes:
    """Write compact UTF-8 JSON; integers keep every digit."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate is escaped, as JavaScript does
        return json.dumps(value, separators=(",", ":")).encode()


def decode(data: bytes) -> Any:
    """Read JSON strictly: a repeated key or a NaN is the client's mistake, and shows.

    Raises:
        ValueError: The bytes are not one JSON value.
    """
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
