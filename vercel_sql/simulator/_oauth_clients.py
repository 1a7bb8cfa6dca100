"""The apps and integrations that are registered with the simulated Vercel."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal
from urllib.parse import urlsplit

from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import new_secret

Kind = Literal["app", "integration", "sso"]

SCOPES = ("openid", "email", "profile", "offline_access")
"""What an app may ask for."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class OAuthClient:
    """One registered client.

    An `app` signs people in at the authorization server; without a secret it is a public one.
    An `integration` exchanges its codes at `/v2/oauth/access_token`, and `sso` is one that
    opens a provider's dashboard by way of `/v1/integrations/sso/token`. An app that publishes keys
    (`jwks`) signs what shows who it is. A `native` app may be redirected to any port of its
    registered loopback addresses (RFC 8252, section 7.3), which Vercel promises to none. Sessions
    of an app that `reads` may do what those of Vercel's command line may: Vercel gives apps such
    permissions in a private beta. Those of all others may ask for the user info alone.
    """

    kind: Kind
    client_id: str
    name: str
    client_secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    native: bool = False
    jwks: Object | None = None
    reads: bool = False

    @property
    def public(self) -> bool:
        """Whether it has no secret to show, and no key."""
        return self.client_secret is None and self.jwks is None

    def may_redirect_to(self, uri: str) -> bool:
        """Whether a redirect URI is one of those that are registered."""
        if uri in self.redirect_uris:
            return True
        if not self.native:
            return False
        wanted = _without_port(uri)
        return wanted is not None and wanted in map(_without_port, self.redirect_uris)

    def as_json(self) -> Object:
        """Give the client as `GET /_simulator/clients` shows it."""
        return dataclasses.asdict(self)


def _without_port(uri: str) -> tuple[str, ...] | None:
    """Give what has to be equal of a loopback address; None where it is not one."""
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    if parts.username is not None or "#" in uri:
        return None
    return parts.scheme, parts.hostname, parts.path, parts.query


class OAuthClients:
    """All clients: `public`, `confidential`, `integration` and `sso` are there from the start."""

    def __init__(self, random: Random) -> None:
        self._clients: dict[str, OAuthClient] = {}
        self.public = self.add(
            OAuthClient(
                "app",
                "cl_" + new_secret(random, 32),
                "Simulated command line",
                redirect_uris=("http://127.0.0.1:8743/callback",),
            )
        )
        self.confidential = self.add(
            OAuthClient(
                "app",
                "cl_" + new_secret(random, 32),
                "Simulated web app",
                client_secret=new_secret(random, 40),
                redirect_uris=(
                    "http://localhost:3000/api/auth/callback",
                    "https://app.example/api/auth/callback",
                ),
            )
        )
        self.integration = self.add(
            OAuthClient(
                "integration",
                "oac_" + new_secret(random),
                "Simulated integration",
                client_secret=new_secret(random),
                redirect_uris=("https://example.com/oauth",),
                scopes=(),
            )
        )
        self.sso = self.add(
            OAuthClient(
                "sso",
                "oac_" + new_secret(random),
                "Simulated provider",
                client_secret=new_secret(random),
                redirect_uris=("https://provider.example/sso",),
                scopes=("openid", "offline_access"),
            )
        )

    def __iter__(self) -> Iterator[OAuthClient]:
        return iter(list(self._clients.values()))

    def add(self, client: OAuthClient) -> OAuthClient:
        """Register a client, or change the one with its id; give it back."""
        self._clients[client.client_id] = client
        return client

    def find(self, client_id: str | None, *kinds: Kind) -> OAuthClient | None:
        """Find a client of one of the kinds by its id."""
        client = self._clients.get(client_id or "")
        return client if client is not None and client.kind in kinds else None

    def default(self, kind: Kind) -> OAuthClient:
        """Give the seeded client of a kind; of the apps, the public one."""
        return {"app": self.public, "integration": self.integration, "sso": self.sso}[kind]
