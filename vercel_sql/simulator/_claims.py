"""What tokens and user info say about a person."""

from collections.abc import Collection

from starlette.requests import Request

from vercel_sql.simulator._json import Object

ID_TOKEN_SECONDS = 3600
MARKETPLACE_PATH = "/marketplace"
"""Where the simulated `https://marketplace.vercel.com` is; the issuer of SSO ID tokens."""


def issuer(request: Request) -> str:
    """Give the simulated Vercel's own URL, whatever name the caller used for it."""
    host, port = request.scope["server"]
    return f"http://{host}:{port}"


def marketplace_issuer(request: Request) -> str:
    """Give the base URL of the simulated marketplace, which issues the ID tokens of SSO."""
    return issuer(request) + MARKETPLACE_PATH


def user_claims(user: Object, scopes: Collection[str], issued_by: str) -> Object:
    """Give what a person allowed an app to know."""
    claims: Object = {"sub": user["id"]}
    if "email" in scopes:
        claims |= {"email": user.get("email"), "email_verified": True}
    if "profile" in scopes:
        claims |= {"name": user.get("name"), "preferred_username": user.get("username")}
        if user.get("avatar") is not None:
            claims["picture"] = f"{issued_by}/api/www/avatar/{user['avatar']}"
    return {name: value for name, value in claims.items() if value is not None}


def issued(issued_by: str, audience: str, now_ms: int, nonce: str | None) -> Object:
    """Give what every ID token says: from whom, for whom, when, and until when (seconds)."""
    now = now_ms // 1000
    claims = {"iss": issued_by, "aud": audience, "iat": now, "exp": now + ID_TOKEN_SECONDS}
    claims["nbf"] = now
    return claims if nonce is None else {**claims, "nonce": nonce}
