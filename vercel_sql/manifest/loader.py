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
from vercel_sql.manifest.checks import check
from vercel_sql.manifest.model import Column, Entry, Resource, Service
from vercel_sql.manifest.provider import Provider

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
        check(service, self.provider, file.name)
        return service

    def tokens(self) -> Resource:
        """The resource whose rows are the tokens of an account."""
        service, _, name = self.provider.roles["tokens"].resource.partition(".")
        return self.service(service).resources[name]

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
