"""What people paste into a DuckDB shell to attach a server, and the token in it."""

from __future__ import annotations

import secrets

from vercel_sql.errors import ParameterError

HOST = "localhost"
_CATALOG = "vercel"
_TOKEN_BYTES = 32
_SHORTEST_TOKEN = 22
"""Characters: 128 bits in the densest text that people use, base64."""


def uri_of(port: int) -> str:
    """What clients attach."""
    return f"quack:{HOST}:{port}"


def lines_to_paste(port: int, token: str) -> list[str]:
    """Three lines for a DuckDB shell, which will give the token to this server and to no other."""
    uri, shown = uri_of(port), token.replace("'", "''")
    return [
        "INSTALL quack; LOAD quack;",
        f"CREATE OR REPLACE SECRET vercel_{port} (TYPE quack, TOKEN '{shown}', SCOPE '{uri}');",
        f"ATTACH OR REPLACE '{uri}' AS {_CATALOG};",
    ]


def acceptable_token(token: str | None) -> str:
    """The token that clients need: the given one, else a random one of 256 bits."""
    if token is None:
        return secrets.token_urlsafe(_TOKEN_BYTES)
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or not token.isascii():
        raise ParameterError(
            f"the server's token needs at least {_SHORTEST_TOKEN} printable ASCII characters "
            "(128 bits): openssl rand -base64 24 makes one"
        )
    return token
