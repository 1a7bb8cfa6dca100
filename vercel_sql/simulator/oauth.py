"""What apps ask people for, the pages where people answer, and how tests steer all that."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from random import Random
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from vercel_sql.simulator.clients import SCOPES, ClientKind, OAuthClient, OAuthClients
from vercel_sql.simulator.endpoints import Call, Endpoint, once
from vercel_sql.simulator.id_tokens import FAULTS, IdTokenFault, KeyRing
from vercel_sql.simulator.messages import NO_STORE, RefusalError, Response
from vercel_sql.simulator.models import Installation, Kind, Token, new_bearer, new_secret
from vercel_sql.simulator.sessions import Code, Codes, Devices, Sessions
from vercel_sql.simulator.store import State

AUTHORIZE_PATH = "/oauth/authorize"
DEVICE_PATH = "/oauth/device"
PROMPTS = ("consent", "login")
RESPONSE_MODES = ("query", "web_message.opener")

_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with none, their forms would come from nowhere
    "X-Frame-Options": "DENY",
}
"""Nothing foreign runs in the pages, and nothing frames them.

There is no `form-action`: browsers apply it to the redirect that follows, which goes to the app.
"""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}"
    "button,input{font:inherit;padding:.5rem 1.25rem;margin-right:.5rem}"
    "code{font-size:1.25em;letter-spacing:.1em}"
)
_ASK_FOR_CODE = (
    '<form method="get"><label>The code that your device shows: '
    '<input name="user_code" id="user_code" autocomplete="off" required></label>'
    '<button type="submit" id="continue">Continue</button></form>'
)
_MEANINGS = {
    "openid": "know who you are",
    "email": "see your email address",
    "profile": "see your name, user name and picture",
    "offline_access": "stay signed in until you revoke it",
}


def _page(title: str, body: str, status: int = 200, policy: str = "") -> Response:
    """Answer with a whole page; `body` is HTML, and `title` is text."""
    headers = dict(_PAGE_HEADERS)
    headers["Content-Security-Policy"] += policy
    html = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} - Simulated Vercel</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(html.encode(), status, headers, "text/html; charset=utf-8")


def _message_page(redirect_uri: str, location: str) -> Response:
    """Tell the window that opened this page what a redirect to `location` would tell.

    No origin but that of the app's `redirect_uri` gets the message.
    """
    parts = urlsplit(redirect_uri)
    response = dict(parse_qsl(urlsplit(location).query))
    told = {"type": "authorization_response", "response": response}
    origin = f"{parts.scheme}://{parts.netloc}"
    values = [json.dumps(each).replace("<", "\\u003c") for each in (told, origin)]
    script = f"window.opener.postMessage({', '.join(values)});window.close()"
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return _page(
        "Signed in",
        f"<p>You may close this window.</p><script>{script}</script>",
        policy=f"; script-src 'sha256-{digest}'",
    )


class PageError(RefusalError):
    """Something that only the person before the browser can be told, and no app."""

    def __init__(self, message: str) -> None:
        page = _page("This does not work", f'<p class="error">{escape(message)}</p>', 400)
        super().__init__(message, page)


class RedirectError(RefusalError):
    """A refusal that goes back to the app, by way of the browser."""

    def __init__(self, redirect_uri: str, code: str, description: str, state: str | None) -> None:
        self.location = _with_query(
            redirect_uri, {"error": code, "error_description": description, "state": state}
        )
        super().__init__(description, _redirect(self.location))


def _redirect(location: str) -> Response:
    return Response(status=302, headers={**NO_STORE, "Location": location})


def _with_query(uri: str, added: Mapping[str, str | None]) -> str:
    """Add parameters to an address, after those that it has; None adds nothing."""
    parts = urlsplit(uri)
    query = parse_qsl(parts.query, keep_blank_values=True)
    query += [(name, value) for name, value in added.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode(query)))


# Requests

_ALLOWED = {
    "response_type": ("code",),
    "prompt": PROMPTS,
    "response_mode": RESPONSE_MODES,
    "code_challenge_method": ("S256",),
}
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_DECISIONS = {"allow": True, "deny": False}
_PAGE_MS = 600_000
_TOO_LATE = "This page was answered already, or is too old. Start again."


@dataclass(frozen=True)
class _Asked:
    """A checked authorization request."""

    client: OAuthClient
    scopes: tuple[str, ...]
    given: Mapping[str, str]


def _read_asked(pairs: Iterable[tuple[str, str]], clients: OAuthClients) -> _Asked:
    """Check an authorization request.

    Raises:
        PageError: Its redirect URI can't be trusted.
        RedirectError: Anything else is wrong with it; the app is told.
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
        _check(given)
    except ValueError as error:
        raise RedirectError(uris[0], "invalid_request", str(error), state) from None
    scopes = client.grant(given.get("scope"))
    if not scopes:
        description = "None of the scopes is configured for the app."
        raise RedirectError(uris[0], "invalid_scope", description, state)
    return _Asked(client, scopes, given)


