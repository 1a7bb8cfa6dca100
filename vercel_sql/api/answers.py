"""From an HTTP response to an error that says what failed, where, and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from vercel_sql.api.decode import decode_json
from vercel_sql.api.explanations import explained
from vercel_sql.api.foreign_pages import advice_about, leads_elsewhere, page_of_others
from vercel_sql.api.redaction.structures import masked_values
from vercel_sql.errors import (
    AnswerError,
    AnswerMismatchError,
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
from vercel_sql.escapes import visible
from vercel_sql.manifest import Method

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    429: RateLimitedError,
}
_FOREIGN = "unknown_error"  # the code of what is none of the API's errors
_NAMELESS = "unnamed_error"  # the code of an error of the API that has a message alone
_LONGEST_CODE = 100
_LONGEST_MESSAGE = 500
_DEEPEST = 50  # levels of JSON in an error, which is masked and shown
# What the codes of RFC 6749 (section 5.2) mean for the person who reads them here.
_OAUTH_HINTS = {
    "invalid_client": (
        "Check client_id and client_secret, and whether the app has a secret at all. An assertion "
        "works once, for a minute, and with the app's own secret or key"
    ),
    "invalid_grant": (
        "A code works once and not for long, and with what it was asked for; a refresh token works "
        "once. Begin the sign-in again"
    ),
}


@dataclass(frozen=True)
class Origin:
    """Where an answer should have come from.

    Attributes:
        host: the server's host.
        now: the time there, in seconds since the epoch; None takes this machine's.
        clock_note: how wrong this machine's clock is, in words; empty where it is not.
    """

    host: str = "Vercel"
    now: float | None = None
    clock_note: str = ""


_SOMEWHERE = Origin()


def api_error(
    method: Method,
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    mask: Callable[[str], str],
    origin: Origin = _SOMEWHERE,
    authorization: str | None = None,
) -> APIError:
    """The error for an answer whose status is not 2xx."""
    detail = _detail(method, mask(path), status, headers, body, mask)
    text = f"vercel.{method.resource}: {method.name} failed: {detail.method} {detail.path} "
    # Programs are given what was said; people are told it in one line, as is all of this.
    text += f"answered {status} {visible(detail.code)}: {visible(detail.message)}"
    pause = retry_after_seconds(detail, headers, origin.now)
    bearer = (authorization or "").removeprefix("Bearer ")
    hint = _hint(method, detail, headers, body, origin.host, bearer)
    if not hint and status == 429 and pause is not None:
        hint = f"The limit is free again in {pause:.0f} s"
    hints = [hint, _clock_hint(method, detail, origin)]
    if status >= 500:
        hints = [*hints, _sign_in_hint(method)]
    told = ". ".join(hint for hint in hints if hint)
    error = _class_for(status)(f"{text.rstrip(' .:')}. {told}" if told else text, detail)
    error.retry_after = pause
    return error


def _class_for(status: int) -> type[APIError]:
    if 300 <= status < 400 and status != 304:
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
    if message and not code:
        code = _NAMELESS
    if not code:
        kind = headers.get("content-type", "nothing").split(";")[0]
        code = _FOREIGN
        found = page_of_others(status, headers, body) or f"the body is {kind}"
        message = f"{found}, not one of Vercel's errors"
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


def _hint(
    method: Method,
    detail: APIErrorDetail,
    headers: Mapping[str, str],
    body: bytes,
    host: str,
    bearer: str,
) -> str:
    """What the reader can do about it."""
    if detail.code == _FOREIGN:
        return _hint_about_foreign(detail, headers, body, host)
    return _OAUTH_HINTS.get(detail.code) or explained(method, detail, bearer)


def _hint_about_foreign(
    detail: APIErrorDetail, headers: Mapping[str, str], body: bytes, host: str
) -> str:
    """What the reader can do about an answer that is none of the API's errors."""
    hints = []
    if detail.status == 304:
        hints.append(
            "Only a cache is answered so, and none was asked for: something on the way to "
            f"{host} keeps one. Check HTTPS_PROXY and the API URL"
        )
    elif 300 <= detail.status < 400:
        hints.append(
            "Redirects are not followed, so that no credentials go elsewhere: check the API URL"
        )
    if leads_elsewhere(detail.status, headers, host) or page_of_others(
        detail.status, headers, body
    ):
        hints.append(advice_about(detail.status, headers, host))
    return ". ".join(hints)


def _sign_in_hint(method: Method) -> str:
    """What to do about a sign-in that nobody knows the end of, and that can't be looked up."""
    if not method.makes_secret or method.trace is not None:
        return ""
    return "It may have been carried out all the same: begin the sign-in again"


def _clock_hint(method: Method, detail: APIErrorDetail, origin: Origin) -> str:
    """Word of a wrong clock, where the error may have come of it: about an expiry, or a dead token.

    An expiry that was counted from now, by a clock that is behind, may be over already.
    """
    about_moment = detail.status == 400 and any(p.moment for p in method.parameters)
    is_about_time = about_moment or detail.extra.get("invalidToken") is True
    return origin.clock_note if is_about_time else ""


def retry_after_seconds(
    detail: APIErrorDetail, headers: Mapping[str, str], now: float | None = None
) -> float | None:
    """How long the server asks to wait, in seconds from now, or None where it does not say.

    ``Retry-After`` may be seconds or an HTTP date; ``limit.resetMs`` (milliseconds since the
    epoch) and ``limit.reset`` (seconds) say the same in the body.
    """
    now = datetime.now(UTC).timestamp() if now is None else now
    asked = headers.get("retry-after")
    if asked is not None:
        seconds = _retry_after_header(asked, now)
        if seconds is not None:
            return seconds
    limit = detail.extra.get("limit")
    if isinstance(limit, dict):
        for key, scale in (("resetMs", 1000), ("reset", 1)):
            moment = _finite(limit.get(key))
            if moment is not None:
                return max(0.0, moment / scale - now)
    return None


def _retry_after_header(value: str, now: float) -> float | None:
    seconds = _finite(value)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, at.timestamp() - now)


def _finite(value: object) -> float | None:
    """A whole number, or a number's text, as a float; None where it is no number in its reach."""
    if not isinstance(value, int | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def not_its_own(method: Method, path: str, reason: str) -> AnswerMismatchError:
    """The error for an answer that belongs to another request."""
    return AnswerMismatchError(
        f"vercel.{method.resource}: {method.name} failed: {method.http} {path} got the answer to "
        f"another request: {reason[:_LONGEST_MESSAGE]}. A proxy or a connection between here and "
        "the API mixes answers up",
        method=method.http,
        path=path,
        outcome_unknown=not method.reads,
    )


def not_json(
    method: Method, path: str, content_type: str, reason: str, foreign: str = ""
) -> AnswerError:
    """The error for a 2xx answer whose body can't be used."""
    kind = content_type.split(";")[0] or "nothing"
    told = (foreign or reason[:_LONGEST_MESSAGE]).rstrip(".")
    if hint := _sign_in_hint(method):
        told = f"{told}. {hint}"
    return AnswerError(
        f"vercel.{method.resource}: {method.name} failed: {method.http} {path} gave an answer "
        f"that can't be used ({kind[:_LONGEST_CODE]}): {told}",
        method=method.http,
        path=path,
        outcome_unknown=not method.reads,
    )
