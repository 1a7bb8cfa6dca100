"""ID tokens, the keys that sign them, and the ways in which they can be wrong.

| fault | the ID token |
| --- | --- |
| `other_key` | names the published key, but another one signed it |
| `unknown_key` | is signed with an unpublished key, and names it |
| `other_server` | is signed with the key of the other server that issues ID tokens |
| `alg_none` | is not signed, and says so |
| `hs256_public_key` | is signed with HMAC, with the published key as the secret |
| `wrong_audience`, `wrong_issuer` | is for, or from, somebody else |
| `expired`, `not_yet_valid` | was valid an hour ago, or will be in an hour |
| `wrong_nonce`, `missing_nonce` | has another nonce, or none |
| `claims` | has these `claims` in place of its own; null leaves one out |
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeyParameters, RSAKey

from vercel_sql.simulator.messages import Object, encode

ALGORITHM = "RS256"
"""What every OpenID provider has to support."""

_HOUR = 3600


class KeyRing:
    """Real RSA keys, the newest of which signs; to be used under the state's lock.

    The first is made when it is first needed, since that takes a while, and most simulated
    accounts are never signed in to.
    """

    def __init__(self) -> None:
        self._keys: list[RSAKey] = []

    @property
    def current(self) -> RSAKey:
        if not self._keys:
            self._keys.append(new_key())
        return self._keys[-1]

    def rotate(self, *, keep_old: bool = True, kid: str | None = None) -> str:
        """Sign with a new key, of that `kid` or named by its thumbprint; return its name.

        The older keys stay published if `keep_old`, since tokens that they signed are about.
        """
        if not keep_old:
            self._keys.clear()
        self._keys.append(new_key(kid))
        return self.current.kid or ""

    def published(self) -> Object:
        """Return the JSON Web Key Set: the public keys, newest first."""
        _ = self.current
        return {"keys": [key.as_dict(private=False) for key in reversed(self._keys)]}


def new_key(kid: str | None = None) -> RSAKey:
    """Make a key, whose `kid` is its thumbprint where none is given."""
    parameters: KeyParameters = {"use": "sig", "alg": ALGORITHM}
    if kid is not None:
        parameters["kid"] = kid
    return RSAKey.generate_key(2048, parameters, auto_kid=kid is None)


def _sign(claims: Object, key: RSAKey, kid: str | None = None) -> str:
    """Make a signed JSON Web Token; it names another key where a `kid` is given."""
    header = {"alg": ALGORITHM, "kid": kid or key.kid, "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


def user_claims(user: Object, scopes: Collection[str], issued_by: str) -> Object:
    """Return what a person allowed an app to know."""
    claims: Object = {"sub": user["id"]}
    if "email" in scopes:
        claims |= {"email": user.get("email"), "email_verified": True}
    if "profile" in scopes:
        claims |= {"name": user.get("name"), "preferred_username": user.get("username")}
        if user.get("avatar") is not None:
            claims["picture"] = f"{issued_by}/api/www/avatar/{user['avatar']}"
    return {name: value for name, value in claims.items() if value is not None}


def issued(issued_by: str, audience: str, now_ms: int, nonce: str | None) -> Object:
    """Return what every ID token says: from whom, for whom, when, and until when (seconds)."""
    now = now_ms // 1000
    claims = {"iss": issued_by, "aud": audience, "iat": now, "exp": now + _HOUR, "nbf": now}
    return claims if nonce is None else {**claims, "nonce": nonce}


def _shifted(claims: Object, seconds: int) -> Object:
    return claims | {name: claims[name] + seconds for name in ("iat", "exp", "nbf")}


_CHANGES: Mapping[str, Callable[[Object], Object]] = {
    "wrong_audience": lambda claims: {**claims, "aud": "cl_somebody_else"},
    "wrong_issuer": lambda claims: {**claims, "iss": "https://issuer.example"},
    "expired": lambda claims: _shifted(claims, claims["iat"] - claims["exp"] - _HOUR),
    "not_yet_valid": lambda claims: _shifted(claims, 2 * _HOUR),
    "wrong_nonce": lambda claims: {**claims, "nonce": "another-nonce"},
    "missing_nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
}
"""Faults of what an ID token says."""


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _unsigned(claims: Object, **header: Any) -> str:
    return f"{_encoded(encode({**header, 'typ': 'JWT'}))}.{_encoded(encode(claims))}"


def _with_the_public_key(claims: Object, keys: KeyRing, _others: KeyRing) -> str:
    signed = _unsigned(claims, alg="HS256", kid=keys.current.kid)
    secret = keys.current.as_pem(private=False)
    return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


_SIGNERS: Mapping[str, Callable[[Object, KeyRing, KeyRing], str]] = {
    "other_key": lambda claims, keys, _: _sign(claims, new_key(), keys.current.kid),
    "unknown_key": lambda claims, _keys, _others: _sign(claims, new_key()),
    "other_server": lambda claims, _, others: _sign(claims, others.current),
    "alg_none": lambda claims, _keys, _others: _unsigned(claims, alg="none") + ".",
    "hs256_public_key": _with_the_public_key,
}
"""Faults of how an ID token is signed."""

FAULTS = (*_SIGNERS, *_CHANGES, "claims")


@dataclass
class IdTokenFault:
    """One fault, and how many ID tokens it is still to befall."""

    fault: str
    times: int = 1
    claims: Object | None = None


def make(claims: Object, keys: KeyRing, others: KeyRing, faults: list[IdTokenFault]) -> str:
    """Make an ID token, with the next of the faults if there is one.

    `keys` are those of its issuer, and `others` those of the other server that issues them.
    """
    if not faults:
        return _sign(claims, keys.current)
    fault = faults[0]
    fault.times -= 1
    if not fault.times:
        del faults[0]
    if fault.fault in _SIGNERS:
        return _SIGNERS[fault.fault](claims, keys, others)
    if fault.fault in _CHANGES:
        claims = _CHANGES[fault.fault](claims)
    claims = {**claims, **(fault.claims or {})}
    return _sign({k: v for k, v in claims.items() if v is not None}, keys.current)
