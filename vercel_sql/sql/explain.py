"""EXPLAIN: the requests that a statement would send, found out without changing anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import literal
from vercel_sql.catalog.predicates import Call, Field, Literal, Node, choose_route
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import NotSupportedError, WaitTooLongError
from vercel_sql.http.client import Client
from vercel_sql.http.events import RequestEvent
from vercel_sql.http.requests import Request, build_request
from vercel_sql.manifest import Method, Resource
from vercel_sql.redaction import MASK
from vercel_sql.sql import syntax_tree
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.plan import Limits, Match, Outcome, as_json, in_words
from vercel_sql.sql.prepared import Prepared
from vercel_sql.sql.queries import rows_of
from vercel_sql.sql.resolver import Catalog, any_made
from vercel_sql.sql.statements import Explain
from vercel_sql.sql.tokens import STRINGS, tokenize
from vercel_sql.writes.policy import Pace

_Line = tuple[str, Collection[str]]
"""What a scan requests, in words, and the values in its filters that are secret."""

_COLUMNS = ["step", "method", "path", "query", "body", "effect", "api_method", "row"]


def explain_write(
    client: Client,
    prepare: Callable[[], Prepared | Outcome | None],
    explain: Explain,
    limits: Limits,
) -> Outcome:
    """The requests of a write or an EXEC: its reads are carried out, its writes only listed."""
    if explain.analyze:
        raise NotSupportedError("EXPLAIN ANALYZE would carry the statement out; use EXPLAIN")
    events: list[RequestEvent] = []
    with client.guarded():
        with client.observed(events.append):
            prepared = prepare()
        rows = [_sent(event) for event in events if event.attempt == 1]
        if not isinstance(prepared, Prepared):
            return _outcome(client, rows)
        matches = prepared.matches() if prepared.matches else [Match(None)] * prepared.write_count
        for request, match in zip(prepared.requests, matches, strict=True):
            rows.append((*_parts(client.complete(request)), match.text))
    outcome = _outcome(client, rows)
    notes = _cautioned(_notes(client, prepared, limits), matches)
    if not any(notes):
        return outcome
    column = pa.array([*([None] * (len(rows) - len(notes))), *notes], pa.string())
    return Outcome(outcome.table.append_column("note", column))


def _notes(client: Client, prepared: Prepared, limits: Limits) -> list[str | None]:
    """What the requests themselves do not show; the first says how long all of them take."""
    pace = Pace.of(client, [each.method for each in prepared.requests])
    refusal: object = limits.refusal(prepared.what, pace, prepared.write_count)
    if client.read_only:
        refusal = "this connection is read-only"
    count = len(prepared.requests)
    notes = list(prepared.notes) or [None] * count
    if refusal is not None:
        notes = [f"refused: {refusal}"] * count
    if pace.forecasts and notes and not isinstance(refusal, WaitTooLongError):
        notes[0] = "; ".join(filter(None, (notes[0], str(pace))))
    return notes


def _sent(event: RequestEvent) -> tuple[Any, ...]:
    query, body = as_json(event.query), as_json(event.body)
    return (event.method, event.path, query, body, event.effect, event.api_method, None)


def _cautioned(notes: Sequence[str | None], matches: Sequence[Match]) -> Sequence[str | None]:
    """The notes, with what is to be known of each row before it is deleted."""
    told = [match.caution for match in matches]
    if not any(told):
        return notes
    cautions = [None if each is None else f"{each.noun}: {each.effect}" for each in told]
    both = zip(notes or [None] * len(told), cautions, strict=True)
    return ["; ".join(filter(None, each)) or None for each in both]


def _parts(request: Request) -> tuple[Any, ...]:
    method = request.method
    query, body = as_json(request.shown_query), as_json(request.shown_body)
    return (method.http, request.path, query, body, method.effect, method.name)


def _outcome(client: Client, rows: Sequence[tuple[Any, ...]]) -> Outcome:
    numbered = [(number, *row) for number, row in enumerate(rows, start=1)]
    columns = list(zip(*numbered, strict=True)) or [()] * len(_COLUMNS)
    arrays = [pa.array(columns[0], pa.int64())]
    for column in columns[1:]:
        masked = [client.redactor.mask(v) if isinstance(v, str) else v for v in column]
        arrays.append(pa.array(masked, pa.string()))
    return Outcome(pa.Table.from_arrays(arrays, names=_COLUMNS))


def explain_query(
    con: duckdb.DuckDBPyConnection,
    catalogs: Sequence[Catalog],
    explain: Explain,
    parameters: Parameters,
) -> Outcome | None:
    """DuckDB's plan and the requests of its API scans; None where it has none."""
    if explain.analyze or explain.options_text or not any_made(catalogs):
        return None
    text, values = explain.inner.fragment.bind(parameters)
    rows = rows_of(con, f"EXPLAIN (FORMAT JSON) {text}", values or None)
    # DuckDB 1.5 carries out a PIVOT in several statements, and gives no plan.
    scans = list(_scans(json.loads(rows[-1][1]))) if rows and len(rows[-1]) == 2 else []
    lines, secret = [], set[str]()
    for scan in scans:
        for line, hidden in _requests_of(catalogs, scan):
            lines.append(line)
            secret.update(hidden)
    if not lines:
        return None
    rows = rows_of(con, *_without(secret, text, values))
    rows.append(("vercel_requests", "\n".join(lines)))
    keys, texts = zip(*rows, strict=True)
    return Outcome(pa.table({"explain_key": keys, "explain_value": texts}))


