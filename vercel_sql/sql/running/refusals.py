"""What a resource can't do, said with what it can."""

from __future__ import annotations

from vercel_sql.errors import NotSupportedError
from vercel_sql.sql.running.resolve import Target
from vercel_sql.sql.statements import CopyFrom, Merge, Truncate, Update, Write


def capabilities(target: Target) -> str:
    """What a resource can do, in words."""
    methods = ", ".join(
        f"{method.verb.upper()} ({method.name})" for method in target.resource.methods.values()
    )
    return f"{target.full_name} can do {methods}"


_INSTEAD: dict[type[Write], tuple[str, str]] = {
    Update: ("UPDATE", "What exists can't be changed: make a new one and delete the old"),
    Merge: ("MERGE INTO", "Use INSERT … SELECT and DELETE … WHERE"),
    Truncate: ("TRUNCATE", "Use DELETE FROM … WHERE true, if that is what you mean"),
    CopyFrom: ("COPY … FROM", "Use INSERT INTO … SELECT … FROM 'file'"),
}


def refuse(target: Target, statement: Write) -> NotSupportedError:
    """The error for a write that no resource takes."""
    name, instead = _INSTEAD[type(statement)]
    return NotSupportedError(
        f"{name} {target.full_name} is not possible. {instead}. {capabilities(target)}"
    )
