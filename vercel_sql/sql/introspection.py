"""SHOW, DESCRIBE and EXPLAIN: what there is, and what a statement would send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vercel_sql.catalog.predicates import Call, Field, Literal, Node, choose_route
from vercel_sql.catalog.results import result_columns
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import NotSupportedError, ProgrammingError, WaitTooLongError
from vercel_sql.http.arguments import nearest
from vercel_sql.http.requests import Request, build_request
from vercel_sql.sql import syntax_tree
from vercel_sql.sql.masking import mask_plan
from vercel_sql.sql.plan import Limits, Match, Outcome, Prepared, as_json, in_words
from vercel_sql.sql.queries import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

    from vercel_sql.http.client import Client
    from vercel_sql.http.events import RequestEvent
    from vercel_sql.manifest import Method, Parameter, Resource, Service, Step
    from vercel_sql.sql.engine import Catalog, Resolver, Target
    from vercel_sql.sql.fragments import Name
    from vercel_sql.sql.parameters import Parameters
    from vercel_sql.sql.statements import Describe, Explain, Show

_SENT_AGAIN = {
    "safe": "after any failure that may pass",
    "refused": "only where it surely was not carried out",
}
_SOURCES = {
    "field": "the field of that name",
    "row": "the whole row",
    "request": "what was asked for",
    "rest": "what the manifest does not know",
}


def show(resolver: Resolver, statement: Show) -> Outcome:
    """SHOW SERVICES, RESOURCES, METHODS or INSERT INTO."""
    if statement.kind == "services":
        (name,) = _parts(statement.name, 1, "SHOW SERVICES IN vercel")
        manifest = resolver.catalog(name).manifest
        services = map(manifest.service, manifest.service_names)
        rows = [(s.name, s.description, ", ".join(s.resources)) for s in services]
        return _outcome(["service", "description", "resources"], rows)
    if statement.kind == "resources":
        name, service = _parts(statement.name, 2, "SHOW RESOURCES IN vercel.authentication")
        return _resources(resolver.catalog(name), service)
    target = resolver.require(statement.name)
    if statement.kind == "methods":
        return _methods(target, statement.extended)
    methods = target.resource.of_verb("insert")
    if not methods:
        raise ProgrammingError(f"{target.full_name} has no INSERT")
    return _outcome(["statement"], [(_template(target, method),) for method in methods])


def describe(resolver: Resolver, statement: Describe) -> Outcome | None:
    """DESCRIBE of a resource or a method; None where the name is for DuckDB to describe."""
    if statement.method:
        target, method = resolver.method(statement.name)
        service = target.catalog.manifest.service(target.resource.service)
        return _describe_method(service, target.resource, method)
    found = resolver.resource(statement.name)
    if found is not None:
        return _describe_resource(found.resource, statement.extended)
    if statement.extended:
        resolver.require(statement.name)
    return None


def _parts(name: Name, count: int, example: str) -> tuple[str, ...]:
    if len(name.parts) != count:
        parts = "1 part" if count == 1 else f"{count} parts"
        raise ProgrammingError(f"{name.text} must have {parts}, as in {example}")
    return name.parts


def _resources(catalog: Catalog, name: str) -> Outcome:
    try:
        service = catalog.manifest.service(name)
    except KeyError:
        known = catalog.manifest.service_names
        raise ProgrammingError(
            f"{catalog.name} has no service {name!r}{nearest(name, known)}; "
            f"it has {', '.join(known)}"
        ) from None
    resources = service.resources.values()
    rows = [(r.name, f"{catalog.name}.{r.full_name}", r.description) for r in resources]
    return _outcome(["resource", "id", "description"], rows)


def _methods(target: Target, extended: bool) -> Outcome:
    names = ["method", "verb", "required", "optional", "http", "description"]
    names += ["effect", "auth", "sent_again", "returns"] if extended else []
    resource = target.resource
    service = target.catalog.manifest.service(resource.service)
    rows = []
    for method in resource.methods.values():
        row = [
            *(method.name, method.verb),
            *(_in_insert(method, method.required), _in_insert(method, method.optional)),
            *(_http(service, resource, method), method.description),
        ]
        if extended:
            returned = ", ".join(column.name for column in result_columns(resource, method))
            row += [method.effect, _auth(method), _SENT_AGAIN[method.retry], returned]
        rows.append(row)
    return _outcome(names, rows)


def _in_insert(method: Method, parameters: Sequence[Parameter]) -> str:
    """Parameters by the names that they have where they are given."""
    marked = method.verb == "insert"
    names = (f"data__{p.name}" if marked and p.location == "body" else p.name for p in parameters)
    return ", ".join(names)


def _http(service: Service, resource: Resource, method: Method) -> str:
    """The request of a method; a procedure of this package makes several, or none."""
    if method.procedure is None:
        return _address(method)
    requests = [_step_request(service, resource, step) for step in method.steps]
    return f"procedure: {', '.join(filter(None, requests)) or 'no request'}"


def _step_request(service: Service, resource: Resource, step: Step) -> str:
    called = service.called_by(resource, step)
    return _address(called) if called is not None else step.request or ""


def _address(method: Method) -> str:
    """HTTP method and path; of an endpoint, the field of the discovery document that names it."""
    return f"{method.http} {f'{{{method.endpoint}}}' if method.endpoint else method.path}"


def _auth(method: Method) -> str:
    """What a request carries as its authorization."""
    locations = {p.location for p in method.parameters}
    if "basic_user" in locations:
        return "basic"
    if "bearer" in locations:
        return "bearer token, or the one that is given"
    return "bearer token" if method.auth else "none"


def _template(target: Target, method: Method) -> str:
    columns, values = [], []
    for parameter in method.given:
        quote = "'" if parameter.type == "VARCHAR" else ""
        note = " /* required */" if parameter.required else ""
        columns.append(f"  {_in_insert(method, [parameter])}")
        values.append(f"  {quote}{{{{ {parameter.name} }}}}{quote}{note}")
    returned = ", ".join(column.name for column in method.returns)
    start = f"INSERT INTO {target.full_name} (\n" + ",\n".join(columns)
    return f"{start}\n)\nSELECT\n" + ",\n".join(values) + f"\nRETURNING {returned}\n;"


def _describe_resource(resource: Resource, extended: bool) -> Outcome:
    names = ["column_name", "column_type", "description"]
    names += ["source", "get_by"] if extended else []
    rows = []
    for column in resource.public_columns:
        row = [column.name, column.type, column.description]
        if extended:
            row += [_SOURCES[column.source], _yes_or_no(column.name in resource.key_columns)]
        rows.append(row)
    return _outcome(names, rows)


def _describe_method(service: Service, resource: Resource, method: Method) -> Outcome:
    names = ["kind", "name", "type", "required", "location", "allowed", "secret", "description"]
    rows: list[tuple[Any, ...]] = []
    for each in method.given:
        where = None if method.procedure else each.location
        how = (_yes_or_no(each.required), where, ", ".join(each.allowed) or None)
        secret = _yes_or_no(each.secret)
        rows.append(("parameter", each.name, each.type, *how, secret, each.description))
    for step in method.steps:
        request = _step_request(service, resource, step) or None
        rows.append(("step", step.method, None, None, request, None, None, step.description))
    for column in result_columns(resource, method):
        nothing, secret = (None, None, None), _yes_or_no(column.secret)
        rows.append(("result", column.name, column.type, *nothing, secret, column.description))
    return _outcome(names, rows)


def _yes_or_no(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _outcome(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Outcome:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    arrays = [pa.array(column, pa.string()) for column in columns]
    return Outcome(pa.Table.from_arrays(arrays, names=list(names)))


# EXPLAIN


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
    matches: Sequence[Match] = ()
    with client.guarded():
        with client.observed(events.append):
            prepared = prepare()
        rows = [_sent(event) for event in events if event.attempt == 1]
        if isinstance(prepared, Prepared):
            blank = [Match(None)] * prepared.write_count
            matches = prepared.matches() if prepared.matches else blank
            for request, match in zip(prepared.requests, matches, strict=True):
                rows.append((*_request(client.complete(request)), match.text))
    mask = client.redactor.mask
    numbers = pa.array(range(1, len(rows) + 1), pa.int64())
    columns = ["method", "path", "query", "body", "effect", "api_method", "row"]
    shown = [[mask(each) if isinstance(each, str) else each for each in row] for row in rows]
    table = _outcome(columns, shown).table.add_column(0, "step", numbers)
    notes = _notes(client, prepared, limits, matches) if isinstance(prepared, Prepared) else []
    if any(notes):
        padded = [*([None] * (len(rows) - len(notes))), *notes]
        table = table.append_column("note", pa.array(padded, pa.string()))
    return Outcome(table)


def _sent(event: RequestEvent) -> tuple[Any, ...]:
    query, body = as_json(event.query), as_json(event.body)
    return (event.method, event.path, query, body, event.effect, event.api_method, None)


def _request(request: Request) -> tuple[Any, ...]:
    method = request.method
    query, body = as_json(request.shown_query), as_json(request.shown_body)
    return (method.http, request.path, query, body, method.effect, method.name)


def _notes(
    client: Client, prepared: Prepared, limits: Limits, matches: Sequence[Match]
) -> list[str | None]:
    """What the requests themselves do not show; the first says how long all of them take."""
    pace, what, count = prepared.pace, prepared.what, len(prepared.requests)
    too_slow = pace.refusal(what, limits.max_wait)
    refusal: object = too_slow or limits.allowance.refusal(what, prepared.write_count)
    if client.read_only:
        refusal = "this connection is read-only"
    notes = list(prepared.notes) or [None] * count
    if refusal is not None:
        notes = [f"refused: {refusal}"] * count
    if pace.forecasts and notes and not isinstance(refusal, WaitTooLongError):
        notes[0] = "; ".join(filter(None, (notes[0], str(pace))))
    found = [match.caution for match in matches]
    cautions = [None if each is None else f"{each.noun}: {each.effect}" for each in found]
    both = zip(notes, cautions, strict=True)
    return ["; ".join(filter(None, each)) or None for each in both]


def explain_query(
    con: duckdb.DuckDBPyConnection,
    catalogs: Sequence[Catalog],
    explain: Explain,
    parameters: Parameters,
) -> Outcome | None:
    """DuckDB's plan and the requests of its API scans; None where it has none."""
    none_made = all(len(each.missing) == len(each.manifest.service_names) for each in catalogs)
    if explain.analyze or explain.options_text or none_made:
        return None
    text, values = explain.inner.fragment.bind(parameters)
    rows = rows_of(con, f"EXPLAIN (FORMAT JSON) {text}", values or None)
    # DuckDB 1.5 carries out a PIVOT in several statements, and gives no plan.
    scans = _scans(json.loads(rows[-1][1])) if rows and len(rows[-1]) == 2 else ()
    lines = [line for scan in scans for line in _requests_of(catalogs, scan)]
    if not lines:
        return None
    plan = rows_of(con, f"EXPLAIN {text}", values or None)
    rows = [(key, mask_plan(boxes, explain.text, parameters)) for key, boxes in plan]
    keys, texts = zip(*rows, ("vercel_requests", "\n".join(lines)), strict=True)
    return Outcome(pa.table({"explain_key": keys, "explain_value": texts}))


