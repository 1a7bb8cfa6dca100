"""Reads manifest files and checks them; each service's file is read when it is first used."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator
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
    Resource,
    Service,
    Trace,
    View,
)
from vercel_sql.manifest.procedure_checks import check_procedure
from vercel_sql.manifest.provider import Provider

EntryT = TypeVar("EntryT", bound=Entry)


class Manifest:
    """The manifest of one provider, in a folder: ``provider.toml`` and one file a service."""

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        self._services: dict[str, Service] = {}

    @cached_property
    def provider(self) -> Provider:
        """The provider's own file.

        Raises:
            ManifestError: the file is broken; the message names file and key.
        """
        return _read(self._folder / "provider.toml", Provider)

    @property
    def service_names(self) -> list[str]:
        """The names of the services, from the provider's file alone."""
        return list(self.provider.services)

    @property
    def loaded(self) -> list[str]:
        """The names of the services whose files have been read."""
        return list(self._services)

    def service(self, name: str) -> Service:
        """The service of that name, whatever its case.

        Raises:
            KeyError: there is no such service.
            ManifestError: its file is broken.
        """
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
    resources = {
        name: _named_resource(name, resource, service)
        for name, resource in service.resources.items()
    }
    views = {
        schema: {
            name: msgspec.structs.replace(view, schema=schema, name=name)
            for name, view in group.items()
        }
        for schema, group in service.views.items()
    }
    return msgspec.structs.replace(service, resources=resources, views=views)


def _named_resource(name: str, resource: Resource, service: Service) -> Resource:
    columns = _typed(resource.columns, service.types, only="field")
    fields = ", ".join(f'"{c.name}" {c.type}' for c in columns if c.source == "field")
    types = service.types | {"row": f"STRUCT({fields})"}
    methods = {
        key: msgspec.structs.replace(
            method,
            name=key,
            resource=f"{service.name}.{name}",
            returns=_typed(method.returns, types),
        )
        for key, method in resource.methods.items()
    }
    return msgspec.structs.replace(
        resource,
        name=name,
        service=service.name,
        methods=methods,
        columns=_typed(columns, types),
    )


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
    """Finds what types alone can't: names that lead nowhere."""
    listed = provider.services[service.name]
    if sorted(listed) != sorted(service.resources):
        raise ManifestError(
            f"{file}: resources: {sorted(service.resources)} differ from provider.toml's {listed}"
        )
    for resource in service.resources.values():
        _check_resource(resource, service, provider, f"{file}: resources.{resource.name}")
    for group in service.views.values():
        for view in group.values():
            _check_view(view, f"{file}: views.{view.schema}.{view.name}")


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
        check_procedure(method, resource, service, f"{where}.methods.{method.name}")


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


def _check_trace(resource: Resource, method: Method, trace: Trace, where: str) -> None:
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
        raise ManifestError(f"{where}.since: {trace.since} is no number of milliseconds")
    for name in trace.matches.values():
        parameter = method.parameter(name)
        if parameter is None or parameter.secret or parameter.location not in ("body", "query"):
            raise ManifestError(f"{where}.matches: no parameter {name!r} that may be noted")
    marked = None if trace.mark is None else method.parameter(trace.mark)
    is_shown = marked is not None and marked.name in trace.matches.values()
    if trace.mark is not None and not (is_shown and marked and marked.type == "VARCHAR"):
        raise ManifestError(f"{where}.mark: {trace.mark!r} is not a text that the listing shows")


def _check_view(view: View, where: str) -> None:
    if not view.query.strip():
        raise ManifestError(f"{where}.query: the view has no query")


def _check_unique(names: list[str], where: str) -> None:
    folded = [name.casefold() for name in names]
    doubled = sorted({name for name in names if folded.count(name.casefold()) > 1})
    if doubled:
        raise ManifestError(f"{where}: {doubled} stand there twice (names ignore case)")
