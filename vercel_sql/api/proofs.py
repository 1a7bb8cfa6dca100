"""Whose answer it is: each is held against its request, and against what was answered before.

Proxies and connections mix answers up: one is sent twice, late, or to somebody else. What an answer
repeats of its request proves that it belongs to it, as far as the manifest says what that is.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vercel_sql.api.answer import Answer
from vercel_sql.api.decode import Inexact
from vercel_sql.api.requests import Request
from vercel_sql.errors import AnswerError, AnswerMismatchError
from vercel_sql.manifest import Method, Parameter, Resource, vercel

# How many answers are remembered; each takes some hundred bytes.
_MOST_ANSWERS = 20_000
# How much a server may round a moment, in milliseconds.
_ROUNDING_MS = 60_000
# From how many characters on a name may have been cut short.
_LONG_NAME = 32


class PageProofs:
    """What the pages of listings have shown; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[int, str | int | None] = {}
        self._overlaps: dict[str, bool] = {}
        self._newest: dict[str, int] = {}

    def is_of_another(
        self, path: str, asked: str | int | None, keys: list[str], cursor: str | int | None
    ) -> bool:
        """Whether a page with these rows was the answer to another cursor before."""
        with self._lock:
            return bool(keys) and self._asked.get(_page(path, keys, cursor), asked) != asked

    def note(
        self, path: str, asked: str | int | None, keys: list[str], cursor: str | int | None
    ) -> None:
        """Remembers which cursor a page was the answer to."""
        with self._lock:
            self._asked[_page(path, keys, cursor)] = asked
            if len(self._asked) > _MOST_ANSWERS:
                del self._asked[next(iter(self._asked))]

    def is_late(self, path: str, moments: list[int], *, unless_known: bool) -> bool:
        """Whether a first page begins later than one did before, as the pages after the first do.

        Args:
            path: the listing's path.
            moments: those of the page's rows.
            unless_known: what is said where there was none before.
        """
        known = self._newest.get(path)
        return unless_known if known is None else max(moments, default=0) < known

    def note_first(self, path: str, moments: list[int]) -> None:
        """Remembers where a listing begins."""
        self._newest[path] = max(moments, default=0)

    def lacks_overlap(self, path: str, overlaps: bool) -> bool:
        """Whether a page should begin with the last row of the one before, and does not.

        Whether a server includes the moment of the cursor is not known before two pages were seen.
        """
        return not overlaps and self._overlaps.get(path, True)

    def note_overlap(self, path: str, overlaps: bool) -> None:
        """Remembers whether a page began with the last row of the one before."""
        self._overlaps[path] = overlaps or self._overlaps.get(path, False)


def _page(path: str, keys: list[str], cursor: str | int | None) -> int:
    return hash((path, *keys, cursor))


@dataclass
class _Seen:
    """An answer that came: digests of its body and of what was asked, and whether it came again."""

    body: str
    asked: str
    is_doubted: bool = False


