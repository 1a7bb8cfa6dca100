"""Query and manage Vercel with SQL: live tables and functions inside DuckDB."""

from vercel_sql._version import __version__

__all__ = ["__version__"]
