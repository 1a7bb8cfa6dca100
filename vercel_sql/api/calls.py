"""Calls one method of the manifest by its name and gives its answer as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vercel_sql.api.arguments import check_arguments
from vercel_sql.api.client import Client
from vercel_sql.api.procedures import run_procedure
from vercel_sql.api.requests import build_request
from vercel_sql.errors import AnswerError
from vercel_sql.ledger.journal import JournalHandle
from vercel_sql.manifest import Method, vercel


def call(
    client: Client,
    resource: str,
    name: str,
    arguments: Mapping[str, Any],
    handle: JournalHandle | None = None,
) -> dict[str, Any]:
    """The whole answer, an object; every secret in it is known to the client's redactor.

    Whoever calls what makes a secret says with `CreateResults.release` what became of it.

    Args:
        client: sends the request.
        resource: service and resource, as in ``oauth.tokens``.
        name: the name of the method.
        arguments: the values by the parameters' names; None is left out.
        handle: is given what the journal says.

    Raises:
        Error: as for `Client.send` and `check_arguments`.
        AnswerError: the answer is not an object, or a secret of it is not there.
    """
    method = find_method(resource, name)
    where = f"vercel.{resource}: {name}"
    checked = check_arguments(method, arguments, where, client.clock(method.server))
    if method.procedure is not None:
        return run_procedure(client, method, checked)
    handle = handle or JournalHandle()
    try:
        answer = client.send(build_request(method, checked), handle)
        content = answer.json()
        if not isinstance(content, dict):
            raise answer.unusable("it is not an object")
        for column in method.returns:
            if column.secret:
                _learn(client, content.get(column.name), column.optional, answer.unusable)
    except AnswerError as error:
        handle.lost(client.redactor.mask(str(error)))
        raise
    if handle.create is not None:
        handle.create.answered(None)
        client.create_results.hold(handle.create)
    return content


def find_method(resource: str, name: str) -> Method:
    """A method of the manifest, which is known to be there."""
    service, _, table = resource.partition(".")
    return vercel().service(service).resources[table].methods[name]


def _learn(client: Client, value: object, optional: bool, unusable: Any) -> None:
    if isinstance(value, str) and value:
        client.redactor.add(value)
    elif not (optional and value is None):
        error: AnswerError = unusable("a secret of it is missing or is no text")
        raise error
