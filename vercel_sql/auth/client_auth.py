"""How an app proves to the authorization server who it is: by its secret, or by a signature."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vercel_sql.errors import OperationalError, ParameterError
from vercel_sql.files import read_trusted
from vercel_sql.http.discovery import endpoint
from vercel_sql.manifest import Method, vercel

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

    from vercel_sql.http.client import Client

Signing = Literal["client_secret_jwt", "private_key_jwt"]
SIGNING: tuple[Signing, ...] = ("client_secret_jwt", "private_key_jwt")
# Without openid there would be no ID token to check.
DEFAULT_SCOPE = "openid email profile offline_access"
# Vercel takes assertions that are valid for a minute at most; its clock may be a little behind.
_SECONDS = 50
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True)
class App:
    """The app that signs in.

    Attributes:
        client_id: its id.
        client_secret_file: the absolute path of a file with its secret or private key, if it has
            one.
        scope: what it asks for, separated by spaces.
        signing: how it signs assertions with that; None if it sends the secret.
    """

    client_id: str
    client_secret_file: str | None = None
    scope: str = DEFAULT_SCOPE
    signing: Signing | None = None

    def credentials(self, client: Client) -> dict[str, str | None]:
        """The arguments that prove who it is, to be made anew for each call.

        Raises:
            OperationalError: the file can't be read, or belongs to somebody else.
            ParameterError: it has no usable key.
        """
        text = self._secret()
        if text is None or self.signing is None:
            return {"client_id": self.client_id or None, "client_secret": text}
        method = vercel().method_for("sign_assertion")
        name = "private_key" if self.signing == "private_key_jwt" else "client_secret"
        assertion = signed_assertion(client, method, client_id=self.client_id, **{name: text})
        return {"client_id": self.client_id, "client_assertion": assertion}

    def _secret(self) -> str | None:
        path = self.client_secret_file
        if path is None:
            return None
        try:
            secret = read_trusted(Path(path))[0].decode("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise OperationalError(
                f"the client secret's file {path} can't be read: {reason}"
            ) from None
        if not secret:
            raise OperationalError(f"the client secret's file {path} is empty")
        return secret


def signed_assertion(
    client: Client,
    method: Method,
    *,
    client_id: str,
    client_secret: str | None = None,
    private_key: str | None = None,
    key_id: str | None = None,
) -> str:
    """An assertion for the token endpoint (RFC 7523), signed with the secret or key; works once."""
    # Imported here: the JOSE library takes as long to import as a small statement takes to run.
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    server, path = endpoint(client, method)
    now = client.clock(server).now_ms() // 1000
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": client.urls[server] + path,
        "jti": secrets.token_urlsafe(32),
        "iat": now,
        "exp": now + _SECONDS,
    }
    client.redactor.add(client_secret or private_key)
    try:
        if private_key is None:
            key: OctKey | RSAKey | ECKey = OctKey.import_key(client_secret or "")
            algorithm = "HS256"
        else:
            key = _private_key(private_key)
            algorithm = _algorithm(key)
        kid = key_id or key.kid
        header = {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid else {})}
        assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        # The library's own message may contain the key.
        raise ParameterError(
            "the client secret can't be used to sign"
            if private_key is None
            else "the private key can't be used: it must be an RSA or EC private key without a "
            "password, as PEM or as a JWK"
        ) from None
    client.redactor.add(assertion)
    return assertion


def _private_key(text: str) -> RSAKey | ECKey:
    """The key of a PEM or JWK; else `ValueError`."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    value: Any = json.loads(text) if text.lstrip().startswith("{") else text
    for kind in (RSAKey, ECKey):
        try:
            key = kind.import_key(value)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if key.is_private:
            return key
    raise ValueError("not a private key")


def _algorithm(key: RSAKey | ECKey) -> str:
    """What a key signs with: what it names itself, if that is for private keys."""
    named = key.get("alg")
    if isinstance(named, str) and named.startswith(("RS", "PS", "ES")):
        return named
    if named is not None:
        raise ValueError("not an algorithm of private keys")
    return "RS256" if key.key_type == "RSA" else _EC_ALGORITHMS[str(key["crv"])]
