"""What live tables and functions are made from."""

from __future__ import annotations

from dataclasses import dataclass

from vercel_sql.api import Client
from vercel_sql.tables.failures import Failures


@dataclass(frozen=True)
class Source:
    """What live tables and functions are made from.

    Attributes:
        client: the HTTP client.
        failures: where the originals of errors are kept.
    """

    client: Client
    failures: Failures
