"""Reading the authorization requests of apps."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from vercel_sql.simulator._forms import once
from vercel_sql.simulator._oauth_clients import OAuthClient, OAuthClients
from vercel_sql.simulator._oauth_errors import PageError, RedirectError

PROMPTS = ("consent", "login")
RESPONSE_MODES = ("query", "web_message.opener")
_ALLOWED = {"response_type": ("code",), "prompt": PROMPTS, "response_mode": RESPONSE_MODES}
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """What an app asks the person for, checked."""

    client: OAuthClient
    redirect_uri: str
    scopes: tuple[str, ...]
    code_challenge: str
    nonce: str | None
    state: str | None
    prompt: str | None
    response_mode: str | None


def read_query(url: str) -> list[tuple[str, str]]:
    """Give the parameters of an address, in order."""
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def read_asked(pairs: Iterable[tuple[str, str]], clients: OAuthClients) -> Asked:
    """Check an authorization request.

    Raises:
        PageError: It cannot be trusted to name where the person should go back to.
        RedirectError: Anything else is wrong with it; the app is to be told.
    """
    pairs = list(pairs)
    ids = [value for name, value in pairs if name == "client_id"]
    client = clients.find(ids[0], "app") if len(ids) == 1 else None
    if client is None:
        raise PageError("The app is unknown: check `client_id`.")
    uris = [value for name, value in pairs if name == "redirect_uri"]
    if len(uris) != 1 or not client.may_redirect_to(uris[0]):
        raise PageError("The app did not register this `redirect_uri`.")
    states = [value for name, value in pairs if name == "state"]
    state = states[0] if len(states) == 1 else None
    try:
        given = once(pairs)
    except ValueError as error:
        raise RedirectError(uris[0], "invalid_request", str(error), state) from None
    problem = _problem(given)
    if problem is not None:
        raise RedirectError(uris[0], "invalid_request", problem, state)
    scopes = granted_scopes(given.get("scope"), client)
    if not scopes:
        description = "None of the scopes is configured for the app."
        raise RedirectError(uris[0], "invalid_scope", description, state)
    return Asked(
        client=client,
        redirect_uri=uris[0],
        scopes=scopes,
        code_challenge=given["code_challenge"],
        nonce=given.get("nonce"),
        state=given.get("state"),
        prompt=given.get("prompt"),
        response_mode=given.get("response_mode"),
    )


def _problem(given: dict[str, str]) -> str | None:
    """Say what is wrong with the parameters; None where nothing is."""
    for name in ("response_type", "code_challenge", "code_challenge_method"):
        if name not in given:
            return f"Missing required parameter `{name}`."
    for name, allowed in _ALLOWED.items():
        if name in given and given[name] not in allowed:
            return f"The `{name}` must be {' or '.join(allowed)}."
    if given["code_challenge_method"] != "S256":
        return "The `code_challenge_method` must be S256."
    if not _CHALLENGE.fullmatch(given["code_challenge"]):
        return "The `code_challenge` must be 43 to 128 unreserved characters."
    return None


def granted_scopes(wanted: str | None, client: OAuthClient) -> tuple[str, ...]:
    """Choose the scopes: those asked for that the app has, or all it has where none are named."""
    if wanted is None:
        return client.scopes
    return tuple(scope for scope in dict.fromkeys(wanted.split()) if scope in client.scopes)
