"""The endpoints through which tests and people steer the simulated API."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._endpoints import answer
from vercel_sql.simulator._errors import ApiError, invalid
from vercel_sql.simulator._faults import Fault, Faults
from vercel_sql.simulator._json import decode
from vercel_sql.simulator._records import Recorder
from vercel_sql.simulator._requests import json_object
from vercel_sql.simulator._state import State

PREFIX = "/_simulator/"


class Control:
    """Faults, records and confirmations; neither recorded nor limited nor faulted."""

    def __init__(self, state: State, faults: Faults, recorder: Recorder) -> None:
        self._state = state
        self._faults = faults
        self._recorder = recorder

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            Route(PREFIX + "faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route(PREFIX + "requests", self.requests, methods=["GET", "DELETE"]),
            Route(PREFIX + "history", self.history, methods=["GET"]),
            Route(PREFIX + "confirm", self.confirm, methods=["POST"]),
        ]

    async def faults(self, request: Request) -> Response:
        """Add the faults of a list or object, or list or forget those that are there."""
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                given = decode(await request.body())
            except ValueError:
                raise ApiError(400, "Invalid JSON") from None
            given = given if isinstance(given, list) else [given]
            self._faults.add([Fault.parse(fault) for fault in given])
        return answer({"faults": self._faults.all()})

    async def requests(self, request: Request) -> Response:
        """Show or forget what was received."""
        if request.method == "DELETE":
            self._recorder.clear()
        return answer({"requests": [record.as_json() for record in self._recorder.all()]})

    async def history(self, _request: Request) -> Response:
        """Show what became of each token."""
        return answer({"history": [event.as_json() for event in self._state.history.all()]})

    async def confirm(self, request: Request) -> Response:
        """Confirm the logins of an email address, or the one of a verification token."""
        body = await json_object(request, {"email": str, "token": str})
        if len(body) != 1:
            raise invalid("either `email` or `token` is required.")
        return answer({"confirmed": confirm(self._state, **body)})


def confirm(state: State, *, email: str | None = None, token: str | None = None) -> int:
    """Confirm logins as their person would; give how many.

    Raises:
        ApiError: No login waits for it (404).
    """
    with state.lock:
        confirmed = state.logins.confirm(email=email, token=token)
    if not confirmed:
        raise ApiError(404, "No login waits to be confirmed for that")
    return confirmed
