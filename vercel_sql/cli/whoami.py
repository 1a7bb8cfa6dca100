"""``vercel-sql whoami``: who the token stands for, which teams, which token, and whence it came."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from vercel_sql import Connection, connect
from vercel_sql.cli.accounts import guarded
from vercel_sql.cli.exit_codes import FINE
from vercel_sql.cli.options import add_servers, add_strict
from vercel_sql.cli.waiting import waiting
from vercel_sql.errors import Error, ForbiddenError, NotFoundError
from vercel_sql.escapes import json_without_commands, visible
from vercel_sql.manifest import TokenKind, vercel
from vercel_sql.messages import complain, say

# The codes of what the token may not ask for; others say that something is wrong.
_NOT_TOLD = ("forbidden", "not_found")
_UNREADABLE = "(unreadable)"

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    parser.add_argument(
        "-o", dest="format", choices=("text", "json"), default="text", help="text, or one object"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="a file that holds a Vercel token, to ask about that"
    )
    add_strict(parser)
    add_servers(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and gives its exit code."""
    return guarded(lambda: _whoami(arguments))


def _whoami(arguments: argparse.Namespace) -> int:
    with (
        connect(
            api_url=arguments.api_url,
            oauth_url=arguments.oauth_url,
            token_file=arguments.token_file,
            audit_log=arguments.audit_log,
            read_only=True,
            request_timeout=arguments.request_timeout,
            strict=arguments.strict,
        ) as connection,
        waiting(connection.client.urls["api"]),
    ):
        answer = account(connection)
    if arguments.format == "json":
        text = json.dumps(answer)  # ASCII, which no terminal acts on
        sys.stdout.write(json_without_commands(text) + "\n")
    else:
        say(*account_lines(answer), out=sys.stdout)
    return FINE


def account(connection: Connection) -> Row:
    """Who the connection's token stands for, which teams, which token, and whence it came.

    Raises:
        Error: the user can't be asked for, and not because of what the token may do.
    """
    untold: dict[str, str] = {}
    users = _allowed(connection, _role_query("user"), "who it stands for", untold)
    if users is None:
        users = _user_info(connection)
        if users is not None:
            del untold["who it stands for"]
    teams = _allowed(
        connection, f"{_role_query('teams')} ORDER BY slug", "which teams there are", untold
    )
    token = next(iter(_allowed(connection, _own_token(), "which token it is", untold) or []), None)
    user = users[0] if users else None
    kind = _kind(connection, user, token)
    if untold:
        what, reason = ", ".join(untold), next(iter(untold.values()))
        complain(f"this token may not ask {what} ({reason})")
    if token is not None:
        del token["whole"]
        if (unread := token.pop("unread")) is not None:
            token["expiresAt"] = unread  # it has an expiry, and must not seem to have none
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
    connection: Connection, query: str, what: str, untold: dict[str, str]
) -> list[Row] | None:
    """The rows, or None where this token may not ask for them."""
    try:
        return _rows(connection, query)
    except (ForbiddenError, NotFoundError) as error:
        if error.is_dead or error.code not in _NOT_TOLD:
            raise
        untold[what] = f"{error.status} {error.code}: {visible(error.message)}"
        return None


def _user_info(connection: Connection) -> list[Row] | None:
    """Who signed in, where the token is the session of an app; None where nobody says."""
    bearer = connection.client.credential.token or ""
    markers = [m for rules in vercel().provider.accounts for m in rules.markers]
    if not bearer.startswith(tuple(markers)):
        return None
    with suppress(Error):
        return _rows(connection, _role_query("app_user"))
    return None


def _kind(connection: Connection, user: Row | None, token: Row | None) -> TokenKind | None:
    """The kind of the connection's token, as far as it can be told."""
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
    """The kind that the place says that the token came from, or what it begins with."""
    credential, kinds = connection.client.credential, vercel().provider.token_kinds
    if credential.origin is not None:
        return kinds[credential.origin]
    bearer = credential.token or ""
    marked = (kind for kind in kinds.values() if kind.marker and bearer.startswith(kind.marker))
    return next(marked, None)


def account_lines(answer: Row) -> list[str]:
    """What `account` gave for people: lines, each of which begins with a name."""
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
    """What the token is and can't do, and which one can do it."""
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
    """A text that every row has."""
    return _UNREADABLE if text is None else text


def _until(expires_at: int | str | None) -> str:
    if expires_at is None:
        return "which never expires"
    if isinstance(expires_at, str):
        return f"until {expires_at}, which is no time that can be read"
    try:
        moment = datetime.fromtimestamp(expires_at / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"until {expires_at} ms since the epoch"
    return f"until {moment:%Y-%m-%d %H:%M:%S} UTC"
