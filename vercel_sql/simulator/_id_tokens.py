"""ID tokens, and the ways in which they can be wrong.

| fault | the ID token |
| --- | --- |
| `other_key` | names the published key, but another one signed it |
| `unknown_key` | is signed with a key that is not published, and names it |
| `other_server` | is signed with the key of the other server that issues ID tokens |
| `alg_none` | is not signed, and says so |
| `hs256_public_key` | is signed with HMAC, the published key being the secret |
| `wrong_audience`, `wrong_issuer` | is for, or from, somebody else |
| `expired`, `not_yet_valid` | was good an hour ago, or will be in one |
| `wrong_nonce`, `missing_nonce` | has another nonce, or none |
| `claims` | has the `claims` laid over its own; null leaves one out |
"""

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vercel_sql.simulator._json import Object, encode
from vercel_sql.simulator._keys import KeyRing, new_key, sign

_HOUR = 3600


def _shifted(claims: Object, seconds: int) -> Object:
    """Move all of a token's times."""
    shifted = dict(claims)
    for name in ("iat", "exp", "nbf"):
        if name in claims:
            shifted[name] += seconds
    return shifted


_CHANGES: Mapping[str, Callable[[Object], Object]] = {
    "wrong_audience": lambda claims: {**claims, "aud": "cl_somebody_else"},
    "wrong_issuer": lambda claims: {**claims, "iss": "https://issuer.example"},
    "expired": lambda claims: _shifted(claims, -claims["exp"] + claims["iat"] - _HOUR),
    "not_yet_valid": lambda claims: {
        **_shifted(claims, 2 * _HOUR),
        "nbf": claims["iat"] + 2 * _HOUR,
    },
    "wrong_nonce": lambda claims: {**claims, "nonce": "another-nonce"},
    "missing_nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
}
"""Faults of what an ID token says."""


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(header: Object, claims: Object) -> str:
    return f"{_base64url(encode(header))}.{_base64url(encode(claims))}"


def _with_another_key(claims: Object, keys: KeyRing, _others: KeyRing) -> str:
    return sign(claims, new_key(), keys.current.kid)


def _with_an_unknown_key(claims: Object, _keys: KeyRing, _others: KeyRing) -> str:
    key = new_key()
    return sign(claims, key, key.kid)


def _with_the_others_key(claims: Object, _keys: KeyRing, others: KeyRing) -> str:
    return sign(claims, others.current, others.current.kid)


def _with_no_key(claims: Object, _keys: KeyRing, _others: KeyRing) -> str:
    return _unsigned({"alg": "none", "typ": "JWT"}, claims) + "."


def _with_the_public_key(claims: Object, keys: KeyRing, _others: KeyRing) -> str:
    header = {"alg": "HS256", "kid": keys.current.kid, "typ": "JWT"}
    signed = _unsigned(header, claims)
    secret = keys.current.as_pem(private=False)
    return f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


_SIGNERS: Mapping[str, Callable[[Object, KeyRing, KeyRing], str]] = {
    "other_key": _with_another_key,
    "unknown_key": _with_an_unknown_key,
    "other_server": _with_the_others_key,
    "alg_none": _with_no_key,
    "hs256_public_key": _with_the_public_key,
}
"""Faults of how an ID token is signed."""

KINDS = (*_SIGNERS, *_CHANGES, "claims")


@dataclass
class IdTokenFault:
    """One fault, and how many ID tokens it is still to befall."""

    fault: str
    times: int = 1
    claims: Object | None = None


class IdTokens:
    """Makes ID tokens, right ones unless a fault was asked for; safe from any thread."""

    def __init__(self) -> None:
        self._faults: list[IdTokenFault] = []
        self._lock = threading.Lock()

    def spoil(self, fault: str, *, times: int = 1, claims: Mapping[str, Any] | None = None) -> None:
        """Let the next ID tokens have a fault.

        Raises:
            ValueError: There is no such fault.
        """
        if fault not in KINDS:
            raise ValueError(f"`fault` should be one of {', '.join(KINDS)}.")
        if times < 1:
            raise ValueError("`times` should be >= 1.")
        if (fault == "claims") is not (claims is not None):
            raise ValueError("`claims` belong to the fault claims, and to no other.")
        with self._lock:
            self._faults.append(IdTokenFault(fault, times, dict(claims) if claims else None))

    def faults(self) -> list[Object]:
        """Give the faults that are still to come."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def make(self, claims: Object, keys: KeyRing, others: KeyRing) -> str:
        """Make an ID token, with the next fault if there is one.

        Args:
            claims: What it says.
            keys: Those of its issuer.
            others: Those of the other server that issues ID tokens.
        """
        fault = self._next()
        if fault is None:
            return sign(claims, keys.current, keys.current.kid)
        if fault.fault in _SIGNERS:
            return _SIGNERS[fault.fault](claims, keys, others)
        changed = _CHANGES[fault.fault](claims) if fault.fault in _CHANGES else claims
        laid_over = {**changed, **(fault.claims or {})}
        kept = {name: value for name, value in laid_over.items() if value is not None}
        return sign(kept, keys.current, keys.current.kid)

    def _next(self) -> IdTokenFault | None:
        with self._lock:
            if not self._faults:
                return None
            fault = self._faults[0]
            fault.times -= 1
            if not fault.times:
                del self._faults[0]
            return fault