class Proofs:
    """What the answers to one client have shown; threads may share it.

    Only digests of secrets and credentials are kept.

    Attributes:
        pages: what the pages of listings have shown.
        may_be_mixed_up: whether answers that show nothing of their request may be another's, since
            one was.

    Args:
        answer_id: the header that tells one answer from all others, where there is one.
    """

    def __init__(self, answer_id: str | None) -> None:
        self._answer_id = answer_id
        self._lock = threading.Lock()
        self._answers: dict[str, _Seen] = {}
        self._identities: dict[tuple[str, str], str] = {}
        self._secrets: dict[str, str] = {}
        self._rows: set[tuple[str, str]] = set()
        self._told: set[str] = set()
        self.pages = PageProofs()
        self.may_be_mixed_up = False

    def is_replayed(self, request: Request, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether an answer, whatever its status, was given before, as far as it tells.

        Where the header turns out not to tell answers apart, it is not looked at any more: where
        two that differ have the same, and where the same comes again on a new connection.
        """
        told = headers.get(self._answer_id) if self._answer_id else None
        if told is None:
            return False
        seen = _Seen(_digest(body), _digest(request.method.name, request.target))
        with self._lock:
            before = self._answers.get(told)
            self._answers[told] = seen
            if len(self._answers) > _MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
        if before is None:
            return False
        self.may_be_mixed_up = True
        if before.body != seen.body or (before.is_doubted and before.asked == seen.asked):
            self._answer_id = None
            return False
        seen.is_doubted = True
        return True

    def doubts_missing(self, request: Request) -> bool:
        """Whether a 404 to a read may be another's; the calling credential's own row is there."""
        method = request.method
        is_own = _is_about_itself(request, _resource(method))
        return method.reads and (self.may_be_mixed_up or is_own)

    def check(self, answer: Answer, authorization: str | None) -> None:
        """Holds a good answer against its request. The pages of a listing prove themselves.

        Args:
            answer: the answer; one that can't be read is left to whoever reads it.
            authorization: the ``Authorization`` header that the request went out with.

        Raises:
            AnswerMismatchError: it belongs to another request.
        """
        try:
            self._check(answer, authorization)
        except AnswerMismatchError as error:
            self.may_be_mixed_up = True
            error.unclaimed = self._unclaimed(answer)
            raise

    def _unclaimed(self, answer: Answer) -> dict[str, Any]:
        """What is to be kept of an answer to a create: nothing where its secret is known."""
        method = answer.request.method
        stored = [column.name for column in method.returns if column.stored]
        secrets = [text for name, text in answer.secrets().items() if name in stored]
        digests = [_digest(secret) for secret in secrets]
        with self._lock:
            is_known = any(digest in self._secrets for digest in digests)
        content = _content(answer)
        if not method.makes_secret or not secrets or is_known or content is None:
            return {}
        return {name: content[name] for name in stored if name in content}

    def _check(self, answer: Answer, authorization: str | None) -> None:
        method = answer.request.method
        if method.paging is not None:
            return
        content = _content(answer)
        resource = _resource(method)
        if content is not None:
            _check_echoes(answer, content, resource)
            _check_fields(answer, content, resource)
            if _is_about_itself(answer.request, resource):
                self._check_identity(answer, content, resource, authorization)
        if method.makes_secret:
            self._check_made(answer, content or {}, resource, authorization)
        elif content is not None and resource is not None:
            self._note_rows(resource, _at(content, method.rows))

    def _check_identity(
        self,
        answer: Answer,
        content: dict[str, Any],
        resource: Resource | None,
        authorization: str | None,
    ) -> None:
        """What a credential stands for never changes, and its row shows the ends of its secret."""
        method = answer.request.method
        if resource is not None and authorization and method.reads:
            self._check_hints(answer, content, resource, authorization.partition(" ")[2])
        for told in _at(content, method.identity):
            if isinstance(told, Inexact):
                continue
            known = self._identity(method, authorization, told)
            if told != known:
                raise answer.mismatched(f"it is about {told}, and this credential is {known}")

    def _check_hints(
        self, answer: Answer, content: dict[str, Any], resource: Resource, secret: str
    ) -> None:
        """The row of a credential shows the ends of its secret; what is told twice is believed."""
        hints = resource.hints
        if hints is None:
            return
        for row in _at(content, answer.request.method.rows):
            begins, ends = (_text(row, name) for name in (hints.begins, hints.ends))
            told = _digest(secret, begins, ends)
            if not (secret.startswith(begins) and secret.endswith(ends)) and told not in self._told:
                self._told.add(told)
                raise answer.mismatched("it is about the row of another credential")

    def _identity(self, method: Method, authorization: str | None, told: Any) -> Any:
        """What a credential is known to stand for: what was told first."""
        with self._lock:
            key = (method.resource, _digest(authorization))
            return self._identities.setdefault(key, told)

    def _check_made(
        self,
        answer: Answer,
        content: dict[str, Any],
        resource: Resource | None,
        authorization: str | None,
    ) -> None:
        """A secret that is shown once was not shown before, and its row was not there."""
        method = answer.request.method
        # An ID token is no credential, and one of the same second may be the same.
        needed = {c.name for c in method.returns if c.secret and c.stored and not c.optional}
        secrets = [value for name, value in answer.secrets().items() if name in needed]
        asked = _digest(answer.request.method.name, answer.request.target, answer.request.content)
        for secret in secrets:
            before = self._secrets.get(_digest(secret))
            is_new = before is None or (before == asked and method.trace is None)
            if authorization == f"Bearer {secret}" or not is_new:
                raise answer.mismatched("its secret was given before")
        if resource is not None and method.trace is not None:
            for key in _at(content, method.trace.key):
                if (resource.full_name, str(key)) in self._rows:
                    raise answer.mismatched(f"{key} was there before")
                for secret in secrets:
                    self._identity(method, f"Bearer {secret}", key)
            self._note_rows(resource, _at(content, method.rows))
        # At last: what is refused above is nobody's yet.
        with self._lock:
            self._secrets.update((_digest(secret), asked) for secret in secrets)

    def _note_rows(self, resource: Resource, rows: Iterable[Any]) -> None:
        with self._lock:
            self._rows |= {
                (resource.full_name, str(row[resource.key]))
                for row in rows
                if isinstance(row, dict) and resource.key in row
            }


def _check_echoes(answer: Answer, content: dict[str, Any], resource: Resource | None) -> None:
    """What an answer repeats of its request is the same there."""
    request = answer.request
    for name, echo in request.method.echoes.items():
        parameter, asked = request.method.parameter(name), request.argument(name)
        if parameter is None or asked is None or not str(asked).startswith(echo.begins):
            continue
        if parameter.name == _self_column(request, resource):
            continue
        rows = [row for row in _at(content, echo.path[:-1]) if isinstance(row, dict)]
        shown = [row.get(echo.path[-1]) for row in rows]
        if rows and not any(_is_same(parameter, asked, value) for value in shown):
            told = ", ".join(str(value) for value in shown)
            raise answer.mismatched(f"its {name} is {told}, and {asked} was asked for")


def _check_fields(answer: Answer, content: dict[str, Any], resource: Resource | None) -> None:
    """An answer has what tells it from those of other methods."""
    method = answer.request.method
    if not method.reads and not method.returns and content.keys() & _names(method):
        raise answer.mismatched("it says something, where nothing was asked for")
    columns = method.returns or (resource.fields if resource is not None else ())
    needed = [column.name for column in columns if column.always]
    for row in [content] if method.returns else _at(content, method.rows):
        missing = [name for name in needed if isinstance(row, dict) and row.get(name) is None]
        if missing:
            raise answer.mismatched(f"it has no {', '.join(missing)}")


def _names(method: Method) -> set[str]:
    """What the answers of a method's service have."""
    resources = vercel().service(method.resource.partition(".")[0]).resources.values()
    returned = [column for r in resources for m in r.methods.values() for column in m.returns]
    return {column.name for column in [*returned, *(c for r in resources for c in r.fields)]}


def _is_about_itself(request: Request, resource: Resource | None) -> bool:
    """Whether a request asks about the credential that it is made with."""
    if resource is None or resource.self_reference is None:
        return bool(request.method.identity)
    return bool(request.method.identity) and _self_column(request, resource) is not None


def _self_column(request: Request, resource: Resource | None) -> str | None:
    """The parameter in whose place the word for the calling credential stands; None if none."""
    reference = None if resource is None else resource.self_reference
    if reference is None or request.given.get(reference.column) != reference.value:
        return None
    return reference.column


def _is_same(parameter: Parameter, asked: Any, shown: Any) -> bool:
    """Whether a value is the one that was asked for, as a server may have changed it.

    Keys are the same to the letter. Moments may be rounded. Of other texts, servers trim blanks,
    change the case of an address, bring characters into one form, and cut what is long.
    """
    if parameter.moment is not None:
        # A number that is no whole one is left to whoever makes a row of it, like other types.
        is_number = isinstance(shown, int) and not isinstance(shown, bool)
        return abs(shown - asked) <= _ROUNDING_MS if is_number else shown is not None
    if not isinstance(shown, str):
        return True
    return bool(asked == shown) if parameter.location == "path" else is_alike(str(asked), shown)


def is_alike(asked: str, shown: str) -> bool:
    """Whether a server may have made one text of another: trimmed, folded, or cut where long."""
    wanted, there = _plain(asked), _plain(shown)
    return wanted == there or (len(there) >= _LONG_NAME and wanted.startswith(there))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in folded if each.isprintable() and not each.isspace())


def _content(answer: Answer) -> dict[str, Any] | None:
    try:
        content = answer.content()
    except AnswerError:
        return None
    return content if isinstance(content, dict) else None


def _at(content: Any, path: Iterable[str]) -> list[Any]:
    """What stands at a path; of a list on the way, or at its end, each element."""
    found = [content]
    for name in path:
        inner = [part[name] for part in found if isinstance(part, dict) and name in part]
        found = [each for one in inner for each in (one if isinstance(one, list) else [one])]
    return found


def _text(row: Any, name: str) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    return value if isinstance(value, str) else ""


def _resource(method: Method) -> Resource | None:
    service, _, name = method.resource.partition(".")
    try:
        return vercel().service(service).resources.get(name)
    except KeyError:
        return None


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
