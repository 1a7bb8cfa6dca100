"""Reads manifest files and checks them; each service's file is read when it is first used."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from importlib import resources as package_resources
from importlib.resources.abc import Traversable
from typing import TypeVar

import msgspec

from vercel_sql.errors import ManifestError
from vercel_sql.manifest.model import (
    Column,
    Entry,
    Method,
    Parameter,
    RecoveryLookup,
    Resource,
    Rotation,
    Service,
)
from vercel_sql.manifest.provider import Provider, Use

EntryT = TypeVar("EntryT", bound=Entry)


class Manifest:
    """The manifest of one provider, in a folder: ``provider.toml`` and one file a service."""

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        self._services: dict[str, Service] = {}

    @cached_property
    def provider(self) -> Provider:
        """The provider's own file."""
        return _read(self._folder / "provider.toml", Provider)

    @property
    def service_names(self) -> list[str]:
        return list(self.provider.services)

    @property
    def loaded(self) -> list[str]:
        """The names of the services whose files have been read."""
        return list(self._services)

    def service(self, name: str) -> Service:
        """The service of that name, whatever its case."""
        known = {service.casefold(): service for service in self.service_names}
        proper = known[name.casefold()]
        if proper not in self._services:
            self._services[proper] = self._load(proper)
        return self._services[proper]

    def _load(self, name: str) -> Service:
        file = self._folder / f"{name}.toml"
        try:
            service = _named(_read(file, Service))
        except ValueError as error:
            raise ManifestError(f"{file.name}: {error}") from None
        _check(service, self.provider, file.name)
        return service

    def tokens(self) -> Resource:
        """The resource whose rows are the tokens of an account."""
        service, _, name = self.provider.roles["tokens"].resource.partition(".")
        return self.service(service).resources[name]

    def named(self, use: Use) -> tuple[str, str]:
        """The method that this package calls for something: its resource and its name."""
        resource, _, name = self.provider.methods[use].rpartition(".")
        return resource, name

    def method_for(self, use: Use) -> Method:
        """The method that this package calls for something."""
        resource, name = self.named(use)
        service, _, table = resource.partition(".")
        return self.service(service).resources[table].methods[name]

    def resources(self) -> Iterator[Resource]:
        """Every resource of every service; reads all files."""
        for name in self.service_names:
            yield from self.service(name).resources.values()


@lru_cache(maxsize=1)
def vercel() -> Manifest:
    """The manifest that comes with the package."""
    return Manifest(package_resources.files("vercel_sql.manifest") / "vercel")


def _read(file: Traversable, entry: type[EntryT]) -> EntryT:
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        return msgspec.convert(content, entry, strict=True)
    except FileNotFoundError as error:
        raise ManifestError(f"{file.name}: the manifest file is missing") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{file.name}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ManifestError(f"{file.name}: {error}") from error


def _named(service: Service) -> Service:
    """Gives each part the name that its key in the file has, and fills in named types."""
    replace = msgspec.structs.replace
    resources = {
        name: _named_resource(name, resource, service)
        for name, resource in service.resources.items()
    }
    views = {
        schema: {name: replace(view, schema=schema, name=name) for name, view in group.items()}
        for schema, group in service.views.items()
    }
    return replace(service, resources=resources, views=views)


def _named_resource(name: str, resource: Resource, service: Service) -> Resource:
    replace, full_name = msgspec.structs.replace, f"{service.name}.{name}"
    columns = _typed(resource.columns, service.types, only="field")
    fields = ", ".join(f'"{c.name}" {c.type}' for c in columns if c.source == "field")
    types = service.types | {"row": f"STRUCT({fields})"}
    methods = {
        key: replace(method, name=key, resource=full_name, returns=_typed(method.returns, types))
        for key, method in resource.methods.items()
    }
    columns = _typed(columns, types)
    return replace(resource, name=name, service=service.name, methods=methods, columns=columns)


