"""The pages that a person sees in the browser, and the errors that send the browser on."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.responses import HTMLResponse, Response

from vercel_sql.simulator.messages import NO_STORE, RefusalError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with none, their forms would come from nowhere
    "X-Frame-Options": "DENY",
}
"""Nothing foreign runs in these pages, and nothing frames them.

There is no `form-action`: browsers apply it to the redirect that follows, which goes to the app.
"""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}"
    "button,input{font:inherit;padding:.5rem 1.25rem;margin-right:.5rem}"
    "code{font-size:1.25em;letter-spacing:.1em}"
)
_MEANINGS = {
    "openid": "know who you are",
    "email": "see your email address",
    "profile": "see your name, user name and picture",
    "offline_access": "stay signed in until you revoke it",
}


def _page(title: str, body: str, status: int = 200, policy: str = "") -> Response:
    """Answer with a whole page; `body` is HTML, and `title` is text."""
    headers = dict(_HEADERS)
    headers["Content-Security-Policy"] += policy
    html = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} - Simulated Vercel</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return HTMLResponse(html, status, headers)


def consent(
    app: str, scopes: Sequence[str], email: str, request_id: str, *, code: str | None = None
) -> Response:
    """Ask whether an app may sign a person in; the form goes to where the page came from."""
    wishes = "".join(f"<li>{escape(_MEANINGS.get(scope, scope))}</li>" for scope in scopes)
    compare = ""
    if code is not None:
        compare = f"<p>Your device should show this code: <code>{escape(code)}</code></p>"
    return _page(
        f"Allow {app}?",
        f"<p>You are signed in as <b>{escape(email)}</b>. "
        f"<b>{escape(app)}</b> would like to:</p><ul>{wishes}</ul>{compare}"
        '<form method="post">'
        f'<input type="hidden" name="request_id" value="{escape(request_id)}">'
        '<button type="submit" name="decision" value="allow" id="allow">Allow</button>'
        '<button type="submit" name="decision" value="deny" id="deny">Deny</button></form>',
    )


def message(redirect_uri: str, location: str) -> Response:
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


def ask_for_code() -> Response:
    """Ask for the code that a device shows."""
    return _page(
        "Sign in a device",
        '<form method="get"><label>The code that your device shows: '
        '<input name="user_code" id="user_code" autocomplete="off" required></label>'
        '<button type="submit" id="continue">Continue</button></form>',
    )


def device_done(approved: bool) -> Response:
    """Say what was decided about a device."""
    if approved:
        return _page("Signed in", "<p>Your device is signed in. You may close this window.</p>")
    return _page("Denied", "<p>Your device is not signed in. You may close this window.</p>")


class PageError(RefusalError):
    """Something that only the person before the browser can be told, and no app."""

    def __init__(self, message: str) -> None:
        page = _page("This does not work", f'<p class="error">{escape(message)}</p>', 400)
        super().__init__(message, page)


class RedirectError(RefusalError):
    """A refusal that goes back to the app, by way of the browser."""

    def __init__(self, redirect_uri: str, code: str, description: str, state: str | None) -> None:
        self.location = with_query(
            redirect_uri, {"error": code, "error_description": description, "state": state}
        )
        super().__init__(description, redirect(self.location))


def redirect(location: str) -> Response:
    """Send the browser to an address that is complete already."""
    return Response(status_code=302, headers={**NO_STORE, "Location": location})


def with_query(uri: str, added: Mapping[str, str | None]) -> str:
    """Add parameters to an address, after those that it has; None adds nothing."""
    parts = urlsplit(uri)
    query = parse_qsl(parts.query, keep_blank_values=True)
    query += [(name, value) for name, value in added.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode(query)))
