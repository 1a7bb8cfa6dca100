"""From an HTTP response to an error that says what failed, where, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from vercel_sql.api.decode import decode_json
from vercel_sql.api.redaction.structures import masked_values
from vercel_sql.errors import (
    AnswerError,
    APIError,
    APIErrorDetail,
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    RateLimitedError,
    RedirectError,
    ServerError,
    UnauthorizedError,
)
from vercel_sql.manifest import Method

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    429: RateLimitedError,
}
_LONGEST_CODE = 100
_LONGEST_MESSAGE = 500
_DEEPEST = 50  # levels of JSON in an error, which is masked and shown
# What the codes of RFC 6749 (section 5.2) mean for the person who reads them here.
_OAUTH_HINTS = {
    "invalid_client": "Check client_id and client_secret, and whether the app has a secret at all",
    "invalid_grant": (
        "A code works once and not for long, and with what it was asked for; a refresh token works "
        "once. Begin the sign-in again"
    ),
}


def api_error(
    method: Method,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    mask: Callable[[str], str],
) -> APIError:
    """The error for an answer whose status is not 2xx.

    Args:
        method: the method that was called.
        path: the path that was asked for.
        status: the status of the answer.
        headers: its headers.
        body: its body.
        mask: masks secrets, which the server or the path may repeat.
    """
    detail = _detail(method, mask(path), status, headers, body, mask)
    text = f"vercel.{method.resource}: {method.name} failed: {detail.method} {detail.path} "
    text += f"answered {status} {detail.code}: {detail.message}"
    hint = _hint(detail, headers)
    return _class_for(status)(f"{text.rstrip(' .:')}. {hint}" if hint else text, detail)


def _class_for(status: int) -> type[APIError]:
    if 300 <= status < 400:
        return RedirectError
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIError)


def _detail(
    method: Method,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    mask: Callable[[str], str],
) -> APIErrorDetail:
    code, message, extra = _read_error(body)
    if not code:
        kind = headers.get("content-type", "nothing").split(";")[0]
        code = "unknown_error"
        message = message or f"the body is {kind}, not one of Vercel's errors (a proxy's page?)"
    # Masked before they are cut: nobody would know half a secret.
    code, message = mask(code)[:_LONGEST_CODE], mask(message)[:_LONGEST_MESSAGE]
    return APIErrorDetail(status, code, message, method.http, path, masked_values(extra, mask))


def _read_error(body: bytes) -> tuple[str, str, dict[str, Any]]:
    """Code, message and the rest, from Vercel's shape or OAuth's; empty where it is neither."""
    try:
        content = decode_json(body, deepest=_DEEPEST)
    except ValueError:
        return "", "", {}
    if not isinstance(content, dict):
        return "", "", {}
    error = content.get("error")
    if isinstance(error, dict):
        extra = {key: value for key, value in error.items() if key not in ("code", "message")}
        return str(error.get("code") or ""), str(error.get("message") or ""), extra
    if isinstance(error, str):
        named = ("error", "error_description")
        extra = {key: value for key, value in content.items() if key not in named}
        return error, str(content.get("error_description") or ""), extra
    return "", "", {}


def _hint(detail: APIErrorDetail, headers: Mapping[str, str]) -> str:
    """What the reader can do about it."""
    if detail.extra.get("invalidToken"):
        return "The token is dead: it was revoked, or it expired. Use another one"
    if detail.extra.get("missingToken"):
        return "The request carried no token"
    if detail.code == "integration_configuration_disabled":
        return (
            "The integration is disabled, because the person who owned it left the team. A team "
            "owner has to transfer its ownership within 30 days, or Vercel deletes it"
        )
    if detail.code in _OAUTH_HINTS:
        return _OAUTH_HINTS[detail.code]
    if detail.status == 401:
        return "Check that the token is whole, and that it belongs to this API"
    if detail.status == 403:
        return "The token may not do this: check its scopes and its team"
    if detail.status == 429:
        seconds = retry_after_seconds(detail, headers)
        return "" if seconds is None else f"The limit is free again in {seconds:.0f} s"
    if 300 <= detail.status < 400:
        return "Redirects are not followed, so that no credentials go elsewhere: check the API URL"
    return ""


def retry_after_seconds(detail: APIErrorDetail, headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait, in seconds from now, or None where it does not say.

    ``Retry-After`` may be seconds or an HTTP date; ``limit.resetMs`` (milliseconds since the
    epoch) and ``limit.reset`` (seconds) say the same in the body.
    """
    asked = headers.get("retry-after")
    if asked is not None:
        seconds = _retry_after_header(asked)
        if seconds is not None:
            return seconds
    limit = detail.extra.get("limit")
    if isinstance(limit, dict):
        for key, scale in (("resetMs", 1000), ("reset", 1)):
            moment = _finite(limit.get(key))
            if moment is not None:
                return max(0.0, moment / scale - datetime.now(UTC).timestamp())
    return None


def _retry_after_header(value: str) -> float | None:
    seconds = _finite(value)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _finite(value: object) -> float | None:
    """A whole number, or a number's text, as a float; None where it is no number in its reach."""
    if not isinstance(value, int | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def not_json(method: Method, path: str, content_type: str, reason: str) -> AnswerError:
    """The error for a 2xx answer whose body can't be used."""
    kind = content_type.split(";")[0] or "nothing"
    proxy = " A proxy or a captive portal may have answered." if "html" in kind else ""
    return AnswerError(
        f"vercel.{method.resource}: {method.name} failed: {method.http} {path} gave an answer "
        f"that can't be used ({kind[:_LONGEST_CODE]}): {reason[:_LONGEST_MESSAGE]}.{proxy}",
        method=method.http,
        path=path,
        outcome_unknown=not method.reads,
    )
