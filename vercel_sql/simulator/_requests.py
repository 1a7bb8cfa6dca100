"""Reading what callers send, as strictly as the API does."""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from vercel_sql.simulator._errors import ApiError, invalid
from vercel_sql.simulator._json import Object, decode

_MAX_LIMIT = 100
_DEFAULT_LIMIT = 20


def path_value(request: Request, name: str) -> str:
    """Give the value of a path segment; it was routed percent-encoded, so it is one segment."""
    return unquote(request.path_params[name])


def query_value(request: Request, name: str) -> str | None:
    """Give a query parameter's value, or None where there is none.

    Raises:
        ApiError: It is given more than once (400).
    """
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise invalid(f"`{name}` should be given once.")
    return values[0] if values else None


def page_limit(request: Request) -> int:
    """Give the size of the page that is asked for.

    Raises:
        ApiError: It is not a number from 1 to 100 (400).
    """
    text = query_value(request, "limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise invalid("`limit` should be number.")
    limit = int(text)
    if limit < 1:
        raise invalid("`limit` should be >= 1.")
    if limit > _MAX_LIMIT:
        raise invalid(f"`limit` should be <= {_MAX_LIMIT}.")
    return limit


async def json_object(request: Request, properties: Mapping[str, type]) -> Object:
    """Read a JSON object that may have these properties, of these types.

    Raises:
        ApiError: The body is something else (400).
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise invalid("the `Content-Type` should be application/json.")
    try:
        body = decode(await request.body())
    except ValueError:
        raise ApiError(400, "Invalid JSON") from None
    if not isinstance(body, dict):
        raise invalid("should be object.")
    for name, value in body.items():
        if name not in properties:
            raise invalid(f"should NOT have additional property `{name}`.")
        _check_type(name, value, properties[name])
    return body


def _check_type(name: str, value: Any, wanted: type) -> None:
    if wanted is str and not isinstance(value, str):
        raise invalid(f"`{name}` should be string.")
    if wanted is float and not _is_number(value):
        raise invalid(f"`{name}` should be number.")
    if wanted is int and type(value) is not int:
        raise invalid(f"`{name}` should be integer.")
    if wanted is bool and not isinstance(value, bool):
        raise invalid(f"`{name}` should be boolean.")
    if wanted is dict and not isinstance(value, dict):
        raise invalid(f"`{name}` should be object.")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else True


def required(body: Object, name: str) -> str:
    """Give a text that has to be there, and not be empty.

    Raises:
        ApiError: It is not (400).
    """
    if name not in body:
        raise invalid(f"missing required property `{name}`.")
    value = str(body[name])
    if not value:
        raise invalid(f"`{name}` should NOT be shorter than 1 characters.")
    return value
