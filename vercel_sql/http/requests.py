"""From a method and its arguments to the one request that will be sent."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from vercel_sql.errors import DataError
from vercel_sql.http.connections import Line
from vercel_sql.http.decode import encode_json
from vercel_sql.manifest import Method, Parameter
from vercel_sql.redaction import MASK
from vercel_sql.redaction.known import NotPicklable


@dataclass(frozen=True)
class Request(NotPicklable):
    """A request as it will go out. Its repr masks what the manifest calls secret.

    Attributes:
        method: the manifest's method.
        path: the path, percent-encoded.
        query: the query's names and values, in the manifest's order.
        body: the body's fields, or None where there is no body.
        authorization: the ``Authorization`` header, where it is not the connection's own token.
        secrets: the values that are never shown.
        given: the arguments that it was built from, by the parameters' names.
        line: what it goes out on; None for a connection of its own.
    """

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    line: Line | None = field(default=None, repr=False, compare=False)

    def where(self, mask: Callable[[str], str], detail: str = "", base: str = "") -> str:
        """What stands behind a message: which request it is about, and of which resource."""
        method = self.method
        return f"({method.http} {base}{mask(self.path)}{detail}) in vercel.{method.resource}"

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line; it may hold secrets."""
        return f"{self.path}?{_encode(self.query)}" if self.query else self.path

    @property
    def content(self) -> bytes | None:
        """The encoded body."""
        if self.body is None:
            return None
        if self.method.body == "form":
            return _encode([(k, str(v)) for k, v in self.body.items()]).encode("ascii")
        return encode_json(self.body).encode("utf-8")

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return f"application/{'x-www-form-urlencoded' if self.method.body == 'form' else 'json'}"

    def argument(self, name: str) -> Any:
        """What goes out for a parameter of path, query or body; None where it has no value."""
        parameter = self.method.parameter(name)
        if parameter is None:
            return None
        if parameter.location == "path":
            return self.given.get(parameter.name)
        places = {"query": dict(self.query), "body": self.body or {}}
        return places.get(parameter.location, {}).get(parameter.key)

    @property
    def shown_query(self) -> dict[str, str]:
        """The query for people, secrets masked."""
        return self._masked(dict(self.query))

    @property
    def shown_body(self) -> dict[str, Any] | None:
        """The body for people, secrets masked."""
        return None if self.body is None else self._masked(self.body)

    def _masked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        secret = {p.key for p in self.method.parameters if p.secret}
        return {name: MASK if name in secret else value for name, value in values.items()}


def build_request(
    method: Method, arguments: Mapping[str, Any], extra_query: Mapping[str, Any] | None = None
) -> Request:
    """The request of a method for arguments that `check_arguments` has passed."""
    given = [(p, arguments[p.name]) for p in method.given if p.name in arguments]
    path = method.path
    for parameter, value in given:
        if parameter.location == "path":
            path = path.replace(f"{{{parameter.key}}}", _segment(method, parameter, value))
    query = [(p.key, _query_text(value)) for p, value in given if p.location == "query"]
    query += [(name, _query_text(value)) for name, value in (extra_query or {}).items()]
    credentials: dict[str, str] = {p.location: str(value) for p, value in given}
    basic = _basic(credentials)
    return Request(
        method,
        path,
        tuple(query),
        _body(method, arguments, is_basic=basic is not None),
        basic or (f"Bearer {credentials['bearer']}" if "bearer" in credentials else None),
        tuple(str(value) for p, value in given if p.secret),
        {parameter.name: value for parameter, value in given},
    )


def fits_path(value: str) -> bool:
    """Whether a text can be one segment of a path, percent-encoded."""
    # However these are encoded, they are taken for no segment, or for the one above.
    return value not in ("", ".", "..")


def _segment(method: Method, parameter: Parameter, value: Any) -> str:
    if fits_path(str(value)):
        return quote(str(value), safe="")
    raise DataError(
        f"vercel.{method.resource}: {method.name}: {parameter.name} {str(value)!r} can't stand in "
        "a path, since it would lead elsewhere"
    )


def _body(method: Method, arguments: Mapping[str, Any], *, is_basic: bool) -> dict[str, Any] | None:
    """The fields of the body, in the manifest's order; None where the method has no body."""
    fields = [p for p in method.parameters if p.location in ("body", "basic_user")]
    if not fields:
        return None
    sent = [p for p in fields if p.location == "body" or not is_basic]
    sent = [p for p in sent if p.beside is None or arguments.get(p.beside) is not None]
    values = {p.key: arguments.get(p.name, p.constant) for p in sent}
    return {key: value for key, value in values.items() if value is not None}


def _basic(credentials: Mapping[str, str]) -> str | None:
    if not {"basic_user", "basic_password"} <= credentials.keys():
        return None
    pair = f"{credentials['basic_user']}:{credentials['basic_password']}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encode(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return urlencode(pairs, quote_via=quote, safe="")