def _typed(columns: list[Column], types: dict[str, str], only: str | None = None) -> list[Column]:
    """Fills in the types that a service names: ``$row`` is the struct of a resource's fields."""
    return [
        msgspec.structs.replace(column, type=_filled_in(column, types))
        if "$" in column.type and only in (None, column.source)
        else column
        for column in columns
    ]


def _filled_in(column: Column, types: dict[str, str]) -> str:
    try:
        return string.Template(column.type).substitute(types)
    except (KeyError, ValueError):
        raise ValueError(
            f"the type {column.type!r} of {column.name!r} is not one of [types], "
            f"which has {sorted(types)}"
        ) from None


def _check(service: Service, provider: Provider, file: str) -> None:
    """Raises `ManifestError`, with file and key, if a name in a service's file leads nowhere."""
    listed = provider.services[service.name]
    if sorted(listed) != sorted(service.resources):
        raise ManifestError(
            f"{file}: resources: {sorted(service.resources)} differ from provider.toml's {listed}"
        )
    for resource in service.resources.values():
        _check_resource(resource, service, provider, f"{file}: resources.{resource.name}")
    known = {resource.full_name: resource for resource in service.resources.values()}
    for role in (r for r in provider.roles.values() if r.resource.startswith(f"{service.name}.")):
        where = f"{file}: provider.toml's roles: {role.resource}"
        _require([role.resource], known, where)
        _require(role.columns.values(), [c.name for c in known[role.resource].columns], where)
    methods = [f"{name}.{method}" for name, each in known.items() for method in each.methods]
    called = [name for name in provider.methods.values() if name.startswith(f"{service.name}.")]
    _require(called, methods, f"{file}: provider.toml's methods")
    for view in (view for group in service.views.values() for view in group.values()):
        if not view.query.strip():
            where = f"{file}: views.{view.schema}.{view.name}"
            raise ManifestError(f"{where}.query: the view has no query")


def _check_resource(resource: Resource, service: Service, provider: Provider, where: str) -> None:
    names, fields = _names(resource.columns), _names(resource.fields)
    reference, hints = resource.self_reference, resource.hints
    _refuse_twice(names, f"{where}.columns")
    _require(resource.key_columns, names, f"{where}.key")
    _require(
        [] if reference is None else [reference.column], names, f"{where}.self_reference.column"
    )
    _require([] if hints is None else [hints.begins, hints.ends], fields, f"{where}.hints")
    _require([] if resource.gone is None else [resource.gone], fields, f"{where}.gone")
    for method in resource.methods.values():
        place = f"{where}.methods.{method.name}"
        _check_method(method, provider, place)
        if method.paging is not None and method.paging.order is not None:
            _require([method.paging.order], fields, f"{place}.paging.order")
        if method.trace is not None:
            _check_trace(resource, method, method.trace, f"{place}.trace")
        _check_procedure(method, resource, service, place)


def _check_method(method: Method, provider: Provider, where: str) -> None:
    given = _names(method.given)
    _require([method.server], provider.servers, f"{where}.server")
    if method.effect == "write" and method.retry == "safe":
        raise ManifestError(f"{where}.retry: what changes something is not safe to send again")
    _refuse_twice(_names(method.parameters), f"{where}.parameters")
    _require([p.beside for p in method.parameters if p.beside], given, f"{where}.parameters")
    # What an answer is held against is in the request.
    _require(method.claims, given, f"{where}.claims")
    echoes = [
        name if echo.path else f"{name} without a path" for name, echo in method.echoes.items()
    ]
    _require(echoes, given, f"{where}.echoes")
    in_path = {field for _, field, _, _ in string.Formatter().parse(method.path) if field}
    declared = {p.key for p in method.parameters if p.location == "path"}
    if in_path != declared:
        raise ManifestError(
            f"{where}.path: {{…}} names {sorted(in_path)}, "
            f"the path parameters are {sorted(declared)}"
        )


