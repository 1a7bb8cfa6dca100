"""The magic ``%vercel``, for a line or a cell of SQL, and its options.

Options stand before the SQL, and never swallow a part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from vercel_sql.errors import (
    Error,
    InterfaceError,
    MissingTokenError,
    TooManyWritesError,
    WaitTooLongError,
)
from vercel_sql.notebook.progress import watching
from vercel_sql.notebook.rows import Mask
from vercel_sql.notebook.session import Options, Session, show
