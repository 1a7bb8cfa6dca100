"""Which method serves a scan: single rows where the predicate pins the key, else a listing."""

from __future__ import annotations

from dataclasses import dataclass

from vercel_sql.api.requests import fits_path
from vercel_sql.manifest import Method, Resource
from vercel_sql.tables.predicates import Candidates, Node, candidates
from vercel_sql.tables.shape import TableShape


@dataclass(frozen=True)
class Lookup:
    """One row to get.

    Attributes:
        value: the key that is asked for.
        is_self: the value is the word for the calling credential's own row.
    """

    value: str
    is_self: bool = False


@dataclass(frozen=True)
class Route:
    """How a scan gets its rows.

    Attributes:
        getter: the method of the lookups.
        lookups: the rows to get one by one, perhaps none; None where all are listed.
        lister: the method that lists.
    """

    getter: Method | None
    lookups: list[Lookup] | None
    lister: Method | None


def choose_route(shape: TableShape, predicate: Node | None) -> Route:
    """The cheapest way to a set of rows that holds every row for which the predicate is true."""
    resource = shape.resource
    lookups = None
    if resource.getter is not None and predicate is not None:
        lookups = _lookups(shape, resource, predicate)
    return Route(resource.getter, lookups, resource.lister)


def _lookups(shape: TableShape, resource: Resource, predicate: Node) -> list[Lookup] | None:
    reference = resource.self_reference
    if reference is not None:
        asked = candidates(predicate, shape.qualified(reference.column))
        if asked == frozenset([reference.value]):
            return [Lookup(reference.value, True)]
    keys = _pinned_keys(shape, resource, predicate)
    if keys is None:
        return None
    if resource.lister is not None and len(keys) > resource.lookup_limit:
        return None
    # The API would take the word itself for a key, and answer with another row.
    word = reference.value if reference else ""
    if word in keys or not all(map(fits_path, keys)):
        return None
    return [Lookup(key) for key in sorted(keys)]


def _pinned_keys(shape: TableShape, resource: Resource, predicate: Node) -> Candidates:
    """The keys that are possible at all; without the own row's word, both columns are equal."""
    sets = [candidates(predicate, shape.qualified(name)) for name in resource.key_columns]
    finite = [found for found in sets if found is not None]
    return frozenset.intersection(*finite) if finite else None
