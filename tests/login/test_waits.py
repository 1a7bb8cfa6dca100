"""Logins wait for others: each wait has a limit, says what it is for, and ends with Ctrl-C.

| wait | limit | what is said |
| --- | --- | --- |
| the keyring | 20 s; then it is left out for a minute | after 2 s, and how to do without it |
| another process that has locked the saved login | 120 s | after 2 s, which file is locked |
| a renewal that is under way when the command ends | 5 s | after 2 s, for what |
| a browser that was opened | none is waited for | the address, before it is opened |
| the redirect of a browser | ``--timeout`` | "Waiting for the sign-in" |
| a connection to the redirect's port | 10 s for its request; 64 at once | nothing |
| the person with the other device, or the email | ``--timeout``, and the code's end | "Waiting" |
| a server that fails meanwhile | the same; ever less often, at least once a minute | each failure |
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from filelock import FileLock

from ..scale import SCALE
from .conftest import PATIENCE, fetch, query_of, with_query

TOKEN_PATH = "/login/oauth/token"
SILENT = """
import time
from keyring.backend import KeyringBackend
from vercel_sql.auth import login_store
login_store._KEYRING_SECONDS = {limit}

class Silent(KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        time.sleep(3600)

    set_password = delete_password = get_password
"""


@pytest.fixture
def silent_keyring(account, tmp_path):
    """Makes the keyring one that never answers, and how long it is waited for."""

    def silent(limit=2.2):
        (tmp_path / "silent_keyring.py").write_text(SILENT.format(limit=limit))
        account.env |= {
            "PYTHONPATH": str(tmp_path),
            "PYTHON_KEYRING_BACKEND": "silent_keyring.Silent",
        }
        del account.env["VERCEL_SQL_KEYRING"]

    return silent


@pytest.fixture
def silent_bus(account, tmp_path):
    """A session bus that authenticates whoever comes, and is silent from then on."""
    path = str(tmp_path / "bus")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()

        def serve():
            with suppress(OSError):
                while True:
                    client = stack.enter_context(listener.accept()[0])
                    client.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        account.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"
        del account.env["VERCEL_SQL_KEYRING"]
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def interrupted(running):
    """Ends a command by Ctrl-C, at once and without a traceback."""
    began = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 130, running.err
    assert "Traceback" not in running.err
    assert "interrupted" in running.err.splitlines()[-1]
    assert time.monotonic() - began < PATIENCE / 2


WAITING = "waiting for the keyring, which may have to be unlocked, for "


@pytest.mark.parametrize("command", [("whoami",), ("-c", "SELECT username FROM vercel.user.user")])
def test_a_keyring_that_is_silent_is_left_out(account, silent_keyring, command):
    silent_keyring()
    ended = account.run(*command)
    assert ended.process.returncode == 1
    assert WAITING in ended.err
    assert "VERCEL_SQL_KEYRING=off" in ended.err
    assert "the keyring can't be read, and is skipped: it did not answer within 2 s" in ended.err
    assert "the saved login for" in ended.err.splitlines()[-1]  # among the places without a token
    assert account.run(*command, VERCEL_TOKEN=account.sim.token).err == ""


def test_a_keyring_that_is_silent_gives_way_to_the_file(account, silent_keyring):
    silent_keyring()
    account.login()
    assert account.saved["kind"] == "oauth"
    assert account.run("whoami").process.returncode == 0
    ended = account.run("logout")
    assert ended.process.returncode == 1
    assert "the login, if the keyring has one, can't be removed from it" in ended.err
    assert account.files == []


def test_ctrl_c_while_a_keyring_is_waited_for(account, silent_keyring):
    silent_keyring(3600)
    login = ("login", "--oauth", "--client-id", account.client_id, *account.port_for())
    for command in (("whoami",), login, ("logout",), ("-c", "FROM vercel.user.user")):
        running = account.start(*command)
        running.until(WAITING)
        interrupted(running)


def test_a_session_bus_that_is_silent(account, silent_bus):
    pytest.importorskip("secretstorage")
    running = account.start("whoami")
    running.until(WAITING)
    interrupted(running)


def test_another_process_that_has_locked_the_login(account):
    account.login()
    account.change(expires_at=1)
    with FileLock(account.files[0].with_suffix(".lock")):
        running = account.start("whoami")
        assert str(account.files[0].with_suffix(".lock")) in running.until("another process")
        interrupted(running)
        running = account.start("whoami")
        running.until("waiting for another process")
    assert running.end() == 0, running.err


def test_a_renewal_that_is_under_way(account):
    """It is waited for a little, since it can't be repeated."""
    account.login()
    account.change(expires_at=1)
    account.sim.faults(kind="hang", path=TOKEN_PATH, times=None)
    before = len(account.refreshes())
    running = account.start("whoami")
    deadline = time.monotonic() + PATIENCE
    while len(account.refreshes()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.process.send_signal(signal.SIGINT)
    running.until("Waiting for the renewal of the saved login")
    running.process.send_signal(signal.SIGINT)  # which is obeyed at once
    assert running.end() == 130, running.err
    assert "Traceback" not in running.err


# Browsers


@pytest.fixture
def browser(account, tmp_path):
    """A browser that runs until the test ends, and that says by a file that it does."""
    opened, needed = tmp_path / "opened", tmp_path / "needed"
    needed.touch()
    script = tmp_path / "browser.py"
    script.write_text(
        "import os, sys, time\n"
        f"new = {str(opened)!r} + '.new'\n"
        "open(new, 'w').write(sys.argv[1])\n"
        f"os.rename(new, {str(opened)!r})\n"
        f"while os.path.exists({str(needed)!r}): time.sleep(0.1)\n"
    )
    account.env["BROWSER"] = f"{sys.executable} {script} %s"
    yield opened
    needed.unlink()


def waited_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def test_a_browser_in_the_foreground_is_not_waited_for(account, browser):
    app = ("--client-id", account.client_id, *account.port_for())
    running = account.start("login", "--oauth", *app)
    address = running.until("http://")
    assert waited_for(browser) == address
    assert fetch(account.sim.oauth.authorize(address))[0] == 200
    assert running.end() == 0, running.err
    assert account.saved["kind"] == "oauth"


def test_a_browser_in_the_foreground_keeps_no_time_limit_and_no_ctrl_c_away(account, browser):
    login = ("login", "--oauth", "--client-id", account.client_id, *account.port_for())
    running = account.start(*login, "--timeout", "1")
    running.until("http://")
    assert running.end() == 1
    assert "nobody signed in within 1 s" in running.err
    browser.unlink(missing_ok=True)
    running = account.start(*login)
    running.until("Waiting")
    interrupted(running)


def test_no_browser_at_all(account, tmp_path):
    account.env |= {"PATH": str(tmp_path), "BROWSER": "/nowhere/browser"}
    app = ("--client-id", account.client_id, *account.port_for())
    running = account.start("login", "--oauth", *app)
    address = running.until("http://")
    assert fetch(account.sim.oauth.authorize(address))[0] == 200
    assert running.end() == 0, running.err


# The redirect


@contextmanager
def connections(base: str, count: int):
    """Connections that say nothing."""
    port = int(base.partition("//")[2].partition("/")[0].partition(":")[2])
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(count)
        ]


def test_connections_that_say_nothing_hold_nothing_up(account):
    running, address = account.begin()
    base = query_of(address)["redirect_uri"]
    status = Path(f"/proc/{running.process.pid}")
    with connections(base, 300 * SCALE) as many:
        for one in many[::2]:
            with suppress(OSError):  # the first ones are closed already
                one.sendall(b"GET /callback?state=x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert fetch(f"{base}?state=x")[0] == 400
        if status.exists():
            assert len(list((status / "fd").iterdir())) < 150
            assert len(list((status / "task").iterdir())) < 40
        assert fetch(account.sim.oauth.authorize(address))[0] == 200
        assert running.end() == 0, running.err


def test_a_half_sent_request_is_given_up(account):
    running, address = account.begin()
    with connections(query_of(address)["redirect_uri"], 1) as (one,):
        one.sendall(b"GET /callback?sta")
        for _ in range(3):  # a byte now and then prolongs nothing
            time.sleep(1)
            one.sendall(b"t")
        assert one.recv(100) == b""
    assert running.process.poll() is None
    interrupted(running)


def test_an_attacker_on_loopback_ends_no_sign_in(account):
    """As fast as they can: guesses, foreign hosts, no HTTP, too much of it."""
    running, address = account.begin()
    base = query_of(address)["redirect_uri"]
    host = base.partition("//")[2].partition("/")[0].encode()
    port = int(host.partition(b":")[2])
    stop = threading.Event()
    requests = [
        b"GET /callback?state=x&code=y HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET /callback?state=x&state=x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET /callback?error=no HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"GET /callback?state=x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET http://[::1/callback HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"HEAD /callback?state=x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
        b"POST /callback HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 9999999\r\n\r\n" * 9,
        b"GET /" + b"a" * 70_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n",
        b"",
    ]
    sent = []

    def attack(number):
        while not stop.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
                one.settimeout(0.05)
                one.sendall(requests[number % len(requests)])
                sent.append(number)
                if number % 3:
                    one.recv(200)
            number += 1

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while len(sent) < 500 * SCALE:
            assert time.monotonic() < deadline
            assert running.process.poll() is None, running.end()
            time.sleep(0.05)
        redirect = account.sim.oauth.authorize(address)
        assert fetch(with_query(redirect, state="wrong"))[0] == 400
        assert fetch(redirect)[0] == 200
        assert running.end() == 0, running.err
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert account.saved["kind"] == "oauth"
    assert "Traceback" not in running.err
    assert len(running.err.splitlines()) < 20  # said once, whoever goes on


# Polls


@pytest.fixture
def device(account):
    account.sim.oauth.devices.interval_seconds = 0.3

    def begin(*more):
        login = ("login", "--device", "--client-id", account.client_id, "--request-timeout", "2")
        return account.start(*login, *more)

    return begin


FAILURES = {
    "502": ({"kind": "status", "status": 502}, "status 502"),
    "503": ({"kind": "status", "status": 503, "headers": {"Retry-After": "1"}}, "status 503"),
    "dropped before": ({"kind": "drop_before"}, "did not answer"),
    "dropped after": ({"kind": "drop_after"}, "did not answer"),
    "cut": ({"kind": "cut_body"}, "did not answer"),
    "no JSON": ({"kind": "body", "body": "<html>", "status": 200}, "can't be used"),
    "silence": ({"kind": "hang"}, "did not answer"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_device_goes_on_asking_when_the_server_fails(account, device, name):
    fault, said = FAILURES[name]
    account.sim.faults(path=TOKEN_PATH, times=2, **fault)
    running = device()
    for _ in range(2):
        assert said in running.until("asking again in")
    account.sim.oauth.authorize_device()
    assert running.end() == 0, running.err
    assert account.saved["refresh_token"].startswith("vcr_")
    # Each question was noted in the journal, and nothing is left to be done about any.
    assert account.run("recover").process.returncode == 0


def test_a_device_goes_on_asking_when_the_server_is_left_alone_for_a_while(account, device):
    account.sim.faults(kind="status", status=503, path=TOKEN_PATH, times=None)
    running = device()
    for _ in range(3):
        running.until("asking again in")
    account.sim.oauth.authorize_device()
    account.sim.clear_faults()
    assert running.end() == 0, running.err


def test_a_device_does_not_ask_before_the_rate_limit_lets_it(account, device):
    headers = {"Retry-After": "9999"}
    account.sim.faults(kind="status", status=429, path=TOKEN_PATH, times=None, headers=headers)
    running = device("--timeout", "2")
    assert running.end() == 1
    assert (
        "the rate limit lets exchange_device_code go on only in 2 hours 46 minutes" in running.err
    )
    assert len([each for each in account.sim.requests() if each.path == TOKEN_PATH]) == 1


def test_a_server_that_fails_to_the_end(account, device):
    account.sim.faults(kind="status", status=502, path=TOKEN_PATH, times=None)
    running = device("--timeout", "2")
    assert running.end() == 1
    last = running.err.splitlines()[-1]
    assert "no login came in time, and nothing was saved. The last question that failed" in last
    assert "502" in last
    assert "DELETE" not in running.err
    assert "statement" not in running.err
    assert account.files == []


def test_a_device_whose_answer_was_lost_is_told_what_that_may_mean(account, device):
    running = device()
    running.until("Waiting")
    account.sim.faults(kind="drop_after", path=TOKEN_PATH, times=1)
    account.sim.oauth.authorize_device()
    assert running.end() == 1
    last = running.err.splitlines()[-1]
    assert "invalid_grant" in last
    assert last.startswith("vercel-sql: the login may have been lost on its way")
    assert "Nothing was saved here; begin the sign-in again" in last
    assert "statement" not in running.err
    assert account.files == []


def test_ctrl_c_between_two_questions(account, device):
    account.sim.faults(kind="status", status=502, path=TOKEN_PATH, times=None)
    running = device()
    running.until("asking again in")
    interrupted(running)