def _check(given: Mapping[str, str]) -> None:
    for name in ("response_type", "code_challenge", "code_challenge_method"):
        if name not in given:
            raise ValueError(f"Missing required parameter `{name}`.")
    for name, allowed in _ALLOWED.items():
        if name in given and given[name] not in allowed:
            raise ValueError(f"The `{name}` must be {' or '.join(allowed)}.")
    if not _CHALLENGE.fullmatch(given["code_challenge"]):
        raise ValueError("The `code_challenge` must be 43 to 128 unreserved characters.")


_KINDS: Mapping[str, ClientKind] = {
    "authorization": "app",
    "integration": "integration",
    "sso": "sso",
}


class OAuth:
    """The authorization server: clients, codes, consents, devices, sessions and keys.

    The person is already signed in to the simulated Vercel. Scopes that were allowed before are not
    asked for again (as documented), unless the app sends a `prompt`.

    The public methods are safe to use from any thread. `keys` are the authorization server's, and
    `marketplace_keys` sign SSO ID tokens. `unknown_sso_client` is the status for providers that
    the SSO exchange does not know: 400, 403 and 500 are documented.
    """

    def __init__(self, state: State, seed: int) -> None:
        self._state = state
        self.clients = OAuthClients(Random(f"{seed} clients"))  # noqa: S311 (as in the state)
        self.codes = Codes(state)
        self.sessions = Sessions(state)
        self.devices = Devices(state)
        self.keys = KeyRing()
        self.marketplace_keys = KeyRing()
        self.id_token_faults: list[IdTokenFault] = []
        self.unknown_sso_client: Literal[400, 403, 500] = 403
        self._pages: dict[tuple[str, str], tuple[Callable[[bool], Response], int]] = {}
        self._allowed: dict[str, set[str]] = {}
        self.endpoints = [
            Endpoint("GET", AUTHORIZE_PATH, self._authorize),
            Endpoint("GET", DEVICE_PATH, self._device),
            *(Endpoint("POST", path, self._answered) for path in (AUTHORIZE_PATH, DEVICE_PATH)),
        ]
        self.authorize_device = self.devices.answer
        self.rotate_keys = self.keys.rotate

    def _decide(self, asked: _Asked, *, approve: bool) -> str:
        """Carry out the person's answer; return the address for the browser."""
        given = asked.given
        uri, state = given["redirect_uri"], given.get("state")
        if not approve:
            denied = "The person denied the request."
            return RedirectError(uri, "access_denied", denied, state).location
        self._allowed.setdefault(asked.client.client_id, set()).update(asked.scopes)
        challenge, nonce = given["code_challenge"], given.get("nonce")
        code = self.codes.new(
            asked.client, uri, scopes=asked.scopes, nonce=nonce, code_challenge=challenge
        )
        return _with_query(uri, {"code": code.code, "state": state})

    def _authorize(self, call: Call) -> Response:
        """Ask whether an app may sign the person in, unless they have said so before."""
        asked = _read_asked(call.request.query, self.clients)

        def decided(approve: bool) -> Response:
            location = self._decide(asked, approve=approve)
            if asked.given.get("response_mode") != "web_message.opener":
                return _redirect(location)
            return _message_page(asked.given["redirect_uri"], location)

        allowed = self._allowed.get(asked.client.client_id, set())
        if "prompt" not in asked.given and allowed.issuperset(asked.scopes):
            return decided(approve=True)
        return self._ask(call, asked.client, asked.scopes, "", decided)

    def _device(self, call: Call) -> Response:
        """Ask whether a device may be signed in, or first for the code that it shows."""
        try:
            user_code = once(call.request.query).get("user_code")
        except ValueError as error:
            raise PageError(str(error)) from None
        if user_code is None:
            return _page("Sign in a device", _ASK_FOR_CODE)
        waiting = self.devices.waiting(user_code)
        if not waiting:
            raise PageError("No device waits for that code. Codes expire, and work once.")
        (device,) = waiting

        def decided(approve: bool) -> Response:
            if not device.waits(self._state.clock.now_ms()):
                raise PageError(_TOO_LATE)
            device.approved = approve
            title, negation = ("Signed in", "") if approve else ("Denied", "not ")
            done = f"<p>Your device is {negation}signed in. You may close this window.</p>"
            return _page(title, done)

        shown = f"<p>Your device should show this code: <code>{escape(device.user_code)}</code></p>"
        return self._ask(call, device.client, device.scopes, shown, decided)

    def _ask(
        self,
        call: Call,
        client: OAuthClient,
        scopes: Iterable[str],
        more: str,
        decided: Callable[[bool], Response],
    ) -> Response:
        """Show a page whose form goes to where it came from; `more` is HTML."""
        page_id = new_secret(self._state.random, 32)  # which nobody can guess
        key = call.request.path, page_id
        self._pages[key] = decided, self._state.clock.now_ms() + _PAGE_MS
        email = str(self._state.user.get("email") or self._state.user["id"])
        wishes = "".join(f"<li>{escape(_MEANINGS.get(scope, scope))}</li>" for scope in scopes)
        app = escape(client.name)
        return _page(
            f"Allow {client.name}?",
            f"<p>You are signed in as <b>{escape(email)}</b>. "
            f"<b>{app}</b> would like to:</p><ul>{wishes}</ul>{more}"
            '<form method="post">'
            f'<input type="hidden" name="request_id" value="{escape(page_id)}">'
            '<button type="submit" name="decision" value="allow" id="allow">Allow</button>'
            '<button type="submit" name="decision" value="deny" id="deny">Deny</button></form>',
        )

    def _answered(self, call: Call) -> Response:
        try:
            form = call.form()
            page_id, approve = form["request_id"], _DECISIONS[form["decision"]]
        except (LookupError, ValueError):
            message = "Something is missing from the form. Go back and try again."
            raise PageError(message) from None
        decided, expires_at = self._pages.pop((call.request.path, page_id), (None, 0))
        if decided is None or expires_at <= self._state.clock.now_ms():
            raise PageError(_TOO_LATE)
        return decided(approve)

    # How tests steer it

    def mint_code(
        self,
        kind: str = "authorization",
        *,
        client_id: str | None = None,
        redirect_uri: str | None = None,
        team: str | None = None,
        scope: str | None = None,
        nonce: str | None = None,
        code_challenge: str | None = None,
        state: str | None = None,
        age_seconds: float = 0,
    ) -> Code:
        """Make a code as if the person had come back from the browser with it.

        Args:
            kind: `authorization`, `integration` or `sso`.
            client_id: The seeded client of the kind (the public app) by default.
            redirect_uri: What it is bound to; by default the client's first, for `sso` none.
            team: The id or slug of the team that the integration is installed on.
            scope: What is granted; all that an app has by default. An `sso` code with any scope
                gives an access token, and with `offline_access` a refresh token.
            nonce: What the ID token repeats.
            code_challenge: What the verifier is checked against; an authorization code without
                one cannot be exchanged.
            state: What an `sso` code is bound to beside its redirect URI.
            age_seconds: How long ago it was made.

        Raises:
            LookupError: There is no such client or team.
            ValueError: The kind is unknown.
        """
        if kind not in _KINDS:
            raise ValueError(f"`kind` should be one of {', '.join(_KINDS)}.")
        with self._state.lock:
            client = self.clients.find(client_id, _KINDS[kind])
            if client is None:
                raise LookupError(f"No client of that kind has the id {client_id!r}")
            installation = None if client.kind == "app" else self._install(client, team)
            if redirect_uri is None and client.kind != "sso":
                redirect_uri = client.redirect_uris[0]
            return self.codes.new(
                client,
                redirect_uri,
                age_seconds=age_seconds,
                scopes=client.grant("" if kind == "sso" and not scope else scope),
                nonce=nonce,
                code_challenge=code_challenge,
                state=state,
                installation=installation,
            )

    def _install(self, client: OAuthClient, team: str | None) -> Installation:
        found = None if team is None else self._state.find_team(team)
        if team is not None and found is None:
            raise LookupError(f"No team has the id or slug {team!r}")
        installation = Installation(
            id="icfg_" + new_secret(self._state.random),
            client_id=client.client_id,
            user_id=self._state.user["id"],
            team_id=None if found is None else found.id,
        )
        self._state.installations[installation.id] = installation
        return installation

    def authorize(self, url: str, *, approve: bool = True) -> str:
        """Answer an authorize URL as a person would; return where the browser is sent.

        If the browser would show an error page, a ValueError has its message.
        """
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        try:
            with self._state.lock:
                return self._decide(_read_asked(query, self.clients), approve=approve)
        except RedirectError as error:
            return error.location
        except PageError as error:
            raise ValueError(str(error)) from None

    def spoil_id_tokens(
        self, fault: str, *, times: int = 1, claims: Mapping[str, Any] | None = None
    ) -> None:
        """Let the next ID tokens have one of the faults that the module `id_tokens` lists."""
        if fault not in FAULTS:
            raise ValueError(f"`fault` should be one of {', '.join(FAULTS)}.")
        if times < 1:
            raise ValueError("`times` should be >= 1.")
        if (fault == "claims") is not (claims is not None):
            raise ValueError("`claims` must be given for the fault claims, and for no other.")
        self.id_token_faults.append(IdTokenFault(fault, times, dict(claims) if claims else None))

    def expire_token(self, token: str) -> None:
        """Let a token be expired from now on: any bearer of the account, or a refresh token."""
        with self._state.lock:
            now_ms = self._state.clock.now_ms()
            held, issued = self._state.find_bearer(token), self.sessions.find(token)
            if held is None and issued is None:
                raise LookupError("There is no such token")
            if held is not None:
                held.set("expiresAt", now_ms)
            if issued is not None:
                issued.expires_at = now_ms

    def disable_configuration(self, installation_id: str, *, disabled: bool = True) -> Installation:
        """Disable a configuration, as when its owner leaves the team; or enable it again."""
        with self._state.lock:
            installation = self._state.installations.get(installation_id)
            if installation is None:
                raise LookupError(f"No configuration has the id {installation_id!r}")
            installation.disabled = disabled
            return installation

    def new_token(self, kind: Kind) -> Token:
        """Make a token of a kind, as its owner would get it; of `full`, give the calling token."""
        state, client = self._state, self.clients.public
        with state.lock:
            if kind == "integration":
                integration = self.clients.integration
                return self.integration_token(integration, self._install(integration, None))
            if kind == "cli":
                client_id, name = "cl_" + new_secret(state.random, 32), "Simulated Vercel CLI"
                client = OAuthClient("app", client_id, name, native=True, reads=True)
                self.clients.add(client)
            if kind in ("app", "cli"):
                return self.sessions.issue_access(self.sessions.open(client, SCOPES), SCOPES)
            if kind in ("team", "project", "limited"):
                name, team_id = f"simulated {kind} token", state.user["defaultTeamId"]
                return state.issue_token(name, "manual", team_id=team_id, kind=kind)
            return state.calling_token

    def integration_token(
        self, client: OAuthClient, installation: Installation, seconds: int | None = None
    ) -> Token:
        """Make an access token that is good for the account of an installation alone."""
        return self._state.issue_token(
            client.name,
            "app",
            team_id=installation.team_id,
            seconds=seconds,
            bearer=new_bearer(self._state.random, "vci_"),
            listed=False,
            kind="integration",
            installation=installation,
        )
