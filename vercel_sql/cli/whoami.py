"""``vercel-sql whoami``: whose token is used, its teams, and where it was loaded from."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from vercel_sql.cli import FINE
from vercel_sql.cli.accounts import opened
from vercel_sql.cli.terminal import complain, waiting
from vercel_sql.errors import Error, ForbiddenError, NotFoundError
from vercel_sql.manifest import TokenKind, vercel
from vercel_sql.text import json_without_commands, say, visible

if TYPE_CHECKING:
    import argparse

    from vercel_sql import Connection

# The codes for what the token may not ask; others are errors.
_NOT_ALLOWED = ("forbidden", "not_found")
_UNREADABLE = "(unreadable)"

Row = dict[str, Any]


def run(arguments: argparse.Namespace, _parser: argparse.ArgumentParser) -> int:
    with (
        opened(arguments, read_only=True) as connection,
        waiting(connection.client.urls["api"]),
    ):
        answer = account(connection)
    if arguments.format == "json":
        text = json.dumps(answer)  # ASCII: harmless on a terminal
        sys.stdout.write(json_without_commands(text) + "\n")
    else:
        say(*account_lines(answer), out=sys.stdout)
    return FINE


def account(connection: Connection) -> Row:
    """Whose token the connection uses, its teams, and where it was loaded from."""
    denied: dict[str, str] = {}
    users = _allowed(connection, _role_query("user"), "the user", denied)
    if users is None:
        users = _user_info(connection)
        if users is not None:
            del denied["the user"]
    teams = _allowed(connection, f"{_role_query('teams')} ORDER BY slug", "the teams", denied)
    token = next(iter(_allowed(connection, _own_token(), "the token itself", denied) or []), None)
    user = users[0] if users else None
    kind = _kind(connection, user, token)
    if denied:
        what, reason = ", ".join(denied), next(iter(denied.values()))
        complain(f"this token may not read {what} ({reason})")
    if token is not None:
        del token["whole"]
        if (unread := token.pop("unread")) is not None:
            token["expiresAt"] = unread  # it expires, and must not seem to be permanent
    if user is not None:
        user.pop("limited", None)
    return {
        "user": user,
        "teams": teams,
        "token": token,
        "kind": None if kind is None else {"title": kind.title, "limits": kind.limits},
        "source": connection.client.credential.source,
        "api_url": connection.client.urls["api"],
    }


def _role_query(role: Literal["user", "app_user", "teams"]) -> str:
    provider = vercel().provider
    return provider.roles[role].query(provider.name)


def _own_token() -> str:
    """SQL for the calling token: whether it expires, and whether its scope is the whole account."""
    provider, resource = vercel().provider, vercel().tokens()
    role, reference = provider.roles["tokens"], resource.self_reference
    scope = next(m.rotation.token_scope for m in resource.methods.values() if m.rotation)
    assert reference is not None  # noqa: S101 - rotations have one
    assert scope is not None  # noqa: S101
    more = (
        f"additional_fields->>'{role.columns['expiresAt']}' AS unread",
        f"list_contains([s.{scope.kind} FOR s IN {scope.column}], '{scope.whole}') AS whole",
    )
    return f"{role.query(provider.name, *more)} WHERE {reference.condition}"


def _rows(connection: Connection, query: str) -> list[Row]:
    rows: list[Row] = connection.execute(query).arrow().to_pylist()
    return rows


def _allowed(
    connection: Connection, query: str, what: str, denied: dict[str, str]
) -> list[Row] | None:
    """The rows, or None if this token may not ask for them."""
    try:
        return _rows(connection, query)
    except (ForbiddenError, NotFoundError) as error:
        if error.is_dead or error.code not in _NOT_ALLOWED:
            raise
        denied[what] = f"{error.status} {error.code}: {visible(error.message)}"
        return None


def _user_info(connection: Connection) -> list[Row] | None:
    bearer = connection.client.credential.token or ""
    markers = [m for rules in vercel().provider.accounts for m in rules.markers]
    if not bearer.startswith(tuple(markers)):
        return None
    with suppress(Error):
        return _rows(connection, _role_query("app_user"))
    return None


def _kind(connection: Connection, user: Row | None, token: Row | None) -> TokenKind | None:
    found = _kind_of_bearer(connection)
    if found is not None:
        return found
    kinds = vercel().provider.token_kinds
    if user is None and token is None:
        return kinds["hidden"]
    if (user or {}).get("limited") or (token or {}).get("whole") is False:
        return kinds["limited"]
    return kinds["full"] if user and token and token["whole"] else None


def _kind_of_bearer(connection: Connection) -> TokenKind | None:
    credential, kinds = connection.client.credential, vercel().provider.token_kinds
    if credential.origin is not None:
        return kinds[credential.origin]
    bearer = credential.token or ""
    marked = (kind for kind in kinds.values() if kind.marker and bearer.startswith(kind.marker))
    return next(marked, None)


def account_lines(answer: Row) -> list[str]:
    """The result of `account` as readable lines, each beginning with a name."""
    user, teams, token = answer["user"] or {}, answer["teams"], answer["token"]
    names = [user.get("username"), user.get("name"), user.get("email"), user.get("id")]
    lines = [("user", ", ".join(name for name in dict.fromkeys(names) if name) or "unknown")]
    if teams is None:
        lines.append(("teams", "unknown"))
    else:
        shown = [f"{_shown(team['slug'])} ({_shown(team['id'])})" for team in teams]
        lines += [("teams" if not at else "", text) for at, text in enumerate(shown or ["none"])]
    lines.append(("token", _token(token)))
    lines += _kind_lines(answer["kind"])
    lines += [("source", answer["source"]), ("api", answer["api_url"])]
    return [f"{name:<7} {text}" for name, text in lines]


def _kind_lines(kind: Row | None) -> list[tuple[str, str]]:
    """What the token is and can't do, and which kind can."""
    if kind is None:
        return [("kind", "unknown")]
    provider = vercel().provider
    lines = [("kind", kind["title"]), ("", f"{kind['limits']}.")]
    is_full = kind["title"] == provider.token_kinds["full"].title
    return lines if is_full else [*lines, ("", f"{provider.token_advice}.")]


def _token(token: Row | None) -> str:
    if token is None:
        return "unknown"
    return f"{_shown(token['name'])} ({_shown(token['id'])}), {_until(token['expiresAt'])}"


def _shown(text: str | None) -> str:
    return _UNREADABLE if text is None else text


def _until(expires_at: int | str | None) -> str:
    if expires_at is None:
        return "never expires"
    if isinstance(expires_at, str):
        return f"expires {expires_at} (not a readable time)"
    try:
        moment = datetime.fromtimestamp(expires_at / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"expires {expires_at} ms since the epoch"
    return f"expires {moment:%Y-%m-%d %H:%M:%S} UTC"
