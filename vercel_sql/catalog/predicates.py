"""Pushed-down predicates: the values that a column can have, and the requests that follow.

This only ever chooses a cheaper request. The rows that come back are filtered by the predicate
itself, so an expression that is not understood costs time, never rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from vercel_sql.catalog.rows import TableShape
from vercel_sql.http.requests import fits_path
from vercel_sql.manifest import Method

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
        entries = _metadata_entries(batch.schema)
        return _node(*next(entries), entries, batch)
    except (ValueError, TypeError, KeyError, IndexError, StopIteration, pa.ArrowException):
        return None


def _metadata_entries(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """The schema's metadata in order, repeated keys included.

    ``schema.metadata`` is a dict that keeps only the last of each; the printed form has them all,
    one per line. Constants are not in there, so no value can break the lines.
    """
    printed = schema.to_string(truncate_metadata=False, show_schema_metadata=True)
    for line in printed.partition("-- schema metadata --\n")[2].splitlines():
        key, _, value = line.partition(": '")
        yield key, value.removesuffix("'")


def _node(
    key: str, value: str, entries: Iterator[tuple[str, str]], constants: pa.RecordBatch
) -> Node:
    """The node that an entry begins; the rest of it is taken from the entries that follow."""
    if key == "literal":
        return Literal(constants.column(int(value))[0].as_py())
    if key == "field_ref":
        return Field(value)
    if key == "nested_field_ref":
        name, *path = [next(entries)[1] for _ in range(int(value))]
        return Field(name, tuple(path))
    if key != "call":
        raise ValueError(f"unknown entry {key}")
    arguments: list[Node] = []
    options: dict[str, object] = {}
    while (entry := next(entries))[0] != "end":
        if entry[0] == "options":
            found = constants.column(int(entry[1]))[0].as_py()
            options = found if isinstance(found, dict) else {}
        else:
            arguments.append(_node(*entry, entries, constants))
    return Call(value, tuple(arguments), options)


def fields_of(node: Node) -> set[str]:
    """The columns that an expression needs."""
    if isinstance(node, Field):
        return {node.name}
    return set().union(*map(fields_of, node.arguments)) if isinstance(node, Call) else set()


def candidates(node: Node | None, column: str) -> Candidates:
    """The values that a text column can have in a row for which the predicate is true."""
    match node:
        case Call("and" | "and_kleene", parts):
            return _common([*(candidates(each, column) for each in parts), _pinned(parts, column)])
        case Call("or" | "or_kleene", parts):
            sets = [candidates(each, column) for each in parts]
            finite = [each for each in sets if each is not None]
            return frozenset().union(*finite) if len(finite) == len(sets) else None
        case Call(
            "equal",
            (Field(name, ()), Literal(value)) | (Literal(value), Field(name, ())),
        ) if name == column:
            return _texts([value])
        case Call("is_in", (Field(name, ()), *_), {"value_set": [*values]}) if name == column:
            # A NULL among the values is equal to NULL for Arrow, and NULL is not a key to ask for.
            return None if None in values else _texts(values)
        case Call("if_else", (_, then, Literal(None))):
            # As DuckDB 2.0 writes a predicate: if_else(is_valid(x), predicate, null).
            return candidates(then, column)
    return None


def _common(sets: Sequence[Candidates]) -> Candidates:
    finite = [each for each in sets if each is not None]
    return frozenset.intersection(*finite) if finite else None


def _pinned(parts: Sequence[Node], column: str) -> Candidates:
    """``x >= 'a' AND x <= 'a'``, as DuckDB 1.5 pushes a join with one key."""
    bounds: dict[str, str] = {}
    for part in parts:
        match part:
            case Call(
                "greater_equal" | "less_equal" as side, (Field(name, ()), Literal(str(value)))
            ) if name == column:
                bounds.setdefault(side, value)
    return frozenset(bounds.values()) if len(bounds) == 2 and len({*bounds.values()}) == 1 else None


def _texts(values: Sequence[object]) -> Candidates:
    """The values that are text; NULL is equal to nothing."""
    texts = frozenset(value for value in values if isinstance(value, str))
    return texts if all(value is None or isinstance(value, str) for value in values) else None


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
    getter, lookups = shape.resource.getter, None
    if getter is not None and predicate is not None:
        lookups = _lookups(shape, predicate)
    return Route(getter, lookups, shape.resource.lister)


def _lookups(shape: TableShape, predicate: Node) -> list[Lookup] | None:
    resource, word = shape.resource, ""
    if reference := resource.self_reference:
        word = reference.value
        if candidates(predicate, shape.qualified(reference.column)) == frozenset([word]):
            return [Lookup(word, True)]
    # Without the word for the own row, all key columns are equal.
    names = map(shape.qualified, resource.key_columns)
    keys = _common([candidates(predicate, name) for name in names])
    if keys is None or (resource.lister is not None and len(keys) > resource.lookup_limit):
        return None
    # The API would take the word itself for a key, and answer with another row.
    if word in keys or not all(map(fits_path, keys)):
        return None
    return [Lookup(key) for key in sorted(keys)]
