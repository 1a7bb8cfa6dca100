"""The pages that a person sees in the browser."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from urllib.parse import SplitResult, parse_qsl, urlsplit

HEADERS = {
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


def document(title: str, body: str) -> str:
    """Make a whole page; `body` is HTML, and `title` is text."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} - Simulated Vercel</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def consent(
    app: str, scopes: Sequence[str], email: str, request_id: str, *, code: str | None = None
) -> str:
    """Ask whether an app may sign a person in; the form goes to where the page came from."""
    wishes = "".join(f"<li>{escape(_MEANINGS.get(scope, scope))}</li>" for scope in scopes)
    compare = ""
    if code is not None:
        compare = f"<p>Your device should show this code: <code>{escape(code)}</code></p>"
    return document(
        f"Allow {app}?",
        f"<p>You are signed in as <b>{escape(email)}</b>. "
        f"<b>{escape(app)}</b> would like to:</p><ul>{wishes}</ul>{compare}"
        '<form method="post">'
        f'<input type="hidden" name="request_id" value="{escape(request_id)}">'
        '<button type="submit" name="decision" value="allow" id="allow">Allow</button>'
        '<button type="submit" name="decision" value="deny" id="deny">Deny</button></form>',
    )


def message(redirect_uri: str, location: str) -> tuple[str, dict[str, str]]:
    """Make the page, and its headers, that tells the window that opened it what came of it.

    Args:
        redirect_uri: The app's address: no other origin gets the message.
        location: Where a redirect would lead; its query is the message.
    """
    parts = urlsplit(redirect_uri)
    told = {"type": "authorization_response", "response": dict(parse_qsl(urlsplit(location).query))}
    values = [json.dumps(each).replace("<", "\\u003c") for each in (told, _origin(parts))]
    script = f"window.opener.postMessage({', '.join(values)});window.close()"
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"{HEADERS['Content-Security-Policy']}; script-src 'sha256-{digest}'"
    page = document("Signed in", f"<p>You may close this window.</p><script>{script}</script>")
    return page, {**HEADERS, "Content-Security-Policy": policy}


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def ask_for_code() -> str:
    """Ask for the code that a device shows."""
    return document(
        "Sign in a device",
        '<form method="get"><label>The code that your device shows: '
        '<input name="user_code" id="user_code" autocomplete="off" required></label>'
        '<button type="submit" id="continue">Continue</button></form>',
    )


def device_done(approved: bool) -> str:
    """Say what was decided about a device."""
    if approved:
        return document("Signed in", "<p>Your device is signed in. You may close this window.</p>")
    return document("Denied", "<p>Your device is not signed in. You may close this window.</p>")
