"""Whose answer it is: each is held against its request, and against what was answered before.

Proxies and connections mix answers up: one is sent twice, late, or to somebody else. What an answer
repeats of its request proves that it belongs to it, as far as the manifest says what that is.

Some answers repeat nothing: those to two exchanges of the same app that are under way at the same
moment (of device codes, refresh tokens or an integration's codes; a code's ID token has the nonce
of its own sign-in), to two email logins (their person compares the security code), to revocations
of OAuth tokens, and the first answer that says who a token's user is. Where these change places,
nothing shows it.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec

from vercel_sql.errors import AnswerError, AnswerMismatchError, NotFoundError
from vercel_sql.http.answers import Answer
from vercel_sql.http.decode import Inexact, decode_json
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Method, Parameter, Resource, vercel

K = TypeVar("K")
V = TypeVar("V")
Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = list[Row]
_lock = threading.Lock()
# How many answers are remembered; each takes some hundred bytes.
_MOST_ANSWERS = 20_000
# How often in a row a proxy may answer the same question with the same old answer.
_MOST_REPEATS = 3
# How much a server may round a moment, in milliseconds.
_ROUNDING_MS = 60_000
# From how many characters on a name may have been cut short.
_LONG_NAME = 32


class PageProofs:
    """What the pages of listings have shown; threads may share it."""

    def __init__(self) -> None:
        self._asked: dict[int, str | int | None] = {}
        self._overlaps: dict[str, bool] = {}
        self._newest: dict[str, int] = {}

    def is_of_another(
        self, path: str, asked: str | int | None, keys: list[str], cursor: str | int | None
    ) -> bool:
        """Whether a page with these rows was the answer to another cursor before."""
        return bool(keys) and self._asked.get(hash((path, *keys, cursor)), asked) != asked

    def note(
        self, path: str, asked: str | int | None, keys: list[str], cursor: str | int | None
    ) -> None:
        """Remembers which cursor a page was the answer to."""
        _remember(self._asked, hash((path, *keys, cursor)), asked)

    def is_late(self, path: str, moments: list[int], *, unless_known: bool) -> bool:
        """Whether a first page begins later than one did before, as later pages do."""
        known = self._newest.get(path)
        return unless_known if known is None else max(moments, default=0) < known

    def note_first(self, path: str, moments: list[int]) -> None:
        """Remembers where a listing begins."""
        self._newest[path] = max(moments, default=0)

    def lacks_overlap(self, path: str, overlaps: bool, *, is_unsure: bool) -> bool:
        """Whether a page should begin with the last row of the one before, and does not.

        Whether a server includes the moment of the cursor is not known before two pages were seen.
        That they did not overlap may only mean that the row between them was deleted, so that does
        not count where one is unsure whose pages these are.
        """
        return not overlaps and (is_unsure or self._overlaps.get(path, True))

    def note_overlap(self, path: str, overlaps: bool) -> None:
        """Remembers whether a page began with the last row of the one before."""
        self._overlaps[path] = overlaps or self._overlaps.get(path, False)


def _remember(found: dict[K, V], key: K, value: V) -> V | None:
    """Takes the place of what was remembered, and gives that; the oldest ones are forgotten."""
    with _lock:
        before = found.pop(key, None)
        found[key] = value
        if len(found) > _MOST_ANSWERS:
            del found[next(iter(found))]
    return before


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, ValueError):  # it may nest too deeply
        return False
    return True


@dataclass
class _Seen:
    """An answer that came: digests of its body and of the question, and how often it came again.

    One that is not whole may have been cut.
    """

    body: str
    asked: str
    is_whole: bool
    repeats: int = 0


class Proofs:
    """What the answers to one client have shown; threads may share it.

    Only digests of secrets and credentials are kept. Once answers `may_be_mixed_up`, those that
    show nothing of their request are doubted.
    """

    def __init__(self, answer_id: str | None) -> None:
        self._answer_id = answer_id
        self._lock = threading.Lock()
        self._answers: dict[str, _Seen] = {}
        self._identities: dict[tuple[str, str], str] = {}
        self._secrets: dict[str, str] = {}
        self._rows: set[tuple[str, str]] = set()
        self._told: set[str] = set()
        self._nonces: dict[str, str] = {}
        self.pages = PageProofs()
        self.may_be_mixed_up = False

    def is_replayed(self, request: Request, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether an answer, whatever its status, was given before, as far as it tells.

        Where the header turns out not to tell answers apart, it is not looked at any more: where
        two that differ, and are whole, have the same, and where the same question gets the same
        again and again.
        """
        told = headers.get(self._answer_id) if self._answer_id else None
        if told is None:
            return False
        asked = _digest(request.method.name, request.target, request.content)
        seen = _Seen(_digest(body), asked, _is_json(body))
        before = _remember(self._answers, told, seen)
        if before is None:
            return False
        self.may_be_mixed_up = True
        seen.repeats = before.repeats + 1 if before.asked == seen.asked else 1
        are_two = before.body != seen.body and before.is_whole and seen.is_whole
        if are_two or seen.repeats >= _MOST_REPEATS:
            self._answer_id = None
            return False
        return True

    def believed(self, method: Method, ask: Callable[[], Answer]) -> Answer:
        """An answer that need not be asked for again.

        Nothing in an answer that there is nothing shows which request it belongs to: it has to come
        twice, and a third time where answers are known to be mixed up.
        """
        asked = 1
        while True:
            try:
                answer = ask()
                content = _content(answer) if method.nothing else None
                if False not in found_at(content, method.nothing) or self._suffices(asked):
                    return answer
            except NotFoundError:
                if self._suffices(asked) or not (method.reads and method.missing_is_empty):
                    raise
            asked += 1

    def _suffices(self, asked: int) -> bool:
        return asked > (2 if self.may_be_mixed_up else 1)

    def knows(self, resource: Resource, key: Any) -> bool:
        """Whether a row was got or made before."""
        with self._lock:
            return (resource.full_name, str(key)) in self._rows

    def check(self, answer: Answer, authorization: str | None) -> None:
        """Holds a good answer against its request. The pages of a listing prove themselves."""
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
        resource = resource_of(method)
        rows = [row for row in found_at(content, method.rows) if isinstance(row, dict)]
        if content is not None:
            _check_echoes(answer, content)
            _check_fields(answer, content, rows)
            if is_about_itself(answer.request, resource):
                self._check_hints(answer, rows, authorization)
                self._check_identity(answer, content, authorization)
        if method.makes_secret:
            self._check_made(answer, content, authorization)
        if resource is not None and (method.trace is not None or not method.makes_secret):
            keys = {str(row[resource.key]) for row in rows if resource.key in row}
            with self._lock:
                self._rows |= {(resource.full_name, key) for key in keys}

    def _check_hints(self, answer: Answer, rows: Rows, authorization: str | None) -> None:
        """The row of a credential shows the ends of its secret; what is told twice is believed."""
        resource = resource_of(answer.request.method)
        hints = None if resource is None else resource.hints
        if hints is None or authorization is None or not answer.request.method.reads:
            return
        secret = authorization.partition(" ")[2]
        for row in rows:
            begins, ends = (_text(row, name) for name in (hints.begins, hints.ends))
            told = _digest(secret, begins, ends)
            if not (secret.startswith(begins) and secret.endswith(ends)) and told not in self._told:
                self._told.add(told)
                raise answer.mismatched("it is about the row of another credential")

    def _check_identity(self, answer: Answer, content: Row, authorization: str | None) -> None:
        """What a credential stands for never changes; one that is asked about is told by it."""
        method, about = answer.request.method, authorization
        resource = resource_of(method)
        is_asked_about = resource is not None and not resource.key_is_field
        if resource is not None and is_asked_about:
            about = answer.request.given.get(resource.key)
        for told in found_at(content, method.identity):
            if isinstance(told, Inexact):
                continue
            known = self._identity(method, about, told)
            if told != known:
                raise answer.mismatched(f"it is about {told}, and this credential is {known}")
            if is_asked_about and self._identity(method, f"is {told}", about) != about:
                raise answer.mismatched(f"it is about {told}, which is another credential")

    def _identity(self, method: Method, about: str | None, told: Any) -> Any:
        """What a credential is known to stand for: what was told first."""
        with self._lock:
            return self._identities.setdefault((method.resource, _digest(about)), told)

    def _check_made(self, answer: Answer, content: Row | None, authorization: str | None) -> None:
        """A secret that is shown once was not shown before, and its row was not there."""
        method = answer.request.method
        resource = resource_of(method)
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
            for key in found_at(content, method.trace.key):
                if (resource.full_name, str(key)) in self._rows:
                    raise answer.mismatched(f"{key} was there before")
                for secret in secrets:
                    self._identity(method, f"Bearer {secret}", key)
        # At last: what is refused above is nobody's yet.
        with self._lock:
            self._secrets.update((_digest(secret), asked) for secret in secrets)

    def promise(self, verifier: str, nonce: str) -> None:
        """Remembers which nonce the ID token has that a code is exchanged for with a verifier."""
        with self._lock:
            self._nonces[_digest(verifier)] = nonce

    def check_claims(self, answer: Answer) -> None:
        """Holds what an ID token says against the request; its signature proves nothing more."""
        content = _content(answer) or {}
        for name, claim in answer.request.method.claims.items():
            asked = answer.request.argument(name)
            wanted = self._nonces.get(_digest(asked)) if claim == "nonce" else asked
            for token in found_at(content, ["id_token"]):
                told = found_at(_claims(token), [claim])
                if wanted is not None and told and wanted not in told:
                    self.may_be_mixed_up = True
                    error = answer.mismatched(f"its ID token has another {claim}")
                    error.unclaimed = self._unclaimed(answer)
                    raise error


