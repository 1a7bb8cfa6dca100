"""Writes results: as a table for people, as CSV, JSON, NDJSON or Markdown for all else.

Values are exact in every format. A table in a terminal is the only output that shortens anything,
and it never does that to a secret.
"""

from vercel_sql.cli.render.formats import FORMATS, SEPARATORS, render

__all__ = ["FORMATS", "SEPARATORS", "render"]
