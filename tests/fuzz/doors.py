"""Answers without a server, and the doors that take one answer: errors, the own key, ID tokens."""

from __future__ import annotations

from functools import cache

from vercel_sql.auth import Credential
from vercel_sql.auth.calls import call
from vercel_sql.auth.jwt import verify_id_token
from vercel_sql.errors import AnswerError
from vercel_sql.http.answers import Answer, api_error
from vercel_sql.http.client import Client
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Method, Resource, vercel
from vercel_sql.redaction import Redactor
from vercel_sql.redaction.known import SHORTEST
from vercel_sql.writes.deletes import own_key as read_own_key

from .oracles import SECRET, attempt, require

STATUSES = (400, 401, 403, 404, 405, 429, 500, 503, 302, 418)
URLS = {
    "api": "https://api.vercel.com",
    "oauth": "https://vercel.com",
    "marketplace": "https://marketplace.vercel.com",
}


@cache
def found(resource: str, method: str) -> tuple[Resource, Method]:
    """A resource and a method of it, by their names alone."""
    services = map(vercel().service, vercel().provider.services)
    owner = next(s.resources[resource] for s in services if resource in s.resources)
    return owner, owner.methods[method]


@cache
def redactor() -> Redactor:
    """What knows the secret."""
    made = Redactor()
    made.add(SECRET)
    return made


def answer(resource: str, method: str, body: bytes) -> Answer:
    """An answer with status 200."""
    _, called = found(resource, method)
    request = Request(called, called.path)
    return Answer(request, 200, {"content-type": "application/json"}, body, redactor())


class Answers(Client):
    """A client that sends nothing, and gives one answer after the other."""

    def __init__(self) -> None:
        super().__init__(vercel().provider, Credential(SECRET, "the fuzzer"), urls=URLS)
        self._bodies = iter(())

    def send(self, request: Request, *_more: object, **_named: object) -> Answer:
        body = next(self._bodies, None)
        if body is None:
            raise AnswerError("there are no more answers")
        headers = {"content-type": "application/json"}
        return Answer(request, 200, headers, body, self.redactor)


@cache
def _client() -> Answers:
    return Answers()


def answers(*bodies: bytes) -> Answers:
    """A client that gives these answers; then there are no more."""
    client = _client()
    client._bodies = iter(bodies)
    client.redactor = redactor()
    return client


def error(data: bytes) -> None:
    """An answer with another status, and the pause that it asks for.

    The first byte chooses the status; a first line is the header ``Retry-After``.
    """
    if not data:
        return
    status = STATUSES[data[0] % len(STATUSES)]
    asked, parted, body = data[1:].partition(b"\n")
    headers = {"content-type": "application/json"}
    if parted:
        headers["retry-after"] = asked.decode("latin-1")
    else:
        body = data[1:]
    _, method = found("user_tokens", "list_auth_tokens")
    answer = Answer(Request(method, method.path), status, headers, body, redactor())
    made, _ = attempt(lambda: api_error(answer), ())
    for text in (str(made), repr(made), made.code, made.message, repr(made.extra)):
        require(SECRET not in text, "the secret is in an error of the API")
    require(len(str(made)) < 2_000, "an error without end")
    require(made.retry_after is None or made.retry_after >= 0, "a pause that is no time")


def own_key(body: bytes) -> None:
    """Which token makes the calls."""
    resource, _ = found("user_tokens", "get_auth_token")
    key, refused = attempt(lambda: read_own_key(answers(body), resource))
    require(refused is not None or isinstance(key, str), "the own key is no text")


def id_token(data: bytes) -> None:
    """An ID token, after the server's description of itself and its keys."""
    description, _, rest = data.partition(b"\0")
    keys, _, token = rest.partition(b"\0")
    client = answers(description, keys)
    text = token.decode("latin-1")
    claims, _ = attempt(lambda: verify_id_token(client, text, audience="cl_app", nonce=None))
    require(claims is None, "an ID token that nobody signed was accepted")


def login(body: bytes) -> None:
    """What a login makes of an answer: its secret becomes known."""
    client = answers(body)
    client.redactor = Redactor()
    given = {"email": "ada@example.com"}
    resource = "authentication.user_tokens"
    content, _ = attempt(lambda: call(client, resource, "email_login", given))
    if content is not None and len(content["token"]) >= SHORTEST:
        require(content["token"] not in client.redactor.mask(repr(content)), "it is not masked")
