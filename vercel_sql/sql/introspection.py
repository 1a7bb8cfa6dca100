"""SHOW and DESCRIBE: what the manifest has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vercel_sql.catalog.results import result_columns
from vercel_sql.errors import ProgrammingError
from vercel_sql.http.arguments import nearest
from vercel_sql.sql.plan import Outcome

if TYPE_CHECKING:
    from vercel_sql.manifest import Method, Parameter, Resource, Service, Step
    from vercel_sql.sql.fragments import Name
    from vercel_sql.sql.resolver import Catalog, Resolver, Target
    from vercel_sql.sql.statements import Describe, Show

_TEXT = pa.string()


def show(resolver: Resolver, statement: Show) -> Outcome:
    """SHOW SERVICES, RESOURCES, METHODS or INSERT INTO."""
    if statement.kind == "services":
        return _services(resolver.catalog(_parts(statement.name, 1, "SHOW SERVICES IN vercel")[0]))
    if statement.kind == "resources":
        example = "SHOW RESOURCES IN vercel.authentication"
        catalog, service = _parts(statement.name, 2, example)
        return _resources(resolver.catalog(catalog), service)
    target = resolver.require(statement.name)
    if statement.kind == "methods":
        return _methods(target, statement.extended)
    return _insert_template(target)


def describe(resolver: Resolver, statement: Describe) -> Outcome | None:
    """DESCRIBE of a resource or a method; None where the name is for DuckDB to describe."""
    if statement.method:
        target, method = resolver.method(statement.name)
        service = target.catalog.manifest.service(target.resource.service)
        return _describe_method(service, target.resource, method)
    found = resolver.resource(statement.name)
    if found is None:
        if statement.extended:
            resolver.require(statement.name)
        return None
    return _describe_resource(found.resource, statement.extended)


def _parts(name: Name, count: int, example: str) -> tuple[str, ...]:
    if len(name.parts) != count:
        parts = "1 part" if count == 1 else f"{count} parts"
        raise ProgrammingError(f"{name.text} must have {parts}, as in {example}")
    return name.parts


def _services(catalog: Catalog) -> Outcome:
    services = [catalog.manifest.service(name) for name in catalog.manifest.service_names]
    return _outcome(
        ["service", "description", "resources"],
        [(s.name, s.description, ", ".join(s.resources)) for s in services],
    )


def _resources(catalog: Catalog, name: str) -> Outcome:
    service = _service(catalog, name)
    rows = [
        (r.name, f"{catalog.name}.{r.full_name}", r.description) for r in service.resources.values()
    ]
    return _outcome(["resource", "id", "description"], rows)


def _service(catalog: Catalog, name: str) -> Service:
    try:
        return catalog.manifest.service(name)
    except KeyError:
        known = catalog.manifest.service_names
        raise ProgrammingError(
            f"{catalog.name} has no service {name!r}{nearest(name, known)}; "
            f"it has {', '.join(known)}"
        ) from None


def _methods(target: Target, extended: bool) -> Outcome:
    names = ["method", "verb", "required", "optional", "http", "description"]
    resource = target.resource
    service = target.catalog.manifest.service(resource.service)
    rows = [_method_row(m, _http(service, resource, m)) for m in resource.methods.values()]
    if extended:
        names += ["effect", "auth", "sent_again", "returns"]
        rows = [
            (*row, m.effect, _auth(m), _SENT_AGAIN[m.retry], _result_names(resource, m))
            for row, m in zip(rows, resource.methods.values(), strict=True)
        ]
    return _outcome(names, rows)


def _method_row(method: Method, http: str) -> tuple[str, ...]:
    def name(parameter: Parameter) -> str:
        in_insert = method.verb == "insert" and parameter.location == "body"
        return f"data__{parameter.name}" if in_insert else parameter.name

    return (
        method.name,
        method.verb,
        ", ".join(map(name, method.required)),
        ", ".join(map(name, method.optional)),
        http,
        method.description,
    )


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


_SENT_AGAIN = {
    "safe": "after any failure that may pass",
    "refused": "only where it surely was not carried out",
}


def _result_names(resource: Resource, method: Method) -> str:
    return ", ".join(column.name for column in result_columns(resource, method))


def _auth(method: Method) -> str:
    """What a request carries as its authorization."""
    locations = {p.location for p in method.parameters}
    if "basic_user" in locations:
        return "basic"
    if "bearer" in locations:
        return "bearer token, or the one that is given"
    return "bearer token" if method.auth else "none"


def _insert_template(target: Target) -> Outcome:
    methods = target.resource.of_verb("insert")
    if not methods:
        raise ProgrammingError(f"{target.full_name} has no INSERT")
    return _outcome(["statement"], [(_template(target, method),) for method in methods])


def _template(target: Target, method: Method) -> str:
    columns, values = [], []
    for parameter in method.given:
        prefix = "data__" if parameter.location == "body" else ""
        quote = "'" if parameter.type == "VARCHAR" else ""
        columns.append(f"{prefix}{parameter.name}")
        note = " /* required */" if parameter.required else ""
        values.append(f"{quote}{{{{ {parameter.name} }}}}{quote}{note}")
    lines = [
        f"INSERT INTO {target.full_name} (",
        ",\n".join(f"  {column}" for column in columns),
        ")",
        "SELECT",
        ",\n".join(f"  {value}" for value in values),
        f"RETURNING {', '.join(column.name for column in method.returns)}",
        ";",
    ]
    return "\n".join(lines)


def _describe_resource(resource: Resource, extended: bool) -> Outcome:
    names = ["column_name", "column_type", "description"]
    rows: list[tuple[Any, ...]] = [(c.name, c.type, c.description) for c in resource.public_columns]
    if extended:
        names += ["source", "get_by"]
        sources = {
            "field": "the field of that name",
            "row": "the whole row",
            "request": "what was asked for",
            "rest": "what the manifest does not know",
        }
        rows = [
            (*row, sources[c.source], _yes_or_no(c.name in resource.key_columns))
            for row, c in zip(rows, resource.public_columns, strict=True)
        ]
    return _outcome(names, rows)


def _describe_method(service: Service, resource: Resource, method: Method) -> Outcome:
    names = ["kind", "name", "type", "required", "location", "allowed", "secret", "description"]
    rows: list[tuple[Any, ...]] = [_parameter_row(method, each) for each in method.given]
    for step in method.steps:
        request = _step_request(service, resource, step) or None
        rows.append(("step", step.method, None, None, request, None, None, step.description))
    for column in result_columns(resource, method):
        secret = _yes_or_no(column.secret)
        nothing = (None, None, None)
        rows.append(("result", column.name, column.type, *nothing, secret, column.description))
    return _outcome(names, rows)


def _parameter_row(method: Method, parameter: Parameter) -> tuple[str | None, ...]:
    return (
        "parameter",
        parameter.name,
        parameter.type,
        _yes_or_no(parameter.required),
        None if method.procedure else parameter.location,
        ", ".join(parameter.allowed) or None,
        _yes_or_no(parameter.secret),
        parameter.description,
    )


def _yes_or_no(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _outcome(names: list[str], rows: list[tuple[Any, ...]]) -> Outcome:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in names]
    arrays = [pa.array(column, _TEXT) for column in columns]
    return Outcome(pa.Table.from_arrays(arrays, names=names))
