"""Our SQL: scripts are read into statements here, and the statements that are ours are run."""

from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.json_arguments import JSONArgument
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters, TextValue
from vercel_sql.sql.parser import check, complete, parse
from vercel_sql.sql.statements import (
    Argument,
    CopyFrom,
    Delete,
    Describe,
    Exec,
    Explain,
    Insert,
    Merge,
    Native,
    Need,
    Show,
    Statement,
    Truncate,
    Update,
    Write,
)
from vercel_sql.sql.syntax_tree import ConstantMatch, LiteralNulls

__all__ = [
    "NO_PARAMETERS",
    "Argument",
    "ConstantMatch",
    "CopyFrom",
    "Delete",
    "Describe",
    "Exec",
    "Explain",
    "Fragment",
    "Insert",
    "JSONArgument",
    "LiteralNulls",
    "Merge",
    "Name",
    "Native",
    "Need",
    "Parameters",
    "Show",
    "Statement",
    "TextValue",
    "Truncate",
    "Update",
    "Write",
    "check",
    "complete",
    "parse",
]
