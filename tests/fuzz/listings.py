"""The rules for answers with rows: a value is exactly what was sent, or it is an error."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa

from vercel_sql.catalog.pages import Page, exact_fields, field_reader, page_reader, rows_at
from vercel_sql.catalog.results import answer_table, call
from vercel_sql.catalog.rows import Fields, TableShape
from vercel_sql.errors import AnswerError, DataError, Error
from vercel_sql.http.events import STRICT
from vercel_sql.http.paging import walk
from vercel_sql.manifest import Method, Resource

from . import reference
from .doors import answer, answers, found
from .oracles import attempt, require
from .reference import NotExact

_REFUSALS = (AnswerError, DataError)


class Listing:
    """The readers of a paged method, for several choices of columns."""

    def __init__(self, resource: Resource, method: Method) -> None:
        self.resource, self.method = resource, method
        self.shape = TableShape(resource)
        self.skim = page_reader(self.shape, method)
        fields = [column.name for column in resource.fields]
        choices = [[resource.key], *([name] for name in fields), fields, [*fields, "rest"]]
        self.readers = [(names, self._reader(names)) for names in choices]

    def _reader(self, names: list[str]) -> Any:
        columns = [
            column
            for column in self.resource.columns
            if column.name in names or (column.source == "rest" and "rest" in names)
        ]
        return field_reader(self.shape, self.method, columns)


@cache
def _listing(resource: str, method: str) -> Listing:
    return Listing(*found(resource, method))


def one_page(resource: str, method: str, body: bytes) -> None:
    """One page: skimmed, read fast and read exactly."""
    listing = _listing(resource, method)
    given = answer(resource, method, body)
    page, refused = attempt(lambda: listing.skim(given), _REFUSALS)
    expected = _expected_page(listing, body)
    if page is None:
        require(expected is None, f"a sound page was refused: {refused}")
        return
    _require_skimmed_exactly(listing, page, body)
    for names, reader in listing.readers:
        fields, refused = attempt(lambda reader=reader: _strictly(reader(page)), _REFUSALS)
        _require_exact(listing, page, names, fields, refused)


def _strictly(fields: Fields) -> Fields:
    """The fields, none of which is in doubt.

    Raises:
        DataError: one is.
    """
    STRICT.tell(fields.doubts)
    return fields


def _expected_page(listing: Listing, body: bytes) -> Any:
    """The page, if it is one that must not be refused; else None."""
    method = listing.method
    try:
        content = reference.load(body)
        rows = reference.at(content, method.rows)
        cursor = reference.at(content, method.paging.cursor)
        count = reference.at(content, method.paging.count)
        parent = reference.at(content, method.paging.cursor[:-1])
        has_cursor = any(name == method.paging.cursor[-1] for name, _ in parent)
        is_sound = (
            isinstance(rows, list)
            and not isinstance(rows, reference.Object)
            and all(isinstance(row, reference.Object) for row in rows)
            and all(type(row.member(listing.resource.key)) is str for row in rows)
            and has_cursor
            and (cursor is None or type(cursor) is str or _is_int(cursor))
            and _is_int(count)
            and reference.is_plain(content)
        )
    except NotExact:
        return None
    return content if is_sound else None


def _is_int(value: Any) -> bool:
    return isinstance(value, reference.Number) and value.lstrip("-").isdigit() and len(value) < 18


def _require_skimmed_exactly(listing: Listing, page: Page, body: bytes) -> None:
    """What paging goes by is what the page says, once and without doubt."""
    method = listing.method
    try:
        content = reference.load(body)
        rows = reference.at(content, method.rows)
        keys = [[v for k, v in row if k == listing.resource.key] for row in rows]
        cursor = reference.at(content, method.paging.cursor)
        count = reference.at(content, method.paging.count)
    except NotExact as error:
        is_tolerated = page.rows is not None or "recursion" in str(error)
        require(is_tolerated, f"a page was taken that is none: {error}")
        return
    # A key that stands twice in a row is refused by whoever reads the fields.
    require(len(page.keys) == len(keys), "other rows than the page's")
    require(all(map(_is_among, page.keys, keys)), "other keys than the page's")
    if isinstance(cursor, reference.Number):
        cursor = cursor.value
    require(page.cursor == cursor, "another cursor than the page's")
    require(page.declared == count.value, "another count than the page's")


def _is_among(key: str, keys: list[Any]) -> bool:
    """Whether a page's key is one of its row's; what stands for none is that of no row."""
    usable = [each for each in keys if type(each) is str and reference.is_plain(each)]
    return len(keys) != 1 or not usable if key.startswith("\ud800") else key in keys


def _require_exact(
    listing: Listing, page: Page, names: list[str], fields: Fields | None, refused: Error | None
) -> None:
    content = _expected_page(listing, page.answer.body)
    needed = [name for name in names if name != "rest"]
    try:
        rows = reference.at(
            reference.load(page.answer.body) if content is None else content, listing.method.rows
        )
        expected = {n: [_exact(listing, row, n) for row in rows] for n in needed}
    except NotExact as error:
        is_unknown = "recursion" in str(error)
        require(fields is None or is_unknown, f"{names}: {error}, and it was not refused")
        return
    if fields is None:
        require(content is None, f"{names}: exact values were refused: {refused}")
        return
    for name in needed:
        got = fields.arrays[name].to_pylist()
        require(got == expected[name], f"{name} is not what was sent")
        require(fields.arrays[name].type == listing.shape.types[name], f"{name}: another type")
    _require_same_in_exact_reader(listing, page, needed, fields)
    if "rest" in names:
        _require_rest(listing, rows, fields)


def _exact(listing: Listing, row: Any, name: str) -> Any:
    value = row.member(name)
    if listing.shape.resource_column(name).type == "JSON":
        return None if value is None else _TextOf(value)
    return reference.exact(value, listing.shape.types[name])


class _TextOf:
    """Equal to each JSON text of a value."""

    def __init__(self, value: Any) -> None:
        self._leaves = reference.leaves(value)

    def __eq__(self, other: object) -> bool:
        return reference.leaves(reference.load(str(other).encode())) == self._leaves

    __hash__ = None


def _require_same_in_exact_reader(
    listing: Listing, page: Page, needed: list[str], fields: Fields
) -> None:
    def read() -> Fields:
        rows = rows_at(page.answer, listing.method.rows)
        return _strictly(exact_fields(listing.shape, page.answer, rows, needed, False))

    exact, _ = attempt(read, _REFUSALS)
    if exact is not None:
        for name in needed:
            require(exact.arrays[name].equals(fields.arrays[name]), f"{name}: two readings")


def _require_rest(listing: Listing, rows: Any, fields: Fields) -> None:
    """What the manifest does not know is kept, each value where it stood."""
    known = {
        field.name: None if field.type == "JSON" else listing.shape.types[field.name]
        for field in listing.resource.fields
    }
    for row, rest in zip(rows, fields.rest.to_pylist(), strict=True):
        unknown = {
            path: value
            for path, value in reference.leaves(row).items()
            if not reference.known_at(path, known)
        }
        kept = reference.leaves(reference.load((rest or "{}").encode()))
        kept = {path: value for path, value in kept.items() if path in unknown}
        require(kept == unknown, "an unknown field was dropped or changed")


def walked(resource: str, method: str, data: bytes) -> None:
    """Several pages: each row once, and an error where the listing does not end well."""
    _, called = found(resource, method)
    listing = _listing(resource, method)
    bodies = data.split(b"\0")[:8]
    client = answers(*bodies)
    given: list[str] = []

    def walk_through() -> bool:
        for page, fresh in walk(client, called, {}, listing.skim):
            given.extend(page.keys if fresh is None else [page.keys[n] for n in fresh])
        return True

    _, refused = attempt(walk_through, _REFUSALS)
    require(len(given) == len(set(given)), "a row was given twice")
    if refused is None:
        last = listing.skim(answer(resource, method, bodies[_pages(listing, bodies) - 1]))
        require(last.cursor is None, "the listing ended although it goes on")


def _pages(listing: Listing, bodies: list[bytes]) -> int:
    """How many pages there are up to the first that has no cursor."""
    name = listing.resource.name
    for number, body in enumerate(bodies, start=1):
        if listing.skim(answer(name, listing.method.name, body)).cursor is None:
            return number
    return len(bodies)


def called(resource: str, method: str, data: bytes) -> None:
    """A paged method called as a whole."""
    owner, calls = found(resource, method)
    client = answers(*data.split(b"\0")[:8])
    table, _ = attempt(lambda: call(client, owner, calls, {}))
    require(table is None or isinstance(table, pa.Table), "no table")


def single(resource: str, method: str, body: bytes) -> None:
    """An answer that is one row, or a list of them."""
    owner, calls = found(resource, method)
    given = answer(resource, method, body)
    table, refused = attempt(lambda: answer_table(owner, calls, given, "asked"), _REFUSALS)
    try:
        content = reference.load(body)
        expected = _expected_rows(owner, reference.at(content, calls.rows))
    except NotExact as error:
        require(table is None, f"{error}, and it was not refused")
        return
    if table is None:
        require(not reference.is_plain(content), f"exact values were refused: {refused}")
        return
    for name in set(expected) & set(table.column_names):
        require(table.column(name).to_pylist() == expected[name], f"{name} is not what was sent")


def _expected_rows(resource: Resource, rows: Any) -> dict[str, list[Any]]:
    """The columns of rows, but for those of JSON."""
    rows = rows if type(rows) is list else [rows]
    for row in rows:
        has_key = isinstance(row, reference.Object) and (
            not resource.key_is_field or type(row.member(resource.key)) is str
        )
        if not has_key:
            raise NotExact("no row")
    types = TableShape(resource).types
    return {
        field.name: [reference.exact(row.member(field.name), types[field.name]) for row in rows]
        for field in resource.fields
        if field.type != "JSON"
    }