def _check_echoes(answer: Answer, content: Row) -> None:
    """What an answer repeats of its request is the same there."""
    request = answer.request
    resource = resource_of(request.method)
    for name, echo in request.method.echoes.items():
        parameter, asked = request.method.parameter(name), request.argument(name)
        if parameter is None or asked is None or not str(asked).startswith(echo.begins):
            continue
        if parameter.name == _self_column(request, resource):
            continue
        rows = [row for row in found_at(content, echo.path[:-1]) if isinstance(row, dict)]
        shown = [row.get(echo.path[-1]) for row in rows]
        if rows and not any(_is_same(parameter, asked, value) for value in shown):
            told = ", ".join(str(value) for value in shown)
            raise answer.mismatched(f"its {name} is {told}, and {asked} was asked for")


def _check_fields(answer: Answer, content: Row, rows: Rows) -> None:
    """An answer has what tells it from those of other methods."""
    method = answer.request.method
    resource = resource_of(method)
    if not method.reads and not method.returns and content.keys() & _names(method):
        raise answer.mismatched("it says something, where nothing was asked for")
    columns = method.returns or (resource.fields if resource is not None else ())
    others = resource.methods.values() if resource is not None else ()
    # The answer to a create has the row, too, and was true once.
    secret = {column.name for other in others for column in other.returns if column.secret}
    if content.keys() & secret - {column.name for column in columns} - {*method.rows}:
        raise answer.mismatched("it has a secret, where none was asked for")
    needed = [column.name for column in columns if column.always]
    for row in [content] if method.returns else rows:
        missing = [name for name in needed if row.get(name) is None]
        if missing:
            raise answer.mismatched(f"it has no {', '.join(missing)}")


def _names(method: Method) -> set[str]:
    """What the answers of a method's service have."""
    resources = vercel().service(method.resource.partition(".")[0]).resources.values()
    returned = [column for r in resources for m in r.methods.values() for column in m.returns]
    return {column.name for column in [*returned, *(c for r in resources for c in r.fields)]}


def is_about_itself(request: Request, resource: Resource | None) -> bool:
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


def found_at(content: Any, path: Iterable[str]) -> list[Any]:
    """What stands at a path; of a list on the way, or at its end, each element."""
    found = [content]
    for name in path:
        inner = [part[name] for part in found if isinstance(part, dict) and name in part]
        found = [each for one in inner for each in (one if isinstance(one, list) else [one])]
    return found


def _claims(token: Any) -> Any:
    """What a JWT says, unverified; None where it is not one."""
    try:
        payload = str(token).split(".")[1]
        return decode_json(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return None


def _text(row: Any, name: str) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    return value if isinstance(value, str) else ""


def resource_of(method: Method) -> Resource | None:
    """The resource of a method; None for what is in no manifest."""
    service, _, name = method.resource.partition(".")
    try:
        return vercel().service(service).resources.get(name)
    except KeyError:
        return None


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
