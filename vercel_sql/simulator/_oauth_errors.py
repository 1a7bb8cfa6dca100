"""Errors of the authorization server: OAuth's own shape, and pages for people."""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.responses import HTMLResponse, Response

from vercel_sql.simulator._json import encode
from vercel_sql.simulator._pages import HEADERS, document

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""What keeps secrets out of caches (RFC 6749, section 5.1)."""


class OAuthError(Exception):
    """An answer other than success: `{"error": …, "error_description": …}`."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.description = description
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(f"{status} {code}: {description}")

    def response(self) -> Response:
        """Give the HTTP answer."""
        body = {"error": self.code, "error_description": self.description}
        headers = NO_STORE | self.headers
        return Response(encode(body), self.status, headers, media_type="application/json")


class PageError(Exception):
    """Something that only the person before the browser can be told, and no app."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.message = message
        self.status = status
        super().__init__(message)

    def response(self) -> Response:
        """Give the HTTP answer."""
        page = document("This does not work", f'<p class="error">{escape(self.message)}</p>')
        return HTMLResponse(page, self.status, HEADERS)


class RedirectError(Exception):
    """A refusal that goes back to the app, by way of the browser."""

    def __init__(self, redirect_uri: str, code: str, description: str, state: str | None) -> None:
        self.location = with_query(
            redirect_uri, {"error": code, "error_description": description, "state": state}
        )
        super().__init__(f"{code}: {description}")

    def response(self) -> Response:
        """Give the HTTP answer."""
        return redirect(self.location)


def redirect(location: str) -> Response:
    """Send the browser to an address that is complete already."""
    return Response(status_code=302, headers={**NO_STORE, "Location": location})


def with_query(uri: str, added: Mapping[str, str | None]) -> str:
    """Add parameters to an address, after those that it has; None adds nothing."""
    parts = urlsplit(uri)
    query = parse_qsl(parts.query, keep_blank_values=True)
    query += [(name, value) for name, value in added.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode(query)))
