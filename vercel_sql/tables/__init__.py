"""The table-function layer: live datasets, pushdown, native functions, JSON rows to Arrow.

What needs pyarrow is imported where the first table is made, and not before: it takes longer to
import than most statements to run.
"""

from vercel_sql.tables.failures import Failures
from vercel_sql.tables.source import Source

__all__ = ["Failures", "Source"]
