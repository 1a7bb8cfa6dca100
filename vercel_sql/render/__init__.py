"""Writes results: as a table for people, as CSV, JSON, NDJSON or Markdown for all else.

Values are exact in every format. A table in a terminal is the only output that shortens anything,
and it never does that to a secret. The formats are the command line's, the modes the shell's.
"""

from vercel_sql.render.formats import FORMATS, MODES, SEPARATORS, render, render_mode
from vercel_sql.render.result import Options

__all__ = ["FORMATS", "MODES", "SEPARATORS", "Options", "render", "render_mode"]
