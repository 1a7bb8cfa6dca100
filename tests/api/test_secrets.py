"""Secrets stay out of everything that is shown."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from urllib.parse import quote

import httpx
import pytest

from vercel_sql.auth import Credential, find_credential
from vercel_sql.errors import APIError, ParameterError, TransportError
from vercel_sql.http.requests import build_request
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.manifest import vercel
from vercel_sql.redaction import MASK, Redactor
from vercel_sql.runtime.scope import CancelScope

SECRET = "vcp_s3cr3t+/'\"é&=%Value"
PLAIN = "vcp_aSecretOfManyLetters"


def forms(secret: str) -> dict[str, str]:
    """The forms that a secret takes on its way, each within other text."""
    raw = secret.encode()
    return {
        "plain": f"a {secret} b",
        "repr": f"{{'token': {secret!r}}}",
        "url": f"?token={quote(secret, safe='')}&x=1",
        "json": json.dumps({"token": secret}),
        "json as it is": json.dumps({"token": secret}, ensure_ascii=False),
        "sql": "'" + secret.replace("'", "''") + "'",
        "base64": base64.b64encode(raw).decode(),
        "base64 after 1": base64.b64encode(b"x" + raw).decode(),
        "base64 after 2": base64.b64encode(b"xy" + raw).decode(),
        "base64 within": base64.b64encode(b"client:" + raw + b":more").decode(),
        "base64 for URLs": base64.urlsafe_b64encode(b"\xff" + raw).decode(),
        "twice": f"{secret}{secret}",
    }


@pytest.mark.parametrize("form", forms(SECRET))
@pytest.mark.parametrize("secret", [SECRET, PLAIN, "short1"])
def test_each_form_is_masked(secret, form):
    redactor = Redactor()
    redactor.add(secret)
    text = forms(secret)[form]
    masked = redactor.mask(text)
    if secret == "short1" and "base64" in form:
        return  # the part that depends on it alone is too short to tell from other text
    assert MASK in masked
    left = masked.replace(MASK, "")
    assert not any(secret[n : n + 6] in left for n in range(len(secret) - 5))


def test_other_text_is_left_alone():
    redactor = Redactor()
    for value in (PLAIN, "abc", None, 5, ""):
        redactor.add(value)
    assert redactor.mask("abc 5 None vcp_other") == "abc 5 None vcp_other"


def test_a_secret_within_another_leaves_no_remainder():
    redactor = Redactor()
    redactor.add("inner-secret")
    redactor.add("outer-inner-secret-outer")
    assert redactor.mask("<outer-inner-secret-outer>") == f"<{MASK}>"


# What is shown of a connection


def logged(caplog) -> str:
    """What was logged on the client's side; the simulated API runs in the same process."""
    ours = (r for r in caplog.records if not r.name.startswith("uvicorn"))
    return "\n".join(f"{record.name} {record.getMessage()}" for record in ours)


def test_nothing_of_a_client_shows_the_token(sim, make_client, method, caplog, monkeypatch):
    monkeypatch.setattr(CancelScope, "sleep", lambda scope, seconds, **_what: None)
    caplog.set_level(logging.DEBUG)
    client = make_client(sim, attempts=2)
    read = build_request(method("get_auth_token"), {"tokenId": "current"})
    events = []
    shown = [repr(client), str(client), repr(client.credential), repr(client.redactor)]
    with client.observed(events.append):
        shown.append(repr(client.send(read)))
        # Vercel cites the token in an error; somebody takes it for an id.
        sim.faults(kind="status", status=400, message=f"bad {sim.token}", extra={"t": [sim.token]})
        shown += _all_of(client, build_request(method("get_auth_token"), {"tokenId": sim.token}))
        sim.faults(kind="drop_before", times=2)
        shown += _all_of(client, build_request(method("get_auth_token"), {"tokenId": sim.token}))
    told = "\n".join([*shown, repr(events), logged(caplog)])
    assert MASK in told
    leaked = Redactor()
    leaked.add(sim.token)
    assert leaked.mask(told) == told, "no form of it is left to mask"


