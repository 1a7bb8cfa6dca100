"""The command line: every command, through success and failure, with all logging on."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from ..login.conftest import fetch, query_of
from .conftest import NAMES, PLANTED, REFUSED, Machine, T, cited

EXCHANGE = (
    "INSERT INTO vercel.oauth.tokens (client_id, client_secret, code, redirect_uri, code_verifier) "
    "SELECT 'cl', $s, $s, 'http://127.0.0.1/', $s"
)
MISTAKES = [
    f"SELECT nix FROM vercel.oauth.introspection WHERE token = '{PLANTED}'",
    f"EXEC {T}.verify_token @token = '{PLANTED}', @nix = 1",
    f"SELECT 1 FROM vercel.oauth.introspection WHERE token = '{PLANTED}",
]


@pytest.fixture
def account(machine: Machine) -> dict[str, str]:
    """What the commands find of the account: the token in a file, the rest in the environment."""
    return {"VERCEL_API_URL": machine.sim.url, "VERCEL_OAUTH_URL": machine.sim.url}


@pytest.fixture
def token_file(machine: Machine) -> list[str]:
    return ["--token-file", str(machine.file("token", machine.sim.token))]


def test_statements(machine, account, token_file):
    """A new secret is on standard output, once, and in the file for secrets; else nowhere."""
    saved = machine.file("secrets.jsonl")
    value = machine.file("value", PLANTED)
    database = ["--database", str(machine.home / "mine.duckdb")]
    options = [*machine.options, *token_file, *database, "--save-secrets", str(saved)]
    sql = f"INSERT INTO {T} (name) SELECT 'made' RETURNING bearerToken, upper(bearerToken) AS loud"
    ended = machine.run("-o", "json", "-c", sql, *options, shows=True, **account)
    (made,) = [event.bearer for event in machine.sim.history() if event.name == "made"]
    assert json.loads(ended.out) == [{"bearerToken": made, "loud": made.upper()}]
    assert ended.out.count(made) == 1
    assert saved.read_text().count(made) == 1

    script = machine.home / "script.sql"
    script.write_text(
        f"SELECT name FROM {T} WHERE name = 'made';\nDELETE FROM {T} WHERE name = 'made'"
    )
    machine.run("-f", str(script), *options, **account)
    param = ["--param", f"s=@{value}"]
    machine.run("-c", EXCHANGE, *param, *options, fails=True, **account)
    machine.run("-c", f"EXPLAIN {EXCHANGE}", *param, *options, **account)
    machine.search()


def test_a_command_that_is_interrupted(machine, account, token_file, interrupt):
    machine.sim.faults(kind="hang", ms=20_000, times=None, path="/v3/user/tokens")
    saved = machine.file("secrets.jsonl")
    options = [*machine.options, *token_file, "--save-secrets", str(saved)]
    sql = f"INSERT INTO {T} (name) SELECT 'made'"
    with machine.started("-c", sql, *options, **account) as process:
        end = time.monotonic() + 60
        while not any(request.method == "POST" for request in machine.sim.requests()):
            assert time.monotonic() < end
            time.sleep(0.02)
        machine.listed(process)
        interrupt(process)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    machine.show("what an interrupted command wrote", out + err)
    machine.sim.clear_faults()
    machine.run("recover", *machine.options, *token_file, fails=True, **account)
    machine.search()


@pytest.mark.parametrize("fault", [None, *REFUSED], ids=["fine", *NAMES])
def test_statements_that_fail(at_home, here, sim, fault):
    """In this process, since there are many."""
    token = ["--token-file", str(at_home.file("token", sim.token))]
    value = ["--param", f"s=@{at_home.file('value', PLANTED)}"]
    urls = ["--api-url", sim.url, "--oauth-url", sim.url, "--request-timeout", "5"]
    options = [*at_home.options, *token, *urls]
    if fault is not None:
        sim.faults(times=None, **fault)
    else:
        sim.faults(times=None, **cited(sim))
    statements = [
        f"DELETE FROM {T} WHERE name = 'x'",
        f"INSERT INTO {T} (name) SELECT 'a'",
        *MISTAKES,
    ]
    for sql in statements:
        ended = here(*options, "-c", sql)
        at_home.show("standard output", ended.out)
        at_home.show("standard error", ended.err)
        assert ended.code == 1
    ended = here(*options, *value, "-c", EXCHANGE)
    at_home.show("standard error", ended.err)
    assert "Traceback" not in at_home.shown["standard error"].decode()
    at_home.search()


def test_reports_and_snapshots(at_home, here, sim):
    (at_home.home / "report.sql").write_text(
        "SELECT name, is_leaked FROM vercel.audit.user_tokens\n"
    )
    account = ["--token-file", str(at_home.file("token", sim.token)), "--api-url", sim.url]
    report, history = str(at_home.home / "report.sql"), str(at_home.home / "history.duckdb")
    commands = [
        ["run", report, *account, "-o", "html", "--out", str(at_home.folder("reports"))],
        ["run", report, *account, "-o", "parquet", "--out", str(at_home.folder("reports"))],
        ["snapshot", "--to", history, *account],
        ["whoami", *account],
        ["recover", *account],
        ["demo"],
    ]
    for fault in (None, {"kind": "status", "status": 401}, {"kind": "garbage_body", "html": True}):
        if fault is not None:
            sim.faults(times=None, **fault)
        for command in commands:
            logs = [] if command == ["demo"] else at_home.options
            ended = here(*command, *logs)
            if command != [
                "demo"
            ]:  # which shows the secret that it makes, of an account of its own
                at_home.show(f"standard output of {command[0]}", ended.out)
            at_home.show(f"standard error of {command[0]}", ended.err)
    at_home.search()


def test_a_login_by_email(machine, account):
    machine.kept.update(machine.folder("config").glob("**/*"))
    stop = threading.Event()

    def confirm() -> None:
        while not stop.wait(0.05):
            try:
                machine.sim.confirm(email="ada@example.com")
            except LookupError:
                continue
            return

    thread = threading.Thread(target=confirm)
    thread.start()
    try:
        machine.run("login", "--email", "ada@example.com", *machine.options, **account)
    finally:
        stop.set()
        thread.join()
    (login,) = machine.folder("config").glob("**/login-*.json")
    machine.kept.add(login)
    assert json.loads(login.read_text())["access_token"] in [
        event.bearer for event in machine.sim.history()
    ]
    machine.run("whoami", *machine.options, **account)
    machine.run("-c", f"SELECT count(*) FROM {T}", *machine.options, **account)
    machine.sim.faults(kind="status", status=500, method="DELETE")
    machine.run("logout", *machine.options, fails=True, **account)
    machine.search()


@pytest.mark.parametrize("fault", [None, {"kind": "drop_after"}, {"kind": "status", "status": 500}])
def test_a_login_by_browser(machine, account, fault):
    clients = machine.sim.oauth.clients
    app = clients.add(replace(clients.public, native=True))
    options = ["--client-id", app.client_id, "--port", "0", "--no-browser"]
    if fault is not None:
        machine.sim.faults(path="/login/oauth/token", **fault)
    with machine.started("login", "--oauth", *options, *machine.options, **account) as process:
        machine.listed(process)
        address, err = "", b""
        for line in process.stderr:
            err += line
            if "/oauth/authorize?" in line.decode():
                address = line.decode().strip()
                break
        assert not {"code_verifier", "client_secret", "code"} & set(query_of(address))
        fetch(machine.sim.oauth.authorize(address))
        out, rest = process.communicate(timeout=60)
    machine.show("what a login wrote", out + err + rest)
    machine.kept.update(machine.folder("config").glob("**/login-*.json"))
    if fault is None:
        machine.run("whoami", *machine.options, **account)
        # An app may not list the tokens.
        machine.run("-c", f"SELECT count(*) FROM {T}", *machine.options, fails=True, **account)
        machine.run("logout", *machine.options, **account)
    machine.search()


@pytest.mark.parametrize(
    "more",
    [
        {"HTTPS_PROXY": "http://ada:{secret}@127.0.0.1:9"},
        {"HTTPS_PROXY": "ftp://ada:{secret}@127.0.0.1:9"},
        {"VERCEL_API_URL": "https://ada:{secret}@api.example.invalid"},
        {"VERCEL_TOKEN": "{secret} of two words"},
    ],
    ids=["a proxy that is not there", "a proxy that is none", "a URL with a password", "no token"],
)
def test_settings_that_hold_secrets(machine, more):
    """What the environment holds may be read by the same user; what we write never has it."""
    env = {
        "VERCEL_TOKEN": machine.sim.token,
        "VERCEL_API_URL": "https://api.example.invalid",
        **{name: value.format(secret=PLANTED) for name, value in more.items()},
    }
    machine.run("-c", f"SELECT * FROM {T}", *machine.options, fails=True, **env)
    machine.search()


def test_a_server_that_speaks_no_tls(machine):
    """The handshake fails, before any token is sent."""
    url = machine.sim.url.replace("http://", "https://")
    env = {"VERCEL_TOKEN": machine.sim.token, "VERCEL_API_URL": url}
    machine.run("-c", f"SELECT * FROM {T}", *machine.options, fails=True, **env)
    assert machine.sim.requests() == []
    machine.search()
