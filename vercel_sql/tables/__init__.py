"""The table-function layer: live datasets, pushdown, native functions, JSON rows to Arrow."""

from vercel_sql.tables.dataset import LiveTable, Source
from vercel_sql.tables.failures import Failures
from vercel_sql.tables.shape import TableShape

__all__ = ["Failures", "LiveTable", "Source", "TableShape"]
