"""What a client tells its observers: requests and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vercel_sql.api.redaction.structures import masked_values
from vercel_sql.api.requests import Request
from vercel_sql.api.windows import Told


@dataclass(frozen=True)
class RequestEvent:
    """One HTTP exchange, as it is told to observers and to the log. It holds no secret.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        query: the query, secrets masked.
        body: the body's fields, secrets masked.
        resource: service and name of the resource.
        api_method: the name of the manifest's method.
        effect: ``read`` or ``write``.
        status: the HTTP status, or None where no answer came.
        milliseconds: how long it took.
        attempt: 1 for the first time that the request was sent.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None
    resource: str
    api_method: str
    effect: str
    status: int | None
    milliseconds: float
    attempt: int

    @classmethod
    def of(
        cls,
        request: Request,
        mask: Callable[[str], str],
        status: int | None,
        milliseconds: float,
        attempt: int,
    ) -> RequestEvent:
        """What may be told of a request: everything, with secrets masked."""
        method, body = request.method, request.shown_body
        return cls(
            method.http,
            mask(request.path),
            masked_values(request.shown_query, mask),
            None if body is None else masked_values(body, mask),
            method.resource,
            method.name,
            method.effect,
            status,
            milliseconds,
            attempt,
        )

    def in_words(self, left: Told | None) -> str:
        """A line for the log."""
        status = "no answer" if self.status is None else self.status
        budget = f", {left.remaining} of {left.limit} left" if left is not None else ""
        took = f"{self.milliseconds:.1f} ms (attempt {self.attempt}{budget})"
        return f"{self.method} {self.path} -> {status} in {took}"


@dataclass(frozen=True)
class PageEvent:
    """One page of a listing, once it is known to be sound.

    Attributes:
        api_method: the name of the manifest's method.
        rows: how many rows it has.
    """

    api_method: str
    rows: int
