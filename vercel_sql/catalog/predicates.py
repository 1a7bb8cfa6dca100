"""Pushed-down predicates: the values that a column can have, and the requests that follow.

This only ever chooses a cheaper request. The rows that come back are filtered by the predicate
itself, so an expression that is not understood costs time, never rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from vercel_sql.catalog.rows import TableShape
from vercel_sql.http.requests import fits_path
from vercel_sql.manifest import Method, Resource

if TYPE_CHECKING:
    import pyarrow.compute as pc


@dataclass(frozen=True)
class Field:
    """A column; ``path`` leads into a struct."""

    name: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Literal:
    """A constant."""

    value: object


@dataclass(frozen=True)
class Call:
    """A function applied to arguments; ``options`` are those that Arrow keeps beside them."""

    function: str
    arguments: tuple[Node, ...]
    options: dict[str, object]


Node = Field | Literal | Call
Candidates = frozenset[str] | None  # None: any value is possible


def parse_expression(expression: pc.Expression) -> Node | None:
    """The tree of an expression, or None where it can't be read.

    pyarrow has no way to look into an expression but to serialise it: pickling gives an IPC file
    whose schema metadata is the tree in prefix order and whose columns are the constants
    (Arrow's ``cpp/src/arrow/compute/expression.cc``, ``Serialize``).
    """
    try:
        _, (buffer,) = expression.__reduce__()
        batch = pa.ipc.open_file(buffer).get_batch(0)
        return _Reader(batch).read()
    except (ValueError, TypeError, KeyError, IndexError, pa.ArrowException):
        return None


class _Reader:
    """Reads the serialised tree, one metadata entry after the other."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._entries = _metadata_entries(batch.schema)
        self._batch = batch
        self._at = 0

    def read(self) -> Node:
        key, value = self._entries[self._at]
        self._at += 1
        if key == "literal":
            return Literal(self._constant(value))
        if key == "field_ref":
            return Field(value)
        if key == "nested_field_ref":
            return self._nested(int(value))
        if key == "call":
            return self._call(value)
        raise ValueError(f"unknown entry {key}")

    def _constant(self, column: str) -> object:
        return self._batch.column(int(column))[0].as_py()

    def _nested(self, depth: int) -> Node:
        path = self._entries[self._at : self._at + depth]
        self._at += depth
        names = [name for _, name in path]
        return Field(names[0], tuple(names[1:]))

    def _call(self, function: str) -> Node:
        arguments: list[Node] = []
        options: dict[str, object] = {}
        while self._entries[self._at][0] != "end":
            key, value = self._entries[self._at]
            if key == "options":
                self._at += 1
                found = self._constant(value)
                options = found if isinstance(found, dict) else {}
            else:
                arguments.append(self.read())
        self._at += 1
        return Call(function, tuple(arguments), options)


def _metadata_entries(schema: pa.Schema) -> list[tuple[str, str]]:
    """The schema's metadata in order, repeated keys included.

    ``schema.metadata`` is a dict that keeps only the last of each; the printed form has them all,
    one per line. Constants are not in there, so no value can break the lines.
    """
    printed = schema.to_string(truncate_metadata=False, show_schema_metadata=True)
    lines = printed.partition("-- schema metadata --\n")[2].splitlines()
    pairs = (line.partition(": '") for line in lines)
    return [(key, value.removesuffix("'")) for key, _, value in pairs]


def fields_of(node: Node) -> set[str]:
    """The columns that an expression needs."""
    if isinstance(node, Field):
        return {node.name}
    if isinstance(node, Call):
        return set().union(*(fields_of(argument) for argument in node.arguments))
    return set()


def candidates(node: Node | None, column: str) -> Candidates:
    """The values that a text column can have in a row for which the predicate is true."""
    if not isinstance(node, Call):
        return None
    rule = _RULES.get(node.function)
    return rule(node, column) if rule else None


def _and(node: Call, column: str) -> Candidates:
    found = [c for c in (candidates(a, column) for a in node.arguments) if c is not None]
    narrowed = frozenset.intersection(*found) if found else None
    pinned = _pinned_by_range(node, column)
    if pinned is None:
        return narrowed
    return pinned if narrowed is None else pinned & narrowed


def _or(node: Call, column: str) -> Candidates:
    found = [candidates(a, column) for a in node.arguments]
    sets = [c for c in found if c is not None]
    return frozenset().union(*sets) if len(sets) == len(found) else None


def _equal(node: Call, column: str) -> Candidates:
    match node.arguments:
        case (Field(name, ()), Literal(value)) | (Literal(value), Field(name, ())) if (
            name == column
        ):
            return _texts([value])
    return None


def _is_in(node: Call, column: str) -> Candidates:
    values = node.options.get("value_set")
    match node.arguments:
        case (Field(name, ()), *_) if name == column and isinstance(values, Sequence):
            # A NULL among the values is equal to NULL for Arrow, and NULL is not a key to ask for.
            return None if None in values else _texts(values)
    return None


def _if_else(node: Call, column: str) -> Candidates:
    """``if_else(is_valid(x), p, null)``, as DuckDB 2.0 writes ``p``: true only where p is."""
    match node.arguments:
        case (_, then, Literal(None)):
            return candidates(then, column)
    return None


def _pinned_by_range(node: Call, column: str) -> Candidates:
    """``x >= 'a' AND x <= 'a'``, as DuckDB 1.5 pushes a join with one key."""
    low, high = _bound(node, "greater_equal", column), _bound(node, "less_equal", column)
    if low is not None and low == high:
        return frozenset([low])
    return None


def _bound(node: Call, function: str, column: str) -> str | None:
    for argument in node.arguments:
        match argument:
            case Call(name, (Field(field, ()), Literal(str(value))), _) if (
                name == function and field == column
            ):
                return value
    return None


def _texts(values: Sequence[object]) -> Candidates:
    """The values that are text; NULL is equal to nothing."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        return frozenset(str(value) for value in present)
    return None


_RULES: dict[str, Callable[[Call, str], Candidates]] = {
    "and_kleene": _and,
    "and": _and,
    "or_kleene": _or,
    "or": _or,
    "equal": _equal,
    "is_in": _is_in,
    "if_else": _if_else,
}


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
