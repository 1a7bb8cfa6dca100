"""Answers: the good ones, and the errors for all others: what failed, where, and what to do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, TypeVar

from vercel_sql.errors import (
    AnswerError,
    AnswerMismatchError,
    APIError,
    APIErrorDetail,
    AuditLogError,
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    RateLimitedError,
    RedirectError,
    ServerError,
    UnauthorizedError,
)
from vercel_sql.http.decode import DEEPEST, decode_json, decode_tolerantly
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Explanation, Method, vercel
from vercel_sql.redaction import Redactor
from vercel_sql.redaction.known import NotPicklable, masked_values
from vercel_sql.text import visible

_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    429: RateLimitedError,
}
ErrorT = TypeVar("ErrorT", bound=AnswerError)
_FOREIGN = "unknown_error"  # the code of what is not one of the API's errors
_NAMELESS = "unnamed_error"  # the code of an error of the API that has a message alone
# Codes that say no more than the status, or nothing at all.
_OBVIOUS = (_FOREIGN, _NAMELESS, "bad_request", "unauthorized", "forbidden", "not_found")
_LONGEST_CODE = 100
_LONGEST_MESSAGE = 500
_LONGEST_TITLE = 80
_DEEPEST = 50  # levels of JSON in an error, which is masked and shown
_HEAD = 65_536  # how far a page's title is looked for
_TITLE = re.compile(rb"<title[^>]{0,200}>(.{0,2000}?)</title", re.IGNORECASE | re.DOTALL)
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,200}<(?:!doctype html|html)", re.IGNORECASE)
_HOST = re.compile(r"[\w.:-]+")
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
class Answer(NotPicklable):
    """The body of an answer with status 2xx, and what is needed to complain about it.

    Attributes:
        unnoted: why the write that it answers is not in the audit log, where it was to be.
    """

    request: Request = field(repr=False)
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    redactor: Redactor = field(default_factory=Redactor, repr=False)
    host: str = "Vercel"
    unnoted: AuditLogError | None = None

    def json(self) -> Any:
        """The decoded body, exactly; raises `AnswerError` where that isn't possible."""
        try:
            return decode_json(self.body)
        except ValueError as error:
            raise self.unusable(str(error)) from None

    def content(self) -> Any:
        """The decoded body; what can't be held exactly stands in it as `Inexact`."""
        method = self.request.method
        row_level = len(method.rows) + (2 if method.paging is not None else 1)
        with suppress(ValueError):
            return decode_json(self.body, deepest=row_level + DEEPEST)
        try:
            return decode_tolerantly(self.body, row_level)
        except ValueError as error:
            raise self.unusable(str(error)) from None

    def secrets(self) -> dict[str, str]:
        """The secrets of an answer by their columns, even of one that is otherwise unusable."""
        names = [column.name for column in self.request.method.returns if column.secret]
        try:
            # Not as exact as we are elsewhere: a key that stands twice does no harm here.
            content = json.loads(self.body, object_pairs_hook=_first_texts)
        except (ValueError, RecursionError):
            content = _texts_after(names, self.body)
        found = content if isinstance(content, dict) else {}
        return {name: found[name] for name in names if name in found}

    def mismatched(self, reason: str) -> AnswerMismatchError:
        """The error for a body that belongs to another request."""
        mask = self.redactor.mask
        return self._error(
            AnswerMismatchError,
            f"this is the answer to another request: {mask(reason)[:_LONGEST_MESSAGE]} "
            f"{self.request.where(mask)}. A proxy or a connection between here and the API mixes "
            "answers up",
        )

    def unusable(self, reason: str) -> AnswerError:
        """The error for a body that is not what was promised."""
        mask, advice = self.redactor.mask, ""
        kind = mask(self.headers.get("content-type", "")).split(";")[0] or "no content type"
        kind = f", {kind[:_LONGEST_CODE]}"
        page = page_of_others(self.status, self.headers, self.body)
        if page:
            reason, advice = f"it is {page}", advice_about(self.status, self.headers, self.host)
        told = mask(reason)[:_LONGEST_MESSAGE].rstrip(".")
        text = f"the answer can't be used: {told} {self.request.where(mask, kind)}"
        hints = (text, mask(advice), _sign_in_hint(self.request.method))
        return self._error(AnswerError, ". ".join(filter(None, hints)))

    def _error(self, kind: type[ErrorT], text: str) -> ErrorT:
        method, path = self.request.method, self.redactor.mask(self.request.path)
        return kind(text, method=method.http, path=path, outcome_unknown=not method.reads)


