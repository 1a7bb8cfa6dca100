"""Whose API is called, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike

from vercel_sql.auth import find_credential
from vercel_sql.http.client import Client
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import vercel
from vercel_sql.runtime.scope import checked_seconds


@dataclass(frozen=True)
class Account:
    """The options of `connect` that say whose API is called, and how.

    Attributes:
        token: a Vercel token.
        token_file: a file that holds a token and nothing else.
        urls: base URLs by the server's name; those that are empty don't count.
        audit_log: where every write is noted, if anywhere.
        read_only: refuse everything that changes something.
        max_wait: how many seconds may be spent on waiting for rate limits.
        request_timeout: seconds for connecting, and for each wait for bytes.
        attempts: how often a request that may be sent again is sent at most.
        strict: whether a value that can't be decoded exactly is an error.

    Raises:
        ParameterError: a number of seconds is not acceptable.
    """

    token: str | None = field(repr=False)
    urls: Mapping[str, str | None]
    audit_log: AuditLog | None
    read_only: bool
    max_wait: float | None
    request_timeout: float
    strict: bool
    token_file: str | PathLike[str] | None = None
    attempts: int = 5

    def __post_init__(self) -> None:
        checked_seconds("request_timeout", self.request_timeout)
        if self.max_wait is not None:
            checked_seconds("max_wait", self.max_wait, zero=True)

    def client(self) -> Client:
        """A client that calls the API.

        Raises:
            ParameterError: the token or a URL is not acceptable.
            OperationalError: the file of the token can't be read.
        """
        provider = vercel().provider
        urls = {name: url for name, url in self.urls.items() if url}
        credential = find_credential(
            provider,
            self.token,
            self.token_file,
            urls=urls,
            request_timeout=self.request_timeout,
            audit_log=self.audit_log,
        )
        client = Client(
            provider,
            credential,
            urls=urls,
            read_only=self.read_only,
            request_timeout=self.request_timeout,
            attempts=self.attempts,
            max_wait=self.max_wait,
            audit_log=self.audit_log,
        )
        client.doubts.strict = self.strict
        return client