def _all_of(client, request) -> list[str]:
    with pytest.raises((APIError, TransportError)) as raised:
        client.send(request)
    error = raised.value
    return [str(error), repr(error), str(error.args), repr(vars(error)), error.path]


def test_an_answer_that_cannot_be_used_does_not_cite_a_secret(sim, make_client, method):
    client = make_client(sim)
    sim.faults(kind="body", body=f'{{"{sim.token}":1,"{sim.token}":2}}')
    answer = client.send(build_request(method("get_auth_token"), {"tokenId": sim.token}))
    with pytest.raises(Exception, match="stands twice") as raised:
        answer.json()
    assert sim.token not in f"{raised.value!r} {vars(raised.value)} {answer!r}"


def test_secret_parameters_are_masked_once_they_were_sent(sim, make_client, method, caplog):
    caplog.set_level(logging.DEBUG)
    client = make_client(sim)
    request = build_request(method("verify_token"), {"token": "verification-1234", "email": "e@x"})
    assert "verification-1234" not in repr(request)
    assert request.shown_query == {"token": MASK, "email": "e@x"}
    sim.faults(kind="status", status=403, message="no login for verification-1234")
    with pytest.raises(APIError) as raised:
        client.send(request)
    assert "verification-1234" not in f"{raised.value} {raised.value.message} {logged(caplog)}"
    assert "GET /registration/verify -> 403" in logged(caplog)


def test_what_others_send_with_httpx_is_logged_as_ever(sim, make_client, method, caplog):
    caplog.set_level(logging.INFO)
    make_client(sim).send(build_request(method("get_auth_token"), {"tokenId": "current"}))
    assert "HTTP Request" not in logged(caplog)
    httpx.get(sim.url + "/v2/user", trust_env=False)
    assert "HTTP Request: GET" in logged(caplog)


@pytest.mark.parametrize("make", [lambda c: c, lambda c: c.credential, lambda c: c.redactor])
def test_what_holds_a_secret_is_not_pickled_or_copied(sim, make_client, make):
    thing = make(make_client(sim))
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            copier(thing)


# Where the token comes from


def test_the_argument_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("VERCEL_TOKEN", "vcp_fromEnvironment")
    assert find_credential(vercel().provider, " vcp_given\n").token == "vcp_given"
    found = find_credential(vercel().provider)
    assert (found.token, found.source) == ("vcp_fromEnvironment", "VERCEL_TOKEN")
    monkeypatch.setenv("VERCEL_TOKEN", "  ")
    assert find_credential(vercel().provider).token is None


@pytest.mark.parametrize("token", ["a b", "a\nb", "a\r\nX: y", "a\tb", "tök", "a\x00b", "", "  "])
@pytest.mark.parametrize("given", [True, False])
def test_what_is_no_token_is_refused_without_being_cited(monkeypatch, token, given):
    token = f"leakme{token}leakme" if token.strip() else token
    if not given:
        if not token.strip() or "\x00" in token:
            pytest.skip("not possible in the environment, or as if unset")
        monkeypatch.setenv("VERCEL_TOKEN", token)
    with pytest.raises(ParameterError, match="the token from") as raised:
        find_credential(vercel().provider, token if given else None)
    assert "leakme" not in str(raised.value)


def test_a_credential_shows_only_its_source():
    assert PLAIN not in repr(Credential(PLAIN, "argument"))
    assert PLAIN not in str(Credential(PLAIN, "argument"))


# The secrets file


def test_lines_are_appended_and_the_repr_shows_only_the_path(tmp_path):
    file = SecretsFile(tmp_path / "secrets")
    file.append("a.b", "make", {"token": "one", "more": {"n": 2**70}}, create="c1")
    SecretsFile(tmp_path / "secrets").append("a.b", "make", {"token": 'two"\n'}, create="c2")
    lines = [json.loads(line) for line in (tmp_path / "secrets").read_text().splitlines()]
    assert [line["token"] for line in lines] == ["one", 'two"\n']
    assert lines[0]["more"] == {"n": 2**70}
    assert "one" not in repr(file)
