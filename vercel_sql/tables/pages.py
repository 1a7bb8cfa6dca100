"""One page of a listing: skimmed at once for what paging needs, turned into columns on demand.

The usual page is read by pyarrow's JSON reader straight into columns, without a Python object a
value. That reader is strict: a wrong type, a fraction, a number beyond 64 bits, a key that stands
twice are errors. Whatever it does not take, and every page with a field that the manifest does
not know, is read again the exact and slower way, which keeps it or names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json as pj

from vercel_sql.api import Answer
from vercel_sql.api.decode import TOO_DEEP
from vercel_sql.manifest import Column, Method
from vercel_sql.tables.rows import column_array, unknown_fields
from vercel_sql.tables.shape import Fields, TableShape

_LONGEST_KEY = 100  # characters of it in an error
_REST = Column(name="what is not known", type="JSON", description="")


class Page:
    """A page that has been skimmed; it keeps the answer's bytes until it is turned into columns."""

    def __init__(
        self,
        answer: Answer,
        keys: list[str],
        moments: list[int],
        cursor: str | int | None,
        declared: int,
    ) -> None:
        self.answer = answer
        self.keys = keys
        self.moments = moments
        self.cursor = cursor
        self.declared = declared


def page_reader(shape: TableShape, method: Method) -> Callable[[Answer], Page]:
    """What skims the answers of a paged method: keys, moments, cursor and the declared count."""
    assert method.paging is not None  # noqa: S101 - asked only for paged methods
    key, order = shape.resource.key, method.paging.order
    fields: list[Any] = [(key, str)] + ([(order, Any, None)] if order is not None else [])
    row = msgspec.defstruct("Row", fields)
    types = {
        tuple(method.rows): list[row],  # type: ignore[valid-type]
        tuple(method.paging.cursor): int | str | None,
        tuple(method.paging.count): int,
    }
    decoder = msgspec.json.Decoder(_struct_at(types))
    rows_of, cursor_of, count_of = (attrgetter(".".join(path)) for path in types)
    key_of, moment_of = attrgetter(key), attrgetter(order or key)
    names = [f'"{name}"'.encode() for name in dict.fromkeys(n for path in types for n in path)]

    def read(answer: Answer) -> Page:
        content = _skim(decoder, answer)
        if any(_may_occur_twice(name, answer.body) for name in names):
            # The skimming takes the last of two equal keys, and a listing could end early by
            # it; the exact way refuses them. Most often the name is only some token's name.
            answer.json()
        rows = rows_of(content)
        keys = list(map(key_of, rows))
        moments = [moment for moment in map(moment_of, rows) if isinstance(moment, int)]
        return Page(answer, keys, moments, cursor_of(content), count_of(content))

    return read


def _may_occur_twice(name: bytes, body: bytes) -> bool:
    # From both ends: what stands near an end, as paging does, is found without a full search.
    # Where it does not stand as it is, letters of it are escaped: then it may be anywhere.
    first = body.find(name)
    return first < 0 or body.rfind(name) != first or b"\\u" in body


