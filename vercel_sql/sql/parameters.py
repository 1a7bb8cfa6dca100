"""The values that a caller gives for a script's placeholders."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from typing import Any

from vercel_sql.errors import ParameterError
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.sql.placeholders import Placeholder

_TABLES = frozenset(
    [
        *("DataFrame", "LazyFrame", "Table", "RecordBatch", "RecordBatchReader", "Dataset"),
        *("DuckDBPyRelation", "Rows"),
    ]
)
_VALUES = (
    *(bool, int, float, str, bytes, bytearray, memoryview, type(None), uuid.UUID),
    *(datetime.date, datetime.time, datetime.timedelta, decimal.Decimal),
)
_FINER = ("[ns]", "[ps]", "[fs]", "[as]")


class NoValueError(TypeError):
    """Something has no value in SQL."""


def is_table(value: object) -> bool:
    """Whether it is a DataFrame or another table, of whatever library."""
    return any(kind.__name__ in _TABLES for kind in type(value).__mro__)


def bindable(value: Any) -> Any:
    """A value as DuckDB takes it: a list for a set or a column, None for what is missing."""
    module = type(value).__module__.partition(".")[0]
    if is_table(value):
        raise NoValueError(type(value).__name__)
    if module == "numpy" and hasattr(value, "dtype"):
        return _of_numpy(value)
    if module == "pandas" and type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, _VALUES) or module == "duckdb":
        return value
    if isinstance(value, Mapping):
        return {key: bindable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | Set | range | deque | ValuesView):
        return [bindable(each) for each in value]
    return _of_library(value)


def _of_numpy(value: Any) -> Any:
    if str(value.dtype).endswith(_FINER):
        # It would become a number of nanoseconds.
        value = value.astype(f"{value.dtype.kind}8[us]")
    return bindable(value.tolist()) if value.dtype.kind in "OV" else value.tolist()


def _of_library(value: Any) -> Any:
    for name in ("to_list", "to_pylist", "as_py"):
        if hasattr(value, name):
            return bindable(getattr(value, name)())
    raise NoValueError(type(value).__name__)


_AS_THEY_ARE = (str, int, float, bool, bytes, type(None))
_MOST_BITS = 14_000  # an integer with more has more digits than Python writes


class TextValue(str):
    """A value that was given as text, on the command line, for whatever type it is needed as.

    It is a string like any other, and says so where a number that was given as text may be cast
    and one that a program gave as a string may not.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<TextValue>"


class Parameters(NotPicklable):
    """Values by name or by position.

    Names match whatever their case, as DuckDB's do. No value shows in the repr or in an error:
    any of them may be a secret.
    """

    def __init__(
        self,
        values: Mapping[str, object] | Sequence[object] | None = None,
        *,
        text: bool | Collection[str] = False,
    ) -> None:
        self.positional = values is not None and not isinstance(values, Mapping)
        self._values: dict[str, object] = {}
        self._written: dict[str, str] = {}
        for written, value in _named(values):
            name = written.lower()
            if name in self._values:
                raise ParameterError(
                    f"The parameters {self._written[name]} and {written} are the same one: "
                    "names match whatever their case."
                )
            value = _bindable(written, value)
            if misfit := _misfit(written) or _misfit(value):
                raise ParameterError(
                    f"The parameter {written!a} holds {misfit}, which can't be sent."
                )
            as_text = written in text if isinstance(text, Collection) else text
            self._values[name] = TextValue(value) if as_text and isinstance(value, str) else value
            self._written[name] = written

    def __repr__(self) -> str:
        return f"<Parameters: {', '.join(self._written.values()) or 'none'}>"

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        """The names as they were given; ``1``, ``2``, … for values by position."""
        return iter(self._written.values())

    def __getitem__(self, name: str) -> object:
        """The value of a name; a `TextValue` where it was given as text."""
        return self._values[name.lower()]

    def is_text(self, name: str) -> bool:
        """Whether the value was given as text that stands for any type."""
        return isinstance(self._values.get(name.lower()), TextValue)

    def value(self, placeholder: Placeholder) -> object:
        """The value for a placeholder, as DuckDB takes it."""
        if placeholder.name not in self._values:
            raise ParameterError(f"The placeholder {placeholder.label} has no value.")
        value = self._values[placeholder.name]
        return str(value) if isinstance(value, TextValue) else value


def _named(values: Mapping[str, object] | Sequence[object] | None) -> list[tuple[str, object]]:
    if values is None:
        return []
    if isinstance(values, Mapping):
        return [(str(name), value) for name, value in values.items()]
    if isinstance(values, str | bytes):
        raise ParameterError("Parameters are a sequence or a mapping of values, not one string.")
    if not isinstance(values, Iterable):
        kind = type(values).__name__
        raise ParameterError(
            f"Parameters are a sequence or a mapping of values, not one {kind}: write [value]."
        )
    return [(str(number), value) for number, value in enumerate(values, start=1)]


def _bindable(name: str, value: object) -> object:
    if type(value) in _AS_THEY_ARE:
        return value
    try:
        return bindable(value)
    except NoValueError as error:
        hint = "" if not is_table(value) else f". Name it in the statement: FROM {name}"
        raise ParameterError(
            f"The parameter {name!a} is a {error}, which can't be a value in SQL{hint}."
        ) from None


def half_character(text: str) -> int | None:
    """Where the first half of a surrogate pair stands alone in a text, or None."""
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def _misfit(value: object) -> str:
    """What is in a value that has no text, and that DuckDB has no error for; or nothing."""
    match value:
        case str():
            return "" if half_character(value) is None else "half a character (a lone surrogate)"
        case int():
            return "a number of thousands of digits" if value.bit_length() > _MOST_BITS else ""
        case Mapping():
            parts = [*value.keys(), *value.values()]
        case list() | tuple():
            parts = list(value)
        case _:
            return ""
    return next(filter(None, map(_misfit, parts)), "")


NO_PARAMETERS = Parameters()
