"""Checks of the manifest that types alone can't do: names that lead nowhere."""

from __future__ import annotations

import string
from collections.abc import Iterable

from vercel_sql.errors import ManifestError
from vercel_sql.manifest.model import (
    Method,
    RecoveryLookup,
    Resource,
    Rotation,
    Service,
)
from vercel_sql.manifest.provider import Provider, Role

_ROTATE = "rotate"


def check(service: Service, provider: Provider, file: str) -> None:
    """Raises `ManifestError`, with file and key, if a name in a service's file leads nowhere."""
    listed = provider.services[service.name]
    if sorted(listed) != sorted(service.resources):
        raise ManifestError(
            f"{file}: resources: {sorted(service.resources)} differ from provider.toml's {listed}"
        )
    for resource in service.resources.values():
        _check_resource(resource, service, provider, f"{file}: resources.{resource.name}")
    for role in (r for r in provider.roles.values() if r.resource.startswith(f"{service.name}.")):
        _check_role(role, service, file)
    for view in (view for group in service.views.values() for view in group.values()):
        if not view.query.strip():
            where = f"{file}: views.{view.schema}.{view.name}"
            raise ManifestError(f"{where}.query: the view has no query")


def _check_role(role: Role, service: Service, file: str) -> None:
    where = f"{file}: provider.toml's roles: {role.resource}"
    resource = service.resources.get(role.resource.partition(".")[2])
    if resource is None:
        raise ManifestError(f"{where} is not a resource")
    _require(role.columns.values(), [column.name for column in resource.columns], where)


def _check_resource(resource: Resource, service: Service, provider: Provider, where: str) -> None:
    names = [column.name for column in resource.columns]
    _check_unique(names, f"{where}.columns")
    for key in resource.key_columns:
        if key not in names:
            raise ManifestError(f"{where}.key: no column is named {key!r}")
    if resource.self_reference and resource.self_reference.column not in names:
        raise ManifestError(f"{where}.self_reference.column: no such column")
    for method in resource.methods.values():
        _check_method(method, provider, f"{where}.methods.{method.name}")
        if method.trace is not None:
            _check_trace(resource, method, method.trace, f"{where}.methods.{method.name}.trace")
        _check_proofs(resource, method, f"{where}.methods.{method.name}")
        _check_procedure(method, resource, service, f"{where}.methods.{method.name}")


def _check_method(method: Method, provider: Provider, where: str) -> None:
    if method.server not in provider.servers:
        raise ManifestError(f"{where}.server: provider.toml has no server {method.server!r}")
    if method.effect == "write" and method.retry == "safe":
        raise ManifestError(f"{where}.retry: what changes something is not safe to send again")
    _check_unique([p.name for p in method.parameters], f"{where}.parameters")
    for parameter in method.parameters:
        if parameter.beside is not None and method.parameter(parameter.beside) is None:
            raise ManifestError(f"{where}.parameters: no parameter {parameter.beside!r}")
    in_path = {field for _, field, _, _ in string.Formatter().parse(method.path) if field}
    declared = {p.key for p in method.parameters if p.location == "path"}
    if in_path != declared:
        raise ManifestError(
            f"{where}.path: {{…}} names {sorted(in_path)}, "
            f"the path parameters are {sorted(declared)}"
        )


def _check_proofs(resource: Resource, method: Method, where: str) -> None:
    """What an answer is held against is in the request, or a field of its rows."""
    fields = {column.name for column in resource.fields}
    hints, paging = resource.hints, method.paging
    named = {"hints": [hints.begins, hints.ends]} if hints is not None else {}
    if resource.gone is not None:
        named["gone"] = [resource.gone]
    if paging is not None and paging.order is not None:
        named["paging.order"] = [paging.order]
    for key, names in named.items():
        if not fields.issuperset(names):
            raise ManifestError(f"{where}: {key}: {names} are not all fields of the rows")
    for name in method.claims:
        if method.parameter(name) is None:
            raise ManifestError(f"{where}.claims: no parameter {name!r}")
    for name, echo in method.echoes.items():
        if method.parameter(name) is None or not echo.path:
            raise ManifestError(f"{where}.echoes: no parameter {name!r}, or no path")


