"""Our SQL: scripts are read into statements here, and the statements that are ours are run."""

from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters
from vercel_sql.sql.parser import complete, parse
from vercel_sql.sql.statements import (
    Delete,
    Describe,
    Exec,
    Explain,
    Insert,
    Native,
    Show,
    Statement,
    Write,
    check,
)

__all__ = [
    "NO_PARAMETERS",
    "Delete",
    "Describe",
    "Exec",
    "Explain",
    "Fragment",
    "Insert",
    "Native",
    "Parameters",
    "Show",
    "Statement",
    "Write",
    "check",
    "complete",
    "parse",
]
