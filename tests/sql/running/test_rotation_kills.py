"""A process that is killed in the middle of a rotation leaves a secret that works, at hand."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.auth.login_store import LoginStore, SavedLogin

from ...absent_tools import without_tools

T = "vercel.authentication.user_tokens"
PATIENCE = 60

# Kills itself as soon as it has the answer to a request, before it does anything with it.
ROTATE = """
import os, signal, sys
import vercel_sql

def kill(event):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

left = int(sys.argv[2])
with vercel_sql.connect() as db, db.observed(kill):
    db.execute("EXEC vercel.authentication.user_tokens.rotate_token @tokenId = $id",
               {"id": sys.argv[1]}).fetchall()
"""
NEVER = 99
REQUESTS = ["find", "whose", "make", "prove", "revoke"]


def waits_for(method, count):
    """Whether the account has received so many requests of a method."""
    return lambda received: sum(each.method == method for each in received) == count


@pytest.fixture
def kill(sim):
    """Rotates in a process that is killed; by itself, or when a request has arrived."""

    def run(id_, *, answered=NEVER, arrived=None, **env):
        command = [sys.executable, "-c", ROTATE, id_, str(answered)]
        known = {"VERCEL_API_URL": sim.url, "VERCEL_OAUTH_URL": sim.url, **env}
        with subprocess.Popen(command, env={**os.environ, **without_tools(), **known}) as process:
            try:
                if arrived is not None:
                    end = time.monotonic() + PATIENCE
                    while not arrived(sim.requests()):
                        assert time.monotonic() < end
                        time.sleep(0.005)
                    process.kill()
                assert process.wait(PATIENCE) == -signal.SIGKILL
            finally:
                process.kill()

    return run


@pytest.fixture
def hands():
    """The secrets that are in the file."""

    def read():
        path = Path(os.environ["VERCEL_SQL_STATE_DIR"]) / "secrets.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["bearerToken"] for line in lines]

    return read


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
@pytest.mark.parametrize("step", REQUESTS)
def test_killed_with_an_answer_in_hand(kill, sim, hands, authenticates, step, is_own):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    kill(old.id, answered=REQUESTS.index(step) + 1, VERCEL_TOKEN=sim.token)
    assert [secret for secret in [old.bearer, *hands()] if authenticates(secret)]
    assert authenticates(old.bearer) == (step != "revoke")
    assert len(hands()) == (step in ("prove", "revoke"))
    assert all(map(authenticates, hands()))


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize(("method", "count"), [("POST", 1), ("GET", 3), ("DELETE", 1)])
def test_killed_while_it_waits(kill, sim, hands, authenticates, method, count, acts):
    old = sim.state.calling_token
    sim.faults(kind="hang", acts=acts, method=method, after=count - 1)
    kill(old.id, arrived=waits_for(method, count), VERCEL_TOKEN=sim.token)
    assert [secret for secret in [old.bearer, *hands()] if authenticates(secret)]
    assert len(hands()) == (method != "POST")
    assert all(map(authenticates, hands()))


@pytest.mark.parametrize(
    ("moment", "has_taken_over"),
    [
        ({"answered": 3}, False),  # the proof
        ({"arrived": waits_for("DELETE", 1)}, True),
        ({"answered": 4}, True),
    ],
    ids=["proven", "revoking", "revoked"],
)
def test_the_next_process_with_the_saved_login_works(kill, sim, moment, has_taken_over):
    """The login goes over to the new token before the old one is revoked."""
    urls = {"api_url": sim.url, "oauth_url": sim.url}
    store = LoginStore(sim.url)
    with store.locked():
        store.write(SavedLogin(kind="token", access_token=sim.token, saved_at=1, **urls))
    if "arrived" in moment:
        sim.faults(kind="hang", method="DELETE")
    kill("current", **moment)
    with vercel_sql.connect(**urls) as db:
        assert db.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchall()
    saved, _ = store.read()
    assert (saved.access_token != sim.token) == has_taken_over
