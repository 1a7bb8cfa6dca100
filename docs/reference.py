"""Writes docs/reference.md from the manifest: ``python docs/reference.py``.

The tests hold the file against what this gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vercel_sql.manifest import vercel
from vercel_sql.manifest.model import Column, Limit, Method, Parameter, Resource, View

FILE = Path(__file__).with_name("reference.md")
_LONG = 160
HEAD = """# Reference

Every table, column, method and parameter. This page is generated from the manifest by
`python docs/reference.py`; in SQL, `SHOW SERVICES IN vercel`, `SHOW RESOURCES IN vercel.user`,
`SHOW METHODS IN vercel.user.user`, `DESCRIBE vercel.user.user` and `DESCRIBE METHOD
vercel.user.user.get_auth_user` show the same.

A method *reads*, or it *changes something*. SELECT, INSERT and DELETE on the table choose among the
methods of their verb; EXEC calls any method, with each parameter as `@name = value`.
"""


def cell(text: str) -> str:
    """A text as one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table; none where there are no rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    if lines:
        yield from ("", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines)


def type_text(text: str) -> str:
    """A type; the fields of a long one are those of the table."""
    return text if len(text) < _LONG else f"STRUCT(…){'[]' if text.endswith('[]') else ''}"


def column_rows(columns: Iterable[Column]) -> Iterator[tuple[str, ...]]:
    """The columns of a table, or of an answer."""
    for column in columns:
        secret = " **Secret.**" if column.secret else ""
        yield f"`{column.name}`", f"`{type_text(column.type)}`", column.description + secret


def values(parameter: Parameter) -> str:
    """What values a parameter takes, beyond its type."""
    said = []
    if parameter.allowed:
        said.append("one of " + ", ".join(f"`{each}`" for each in parameter.allowed))
    if parameter.minimum is not None:
        said.append(f"at least {parameter.minimum:,}")
    if parameter.maximum is not None:
        said.append(f"at most {parameter.maximum:,}")
    if parameter.min_length:
        length = f"at least {parameter.min_length} characters"
        said.append("not empty" if parameter.min_length == 1 else length)
    if parameter.moment:
        said.append("a time in the future" if parameter.moment == "future" else "a time")
    if parameter.secret:
        said.append("secret")
    return ", ".join(said)


def parameter_rows(method: Method) -> Iterator[tuple[str, ...]]:
    """The parameters that a caller gives."""
    for each in method.given:
        required = "required" if each.required else ""
        yield f"`{each.name}`", f"`{each.type}`", required, values(each), each.description


def limit_text(limit: Limit) -> str:
    """A rate limit in words."""
    span = {60: "a minute", 300: "in 5 minutes", 3600: "an hour"}
    return (
        f"Vercel allows {limit.requests} {span.get(int(limit.seconds), f'in {limit.seconds} s')}."
    )


def method_lines(method: Method) -> Iterator[str]:
    """A method: what it does, its parameters and its answer."""
    yield from ("", f"#### `{method.name}`", "", method.description, "")
    request = f"`{method.http} {method.path}`"
    if method.procedure is not None:
        request = "a procedure of this package"
    facts = [f"SQL: {method.verb.upper()}. Request: {request}."]
    facts.append("Reads." if method.reads else "**Changes something.**")
    if method.limit is not None:
        facts.append(limit_text(method.limit))
    if method.makes_secret:
        facts.append("Its answer has a secret that is shown once.")
    if not method.auth:
        facts.append("Sends no token of the connection.")
    yield " ".join(facts)
    if method.steps:
        yield ""
        yield from (f"{n}. {step.description}" for n, step in enumerate(method.steps, 1))
    heads = ("parameter", "type", "", "values", "description")
    yield from table(heads, parameter_rows(method))
    yield from table(("returns", "type", "description"), column_rows(method.returns))


def resource_lines(resource: Resource) -> Iterator[str]:
    """A table and its methods."""
    yield from ("", f"### `vercel.{resource.full_name}`", "", resource.description)
    columns = column_rows(resource.public_columns)
    yield from table(("column", "type", "description"), columns)
    for method in resource.methods.values():
        yield from method_lines(method)


def view_lines(view: View) -> Iterator[str]:
    """A view over the tables."""
    yield from ("", f"### `vercel.{view.schema}.{view.name}`", "", view.description)
    rows = ((f"`{name}`", text) for name, text in view.comments.items())
    yield from table(("column", "description"), rows)


def document() -> str:
    """The whole page."""
    manifest = vercel()
    lines = [HEAD.rstrip()]
    for name in manifest.service_names:
        service = manifest.service(name)
        lines += ["", f"## `vercel.{name}`", "", service.description]
        for resource in service.resources.values():
            lines += resource_lines(resource)
        for views in service.views.values():
            for view in views.values():
                lines += view_lines(view)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
