"""Pages of a listing: skimmed for what paging needs, turned into columns on demand.

The usual page is read by pyarrow's JSON reader straight into columns, without a Python object per
value. That reader is strict: a wrong type, a fraction, a number beyond 64 bits and a repeated key
are errors. Whatever it refuses, and every page with a field that the manifest does not know, is
read again the exact and slower way: it keeps a value as it is, or it says which row has one that
can't be kept. What pages are put together by has to be right, or it is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json as pj

from vercel_sql.catalog.rows import Fields, TableShape, column_array, unknown_fields
from vercel_sql.errors import NotFoundError
from vercel_sql.http.answers import Answer
from vercel_sql.http.client import Client
from vercel_sql.http.decode import (
    Inexact,
    decode_json,
    encode_json,
    escaped,
    problem_in,
    text_problem,
)
from vercel_sql.http.events import REST, Doubt
from vercel_sql.http.paging import walk
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Column, Method

_LONGEST_KEY = 100  # characters of it in an error
_NO_KEY = "\ud800"  # what stands for a key that can't be read begins so, and no key does


@dataclass(frozen=True)
class Page:
    """A page that has been skimmed; it keeps the answer's bytes until it is turned into columns.

    Attributes:
        answer: the answer.
        keys: the key of each row; for one whose key can't be read, what tells it from the others.
        moments: what the rows are sorted by, where it is known.
        cursor: what the next page is asked for with.
        declared: how many rows it says it has.
        rows: the rows, decoded, where it could be read in the exact way only.
    """

    answer: Answer
    keys: list[str]
    moments: list[int]
    cursor: str | int | None
    declared: int
    rows: list[Any] | None = None


def listed_fields(
    client: Client,
    shape: TableShape,
    method: Method,
    arguments: Mapping[str, Any],
    columns: list[Column],
) -> Iterator[tuple[list[str], Fields]]:
    """The pages of a whole listing, each row once: the keys of the rows, and their fields."""
    read = field_reader(shape, method, columns)
    for page, fresh in walk(client, method, arguments, page_reader(shape, method)):
        fields = read(page)
        if fresh is None:
            yield page.keys, fields
        else:
            yield [page.keys[n] for n in fresh], fields.take(fresh)


def send_or_missing(client: Client, request: Request) -> Answer | None:
    """The answer to a request; None where a 404 says that there is no such row."""
    try:
        return client.send(request)
    except NotFoundError:
        if not request.method.missing_is_empty:
            raise
        return None


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
        try:
            if not answer.body.isascii():
                answer.body.decode("utf-8")
            content = decoder.decode(answer.body)
            rows = rows_of(content)
            if any(_may_occur_twice(name, answer.body) for name in names) or not _stand_once(
                key, answer.body, len(rows)
            ):
                # The skimming takes the last of two equal keys, and a listing could end early by
                # it, or lose a row; the exact way finds them. Most often it is only some name.
                decode_json(answer.body)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return _read_exactly(shape, method, answer)
        keys = list(map(key_of, rows))
        moments = [moment for moment in map(moment_of, rows) if isinstance(moment, int)]
        return Page(answer, keys, moments, cursor_of(content), count_of(content))

    return read


def _may_occur_twice(name: bytes, body: bytes) -> bool:
    # From both ends: what stands near an end, as paging does, is found without a full search.
    # Where it does not stand as it is, letters of it are escaped: then it may be anywhere.
    first = body.find(name)
    return first < 0 or body.rfind(name) != first or b"\\u" in body


def _read_exactly(shape: TableShape, method: Method, answer: Answer) -> Page:
    """A page with something in it that can't be skimmed."""
    assert method.paging is not None  # noqa: S101 - asked only for paged methods
    content, paging = answer.content(), method.paging
    rows = _objects(answer, _at(answer, content, method.rows, list), method.rows)
    cursor = _at(answer, content, paging.cursor, int, str, type(None))
    declared = _at(answer, content, paging.count, int)
    moments = [row.get(paging.order) for row in rows]
    numbers = [each for each in moments if isinstance(each, int) and not isinstance(each, bool)]
    return Page(answer, list(_keys_of(shape, rows)), numbers, cursor, declared, rows)


