"""JSON, and the answers and errors of the simulated API in the shapes that Vercel gives them."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

Object = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Keeps secrets out of caches (RFC 6749, section 5.1)."""

_DEFAULTS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Not authorized"),
    404: ("not_found", "Not found"),
    405: ("method_unknown", "This endpoint does not take that HTTP method"),
    408: ("request_timeout", "The request took too long"),
    429: ("rate_limited", "Rate limit exceeded"),
}
"""The code and message of each documented status, for errors that name neither."""


def encode(value: Any) -> bytes:
    """Write compact UTF-8 JSON; integers keep every digit."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate is escaped, as JavaScript does
        return json.dumps(value, separators=(",", ":")).encode()


def decode(data: bytes) -> Any:
    """Read JSON strictly: a repeated key or a NaN is a ValueError."""
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


def answer(value: Object) -> Response:
    """Answer with JSON."""
    return Response(encode(value), media_type="application/json")


def no_store(value: Object) -> Response:
    """Answer with JSON that no cache may keep."""
    return Response(encode(value), headers=NO_STORE, media_type="application/json")


def media_type(headers: Mapping[str, str]) -> str:
    """Read the media type of a body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class RefusalError(Exception):
    """An answer other than success, which endpoints raise."""

    def __init__(self, message: str, response: Response) -> None:
        self.response = response
        super().__init__(message)


class ApiError(RefusalError):
    """The API's errors: `{"error": {"code": …, "message": …, **extra}}`."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        default_code, default_message = _DEFAULTS.get(
            status, ("internal_server_error", "Internal Server Error")
        )
        shown = {"code": code or default_code}
        shown["message"] = default_message if message is None else message
        body = encode({"error": {**shown, **(extra or {})}})
        response = Response(body, status, headers, media_type="application/json")
        super().__init__(shown["message"], response)


class OAuthError(RefusalError):
    """The authorization server's errors: `{"error": …, "error_description": …}`."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        body = encode({"error": code, "error_description": description})
        headers = {**NO_STORE, **(headers or {})}
        super().__init__(description, Response(body, status, headers, "application/json"))


def invalid(message: str) -> ApiError:
    """Say that a value is invalid."""
    return ApiError(400, f"Invalid request: {message}")