def _check_trace(resource: Resource, method: Method, trace: RecoveryLookup, where: str) -> None:
    """A row is found by columns of the listing, and its values may stand in a journal."""
    columns = {column.name: column for column in resource.fields}
    if not method.makes_secret or not trace.key or not trace.matches:
        raise ManifestError(f"{where}: it is for writes whose answer has a secret and a key")
    if resource.lister is None or resource.lister.paging is None:
        raise ManifestError(f"{where}: resources.{resource.name} has no listing to look in")
    for name in (*trace.matches, trace.since):
        if name not in columns:
            raise ManifestError(f"{where}: no field is named {name!r}")
    if columns[trace.since].type != "BIGINT":
        raise ManifestError(f"{where}.since: {trace.since} is not a number of milliseconds")
    for name in trace.matches.values():
        parameter = method.parameter(name)
        if parameter is None or parameter.secret or parameter.location not in ("body", "query"):
            raise ManifestError(
                f"{where}.matches: no parameter {name!r} that may stand in a journal"
            )
    marked = None if trace.mark is None else method.parameter(trace.mark)
    is_shown = marked is not None and marked.name in trace.matches.values()
    if trace.mark is not None and not (is_shown and marked and marked.type == "VARCHAR"):
        raise ManifestError(f"{where}.mark: {trace.mark!r} is not a text that the listing shows")


def _check_unique(names: list[str], where: str) -> None:
    folded = [name.casefold() for name in names]
    doubled = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if doubled:
        raise ManifestError(f"{where}: {doubled} occur twice (names ignore case)")


def _check_procedure(method: Method, resource: Resource, service: Service, where: str) -> None:
    if method.procedure is None:
        _check_plain(method, where)
    for number, step in enumerate(method.steps, start=1):
        if step.method is not None and service.called_by(resource, step) is None:
            raise ManifestError(f"{where}.steps {number}: there is no method {step.method!r}")
    if (method.procedure == _ROTATE) != (method.rotation is not None):
        raise ManifestError(f"{where}.rotation: it belongs to procedure = {_ROTATE!r}")
    if method.rotation is not None:
        _check_rotation(method, method.rotation, resource, f"{where}.rotation")


def _check_plain(method: Method, where: str) -> None:
    if method.steps or method.rotation is not None:
        raise ManifestError(f"{where}.procedure: steps and rotation belong to a procedure")
    for parameter in method.parameters:
        if parameter.location == "procedure" or parameter.null == "value":
            raise ManifestError(f"{where}.parameters: {parameter.name} belongs to a procedure")


def _check_rotation(method: Method, rotation: Rotation, resource: Resource, where: str) -> None:
    creator, remover, getter = resource.creator, resource.remover, resource.getter
    if creator is None or remover is None or getter is None or resource.self_reference is None:
        raise ManifestError(f"{where}: it takes methods to get, make and remove, and a self")
    if not resource.key_is_field or not any(c.secret for c in creator.returns):
        raise ManifestError(f"{where}: what is made must give its key and a secret")
    own, made = [p.name for p in method.parameters], [p.name for p in creator.parameters]
    fields = [column.name for column in resource.fields]
    _require([rotation.old], own, f"{where}.old")
    _require([name for name in own if name != rotation.old], made, f"{where}: parameters")
    for key, mapping in (("carried", rotation.carried), ("stated", rotation.stated)):
        _require(mapping, made, f"{where}.{key}")
        _require(mapping.values(), fields, f"{where}.{key}")
    _require(rotation.stated, own, f"{where}.stated")
    _require(rotation.gives.values(), [c.name for c in method.returns], f"{where}.gives")
    _require(("made", "removed", "saved", "notice"), rotation.gives, f"{where}.gives")
    if rotation.token_scope is not None:
        _require([rotation.token_scope.column], fields, f"{where}.token_scope.column")
        _require(rotation.token_scope.narrow.values(), made, f"{where}.token_scope.narrow")
        _require(rotation.token_scope.settled_by, own, f"{where}.token_scope.settled_by")


def _require(names: Iterable[str], known: Iterable[str], where: str) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise ManifestError(f"{where}: there is no {name!r}")