def _check_trace(resource: Resource, method: Method, trace: RecoveryLookup, where: str) -> None:
    """A row is found by columns of the listing, and its values may stand in a journal."""
    if not method.makes_secret or not trace.key or not trace.matches:
        raise ManifestError(f"{where}: it is for writes whose answer has a secret and a key")
    if resource.lister is None or resource.lister.paging is None:
        raise ManifestError(f"{where}: resources.{resource.name} has no listing to look in")
    _require([*trace.matches, trace.since], _names(resource.fields), where)
    numbers = [column.name for column in resource.fields if column.type == "BIGINT"]
    _require([trace.since], numbers, f"{where}.since: a number of milliseconds")
    shown = [p for p in method.given if not p.secret and p.location in ("body", "query")]
    _require(
        trace.matches.values(), _names(shown), f"{where}.matches: not secret, in body or query"
    )
    texts = [p.name for p in shown if p.type == "VARCHAR" and p.name in trace.matches.values()]
    _require(
        [] if trace.mark is None else [trace.mark], texts, f"{where}.mark: a text that is shown"
    )


def _check_procedure(method: Method, resource: Resource, service: Service, where: str) -> None:
    has_rotation = method.rotation is not None
    if method.procedure is None and (method.steps or has_rotation):
        raise ManifestError(f"{where}.procedure: steps and rotation belong to a procedure")
    for parameter in method.parameters if method.procedure is None else ():
        if parameter.location == "procedure" or parameter.null == "value":
            raise ManifestError(f"{where}.parameters: {parameter.name} belongs to a procedure")
    for number, step in enumerate(method.steps, start=1):
        if step.method is not None and service.called_by(resource, step) is None:
            raise ManifestError(f"{where}.steps {number}: there is no method {step.method!r}")
    if (method.procedure == "rotate") != has_rotation:
        raise ManifestError(f"{where}.rotation: it belongs to procedure = 'rotate'")
    if method.rotation is not None:
        _check_rotation(method, method.rotation, resource, f"{where}.rotation")


def _check_rotation(method: Method, rotation: Rotation, resource: Resource, where: str) -> None:
    creator, remover, getter = resource.creator, resource.remover, resource.getter
    if creator is None or remover is None or getter is None or resource.self_reference is None:
        raise ManifestError(f"{where}: it takes methods to get, make and remove, and a self")
    if not resource.key_is_field or not any(c.secret for c in creator.returns):
        raise ManifestError(f"{where}: what is made must give its key and a secret")
    own, made = _names(method.parameters), _names(creator.parameters)
    fields = _names(resource.fields)
    _require([rotation.old], own, f"{where}.old")
    _require([name for name in own if name != rotation.old], made, f"{where}: parameters")
    for key, mapping in (("carried", rotation.carried), ("stated", rotation.stated)):
        _require(mapping, made, f"{where}.{key}")
        _require(mapping.values(), fields, f"{where}.{key}")
    _require(rotation.stated, own, f"{where}.stated")
    _require(rotation.gives.values(), _names(method.returns), f"{where}.gives")
    _require(("made", "removed", "saved", "notice"), rotation.gives, f"{where}.gives")
    if rotation.token_scope is not None:
        _require([rotation.token_scope.column], fields, f"{where}.token_scope.column")
        _require(rotation.token_scope.narrow.values(), made, f"{where}.token_scope.narrow")
        _require(rotation.token_scope.settled_by, own, f"{where}.token_scope.settled_by")


def _names(parts: Iterable[Column | Parameter]) -> list[str]:
    return [part.name for part in parts]


def _refuse_twice(names: list[str], where: str) -> None:
    folded = [name.casefold() for name in names]
    doubled = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if doubled:
        raise ManifestError(f"{where}: {doubled} occur twice (names ignore case)")


def _require(names: Iterable[str], known: Iterable[str], where: str) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise ManifestError(f"{where}: there is no {name!r}")
