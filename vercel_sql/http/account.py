"""Whose account a client's credential is for, as the manifest says to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vercel_sql.errors import ForbiddenError
from vercel_sql.http.decode import text_problem
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import AccountRules, vercel

if TYPE_CHECKING:
    from vercel_sql.http.client import Client


@dataclass(frozen=True)
class Account:
    """What identifies the account, and what people call it."""

    key: str
    name: str


def ask_account(client: Client) -> Account:
    """Asks the API, with one request, or two for the session of an app."""
    first, *others = client.provider.accounts
    try:
        return _ask(client, first)
    except ForbiddenError as error:
        bearer = client.credential.token or ""
        fitting = [each for each in others if bearer.startswith(tuple(each.markers))]
        if not fitting or error.is_dead:
            raise
        return _ask(client, fitting[0])


def _ask(client: Client, rules: AccountRules) -> Account:
    service, _, resource = rules.resource.partition(".")
    method = vercel().service(service).resources[resource].methods[rules.method]
    answer = client.send(build_request(method, {}))
    row: Any = answer.content()
    for name in method.rows:
        row = row.get(name) if isinstance(row, dict) else None
    row = row if isinstance(row, dict) else {}
    key = row.get(rules.key)
    if not _is_text(key):
        raise answer.unusable(f"it has no {rules.key}")
    labels = [row.get(label) for label in rules.labels]
    return Account(key, next(filter(_is_text, labels), key))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and text_problem(value) is None
