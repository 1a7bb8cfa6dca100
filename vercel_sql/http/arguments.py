"""Checks the arguments of a method against the manifest, before the first request."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from vercel_sql.errors import DataError, ParameterError
from vercel_sql.http.server_clock import ServerClock
from vercel_sql.manifest import Method, Parameter

_YEAR_10000_MS = 253_402_300_800_000
# Milliseconds below this are dates before 1976; seconds below it reach to the year 8307.
_SECONDS_BELOW = 200_000_000_000
_INT64 = range(-(2**63), 2**63)
_DIGITS = 20  # more than a 64-bit integer has


def check_arguments(
    method: Method, arguments: Mapping[str, Any], where: str, clock: ServerClock | None = None
) -> dict[str, Any]:
    """The arguments under the parameters' own names, each of the type that the manifest says.

    A None is left out, as if the argument had not been given, but for parameters that take a NULL
    as a value.
    """
    named = _by_parameter(method, arguments, where)
    missing = [p.name for p in method.required if named.get(p.name, (p, None))[1] is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ParameterError(f"{where}: {', '.join(missing)} {verb} missing; {_usage(method)}")
    checked = {}
    for name, (parameter, value) in named.items():
        if value is not None:
            checked[name] = convert(parameter, value, f"{where}: {name}", clock)
        elif parameter.null == "value":
            checked[name] = None
    return checked


def _by_parameter(
    method: Method, arguments: Mapping[str, Any], where: str
) -> dict[str, tuple[Parameter, Any]]:
    named: dict[str, tuple[Parameter, Any]] = {}
    for name, value in arguments.items():
        parameter = method.parameter(name)
        if parameter is None:
            known = [p.name for p in method.given]
            raise ParameterError(
                f"{where}: {method.name} has no parameter {name!r}"
                f"{nearest(name, known)}; {_usage(method)}"
            )
        if parameter.name in named:
            raise ParameterError(f"{where}: {parameter.name} is given twice")
        named[parameter.name] = parameter, value
    return named


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion to end an error with: the known name that is most like the one given."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _usage(method: Method) -> str:
    parts = [f"required: {', '.join(p.name for p in method.required) or 'nothing'}"]
    if method.optional:
        parts.append(f"optional: {', '.join(p.name for p in method.optional)}")
    return "; ".join(parts)


def convert(parameter: Parameter, value: Any, where: str, clock: ServerClock | None = None) -> Any:
    """One value as the type that its parameter has."""
    converted = _CONVERSIONS[parameter.type](value, parameter, where)
    _check_limits(parameter, converted, where, clock)
    return converted


def _text(value: Any, _parameter: Parameter, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise DataError(f"{where} takes text, not {_kind(value)}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise DataError(f"{where} takes text, not an infinite value or NaN")
    try:
        text = str(value)
    except ValueError:
        raise DataError(f"{where} takes text, not a number of thousands of digits") from None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{where} holds half a surrogate pair, so it is not text") from None
    return text


def _integer(value: Any, parameter: Parameter, where: str) -> int:
    if isinstance(value, (datetime, date)) and parameter.moment:
        return _milliseconds(value)
    if isinstance(value, str):
        value = _number_or_moment(value, parameter, where)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise DataError(f"{where} takes {_wanted(parameter)}, not {_kind(value)}")
    try:
        number = None if _is_huge(value) else int(value)
    except (OverflowError, ValueError):
        raise DataError(
            f"{where} takes {_wanted(parameter)}, not an infinite value or NaN"
        ) from None
    if number is None or number != value or number not in _INT64:
        raise DataError(f"{where} takes {_wanted(parameter)}; the value is not a 64-bit integer")
    return number


def _is_huge(value: float | Decimal) -> bool:
    """Whether a number would fill the memory as an int: a Decimal such as 1E+999999999."""
    return isinstance(value, Decimal) and value.is_finite() and value.adjusted() > _DIGITS


def _number_or_moment(text: str, parameter: Parameter, where: str) -> int:
    stripped = text.strip()
    # Python alone would read 1_000 and the digits of other scripts, too.
    if stripped.isascii() and stripped.lstrip("+-").isdigit():
        try:
            return int(stripped)
        except ValueError:
            pass
    if parameter.moment:
        try:
            return _milliseconds(datetime.fromisoformat(stripped))
        except ValueError:
            pass
    raise DataError(f"{where} takes {_wanted(parameter)}; the text given is not one")


def _milliseconds(value: datetime | date) -> int:
    """Milliseconds since the epoch, rounded down; without a zone the time is UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds) // 1000