def _first_texts(members: list[tuple[str, Any]]) -> dict[str, str]:
    return {name: value for name, value in reversed(members) if _is_text(value)}


def _texts_after(names: list[str], body: bytes) -> dict[str, str]:
    """The texts that stand behind these names, in what is not JSON as a whole."""
    found: dict[str, str] = {}
    for name in names:
        spelt = re.search(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % name.encode(), body)
        with suppress(ValueError):
            value: Any = json.loads(spelt[1]) if spelt else None
            if _is_text(value):
                found[name] = value
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


@dataclass(frozen=True)
class Origin:
    """What the errors of a server are measured by.

    Attributes:
        now: the time there, in seconds since the epoch; None takes this machine's.
        clock_note: how wrong this machine's clock is, in words; empty where it is not.
    """

    now: float | None = None
    clock_note: str = ""


_SOMEWHERE = Origin()


def api_error(
    answer: Answer, origin: Origin = _SOMEWHERE, authorization: str | None = None
) -> APIError:
    """The error for an answer whose status is not 2xx."""
    request, status, headers = answer.request, answer.status, answer.headers
    method, mask = request.method, answer.redactor.mask
    page = page_of_others(status, headers, answer.body)
    code, message, extra = _read_error(answer.body)
    is_foreign = not code and not message
    code = code or (_FOREIGN if is_foreign else _NAMELESS)
    if is_foreign:
        kind = headers.get("content-type", "nothing").split(";")[0]
        message = f"{page or f'the body is {kind}'}, not one of Vercel's errors"
    # Masked before they are cut: nobody would know half a secret.
    code, message = mask(code)[:_LONGEST_CODE], mask(message)[:_LONGEST_MESSAGE]
    extra = masked_values(extra, mask)
    detail = APIErrorDetail(status, code, message, method.http, mask(request.path), extra)
    pause = _retry_after_seconds(detail, headers, origin.now)
    if is_foreign:
        hint = _hint_about_foreign(status, headers, answer.host, is_page=page is not None)
    else:
        bearer = (authorization or "").removeprefix("Bearer ")
        hint = _OAUTH_HINTS.get(code) or _explained(method, detail, bearer)
    if not hint and status == 429 and pause is not None:
        hint = f"The limit is free again in {pause:.0f} s"
    # Programs are given what was said; people are told it in one line, as is all of this.
    said = visible(message).rstrip(" .:") or "no reason was given"
    told = f", {status}" if code in _OBVIOUS else f", {status} {visible(code)}"
    hints = (
        f"{said} {request.where(mask, told)}",
        hint,
        _clock_hint(method, detail, origin),
        _sign_in_hint(method) if status >= 500 else "",
    )
    error = _class_for(status)(". ".join(filter(None, hints)), detail)
    error.retry_after = pause
    return error


def _class_for(status: int) -> type[APIError]:
    if 300 <= status < 400 and status != 304:
        return RedirectError
    return ServerError if status >= 500 else _BY_STATUS.get(status, APIError)


def _read_error(body: bytes) -> tuple[str, str, dict[str, Any]]:
    """Code, message and the rest, from Vercel's shape or OAuth's; empty where it is neither."""
    content: Any = None
    with suppress(ValueError):
        content = decode_json(body, deepest=_DEEPEST)
    error = content.get("error") if isinstance(content, dict) else None
    code, message = "code", "message"
    if isinstance(error, str):
        code, message, error = "error", "error_description", content
    if not isinstance(error, dict):
        return "", "", {}
    extra = {key: value for key, value in error.items() if key not in (code, message)}
    return str(error.get(code) or ""), str(error.get(message) or ""), extra


def _explained(method: Method, detail: APIErrorDetail, bearer: str) -> str:
    """What an error means and what to do about it; empty where the manifest says nothing."""
    provider = vercel().provider
    found = (each for each in provider.explanations if _fits(each, method, detail, bearer))
    each = next(found, None)
    if each is None:
        return ""
    return f"{each.text}. {provider.token_advice}" if each.advice else each.text


def _fits(each: Explanation, method: Method, detail: APIErrorDetail, bearer: str) -> bool:
    return (
        (not each.status or detail.status in each.status)
        and each.code in (None, detail.code)
        and (each.flag is None or detail.extra.get(each.flag) is True)
        and (not each.messages or detail.message.startswith(tuple(each.messages)))
        and (not each.markers or bearer.startswith(tuple(each.markers)))
        and (not each.methods or f"{method.resource}.{method.name}" in each.methods)
        and each.auth in (None, method.auth)
    )