def _keys_of(shape: TableShape, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The key of each row; for one whose key can't be read, what tells it from the others."""
    seen = Counter[str]()
    for row in rows:
        key = row.get(shape.resource.key)
        if isinstance(key, str) and text_problem(key) is None:
            yield key
        else:
            # The same row may be on the next page, too, and two that are alike on one.
            content = repr(row)
            seen[content] += 1
            yield f"{_NO_KEY}{hash(content)} {seen[content]}"


def _at(answer: Answer, content: Any, path: Sequence[str], *kinds: type) -> Any:
    """What stands at a path in an answer; it has to be there, and of one of these types."""
    where = ".".join(path)
    for name in path:
        if not isinstance(content, dict) or name not in content:
            raise answer.unusable(f"it has no {where}")
        content = content[name]
        if isinstance(content, Inexact):
            raise answer.unusable(f"{name!r} {content.reason}")
    is_right = isinstance(content, kinds) and not isinstance(content, bool)
    if kinds and (not is_right or (isinstance(content, str) and text_problem(content))):
        raise answer.unusable(f"its {where} is of a wrong type")
    return content


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
    """What turns pages into the fields that some columns need."""
    names = shape.fields_needed(columns)
    want_rest = any(column.source == "rest" for column in columns)
    only_keys = names == [shape.resource.key] and not want_rest
    may_be_fast = not any(shape.resource_column(name).type == "JSON" for name in names)
    fast_fields = _fast_reader(shape, method, names, want_rest)

    def read(page: Page) -> Fields:
        if page.rows is None:
            if only_keys and _stand_once(names[0], page.answer.body, len(page.keys)):
                return Fields(len(page.keys), {names[0]: pa.array(page.keys, pa.string())})
            fast = fast_fields(page) if may_be_fast else None
            if fast is not None:
                return fast
        rows = rows_at(page.answer, method.rows) if page.rows is None else page.rows
        return exact_fields(shape, page.answer, rows, names, want_rest)

    return read


def _stand_once(key: str, body: bytes, count: int) -> bool:
    """Whether each row has its key once, so that what skimming found can't be the last of two.

    False may also mean that nested objects have such a key, or that the JSON has spaces.
    """
    return body.count(f'"{key}":'.encode()) == count


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

    What can't be decoded stands in them as `Inexact`. Raises `AnswerError` if there is neither.
    """
    found = _at(answer, answer.content(), path)
    return _objects(answer, found if isinstance(found, list) else [found], path)


def _objects(answer: Answer, rows: list[Any], path: list[str]) -> list[Any]:
    if not all(isinstance(row, dict) for row in rows):
        raise answer.unusable(f"{'.'.join(path) or 'it'} holds something else than objects")
    return rows


def exact_fields(
    shape: TableShape, answer: Answer, rows: list[Any], names: list[str], want_rest: bool
) -> Fields:
    """The fields of decoded rows, checked one by one: what is not exact is NULL, and in doubt.

    With ``want_rest``, all else too: what the manifest does not know, and what is in doubt, as
    JSON that says what was sent.
    """
    problems: list[dict[str, str]] = [{} for _ in rows]
    arrays, known = {}, {field.name: shape.types[field.name] for field in shape.resource.fields}
    for name in known if want_rest else names:
        values = [row.get(name) for row in rows]
        array, wrong = column_array(values, shape.resource_column(name), known[name])
        if name == shape.resource.key:
            wrong |= {n: f"{name} is missing" for n, value in enumerate(values) if value is None}
        for position, problem in wrong.items():
            problems[position][name] = problem
        arrays[name] = array
    rest = None
    if want_rest:
        texts = list(map(_rest, rows, problems, [known] * len(rows)))
        rest = pa.array(texts, pa.string())
    if not any(problems):
        return Fields(len(rows), arrays, rest)
    doubts = [
        Doubt(row_name(shape, answer, row), column, answer.redactor.mask(problem))
        for row, wrong in zip(rows, problems, strict=True)
        for column, problem in wrong.items()
    ]
    in_doubt = pa.array([list(wrong) or None for wrong in problems], pa.list_(pa.string()))
    return Fields(len(rows), arrays, rest, in_doubt=in_doubt, doubts=doubts)


def _rest(
    row: dict[str, Any], problems: dict[str, str], known: Mapping[str, pa.DataType]
) -> str | None:
    """JSON of what the manifest does not know of a row, and of what is in doubt.

    What is wrong with it is added to ``problems``, which has what is wrong with the fields.
    """
    sound = {n: kind for n, kind in known.items() if n not in problems} if problems else known
    rest = unknown_fields(row, sound)
    try:
        return encode_json(rest) if rest else None
    except (UnicodeEncodeError, TypeError):
        for name in [name for name in rest if name not in problems]:
            problem = problem_in({name: rest[name]})
            if problem is not None:
                problems.setdefault(REST, f"{REST}.{escaped(name)} {problem}")
        return encode_json(escaped(rest))


def row_name(shape: TableShape, answer: Answer, row: dict[str, Any]) -> str:
    """What an error calls a row: a server may send anything for a key, a secret included."""
    resource = shape.resource
    table = f"vercel.{resource.full_name}"
    if not resource.key_is_field:
        return table
    key = row.get(resource.key)
    text = key if isinstance(key, str) else encode_json(escaped(key))
    shown = answer.redactor.mask(escaped(text))
    shown = shown if len(shown) <= _LONGEST_KEY else f"{shown[:_LONGEST_KEY]}…"
    return f"{table}: {resource.key} {shown}"
