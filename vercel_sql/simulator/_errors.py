"""Errors in the shape in which Vercel answers them."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from vercel_sql.simulator._json import encode

DEFAULTS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Not authorized"),
    404: ("not_found", "Not found"),
    405: ("method_unknown", "This endpoint does not take that HTTP method"),
    408: ("request_timeout", "The request took too long"),
    429: ("rate_limited", "Rate limit exceeded"),
}
"""The code and message of each documented status, for errors that name neither."""


class ApiError(Exception):
    """An answer other than success: `{"error": {"code": …, "message": …, …}}`."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        default_code, default_message = DEFAULTS.get(
            status, ("internal_server_error", "Internal Server Error")
        )
        self.status = status
        self.code = code or default_code
        self.message = default_message if message is None else message
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(f"{status} {self.code}: {self.message}")

    def response(self) -> Response:
        """Give the HTTP answer; extra fields stand beside `message`, as they do at Vercel."""
        body = {"error": {"code": self.code, "message": self.message, **self.extra}}
        return Response(
            encode(body), self.status, headers=self.headers, media_type="application/json"
        )


def invalid(message: str) -> ApiError:
    """Say that one of the provided values is invalid."""
    return ApiError(400, f"Invalid request: {message}")
