"""What people are asked, and what they have allowed."""

from vercel_sql.simulator._authorizing import Asked
from vercel_sql.simulator._codes import Codes
from vercel_sql.simulator._oauth_errors import RedirectError, with_query
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import new_secret

_PAGE_MS = 600_000


class Consents:
    """Pages that wait for an answer, and answers that are remembered; safe from any thread.

    A person who has allowed an app's scopes before is not asked again (as documented), unless
    the app asks with a `prompt`.
    """

    def __init__(self, state: State, codes: Codes) -> None:
        self._state = state
        self._codes = codes
        self._pages: dict[str, tuple[Asked, int]] = {}
        self._allowed: dict[str, set[str]] = {}

    def remembered(self, asked: Asked) -> str | None:
        """Give where the browser is sent at once, or None where the person has to be asked."""
        with self._state.lock:
            allowed = self._allowed.get(asked.client.client_id, set())
            if asked.prompt is not None or not allowed.issuperset(asked.scopes):
                return None
            return self.decide(asked, approve=True)

    def ask(self, asked: Asked) -> str:
        """Begin to ask a person; give the id of the page, which nobody can guess."""
        with self._state.lock:
            page_id = new_secret(self._state.random, 32)
            self._pages[page_id] = asked, self._state.clock.now_ms() + _PAGE_MS
            return page_id

    def answer(self, page_id: str, *, approve: bool) -> tuple[Asked, str]:
        """Take a person's answer, once; give what was asked, and where the browser is sent.

        Raises:
            LookupError: No page of that id waits for an answer.
        """
        with self._state.lock:
            asked, expires_at = self._pages.pop(page_id, (None, 0))
            if asked is None or expires_at <= self._state.clock.now_ms():
                raise LookupError("This page was answered already, or is too old. Start again.")
            return asked, self.decide(asked, approve=approve)

    def decide(self, asked: Asked, *, approve: bool) -> str:
        """Do what a person's answer asks for; give where the browser is sent."""
        if not approve:
            denied = "The person denied the request."
            return RedirectError(asked.redirect_uri, "access_denied", denied, asked.state).location
        client_id = asked.client.client_id
        with self._state.lock:
            self._allowed.setdefault(client_id, set()).update(asked.scopes)
            code = self._codes.new("app", client_id)
        code.redirect_uri, code.scopes = asked.redirect_uri, asked.scopes
        code.nonce, code.code_challenge = asked.nonce, asked.code_challenge
        return with_query(asked.redirect_uri, {"code": code.code, "state": asked.state})