def _scans(plan: Any) -> Iterator[dict[str, Any]]:
    """The scans of Arrow tables in a plan of DuckDB's, in the plan's order."""
    for part in plan if isinstance(plan, list) else [plan]:
        if "ARROW_SCAN" in str(part.get("name", "")):
            yield part.get("extra_info", {})
        yield from _scans(part.get("children", []))


def _requests_of(catalogs: Sequence[Catalog], scan: dict[str, Any]) -> Iterator[str]:
    """The requests of one scan, in words."""
    columns, filters = _strings(scan.get("Projections")), _strings(scan.get("Filters"))
    for catalog in catalogs:
        for name in [n for n in catalog.manifest.service_names if n not in catalog.missing]:
            for resource in catalog.manifest.service(name).resources.values():
                if any(column.startswith(f"{resource.full_name}.") for column in columns):
                    shape, client = TableShape(resource), catalog.client
                    words = (
                        *_own_row(client, shape, [*columns, *filters]),
                        *_route(client, shape, filters),
                    )
                    yield from (f"{catalog.name}.{resource.full_name}: {each}" for each in words)
                    return


def _own_row(client: Client, shape: TableShape, shown: list[str]) -> Iterator[str]:
    """The request that tells which row is the calling credential's, where a column asks that."""
    resource = shape.resource
    own = [shape.qualified(column.name) for column in resource.columns if column.source == "self"]
    if resource.getter is None or resource.self_reference is None:
        return
    if any(name in text for name in own for text in shown):
        yield _get(client, resource.getter, resource.self_reference.value)


