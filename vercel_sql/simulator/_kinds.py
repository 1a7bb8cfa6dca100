"""The kinds of bearer tokens, and what each may do.

Only what is certain at Vercel is allowed. What its documents leave open is refused.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from vercel_sql.simulator._errors import ApiError

Kind = Literal["full", "team", "project", "app", "cli", "limited", "integration"]
"""A token of the dashboard for the full account, a team or a project; a session of an app or of
the command line; a token of a few permissions; an integration's token."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Act = Literal["user", "teams", "current", "list", "get", "create", "delete"]
"""What a request is about. `current` is to get the token that makes the call."""

_ALL: frozenset[Act] = frozenset(get_args(Act))
_MAY: Mapping[Kind, frozenset[Act]] = {
    "full": _ALL,
    "cli": _ALL - {"create"},
    "team": frozenset({"user", "teams", "current"}),
    "limited": frozenset({"user", "teams"}),
    "integration": frozenset({"user", "teams", "current"}),
    "project": frozenset(),
    "app": frozenset(),
}
_SESSIONS: frozenset[Kind] = frozenset({"app", "cli", "integration"})


def check(kind: Kind, act: Act, account: str) -> None:
    """Let a kind of token do what it may do.

    Args:
        kind: What makes the request.
        act: What it is about.
        account: The slug of the user's own account, which refusals name.

    Raises:
        ApiError: It may not (403).
    """
    if act in _MAY[kind]:
        return
    if act == "create" and kind in _SESSIONS:
        raise ApiError(403, "Only user authentication tokens can be used to create new tokens.")
    if act == "create":
        raise ApiError(403, f'To create a token you must be authenticated to scope "{account}"')
    if kind in ("team", "limited"):
        raise out_of_scope(account)
    raise ApiError(403, "You don't have permission to access this resource.")


def out_of_scope(scope: str) -> ApiError:
    """Say that a token does not reach an account or a team."""
    message = (
        f'Not authorized: Trying to access resource under scope "{scope}". You must '
        "re-authenticate to this scope or use a token with access to this scope."
    )
    return ApiError(403, message, saml=False, scope=scope, enforced=False)


def sees_all(kind: Kind) -> bool:
    """Whether the user and the teams are shown to it in full."""
    return kind in ("full", "cli")