def _hint_about_foreign(
    status: int, headers: Mapping[str, str], host: str, *, is_page: bool
) -> str:
    """What the reader can do about an answer that is not one of the API's errors."""
    hints = []
    if status == 304:
        hints.append(
            "Only a cache is answered so, and none was asked for: something on the way to "
            f"{host} keeps one. Check HTTPS_PROXY and the API URL"
        )
    elif 300 <= status < 400:
        hints.append(
            "Redirects are not followed, so that no credentials go elsewhere: check the API URL"
        )
    if is_page or _leads_elsewhere(status, headers, host):
        hints.append(advice_about(status, headers, host))
    return ". ".join(hints)


def _sign_in_hint(method: Method) -> str:
    """What to do about a sign-in whose outcome is unknown and can't be looked up."""
    if not method.makes_secret or method.trace is not None:
        return ""
    return "It may have been carried out all the same: begin the sign-in again"


def _clock_hint(method: Method, detail: APIErrorDetail, origin: Origin) -> str:
    """Hint that the local clock is wrong, for errors it could cause: an expiry, a dead token."""
    about_moment = detail.status == 400 and any(p.moment for p in method.parameters)
    return origin.clock_note if about_moment or detail.extra.get("invalidToken") is True else ""


def _retry_after_seconds(
    detail: APIErrorDetail, headers: Mapping[str, str], now: float | None
) -> float | None:
    """How many seconds the server asks to wait from now, or None where it does not say.

    ``Retry-After`` may be seconds or an HTTP date; ``limit.resetMs`` (milliseconds since the
    epoch) and ``limit.reset`` (seconds) say the same in the body.
    """
    now = datetime.now(UTC).timestamp() if now is None else now
    asked = headers.get("retry-after")
    seconds = _finite(asked)
    with suppress(ValueError, OverflowError, TypeError):
        if asked is not None and seconds is None:
            at = parsedate_to_datetime(asked)
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    limit = detail.extra.get("limit")
    limit = limit if isinstance(limit, dict) else {}
    for key, scale in (("resetMs", 1000), ("reset", 1)):
        moment = _finite(limit.get(key))
        if seconds is None and moment is not None:
            seconds = moment / scale - now
    return None if seconds is None else max(0.0, seconds)


def _finite(value: object) -> float | None:
    """A whole number, or a number's text, as a float; None where it is out of reach."""
    if not isinstance(value, int | str) or isinstance(value, bool):
        return None
    with suppress(ValueError, OverflowError):
        return float(value) if math.isfinite(float(value)) else None
    return None


def page_of_others(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """What an answer is, in words, where a proxy, gateway or captive portal sent a page."""
    if "html" not in headers.get("content-type", "").lower() and not _BEGINNING.match(body):
        return "a captive-portal response (HTTP 511)" if status == 511 else None
    title = _title(body)
    return f"an HTML page called “{title}”" if title else "an HTML page"


def advice_about(status: int, headers: Mapping[str, str], host: str) -> str:
    """What to do about an answer that is not the API's; `host` is the one that was asked."""
    elsewhere = _leads_elsewhere(status, headers, host)
    if elsewhere is not None:
        return (
            f"It redirects to {elsewhere}, which is not {host}: the login page of a network "
            "(captive portal) or a proxy does that. Log in to the network with a browser"
        )
    if status == 511:
        return "Log in to the network with a browser, then try again"
    if 200 <= status < 300:
        return (
            f"That is not {host}'s answer: a proxy or the login page of a network (captive portal) "
            "took its place. Log in to the network with a browser, or check HTTPS_PROXY"
        )
    return f"That is not {host}'s answer: a proxy or gateway on the way gave it"


def _leads_elsewhere(status: int, headers: Mapping[str, str], host: str) -> str | None:
    """The other host that a redirect leads to; the rest of the address may hold secrets."""
    if not 300 <= status < 400:
        return None
    import httpx

    try:
        location = httpx.URL(headers.get("location", ""))
    except httpx.InvalidURL:
        return None
    other = f"{location.host}:{location.port}" if location.port else location.host
    return other[:_LONGEST_TITLE] if other != host and _HOST.fullmatch(other) else None


def _title(body: bytes) -> str:
    """A page's title on one line, without anything that could steer a terminal."""
    found = _TITLE.search(body[:_HEAD])
    if found is None:
        return ""
    text = one_line(unescape(found[1].decode("utf-8", errors="replace")))
    return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 1]}…"


def one_line(text: str) -> str:
    """A text of others on one line, without control characters."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())
