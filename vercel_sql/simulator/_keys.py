"""The keys that ID tokens are signed with."""

from joserfc import jwt
from joserfc.jwk import KeyParameters, RSAKey

from vercel_sql.simulator._json import Object

ALGORITHM = "RS256"
"""What every OpenID provider has to support."""


class KeyRing:
    """Real RSA keys, the newest of which signs; to be used under the state's lock.

    The first is made when it is first needed, since that takes a while, and most simulated
    accounts are never signed in to.
    """

    def __init__(self) -> None:
        self._keys: list[RSAKey] = []

    @property
    def current(self) -> RSAKey:
        """The key that signs."""
        if not self._keys:
            self._keys.append(new_key())
        return self._keys[-1]

    def rotate(self, *, keep_old: bool = True, kid: str | None = None) -> str:
        """Sign with a new key from now on; give its `kid`.

        Args:
            keep_old: Whether the older keys stay published, as tokens of theirs are about.
            kid: The new key's name; its thumbprint by default.
        """
        if not keep_old:
            self._keys.clear()
        self._keys.append(new_key(kid))
        return self.current.kid or ""

    def published(self) -> Object:
        """Give the JSON Web Key Set: the public keys, newest first."""
        _ = self.current
        return {"keys": [key.as_dict(private=False) for key in reversed(self._keys)]}


def new_key(kid: str | None = None) -> RSAKey:
    """Make a key, whose `kid` is its thumbprint where none is given."""
    parameters: KeyParameters = {"use": "sig", "alg": ALGORITHM}
    if kid is not None:
        parameters["kid"] = kid
    return RSAKey.generate_key(2048, parameters, auto_kid=kid is None)


def sign(claims: Object, key: RSAKey, kid: str | None) -> str:
    """Make a signed JSON Web Token."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": "JWT"}
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])
