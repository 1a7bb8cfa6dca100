"""A target: an answer of any bytes, and what it does to a listing, a get, a create, an error.

The first byte of an input names the door that the rest goes through. Where an input holds several
answers, NULs part them.
"""

from __future__ import annotations

from collections.abc import Callable

from vercel_sql.http.decode import decode_json, encode_json

from . import doors, listings, writes
from .oracles import attempt, require

DOORS: dict[bytes, Callable[[bytes], None]] = {}
"""What is done with an answer, by an input's first byte. Kept cases depend on these letters."""


def run(data: bytes) -> None:
    """Holds the decoders to their rules over one input.

    Raises:
        Violation: one of them does not hold.
    """
    door = DOORS.get(data[:1])
    if door is not None:
        door(data[1:])


def decoded(body: bytes) -> None:
    """Plain decoding: what is accepted is kept exactly."""
    value, error = attempt(lambda: doors.answer("user_tokens", "get_auth_token", body).json())
    if error is None:
        text, _ = attempt(lambda: _encoded(value))
        if text is not None:
            require(decode_json(text) == value, "encoding it again gives another value")


def _encoded(value: object) -> str | None:
    try:
        return encode_json(value)
    except UnicodeEncodeError:
        return None  # half a surrogate pair, which whoever encodes has to name


DOORS |= {
    b"j": decoded,
    b"l": lambda body: listings.one_page("user_tokens", "list_auth_tokens", body),
    b"m": lambda body: listings.one_page("teams", "list_teams", body),
    b"p": lambda body: listings.walked("user_tokens", "list_auth_tokens", body),
    b"q": lambda body: listings.walked("teams", "list_teams", body),
    b"x": lambda body: listings.called("user_tokens", "_list_auth_tokens", body),
    b"y": lambda body: listings.called("user_tokens", "list_auth_tokens", body),
    b"g": lambda body: listings.single("user_tokens", "get_auth_token", body),
    b"u": lambda body: listings.single("user", "get_auth_user", body),
    b"o": lambda body: listings.single("userinfo", "get_userinfo", body),
    b"i": lambda body: listings.single("introspection", "introspect_token", body),
    b"d": lambda body: listings.single("openid_configuration", "get_openid_configuration", body),
    b"k": doors.own_key,
    b"v": doors.id_token,
    b"e": doors.error,
    b"n": doors.login,
    b"c": lambda body: writes.written("user_tokens", "create_auth_token", body),
    b"r": lambda body: writes.written("user_tokens", "delete_auth_token", body),
    b"f": lambda body: writes.written("user_tokens", "verify_token", body),
    b"h": lambda body: writes.written("user_tokens", "email_login", body),
    b"s": lambda body: writes.written("sso_tokens", "exchange_sso_token", body),
    b"t": lambda body: writes.written("tokens", "refresh_tokens", body),
    b"a": lambda body: writes.written("access_tokens", "exchange_code", body),
    b"w": lambda body: writes.written("sign_in", "authorize_device", body),
}
