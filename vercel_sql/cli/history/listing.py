"""Everything that a snapshot keeps, read from the API to its end before any of it is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from vercel_sql import Connection
from vercel_sql.cli.history.schema import IS_CURRENT, stored_columns
from vercel_sql.errors import DataError

_USER = "SELECT id, username, email, name FROM vercel.user.user"
_CURRENT = "SELECT id FROM vercel.authentication.user_tokens WHERE tokenId = 'current'"
_TOKENS = "SELECT {columns} FROM vercel.authentication.user_tokens"


@dataclass(frozen=True)
class Listing:
    """All tokens of an account at one time.

    Attributes:
        taken_at: when the reading began, in UTC, by the server's clock where this one is wrong.
        account_id: the id of the user whose tokens they are.
        account: what people call that user.
        api_url: the base URL of the API.
        request_count: how many requests it took, repeated ones included.
        tokens: one row a token, with the columns of `schema.stored_columns` and `IS_CURRENT`.
    """

    taken_at: datetime
    account_id: str
    account: str
    api_url: str
    request_count: int
    tokens: pa.Table


def read_listing(connection: Connection) -> Listing:
    """Asks for the user and for all tokens."""
    requests: list[str] = []
    with connection.observed(lambda event: requests.append(event.path)):
        [user] = connection.execute(_USER).arrow().to_pylist()
        taken_at = datetime.fromtimestamp(connection.client.clock("api").now_ms() / 1000, UTC)
        if user["id"] is None:
            raise DataError("whose tokens these are can't be read, so they go into no history")
        current = connection.execute(_CURRENT).arrow().column("id").to_pylist()
        tokens = connection.execute(_TOKENS.format(columns=_columns())).arrow()
    ids = tokens.column("id").to_pylist()
    is_current = pa.array([None if i is None else i in current for i in ids], pa.bool_())
    return Listing(
        taken_at,
        user["id"],
        user["username"] or user["email"] or user["name"] or user["id"],
        connection.client.urls["api"],
        len(requests),
        tokens.append_column(IS_CURRENT, is_current),
    )


def _columns() -> str:
    return ", ".join(f"{column.expression} AS {column.quoted}" for column in stored_columns())
