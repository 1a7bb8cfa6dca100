"""Everything that a snapshot keeps, read from the API to its end before any of it is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from vercel_sql import Connection
from vercel_sql.cli.history.schema import IS_CURRENT, stored_columns
from vercel_sql.errors import DataError
from vercel_sql.manifest import vercel


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
    """Asks for the user and for all tokens.

    Raises:
        Error: any of it can't be had; part of a listing is never given.
    """
    requests: list[str] = []
    provider, resource = vercel().provider, vercel().tokens()
    table, own = f"{provider.name}.{resource.full_name}", resource.self_reference
    assert own is not None  # noqa: S101 - tokens have one
    with connection.observed(lambda event: requests.append(event.path)):
        query = provider.roles["user"].query(provider.name)
        [user] = connection.execute(query).arrow().to_pylist()
        taken_at = datetime.fromtimestamp(connection.client.clock("api").now_ms() / 1000, UTC)
        if user["id"] is None:
            raise DataError("whose tokens these are can't be read, so they go into no history")
        query = f"SELECT {resource.key} FROM {table} WHERE {own.condition}"
        current = connection.execute(query).arrow().column(0).to_pylist()
        tokens = connection.execute(f"SELECT {_columns()} FROM {table}").arrow()
    ids = tokens.column(resource.key).to_pylist()
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
