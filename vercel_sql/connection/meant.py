"""What was meant by a name that DuckDB does not find, where it is one of ours written otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from vercel_sql.manifest import Column, Resource
from vercel_sql.sql.resolver import Catalog

_COLUMN = re.compile(r'(?:Referenced column|does not have a column named) "(\w+)"')
_ARGUMENT = re.compile(r"Macro (\w+)\(\) does not support the supplied arguments")
_TABLE = re.compile(r"Table with name (\w+) does not exist")


def named_ours(text: str, statement: str, catalogs: Sequence[Catalog]) -> str:
    """DuckDB's error about a name, with our name for it in place of DuckDB's guesses.

    What the API refuses here, such as the team of a listing, comes with what to do instead.
    ``expires_at`` is ``expiresAt`` here, and ``vercel.authentication.tokens``, as newer versions of
    StackQL call it, is ``vercel.authentication.user_tokens``.

    Args:
        text: DuckDB's error.
        statement: what ran.
        catalogs: the accounts.
    """
    for missing, ours in ((_COLUMN, _column), (_ARGUMENT, _argument), (_TABLE, _table)):
        found = missing.search(text)
        said = ours(found[1], statement, catalogs) if found else None
        if said is not None:
            kind = text.partition(":")[0]
            _, line, excerpt = text.partition("\n\nLINE ")
            return f"{kind}: {said}{line}{excerpt}"
    return text


def _column(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    named = [
        resource
        for catalog in catalogs
        for resource in _resources(catalog)
        if re.search(rf"\b{resource.name}\b", statement, re.IGNORECASE)
    ]
    columns = {
        _folded(column.name): column.name
        for resource in named
        for column in _columns(resource, is_returning="returning" in statement.casefold())
    }
    ours = columns.get(_folded(name))
    listers = [resource.lister for resource in named if resource.lister is not None]
    instead = next(filter(None, (lister.refused(name) for lister in listers)), None)
    if ours is None and instead is not None:
        return f'there is no column "{name}". {instead}'
    if ours in (None, name):
        return None
    return f'there is no column "{name}"; it is called "{ours}"'


def _argument(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    """What to do in place of an argument that the API refuses, of the function of a method."""
    for catalog in catalogs:
        for resource in _resources(catalog):
            method = resource.method(name)
            for argument in method.refuses if method is not None else ():
                if method is not None and re.search(rf"\b{argument}\b", statement, re.IGNORECASE):
                    return f"{name} takes no {argument}. {method.refused(argument)}"
    return None


def _table(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    for catalog in catalogs:
        for service in catalog.manifest.service_names:
            if not re.search(rf"\b{service}\.{name}\b", statement, re.IGNORECASE):
                continue
            known = list(catalog.manifest.service(service).resources)
            longer = [each for each in known if _folded(each).endswith(_folded(name))]
            for ours in longer or get_close_matches(name.casefold(), known, n=1):
                full = f"{catalog.name}.{service}"
                return f"there is no table {full}.{name}; it is called {full}.{ours}"
    return None


def _resources(catalog: Catalog) -> Iterator[Resource]:
    for service in catalog.manifest.service_names:
        yield from catalog.manifest.service(service).resources.values()


def _columns(resource: Resource, *, is_returning: bool) -> Iterator[Column]:
    """The columns of its table, and those that RETURNING knows besides."""
    if is_returning:
        for method in resource.methods.values():
            yield from method.returns
    yield from resource.columns


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()