def _without(
    secret: Collection[str], text: str, values: Mapping[str, Any]
) -> tuple[str, dict[str, Any] | None]:
    """The EXPLAIN of a query in whose plan no secret stands.

    Masking the plan itself would not do: DuckDB breaks long values over lines.
    """
    # Only whole tokens: what looks like the literal across two quoted names is none, and to replace
    # it would make another statement.
    for lexeme in reversed(tokenize(text)):
        if lexeme.kind in STRINGS and lexeme.value in secret:
            text = text[: lexeme.start] + literal(MASK) + text[lexeme.end :]
    kept = {name: _masked(value, secret) for name, value in values.items()}
    return f"EXPLAIN {text}", kept or None


def _masked(value: Any, secret: Collection[str]) -> Any:
    """A parameter's value without what is secret in it."""
    match value:
        case str():
            return MASK if value in secret else value
        case list() | tuple():
            return [_masked(each, secret) for each in value]
        case dict():
            return {name: _masked(each, secret) for name, each in value.items()}
    return value


def _scans(plan: Any) -> Iterator[dict[str, Any]]:
    """The scans of Arrow tables in a plan of DuckDB's, in the plan's order."""
    if isinstance(plan, list):
        for part in plan:
            yield from _scans(part)
    elif isinstance(plan, dict):
        if "ARROW_SCAN" in str(plan.get("name", "")):
            yield plan.get("extra_info", {})
        yield from _scans(plan.get("children", []))


def _requests_of(catalogs: Sequence[Catalog], scan: dict[str, Any]) -> Iterator[_Line]:
    """The requests of one scan."""
    columns = _strings(scan.get("Projections"))
    for catalog in catalogs:
        for name in [n for n in catalog.manifest.service_names if n not in catalog.missing]:
            for resource in catalog.manifest.service(name).resources.values():
                if any(column.startswith(f"{resource.full_name}.") for column in columns):
                    shape = TableShape(resource)
                    filters = _strings(scan.get("Filters"))
                    yield from _own_row_lines(catalog, shape, [*columns, *filters])
                    yield from _route_lines(catalog, shape, filters)
                    return


def _own_row_lines(catalog: Catalog, shape: TableShape, shown: list[str]) -> Iterator[_Line]:
    """The request that tells which row is the calling credential's, where a column asks that."""
    resource = shape.resource
    own = [shape.qualified(column.name) for column in resource.columns if column.source == "self"]
    if resource.getter is None or resource.self_reference is None:
        return
    if any(name in text for name in own for text in shown):
        yield _get_line(catalog, resource, resource.getter, resource.self_reference.value)


def _get_line(catalog: Catalog, resource: Resource, getter: Method, key: str) -> _Line:
    request = build_request(getter, {getter.required[0].name: key})
    words = in_words(catalog.client, request)
    return f"{catalog.name}.{resource.full_name}: {words}", request.secrets


def _route_lines(catalog: Catalog, shape: TableShape, filters: list[str]) -> Iterator[_Line]:
    nodes = [node for node in map(_filter_node, filters) if node is not None]
    route = choose_route(shape, Call("and", tuple(nodes), {}) if nodes else None)
    table = f"{catalog.name}.{shape.resource.full_name}"
    if route.lookups is not None and route.getter is not None:
        for lookup in route.lookups:
            yield _get_line(catalog, shape.resource, route.getter, lookup.value)
        if not route.lookups:
            yield f"{table}: no request, since no row can match", ()
    elif route.lister is not None:
        yield f"{table}: {_listing(catalog, route.lister)}", ()
    elif shape.resource.rows:
        yield f"{table}: no request, since the table comes with this package", ()


def _listing(catalog: Catalog, method: Method) -> str:
    paging = method.paging
    if paging is None:
        return in_words(catalog.client, build_request(method, {}))
    text = in_words(catalog.client, build_request(method, {}, {paging.size_parameter: paging.size}))
    return (
        f"{text}, then the next pages with "
        f"{paging.parameter}=… until the last, or until the query needs no more"
    )


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _filter_node(text: str) -> Node | None:
    """A filter as DuckDB prints it in a plan, as far as it can be read."""
    # DuckDB 1.5 marks what the scan need not, but does, apply.
    tree = syntax_tree.expression(text.removeprefix("optional: "))
    return None if tree is None else _node(tree)


def _node(tree: syntax_tree.Node) -> Node:
    match tree["type"]:
        case "CONJUNCTION_AND" | "CONJUNCTION_OR" as both:
            name = both.removeprefix("CONJUNCTION_").lower()
            return Call(name, tuple(map(_node, tree["children"])), {})
        case "COMPARE_EQUAL":
            return _comparison(tree["left"], [tree["right"]])
        case "COMPARE_IN":
            return _comparison(tree["children"][0], tree["children"][1:])
    return Call("unknown", (), {})


def _comparison(column: syntax_tree.Node, values: Sequence[syntax_tree.Node]) -> Node:
    texts = [syntax_tree.constant(value, {}) for value in values]
    if column["class"] != "COLUMN_REF" or not all(isinstance(text, str) for text in texts):
        return Call("unknown", (), {})
    name = ".".join(column["column_names"])
    return Call("is_in", (Field(name), Literal(None)), {"value_set": texts})