def _get(client: Client, getter: Method, key: str) -> str:
    return in_words(client, build_request(getter, {getter.required[0].name: key}))


def _route(client: Client, shape: TableShape, filters: list[str]) -> Iterator[str]:
    nodes = [node for node in map(_filter_node, filters) if node is not None]
    route = choose_route(shape, Call("and", tuple(nodes), {}) if nodes else None)
    if route.lookups is not None and route.getter is not None:
        for lookup in route.lookups:
            yield _get(client, route.getter, lookup.value)
        if not route.lookups:
            yield "no request, since no row can match"
    elif route.lister is not None:
        yield _listing(client, route.lister)
    elif shape.resource.rows:
        yield "no request, since the table comes with this package"


def _listing(client: Client, method: Method) -> str:
    paging = method.paging
    if paging is None:
        return in_words(client, build_request(method, {}))
    text = in_words(client, build_request(method, {}, {paging.size_parameter: paging.size}))
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
            column, values = tree["left"], [tree["right"]]
        case "COMPARE_IN":
            column, *values = tree["children"]
        case _:
            return Call("unknown", (), {})
    texts = [syntax_tree.constant(value, {}) for value in values]
    if column["class"] != "COLUMN_REF" or not all(isinstance(text, str) for text in texts):
        return Call("unknown", (), {})
    name = ".".join(column["column_names"])
    return Call("is_in", (Field(name), Literal(None)), {"value_set": texts})
