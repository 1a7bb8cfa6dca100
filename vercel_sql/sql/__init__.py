"""Our SQL: read here into statements, with placeholders that bind values and never paste text."""

from vercel_sql.sql.checks import check
from vercel_sql.sql.exec_json import JSONArgument
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.matches import ConstantMatch
from vercel_sql.sql.nulls import LiteralNulls
from vercel_sql.sql.parameters import NO_PARAMETERS, Parameters, TextValue
from vercel_sql.sql.parser import complete, parse
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
