"""DuckDB and the rooms below, put together: `connect` and `attach`."""

from vercel_sql.connection.connection import Connection
from vercel_sql.connection.cursor import Cursor
from vercel_sql.connection.live_catalog import Attachment
from vercel_sql.connection.opening import attach, connect, detach

__all__ = ["Attachment", "Connection", "Cursor", "attach", "connect", "detach"]
