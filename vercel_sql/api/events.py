"""What a client tells its observers: requests and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class PageEvent:
    """One page of a listing, once it is known to be sound.

    Attributes:
        api_method: the name of the manifest's method.
        rows: how many rows it has.
    """

    api_method: str
    rows: int
