"""DuckDB and the rooms below, put together: `connect` and `attach`."""

from vercel_sql.connection.attachment import Attachment, attach, detach

__all__ = ["Attachment", "attach", "detach"]
