"""The made account is realistic, and the same for the same seed."""

import re
import time
from collections import Counter

import pytest

from vercel_sql.simulator import Simulator

from ..scale import scaled

NOW = 1_780_000_000_000
DAY = 86_400_000
ORIGINS = {
    *("app", "apple", "bitbucket", "chatgpt", "email", "emu", "github", "github-webhook"),
    *("gitlab", "google", "invite", "manual", "otp", "passkey", "saml", "sms"),
    "token-exchange-oidc",
}
SUDO_ORIGINS = {"email-otp", "otp", "recovery-code", "totp", "webauthn"}


def account(simulator):
    return [(token.fields, token.bearer) for token in simulator.state.tokens()]


@pytest.fixture(scope="module")
def tokens():
    return Simulator(250, now_ms=NOW).state.tokens()


def test_the_same_seed_makes_the_same_account():
    one, same, other = (Simulator(50, seed=seed, now_ms=NOW) for seed in (1, 1, 2))
    assert account(one) == account(same)
    assert one.token == same.token != other.token
    assert account(one) != account(other)
    assert one.state.user == same.state.user
    assert one.state.teams == same.state.teams


@pytest.mark.parametrize("count", [0, 1, 5, 12, 250])
def test_as_many_as_were_asked_for_beside_the_calling_one(count):
    tokens = Simulator(count).state.tokens()
    assert len(tokens) == len({token.id for token in tokens}) == count + 1
    assert len({token.bearer for token in tokens}) == count + 1


def test_thousands_are_made_in_no_time():
    count = scaled(4_000, 40_000)
    began = time.process_time()  # other processes may be busy too
    assert len(Simulator(count).state.tokens()) == count + 1
    assert time.process_time() - began < count / 5_000


def test_every_token_has_what_every_token_has(tokens):
    for token in tokens:
        assert {"id", "name", "type", "activeAt", "createdAt", "scopes"} <= set(token.fields)
        assert re.fullmatch("[0-9a-f]{64}", token.id)
        assert re.fullmatch("vcp_[A-Za-z0-9]{56}|[A-Za-z0-9]{24}", token.bearer)
        assert NOW - 5 * 365 * DAY < token["createdAt"] <= token["activeAt"] <= NOW
        for name in ("expiresAt", "revokedAt", "leakedAt"):
            assert token.get(name) is None or token["createdAt"] <= token[name]
            assert name not in token.fields or type(token[name]) is int
        if token.bearer.startswith("vcp_"):
            assert (token["prefix"], token["suffix"]) == ("vcp_", token.bearer[-6:])
        else:
            assert not {"prefix", "suffix"} & set(token.fields)


def test_scopes_are_of_the_two_kinds(tokens):
    for scope in (scope for token in tokens for scope in token["scopes"]):
        assert {"type", "origin", "createdAt"} <= set(scope)
        assert set(scope) <= {"type", "origin", "createdAt", "expiresAt", "sudo", "teamId"}
        assert scope["origin"] in ORIGINS
        assert (scope["type"] == "team") is ("teamId" in scope)
        if "sudo" in scope:
            assert scope["type"] == "user"
            assert scope["sudo"]["origin"] in SUDO_ORIGINS
            assert {"origin", "expiresAt"} <= set(scope["sudo"])
            assert set(scope["sudo"]) <= {"origin", "expiresAt", "verifiedAt"}


def test_there_are_tokens_of_every_kind(tokens):
    def kinds(token):
        scopes = token["scopes"]
        sudo = [scope["sudo"] for scope in scopes if "sudo" in scope]
        expires_at = token.get("expiresAt")
        return {
            "never expires": expires_at is None,
            "expired": expires_at is not None and expires_at < NOW,
            "expiring soon": expires_at is not None and NOW < expires_at < NOW + 15 * DAY,
            "never used": token["activeAt"] == token["createdAt"],
            "leaked": token.get("leakedUrl") is not None and token.get("revokedAt") is None,
            "leaked and revoked": {"leakedAt", "leakedUrl", "revokedAt"} <= set(token.fields),
            "revoked": token.get("revokedAt") is not None and token.get("leakedAt") is None,
            "user only": [scope["type"] for scope in scopes] == ["user"],
            "team only": [scope["type"] for scope in scopes] == ["team"],
            "user and team": [scope["type"] for scope in scopes] == ["user", "team"],
            "sudo": any(each["expiresAt"] > NOW for each in sudo),
            "sudo that is over": any(each["expiresAt"] < NOW for each in sudo),
            "sudo without verifiedAt": any("verifiedAt" not in each for each in sudo),
            "without origin": "origin" not in token.fields,
            "with hints": "prefix" in token.fields,
            "without hints": "prefix" not in token.fields,
            "older than three years": token["createdAt"] < NOW - 3 * 365 * DAY,
        }

    found = Counter()
    for token in tokens:
        found.update(kind for kind, is_one in kinds(token).items() if is_one)
    assert set(found) == set(kinds(tokens[0]))
    types = {"oauth2-token", "token", "authentication-token"}
    assert {token["type"] for token in tokens} == types
    assert len({token.get("origin") for token in tokens}) > 8


def test_there_are_browser_sessions(tokens):
    name = re.compile(r"Website, Login with \w+ \(\w+ on \w+\)")
    sessions = [token for token in tokens if token["type"] == "token"]
    assert sessions == [token for token in tokens if name.fullmatch(token["name"])]
    assert len(sessions) == 20
    for token in sessions:
        assert token["name"].casefold().startswith(f"website, login with {token['origin']} (")
        assert token.get("leakedAt") is None


def test_names_are_those_of_people_and_machines(tokens):
    names = Counter(token["name"] for token in tokens)
    assert names.most_common(1)[0][1] > 3, "names come more than once"
    assert any('"' in name for name in names)
    assert any(name.startswith("=") for name in names)
    assert any("," in name for name in names)
    assert any(ord(letter) > 0xFFFF for name in names for letter in name)


def test_some_share_a_millisecond_and_once_more_than_a_page_does(tokens):
    shared = Counter(token["createdAt"] for token in tokens)
    assert max(shared.values()) > 20
    assert sum(count > 1 for count in shared.values()) > 3


def test_seeded_times_are_relative_to_now():
    newest = Simulator(250).state.tokens()[0]
    assert 0 < time.time() * 1000 - newest["createdAt"] < 60 * DAY
