"""What apps ask people for, what people allow, and the pages on which they are asked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response

from vercel_sql.simulator import pages
from vercel_sql.simulator.clients import OAuthClient, OAuthClients
from vercel_sql.simulator.endpoints import Call, Endpoint, once
from vercel_sql.simulator.models import new_secret
from vercel_sql.simulator.pages import PageError, RedirectError, redirect, with_query
from vercel_sql.simulator.sessions import Codes, DeviceRequest, Devices
from vercel_sql.simulator.store import State

AUTHORIZE_PATH = "/oauth/authorize"
DEVICE_PATH = "/oauth/device"
PROMPTS = ("consent", "login")
RESPONSE_MODES = ("query", "web_message.opener")

_ALLOWED = {"response_type": ("code",), "prompt": PROMPTS, "response_mode": RESPONSE_MODES}
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_DECISIONS = {"allow": True, "deny": False}
_PAGE_MS = 600_000
_TOO_LATE = "This page was answered already, or is too old. Start again."


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


def read_asked(pairs: Iterable[tuple[str, str]], clients: OAuthClients) -> Asked:
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
    except ValueError as error:
        raise RedirectError(uris[0], "invalid_request", str(error), state) from None
    problem = _problem(given)
    if problem is not None:
        raise RedirectError(uris[0], "invalid_request", problem, state)
    scopes = client.grant(given.get("scope"))
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
    """Say what is wrong with the parameters; None if nothing is."""
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


class Consents:
    """Asks the person, who is already signed in to the simulated Vercel.

    Scopes that were allowed before are not asked for again (as documented), unless the app sends a
    `prompt`. To be used under the state's lock.
    """

    def __init__(self, state: State, clients: OAuthClients, codes: Codes, devices: Devices) -> None:
        self._state = state
        self._clients = clients
        self._codes = codes
        self._devices = devices
        self._pages: dict[str, tuple[Asked, int]] = {}
        self._device_pages: dict[str, DeviceRequest] = {}
        self._allowed: dict[str, set[str]] = {}
        self.endpoints = [
            Endpoint("GET", AUTHORIZE_PATH, self._authorize),
            Endpoint("POST", AUTHORIZE_PATH, self._authorized),
            Endpoint("GET", DEVICE_PATH, self._device),
            Endpoint("POST", DEVICE_PATH, self._device_answered),
        ]

    def decide(self, asked: Asked, *, approve: bool) -> str:
        """Do what a person's answer asks for; give where the browser is sent."""
        if not approve:
            denied = "The person denied the request."
            return RedirectError(asked.redirect_uri, "access_denied", denied, asked.state).location
        client_id = asked.client.client_id
        self._allowed.setdefault(client_id, set()).update(asked.scopes)
        code = self._codes.new("app", client_id)
        code.redirect_uri, code.scopes = asked.redirect_uri, asked.scopes
        code.nonce, code.code_challenge = asked.nonce, asked.code_challenge
        return with_query(asked.redirect_uri, {"code": code.code, "state": asked.state})

    def _authorize(self, call: Call) -> Response:
        """Ask whether an app may sign the person in, unless they have said so before."""
        asked = read_asked(call.request.query_params.multi_items(), self._clients)
        allowed = self._allowed.get(asked.client.client_id, set())
        if asked.prompt is None and allowed.issuperset(asked.scopes):
            return self._decided(asked, approve=True)
        page_id = self._new_page_id()
        self._pages[page_id] = asked, self._state.clock.now_ms() + _PAGE_MS
        return pages.consent(asked.client.name, asked.scopes, self._email(), page_id)

    def _authorized(self, call: Call) -> Response:
        """Take the answer, once, and send the browser back to the app."""
        page_id, approve = _decision(call)
        asked, expires_at = self._pages.pop(page_id, (None, 0))
        if asked is None or expires_at <= self._state.clock.now_ms():
            raise PageError(_TOO_LATE)
        return self._decided(asked, approve=approve)

    def _decided(self, asked: Asked, *, approve: bool) -> Response:
        """Tell the app, by a redirect or by a message to the window that opened this one."""
        location = self.decide(asked, approve=approve)
        if asked.response_mode != "web_message.opener":
            return redirect(location)
        return pages.message(asked.redirect_uri, location)

    def _device(self, call: Call) -> Response:
        """Ask whether a device may be signed in, or first for the code that it shows."""
        try:
            user_code = once(call.request.query_params.multi_items()).get("user_code")
        except ValueError as error:
            raise PageError(str(error)) from None
        if user_code is None:
            return pages.ask_for_code()
        waiting = self._devices.waiting(user_code)
        if not waiting:
            raise PageError("No device waits for that code. Codes expire, and work once.")
        (device,) = waiting
        page_id = self._new_page_id()
        self._device_pages[page_id] = device
        name, scopes = device.client.name, device.scopes
        return pages.consent(name, scopes, self._email(), page_id, code=device.user_code)

    def _device_answered(self, call: Call) -> Response:
        """Take the answer, once; the device learns of it when it asks next."""
        page_id, approve = _decision(call)
        device = self._device_pages.pop(page_id, None)
        if device is None or not device.waits(self._state.clock.now_ms()):
            raise PageError(_TOO_LATE)
        device.approved = approve
        return pages.device_done(approve)

    def _new_page_id(self) -> str:
        return new_secret(self._state.random, 32)  # which nobody can guess

    def _email(self) -> str:
        return str(self._state.user.get("email") or self._state.user["id"])


def _decision(call: Call) -> tuple[str, bool]:
    """Read which page was answered, and how; a PageError if none of our buttons sent this."""
    try:
        form = call.form()
        return form["request_id"], _DECISIONS[form["decision"]]
    except (LookupError, ValueError):
        raise PageError("Something is missing from the form. Go back and try again.") from None
