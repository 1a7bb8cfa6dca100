"""Where an authorization server's endpoints are: in its discovery document, else in the manifest.

If the document is not available, the addresses that Vercel documents are used, with a warning. A
document that names another issuer, or an endpoint elsewhere, is an error: its author would get
codes, secrets and tokens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from vercel_sql.errors import AnswerError, APIError, RequestError
from vercel_sql.http.requests import Request, build_request
from vercel_sql.logger import logger
from vercel_sql.manifest import Method, vercel
from vercel_sql.runtime.process_state import Shared

if TYPE_CHECKING:
    from vercel_sql.http.client import Client

log = logger("api")

# Seconds: how long to wait for the document with all attempts, how long to use it, and how long to
# do without it.
_PATIENCE = 10.0
_LIFETIME = 600.0
_LIFETIME_WITHOUT = 30.0
# No query, no fragment, and nothing that leads up.
_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._~!$&'()*+,;=:@%-]*)+")

Document = Mapping[str, Any]


class Discovery:
    """What is known of a server's discovery document; threads may share it."""

    def __init__(self) -> None:
        self._known: tuple[float, Document | None] | None = None

    def document(self, client: Client) -> Document | None:
        """The document, at most ten minutes old; None if it isn't available."""
        known = self._known
        is_known = known is not None and time.monotonic() < known[0]
        return known[1] if known is not None and is_known else self.read(client)

    def read(self, client: Client) -> Document | None:
        """The document, requested now; None if it isn't available, an error if it is another's."""
        # Another issuer must not look like another request's answer, which would be asked again.
        request = build_request(
            msgspec.structs.replace(vercel().method_for("discovery"), identity=[]), {}
        )
        document = None
        try:
            answer = client.current_scope.run(lambda: client.send(request), _PATIENCE)
            document = answer.json()
            if not isinstance(document, dict):
                document = None
                raise answer.unusable("it is not an object")
        except (APIError, RequestError, TimeoutError) as error:
            reason = str(error) or f"the discovery document did not come within {_PATIENCE:.0f} s"
            log.warning("%s. The documented addresses are used instead", reason.rstrip("."))
        base = client.urls[vercel().method_for("discovery").server]
        if document is not None and document.get("issuer") != base:
            raise _refused(client, f"its issuer is not {base}")
        lifetime = _LIFETIME_WITHOUT if document is None else _LIFETIME
        self._known = time.monotonic() + lifetime, document
        return document


discoveries = Shared(Discovery)
"""The discovery of each base URL."""


def located(client: Client, request: Request) -> Request:
    """The request with the address that the discovery document gives its method."""
    method = request.method
    if method.endpoint is None:
        return request
    server, path = endpoint(client, method)
    found = msgspec.structs.replace(method, server=server, path=path, endpoint=None)
    return replace(request, method=found, path=path)


def endpoint(client: Client, method: Method) -> tuple[str, str]:
    """The server and path of a method that has an endpoint; an error if they are elsewhere."""
    issuer = vercel().method_for("discovery").server
    document = client.servers.discovery(issuer).document(client)
    address = None if document is None else document.get(method.endpoint or "")
    if address is None:
        return method.server, method.path
    for server in (issuer, *client.provider.servers[issuer].endpoints):
        path = path_on(client.urls[server], address)
        if path is not None:
            return server, path
    raise _refused(client, f"its {method.endpoint} is not on that server, nor on the API's")


def path_on(base: str, address: object) -> str | None:
    """The path of an address on a server; None if it is not on it."""
    if not isinstance(address, str) or not address.startswith(f"{base}/"):
        return None
    path = address.removeprefix(base)
    return path if _PATH.fullmatch(path) else None


def _refused(client: Client, reason: str) -> AnswerError:
    base = client.urls[vercel().method_for("discovery").server]
    return AnswerError(
        f"the discovery document of {base} is refused: {reason}. Nothing was sent there. Check "
        "VERCEL_OAUTH_URL, and who answers for that server",
        method="GET",
        path=vercel().method_for("discovery").path,
    )
