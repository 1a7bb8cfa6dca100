"""Finds what types alone can't in the manifest's procedures: names that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vercel_sql.errors import ManifestError
from vercel_sql.manifest.model import Method, Resource, Service
from vercel_sql.manifest.procedures import Rotation

_ROTATE = "rotate"


def check_procedure(method: Method, resource: Resource, service: Service, where: str) -> None:
    """Checks what a method says of its procedure, and that it says nothing where it has none.

    Raises:
        ManifestError: something does not fit; the message names the key.
    """
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
    if rotation.reach is not None:
        _require([rotation.reach.column], fields, f"{where}.reach.column")
        _require(rotation.reach.narrow.values(), made, f"{where}.reach.narrow")
        _require(rotation.reach.settled_by, own, f"{where}.reach.settled_by")


def _require(names: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in _unknown(names, set(known)):
        raise ManifestError(f"{where}: there is no {name!r}")


def _unknown(names: Iterable[str], known: set[str]) -> Iterator[str]:
    return (name for name in names if name not in known)
