"""The options that each kind of fault takes, and what they have to be."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from vercel_sql.simulator._errors import invalid

Check = tuple[str, Callable[[Any], bool]]
"""What an option must be, in words and as a test."""

_MOST_SKEWED = 10**9
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_positive(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _TOKEN.fullmatch(name) and _is_header_text(str(text)) for name, text in value.items()
    )


def _is_status(value: Any) -> bool:
    return type(value) is int and 200 <= value <= 599


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_text, value))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        b64decode(value, validate=True)
    except ValueError:
        return False
    return True


def _is_skew(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _MOST_SKEWED


def _is_probability(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1


_HEADER_TEXT: Check = ("printable ASCII", _is_header_text)
_COUNT: Check = ("a whole number, 0 or more", _is_count)
_POSITIVE: Check = ("a whole number, 1 or more", _is_positive)
_TEXT: Check = ("a string", _is_text)
_FLAG: Check = ("true or false", _is_flag)
_STATUS: Check = ("an HTTP status from 200 to 599", _is_status)
_OBJECT: Check = ("an object", _is_object)
_HEADERS: Check = ("an object of header names and printable ASCII", _is_headers)
_PAIR: Check = ("a pair of strings", _is_pair)
_BASE64: Check = ("base64", _is_base64)
_SKEW: Check = (f"a number from -{_MOST_SKEWED} to {_MOST_SKEWED}", _is_skew)
_PROBABILITY: Check = ("a number greater than 0, 1 at most", _is_probability)
_ANYTHING: Check = ("anything", lambda _: True)

COMMON: Mapping[str, Check] = {
    "kind": _TEXT,
    "method": _TEXT,
    "path": _TEXT,
    "match": _TEXT,
    "times": ("a whole number from 1 on, or null", lambda v: v is None or _is_positive(v)),
    "after": _COUNT,
    "probability": _PROBABILITY,
}
"""The options that all kinds have."""

KINDS: Mapping[str, Mapping[str, Check]] = {
    "status": {
        "status": _STATUS,
        "code": _TEXT,
        "message": _TEXT,
        "extra": _OBJECT,
        "headers": _HEADERS,
        "acts": _FLAG,
    },
    "latency": {"ms": _COUNT, "acts_first": _FLAG},
    "hang": {"ms": _COUNT, "acts": _FLAG},
    "drop_before": {},
    "drop_after": {},
    "cut_body": {"bytes": _COUNT},
    "drip": {"ms": _COUNT, "bytes": _POSITIVE, "headers_first": _FLAG},
    "garbage_body": {"html": _FLAG},
    "repeat_cursor": {},
    "page": {"rows": _COUNT},
    "body": {
        "status": _STATUS,
        "body": _ANYTHING,
        "raw": _BASE64,
        "content_type": _HEADER_TEXT,
        "headers": _HEADERS,
    },
    "patch": {"patch": _ANYTHING, "replace_text": _PAIR},
    "clock_skew": {"seconds": _SKEW},
    "redirect": {"location": _HEADER_TEXT, "status": _STATUS, "headers": _HEADERS, "acts": _FLAG},
}
"""The options of each kind, beside those that all have."""

_REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "status": (("status",),),
    "latency": (("ms",),),
    "drip": (("ms",),),
    "page": (("rows",),),
    "body": (("body", "raw"),),
    "clock_skew": (("seconds",),),
    "redirect": (("location",),),
}
"""What has to be there: of each group, one."""


def check(given: Any) -> None:
    """Check a fault as it is posted.

    Raises:
        ApiError: It is not one (400); the message names what is wrong.
    """
    if not isinstance(given, Mapping):
        raise invalid("a fault should be object.")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise invalid(f"`kind` should be one of {', '.join(KINDS)}.")
    checks = {**COMMON, **KINDS[kind]}
    for name, value in given.items():
        if name not in checks:
            raise invalid(f"a {kind} fault should NOT have additional property `{name}`.")
        meaning, is_right = checks[name]
        if not is_right(value):
            raise invalid(f"`{name}` should be {meaning}.")
    for group in _REQUIRED.get(kind, ()):
        _check_one(group, given)


def _check_one(group: tuple[str, ...], given: Mapping[str, Any]) -> None:
    count = sum(name in given for name in group)
    named = " or ".join(f"`{name}`" for name in group)
    if count == 0:
        raise invalid(f"missing required property {named}.")
    if count > 1:
        raise invalid(f"should have {named}, not both.")
