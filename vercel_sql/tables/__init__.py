"""The table-function layer: live datasets, pushdown, native functions, JSON rows to Arrow.

`vercel_sql.tables.dataset` is imported where the first table is made, and not before: it takes
pyarrow's dataset module, which takes longer to import than most statements to run.
"""

from vercel_sql.tables.failures import Failures
from vercel_sql.tables.shape import TableShape
from vercel_sql.tables.source import Source

__all__ = ["Failures", "Source", "TableShape"]
