"""What the tests of the authorization server do as an app, and as a person with a browser."""

import base64
import hashlib
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

VERIFIER = "v" * 20 + "-._~" + "0123456789" * 3
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
TOKEN = "/login/oauth/token"


class Page(HTMLParser):
    """A page as a browser would use it: its text, its hidden fields and its buttons."""

    def __init__(self, response):
        super().__init__()
        assert response.headers["content-type"].startswith("text/html")
        self.url = response.url
        self.method = None
        self.hidden = {}
        self.buttons = {}
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.method = attrs["method"]
        elif tag == "input" and attrs.get("type") == "hidden":
            self.hidden[attrs["name"]] = attrs["value"]
        elif tag == "button":
            self.buttons[attrs["id"]] = {attrs["name"]: attrs["value"]} if "name" in attrs else {}

    def handle_data(self, data):
        self.text += data

    def press(self, client, button):
        """Send the form with one of its buttons, to the page's own address."""
        assert self.method == "post"
        return client.post(self.url, data=self.hidden | self.buttons[button])


class App:
    """An app at the simulated authorization server, and the browser of its user."""

    VERIFIER = VERIFIER
    CHALLENGE = CHALLENGE
    DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
    page = Page

    def __init__(self, simulator, http, client=None):
        self.simulator = simulator
        self.http = http
        self.client = client or simulator.oauth.clients.public
        self.redirect_uri = self.client.redirect_uris[0]

    def secret(self):
        secret = self.client.client_secret
        return {} if secret is None else {"client_secret": secret}

    def authorize_query(self, **changes):
        query = {
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": "openid email profile offline_access",
            "state": "the state & more",
            "nonce": "the-nonce",
        }
        return {name: value for name, value in (query | changes).items() if value is not None}

    def authorize(self, **changes):
        return self.http.get("/oauth/authorize", params=self.authorize_query(**changes))

    def code(self, **changes):
        """Get a code the way a person's browser brings it."""
        answer = Page(self.authorize(**changes)).press(self.http, "allow")
        return self.brought(answer).code

    def brought(self, response):
        """Read what a redirect brings to the app."""
        assert response.status_code == 302, response.text
        location = response.headers["location"]
        assert location.startswith(self.redirect_uri)
        return SimpleNamespace(**dict(parse_qsl(urlsplit(location).query)))

    def exchange(self, code, **changes):
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client.client_id,
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": self.redirect_uri,
            **self.secret(),
        }
        return self.post(form | changes)

    def refresh(self, refresh_token, **changes):
        form = {
            "grant_type": "refresh_token",
            "client_id": self.client.client_id,
            "refresh_token": refresh_token,
            **self.secret(),
        }
        return self.post(form | changes)

    def post(self, form, **options):
        return self.http.post(
            TOKEN, data={k: v for k, v in form.items() if v is not None}, **options
        )

    def sign_in(self, **changes):
        """Get tokens without the browser."""
        code = self.simulator.oauth.mint_code(
            client_id=self.client.client_id,
            redirect_uri=self.redirect_uri,
            code_challenge=CHALLENGE,
            nonce="the-nonce",
            **changes,
        )
        response = self.exchange(code.code)
        assert response.status_code == 200, response.text
        return SimpleNamespace(code=code.code, **response.json())

    def revoke(self, token, **options):
        return self.http.post(
            TOKEN + "/revoke", data={"token": token, "client_id": self.client.client_id}, **options
        )

    def introspect(self, token):
        response = self.http.post(TOKEN + "/introspect", data={"token": token})
        assert response.status_code == 200
        return response.json()

    def claims(self, id_token, **wanted):
        """Verify an ID token as an app should, and give what it says."""
        keys = KeySet.import_key_set(self.http.get("/.well-known/jwks").json())
        token = jwt.decode(id_token, keys, algorithms=["RS256"])
        registry = jwt.JWTClaimsRegistry(
            now=self.simulator.state.clock.now_ms() // 1000,
            iss={"essential": True, "value": self.simulator.url},
            aud={"essential": True, "value": self.client.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            **{name: {"essential": True, "value": value} for name, value in wanted.items()},
        )
        registry.validate(token.claims)
        return token.claims

    def as_user(self, path, access_token, **options):
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.http.get(path, headers=headers, **options)

    def is_dead(self, access_token):
        """Whether the API calls a token dead; one that lives is refused for what it may do."""
        answer = self.as_user("/v2/user", access_token)
        assert answer.status_code == 403
        return answer.json()["error"].get("invalidToken", False)

    @staticmethod
    def error(response, status=400):
        """Check that an answer is an error in OAuth's shape, and give its code."""
        assert response.status_code == status, response.text
        assert set(response.json()) == {"error", "error_description"}
        assert response.headers["cache-control"] == "no-store"
        return response.json()["error"]


@pytest.fixture
def http(simulator, connect):
    """A client without credentials."""
    return connect(simulator, None)


@pytest.fixture
def app(simulator, http):
    """The public app."""
    return App(simulator, http)


@pytest.fixture
def web(simulator, http):
    """The app that has a secret."""
    return App(simulator, http, simulator.oauth.clients.confidential)


@pytest.fixture
def control(http):
    """Call a control endpoint."""

    def call(name, body=None, status=200):
        path = f"/_simulator/{name}"
        response = http.get(path) if body is None else http.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    return call
