"""From a method and its arguments to the one request that will be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from vercel_sql.api.decode import encode_json
from vercel_sql.api.redaction import MASK
from vercel_sql.manifest import Method, Parameter


@dataclass(frozen=True)
class Request:
    """A request as it will go out. Its repr masks what the manifest calls secret.

    Attributes:
        method: the manifest's method.
        path: the path, percent-encoded.
        query: the query's names and values, in the manifest's order.
        body: the body's fields, or None where there is no body.
    """

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)

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
        form = self.method.body == "form"
        return "application/x-www-form-urlencoded" if form else "application/json"

    @property
    def shown_query(self) -> dict[str, str]:
        """The query for people, secrets masked."""
        secret = _secret_keys(self.method)
        return {name: MASK if name in secret else value for name, value in self.query}

    @property
    def shown_body(self) -> dict[str, Any] | None:
        """The body for people, secrets masked."""
        if self.body is None:
            return None
        secret = _secret_keys(self.method)
        return {name: MASK if name in secret else value for name, value in self.body.items()}


def build_request(
    method: Method, arguments: Mapping[str, Any], extra_query: Mapping[str, Any] | None = None
) -> Request:
    """The request of a method for arguments that `check_arguments` has passed.

    Args:
        method: the manifest's method.
        arguments: the values by the parameters' names.
        extra_query: what paging adds, names as on the wire.
    """
    path = method.path
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    for parameter in method.parameters:
        if parameter.name not in arguments:
            continue
        value = arguments[parameter.name]
        if parameter.location == "path":
            path = path.replace(f"{{{parameter.key}}}", quote(str(value), safe=""))
        elif parameter.location == "query":
            query.append((parameter.key, _query_text(value)))
        else:
            body[parameter.key] = value
    query += [(name, _query_text(value)) for name, value in (extra_query or {}).items()]
    return Request(method, path, tuple(query), body if _has_body(method) else None)


def _has_body(method: Method) -> bool:
    return any(parameter.location == "body" for parameter in method.parameters)


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _encode(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return urlencode(pairs, quote_via=quote, safe="")


def _secret_keys(method: Method) -> set[str]:
    return {p.key for p in method.parameters if p.secret}


def secret_parameters(method: Method) -> list[Parameter]:
    """The parameters whose values are never shown."""
    return [p for p in method.parameters if p.secret]
