"""The endpoints that control the simulated API; they have no records, limits or faults."""

from dataclasses import asdict

from starlette.responses import Response

from vercel_sql.simulator.endpoints import Call, Endpoint, Handler, required
from vercel_sql.simulator.faults import Faults
from vercel_sql.simulator.messages import ApiError, answer, decode, invalid
from vercel_sql.simulator.models import new_secret
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.sessions import challenge_of

PREFIX = "/_simulator/"

_CODE_PROPERTIES: dict[str, type] = {
    **dict.fromkeys(("kind", "client_id", "redirect_uri", "team", "scope"), str),
    **dict.fromkeys(("nonce", "code_challenge", "state"), str),
    "age_seconds": float,
}


class Control:
    """Faults, records, confirmations, the clock, the authorization server, the integrations."""

    def __init__(self, oauth: OAuth, faults: Faults) -> None:
        self._oauth = oauth
        self._faults = faults
        handlers: dict[str, tuple[str, Handler]] = {
            "faults": ("GET POST DELETE", self._change_faults),
            "requests": ("GET DELETE", self._requests),
            "history": ("GET", self._history),
            "confirm": ("POST", self._confirm),
            "clients": ("GET", self._clients),
            "codes": ("POST", self._codes),
            "authorize": ("POST", self._authorize),
            "id_token": ("GET POST DELETE", self._id_token),
            "keys": ("POST", self._keys),
            "expire": ("POST", self._expire),
            "configurations": ("GET POST", self._configurations),
            "clock": ("GET POST", self._clock),
        }
        self.endpoints = [
            Endpoint(methods, PREFIX + name, _refusing(handler))
            for name, (methods, handler) in handlers.items()
        ]

    def _change_faults(self, call: Call) -> Response:
        """Add the faults of a list or object, or list or forget those that are there."""
        if call.request.method == "DELETE":
            self._faults.clear()
        elif call.request.method == "POST":
            try:
                given = decode(call.body)
            except ValueError:
                raise ApiError(400, "Invalid JSON") from None
            self._faults.add(given if isinstance(given, list) else [given])
        return answer({"faults": self._faults.all()})

    def _requests(self, call: Call) -> Response:
        """Show or forget what was received."""
        if call.request.method == "DELETE":
            call.state.received.clear()
        return answer({"requests": [asdict(record) for record in call.state.received]})

    def _history(self, call: Call) -> Response:
        """Show what became of each token."""
        return answer({"history": [asdict(event) for event in call.state.events]})

    def _confirm(self, call: Call) -> Response:
        """Confirm the logins of an email address, or the one of a verification token."""
        body = call.json({"email": str, "token": str})
        if len(body) != 1:
            raise invalid("either `email` or `token` is required.")
        return answer({"confirmed": call.state.confirm(**body)})

    def _clients(self, _call: Call) -> Response:
        """Show the registered clients, secrets included: nothing here is a real secret."""
        return answer({"clients": [asdict(client) for client in self._oauth.clients]})

    def _codes(self, call: Call) -> Response:
        """Give out a code as if the person had come back from the browser with it.

        An authorization code that is given no `code_challenge` comes with a `code_verifier`.
        """
        body = call.json(_CODE_PROPERTIES)
        verifier = None
        if required(body, "kind") == "authorization" and "code_challenge" not in body:
            verifier = new_secret(call.state.random, 64)
            body["code_challenge"] = challenge_of(verifier)
        code = self._oauth.mint_code(**body)
        shown = {
            "code": code.code,
            "client_id": code.client_id,
            "redirect_uri": code.redirect_uri,
            "scope": " ".join(code.scopes),
            "state": code.state,
            "expires_at": code.expires_at,
        }
        if code.installation_id is not None:
            installation = call.state.installations[code.installation_id]
            shown |= {"installation_id": installation.id, "team_id": installation.team_id}
        return answer(shown if verifier is None else {**shown, "code_verifier": verifier})

    def _authorize(self, call: Call) -> Response:
        """Answer in a person's stead: an authorize `url`, or the device of a `user_code`."""
        body = call.json({"url": str, "user_code": str, "approve": bool})
        approve = body.pop("approve", True)
        if len(body) != 1:
            raise invalid("either `url` or `user_code` is required.")
        if "url" in body:
            return answer({"location": self._oauth.authorize(body["url"], approve=approve)})
        user_code = body["user_code"] or None
        return answer({"answered": self._oauth.authorize_device(user_code, approve=approve)})

    def _id_token(self, call: Call) -> Response:
        """Let the next ID tokens have a fault, or list or forget those to come."""
        if call.request.method == "DELETE":
            self._oauth.id_tokens.faults.clear()
        elif call.request.method == "POST":
            body = call.json({"fault": str, "times": int, "claims": dict})
            required(body, "fault")
            self._oauth.spoil_id_tokens(**body)
        return answer({"faults": [asdict(fault) for fault in self._oauth.id_tokens.faults]})

    def _keys(self, call: Call) -> Response:
        """Sign with a new key from now on; the older ones stay published by default."""
        options = call.json({"keep_old": bool}) if call.body else {}
        return answer({"kid": self._oauth.rotate_keys(**options)})

    def _expire(self, call: Call) -> Response:
        """Let an access, refresh or other token be expired from now on."""
        self._oauth.expire_token(required(call.json({"token": str}), "token"))
        return answer({"expired": True})

    def _configurations(self, call: Call) -> Response:
        """Disable or enable a configuration, or list them all."""
        if call.request.method == "POST":
            body = call.json({"installation_id": str, "disabled": bool})
            self._oauth.disable_configuration(
                required(body, "installation_id"), disabled=body.get("disabled", True)
            )
        shown = [asdict(each) for each in call.state.installations.values()]
        return answer({"configurations": shown})

    def _clock(self, call: Call) -> Response:
        """Tell the account's time, after letting some pass."""
        if call.request.method == "POST":
            body = call.json({"advance_seconds": float})
            if "advance_seconds" not in body:
                raise invalid("missing required property `advance_seconds`.")
            call.state.clock.advance(body["advance_seconds"])
        return answer({"now_ms": call.state.clock.now_ms()})


def _refusing(handler: Handler) -> Handler:
    """Answer what goes wrong as the API would."""

    def refusing(call: Call) -> Response:
        try:
            return handler(call)
        except LookupError as error:
            raise ApiError(404, str(error)) from None
        except ValueError as error:
            raise invalid(str(error)) from None

    return refusing
