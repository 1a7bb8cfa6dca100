"""The types of a report's parameters: from what a person writes to a value, or why not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType

Value = bool | int | float | str | date | datetime


def value_of(text: str, kind: str) -> Value:
    """The value that a text stands for, as one of `TYPES`.

    DuckDB's own casts are too kind for this: they round 1.5 to the INTEGER 2.
    """
    return TYPES[kind](text)


def _integer(bits: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
            raise ValueError(f"{text!r} is no whole number")
        value = int(text)
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"{text} is out of range")
        return value

    return read


def _double(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no number")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"{text!r} is no date such as 2026-03-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text}") from None


def _timestamp(text: str) -> datetime:
    """A moment; without a zone it is UTC, as everywhere in this package."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 2026-03-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


TYPES: Mapping[str, Callable[[str], Value]] = MappingProxyType(
    {
        "INTEGER": _integer(32),
        "BIGINT": _integer(64),
        "DOUBLE": _double,
        "BOOLEAN": _boolean,
        "VARCHAR": str,
        "DATE": _date,
        "TIMESTAMPTZ": _timestamp,
    }
)
"""How a text becomes a value, by the type that a header names."""
