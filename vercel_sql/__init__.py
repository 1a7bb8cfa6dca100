"""Query and manage Vercel with SQL: live tables and functions inside DuckDB."""

from vercel_sql._version import __version__
from vercel_sql.connection import Attachment, attach, detach

__all__ = ["Attachment", "__version__", "attach", "detach"]
