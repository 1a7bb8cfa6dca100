"""No secret in what is printed, logged, listed as a process, sent in a URL, or kept as history."""

from __future__ import annotations

import logging
import time

import pytest

import vercel_sql
from vercel_sql.errors import Error

from ..cli.forks import FORKS
from .conftest import fetch, query_of


def secrets_of(account) -> set[str]:
    """All that the server gave out or was sent, which nobody else is to see."""
    names = ("code", "code_verifier", "client_secret", "refresh_token", "token", "device_code")
    forms = [dict(request.form or []) for request in account.sim.requests()]
    found = {form[name] for form in forms for name in names if name in form}
    found |= set(account.sim.oauth.codes._codes)
    found |= set(account.sim.oauth.sessions._issued)
    found |= {login.token for login in account.sim.state.logins.values()}
    return found - {account.client_id}


def clean(account, *texts: str) -> None:
    secrets = secrets_of(account)
    assert len(secrets) >= 2
    for text in texts:
        assert not [secret for secret in secrets if secret in text]
        assert "eyJ" not in text  # how every ID token begins


def test_a_whole_life(account):
    account.forks = False  # its command line would be that of another process
    running, address = account.begin()
    account.forks = FORKS
    listed = running.cmdline
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0
    account.change(expires_at=int(time.time() * 1000))
    ended = [running]
    ended += [account.run("whoami"), account.run("whoami", "-o", "json")]
    ended += [account.run("-v", "-c", "SELECT name FROM vercel.authentication.user_tokens")]
    account.sim.faults(kind="status", status=500, path="/login/oauth/token/revoke")
    ended += [account.run("logout"), account.run("whoami")]
    clean(account, listed, address, *(each.out + each.err for each in ended))
    # What is shown of the address is what a browser has to be given, and no more.
    asked = query_of(address)
    assert not {"code_verifier", "client_secret", "code"} & set(asked)
    for each in ended:
        assert each.err.count(asked["state"]) == (1 if each is running else 0)
        assert each.err.count(asked["nonce"]) == (1 if each is running else 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "garbage_body"},
        {"kind": "cut_body"},
        {"kind": "drop_after"},
    ],
)
def test_logins_that_fail(account, fault):
    account.sim.faults(path="/login/oauth/token", **fault)
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 1
    account.sim.oauth.mint_code()
    clean(account, running.out + running.err)


def test_a_server_that_cites_what_it_was_sent(account):
    """Its error repeats the code, the verifier and the refresh token."""
    running, address = account.begin()
    redirect = account.sim.oauth.authorize(address)
    code = query_of(redirect)["code"]
    path = "/login/oauth/token"
    body = {"error": "invalid_grant", "error_description": f"no such code: {code}"}
    account.sim.faults(kind="body", status=400, path=path, body=body)
    fetch(redirect)
    assert running.end() == 1
    assert "[secret]" in running.err
    clean(account, running.err)

    account.login()
    refresh = account.saved["refresh_token"]
    account.change(expires_at=1)
    body["error_description"] = f"no such token: {refresh}"
    account.sim.faults(kind="body", status=400, path=path, body=body)
    ended = account.run("whoami")
    assert ended.process.returncode == 1
    assert "[secret]" in ended.err
    clean(account, ended.err)


def test_the_log_and_errors_of_a_program(account, caplog):
    account.login()
    account.sim.advance(3601)
    account.sim.faults(kind="status", status=404, path="/v2/user", after=1)
    with caplog.at_level(logging.DEBUG), vercel_sql.connect(api_url=account.sim.url) as con:
        with pytest.raises(Error) as raised:
            con.execute("SELECT username FROM vercel.user.user").fetchall()
        shown = [repr(con), repr(con.client), repr(con.client.credential), str(raised.value)]
    assert len(account.refreshes()) == 1
    clean(account, caplog.text, *shown, *(str(vars(r)) for r in caplog.records))


def test_what_the_server_is_asked_holds_no_secret_in_its_address(account):
    account.login()
    account.change(expires_at=1)
    account.run("whoami")
    account.run("logout")
    for request in account.sim.requests():
        clean(account, request.path, str(request.query))


@pytest.mark.parametrize(
    "arguments",
    [
        ("login", "--oauth", "--client-id", "x", "--client-secret", "leakmesecret"),
        ("login", "--oauth", "--client-id", "x", "--client-secret=leakmesecret"),
        ("login", "leakmesecret"),
        ("whoami", "--token", "leakmesecret"),
        ("-c", "SELECT 1", "--token=leakmesecret"),
    ],
)
def test_a_wrong_command_line_repeats_no_value(account, arguments):
    """Secrets come from files only: there is no option that takes one."""
    ended = account.run(*arguments)
    assert ended.process.returncode == 2
    assert "leakmesecret" not in ended.err + ended.out