def _boolean(value: Any, _parameter: Parameter, where: str) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().casefold() in words:
        return words[value.strip().casefold()]
    raise DataError(f"{where} takes true or false, not {_kind(value)}")


def _double(value: Any, _parameter: Parameter, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where} takes a number, not {_kind(value)}") from None
    if number - number != 0:
        raise DataError(f"{where} takes a finite number")
    return number


_CONVERSIONS = {"VARCHAR": _text, "BIGINT": _integer, "BOOLEAN": _boolean, "DOUBLE": _double}


def _check_limits(parameter: Parameter, value: Any, where: str, clock: ServerClock | None) -> None:
    if isinstance(value, str):
        _check_text(parameter, value, where)
    elif parameter.moment:
        _check_moment(parameter, value, where, clock)
    elif parameter.minimum is not None and value < parameter.minimum:
        raise DataError(f"{where} is at least {parameter.minimum}")
    elif parameter.maximum is not None and value > parameter.maximum:
        raise DataError(f"{where} is at most {parameter.maximum}")


def _check_text(parameter: Parameter, value: str, where: str) -> None:
    if parameter.allowed and value not in parameter.allowed:
        allowed = ", ".join(parameter.allowed)
        raise DataError(f"{where} takes one of {allowed}{nearest(value, parameter.allowed)}")
    if len(value.strip()) < parameter.min_length:
        raise DataError(f"{where} is empty")
    if parameter.location == "bearer" and not (value.isascii() and value.isprintable()):
        # It would end up in an HTTP header, and in an error about that header.
        raise DataError(f"{where} has characters that no token has (a line break inside?)")
    if parameter.location == "path" and value in (".", ".."):
        # These would leave their place in the path, however they are encoded.
        raise DataError(f"{where}: {value!r} can't stand in a path")


def _check_moment(parameter: Parameter, value: int, where: str, clock: ServerClock | None) -> None:
    now = time.time_ns() // 1_000_000 if clock is None else clock.cautious_ms()
    if value >= _YEAR_10000_MS:
        raise DataError(
            f"{where} takes milliseconds since the epoch; {value} lies beyond the year 9999 "
            "(microseconds or nanoseconds?)"
        )
    if parameter.moment != "future" or value > now:
        return
    if now < value * 1000 and value < _SECONDS_BELOW:
        raise DataError(
            f"{where} takes milliseconds since the epoch; {value} looks like seconds: "
            f"{value * 1000} is the same moment in milliseconds"
        )
    at = datetime.fromtimestamp(value / 1000, UTC).isoformat() if value > -(10**13) else "long ago"
    note = "" if clock is None else clock.note("the server")
    told = f"{where} lies in the past: {value} is {at}, and it is {now} now"
    raise DataError(f"{told}. {note}" if note else told)


def _wanted(parameter: Parameter) -> str:
    if parameter.moment:
        return "milliseconds since the epoch, a timestamp or a date"
    return "an integer"


def _kind(value: Any) -> str:
    kinds = {
        bool: "a boolean",
        dict: "a struct",
        list: "a list",
        bytes: "a blob",
        float: "a DOUBLE",
    }
    if isinstance(value, (datetime, date)):
        return "a date or time"
    return kinds.get(type(value), f"a value of type {type(value).__name__}")