def _skim(decoder: msgspec.json.Decoder[Any], answer: Answer) -> Any:
    try:
        if not answer.body.isascii():
            answer.body.decode("utf-8")
        return decoder.decode(answer.body)
    except RecursionError:
        raise answer.unusable(TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise answer.unusable(str(error)) from None


def _struct_at(types: Mapping[tuple[str, ...], Any]) -> Any:
    """A msgspec type that has just the values at some paths; all of them must be there."""
    inner: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value_type in types.items():
        inner.setdefault(path[0], {})[path[1:]] = value_type
    fields = [
        (name, below[()] if () in below else _struct_at(below)) for name, below in inner.items()
    ]
    return msgspec.defstruct("Level", fields)


def field_reader(
    shape: TableShape, method: Method, columns: list[Column]
) -> Callable[[Page], Fields]:
    """What turns pages into the fields that some columns need.

    The reader raises `DataError` where a value is not of its column's type, with row and field in
    the message, and `AnswerError` where the page can't be read.
    """
    names = shape.fields_needed(columns)
    want_rest = any(column.source == "rest" for column in columns)
    only_keys = names == [shape.resource.key] and not want_rest
    may_be_fast = not any(shape.resource_column(name).type == "JSON" for name in names)
    fast_fields = _fast_reader(shape, method, names, want_rest)

    def read(page: Page) -> Fields:
        if only_keys and _keys_stand_once(names[0], page):
            return Fields(len(page.keys), {names[0]: pa.array(page.keys, pa.string())})
        fast = fast_fields(page) if may_be_fast else None
        if fast is not None:
            return fast
        rows = rows_at(page.answer, method.rows)
        return exact_fields(shape, page.answer, rows, names, want_rest)

    return read


def _keys_stand_once(key: str, page: Page) -> bool:
    """Whether each row has its key once, so that what skimming found can't be the last of two.

    False may also mean that nested objects have such a key, or that the JSON has spaces.
    """
    return page.answer.body.count(f'"{key}":'.encode()) == len(page.keys)


def _fast_reader(
    shape: TableShape, method: Method, names: list[str], want_rest: bool
) -> Callable[[Page], Fields | None]:
    """What reads pages straight into columns; it gives None for a page that is not plain."""
    row_type = pa.struct([(name, shape.types[name]) for name in names])
    wrapped: pa.DataType = pa.list_(row_type)
    for name in reversed(method.rows[1:]):
        wrapped = pa.struct([(name, wrapped)])
    schema = pa.schema([(method.rows[0], wrapped)])
    unknown = "infer" if want_rest else "ignore"

    def read(page: Page) -> Fields | None:
        body = page.answer.body
        options = pj.ParseOptions(
            explicit_schema=schema,
            newlines_in_values=b"\n" in body,
            unexpected_field_behavior=unknown,
        )
        whole = pj.ReadOptions(use_threads=False, block_size=len(body) + 1)
        try:
            table = pj.read_json(pa.BufferReader(body), whole, options)
        except pa.ArrowException:
            return None
        values = table.column(method.rows[0]).chunk(0)
        for name in method.rows[1:]:
            values = values.field(name)
        rows = values.values
        if rows.type != row_type or len(rows) != len(page.keys) or rows.null_count:
            return None
        arrays = dict(zip(names, rows.flatten(), strict=True))
        return Fields(len(rows), arrays, pa.nulls(len(rows), pa.string()) if want_rest else None)

    return read


def rows_at(answer: Answer, path: list[str]) -> list[Any]:
    """The rows of an answer, decoded exactly: the list at a path, or the one object there.

    Raises:
        AnswerError: there is neither.
    """
    content = answer.json()
    for name in path:
        if not isinstance(content, dict) or name not in content:
            raise answer.unusable(f"it has no {'.'.join(path)}")
        content = content[name]
    rows = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) for row in rows):
        raise answer.unusable(f"{'.'.join(path) or 'it'} holds something else than objects")
    return rows


def exact_fields(
    shape: TableShape, answer: Answer, rows: list[Any], names: list[str], want_rest: bool
) -> Fields:
    """The fields of decoded rows, checked one by one.

    Raises:
        DataError: a value is not of its column's type.
        AnswerError: a row has no key.
    """
    _require_keys(shape, answer, rows)

    def row_name(position: int) -> str:
        return _row_name(shape, answer, rows[position])

    arrays = {
        name: column_array(
            [row.get(name) for row in rows],
            shape.resource_column(name),
            shape.types[name],
            row_name,
        )
        for name in names
    }
    if not want_rest:
        return Fields(len(rows), arrays)
    known = {field.name: shape.types[field.name] for field in shape.resource.fields}
    unknown = [unknown_fields(row, known) or None for row in rows]
    return Fields(len(rows), arrays, column_array(unknown, _REST, pa.string(), row_name))


def _require_keys(shape: TableShape, answer: Answer, rows: list[Any]) -> None:
    key = shape.resource.key
    if shape.resource.key_is_field and not all(isinstance(row.get(key), str) for row in rows):
        raise answer.unusable(f"a row has no {key}")


def _row_name(shape: TableShape, answer: Answer, row: dict[str, Any]) -> str:
    """What an error calls a row: a server may send anything for a key, a secret included."""
    resource = shape.resource
    if not resource.key_is_field:
        return f"vercel.{resource.full_name}"
    key = answer.redactor.mask(row[resource.key])
    shown = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"
    return f"vercel.{resource.full_name}: {resource.key} {shown}"
