"""The pages on which a person signs in apps and devices."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from vercel_sql.simulator import _pages
from vercel_sql.simulator._authorizing import Asked, read_asked
from vercel_sql.simulator._endpoints import Gate
from vercel_sql.simulator._forms import once, read_form
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_errors import PageError, redirect
from vercel_sql.simulator._state import State

AUTHORIZE_PATH = "/oauth/authorize"
DEVICE_PATH = "/oauth/device"

_DECISIONS = {"allow": True, "deny": False}


class ConsentEndpoints:
    """Ask the person, who is signed in to the simulated Vercel already, and take the answer."""

    def __init__(self, gate: Gate, oauth: OAuth) -> None:
        self._gate = gate
        self._state: State = gate.state
        self._oauth = oauth

    def routes(self) -> list[Route]:
        """Give the routes; browsers bring no bearer."""
        return [
            self._gate.open("GET", AUTHORIZE_PATH, self.authorize),
            self._gate.open("POST", AUTHORIZE_PATH, self.authorized),
            self._gate.open("GET", DEVICE_PATH, self.device),
            self._gate.open("POST", DEVICE_PATH, self.device_answered),
        ]

    async def authorize(self, request: Request) -> Response:
        """Ask whether an app may sign the person in, unless they have said so before."""
        asked = read_asked(request.query_params.multi_items(), self._oauth.clients)
        location = self._oauth.consents.remembered(asked)
        if location is not None:
            return _sent_back(asked, location)
        page_id = self._oauth.consents.ask(asked)
        return _page(_pages.consent(asked.client.name, asked.scopes, self._email(), page_id))

    async def authorized(self, request: Request) -> Response:
        """Take the answer, and send the browser back to the app."""
        request_id, approve = await _decision(request)
        try:
            return _sent_back(*self._oauth.consents.answer(request_id, approve=approve))
        except LookupError as error:
            raise PageError(str(error)) from None

    async def device(self, request: Request) -> Response:
        """Ask whether a device may be signed in, or first for the code that it shows."""
        try:
            user_code = once(request.query_params.multi_items()).get("user_code")
        except ValueError as error:
            raise PageError(str(error)) from None
        if user_code is None:
            return _page(_pages.ask_for_code())
        waiting = self._oauth.devices.waiting(user_code)
        if not waiting:
            raise PageError("No device waits for that code. Codes expire, and work once.")
        (device,) = waiting
        page_id = self._oauth.devices.ask(device)
        return _page(
            _pages.consent(
                device.client.name, device.scopes, self._email(), page_id, code=device.user_code
            )
        )

    async def device_answered(self, request: Request) -> Response:
        """Take the answer; the device learns of it when it asks next."""
        request_id, approve = await _decision(request)
        try:
            self._oauth.devices.answer_page(request_id, approve=approve)
        except LookupError as error:
            raise PageError(str(error)) from None
        return _page(_pages.device_done(approve))

    def _email(self) -> str:
        return str(self._state.user.get("email") or self._state.user["id"])


async def _decision(request: Request) -> tuple[str, bool]:
    """Read which page was answered, and how.

    Raises:
        PageError: It was not one of our buttons that sent this.
    """
    try:
        form = await read_form(request)
        return form["request_id"], _DECISIONS[form["decision"]]
    except (LookupError, ValueError):
        raise PageError("Something is missing from the form. Go back and try again.") from None


def _sent_back(asked: Asked, location: str) -> Response:
    """Tell the app, by a redirect or by a message to the window that opened this one."""
    if asked.response_mode != "web_message.opener":
        return redirect(location)
    page, headers = _pages.message(asked.redirect_uri, location)
    return HTMLResponse(page, headers=headers)


def _page(html: str) -> Response:
    return HTMLResponse(html, headers=_pages.HEADERS)
