"""A rotation on the command line: the row is printed, whatever comes of the last step."""

import json
import signal
import time

import pytest

from .conftest import PATIENCE, environment, started

T = "vercel.authentication.user_tokens"
SELF = f"EXEC {T}.rotate_token @tokenId = 'current'"


@pytest.fixture
def rotate(here, sim):
    """Rotates the calling token, or another."""
    return lambda *options, sql=SELF: here("-o", "json", *options, "-c", sql, sim=sim)


def test_the_row_is_printed(rotate, sim, tmp_path):
    old = sim.token
    ended = rotate("--save-secrets", str(tmp_path / "secrets"))
    assert (ended.code, ended.err) == (0, "")
    (row,) = json.loads(ended.out)
    assert sim.state.find_token(row["tokenId"]).bearer == row["bearerToken"]
    assert row["savedTo"] == str(tmp_path / "secrets")
    assert (
        row["notice"] == "The old secret still stands where it came from (VERCEL_TOKEN): replace it"
    )
    assert sim.state.find_bearer(old) is None


@pytest.mark.parametrize("fmt", ["table", "csv", "json", "ndjson", "markdown"])
def test_what_was_made_is_printed_where_the_last_step_fails(here, sim, fmt):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="status", status=403, message="No.", method="DELETE")
    ended = here("-o", fmt, "-c", f"EXEC {T}.rotate_token @tokenId = '{old.id}'", sim=sim)
    assert ended.code == 1
    new = sim.state.tokens()[0]
    assert new.bearer in ended.out
    assert new.bearer not in ended.err
    for said in (", 403)", "No (", f"There is a new one, {new.id}", "it works", old.id):
        assert said in ended.err
    assert f"To finish, run DELETE FROM {T} WHERE id = '{old.id}'" in ended.err
    assert ended.err.rstrip().endswith("The row of the new one is in the output")
    assert "Traceback" not in ended.err


def test_what_the_error_says_to_run_does_it(here, sim):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="status", status=403, method="DELETE")
    ended = here("-o", "csv", "-c", f"EXEC {T}.rotate_token @tokenId = '{old.id}'", sim=sim)
    finish = ended.err.partition("To finish, run ")[2].partition(";")[0]
    assert here("-c", finish, "--expect-rows", "1", sim=sim).code == 0
    assert sim.state.find_token(old.id) is None


def test_what_to_run_for_the_calling_token_begins_with_its_place(here, rotate, sim, monkeypatch):
    old = sim.state.calling_token
    sim.faults(kind="status", status=500, method="DELETE", times=None)
    ended = rotate()
    assert ended.code == 1
    finish = (
        "To finish, put the new secret where the old one came from (VERCEL_TOKEN), then run "
        f"DELETE FROM {T} WHERE id = '{old.id}'"
    )
    assert finish in ended.err
    (row,) = json.loads(ended.out)
    sim.clear_faults()
    delete = finish.partition("then run ")[2]
    # In another process the old secret is still the calling one, and does not delete itself.
    assert here("-c", delete, sim=sim).code == 1
    monkeypatch.setenv("VERCEL_TOKEN", row["bearerToken"])
    monkeypatch.setenv("VERCEL_API_URL", sim.url)
    assert here("-c", delete, "--expect-rows", "1").code == 0
    assert sim.state.find_token(old.id) is None


@pytest.mark.parametrize("of", ["current", "another"])
def test_a_row_that_could_not_be_read(rotate, sim, of):
    id_ = "current" if of == "current" else sim.state.add_token({"name": "deploys"}).id
    sim.faults(kind="status", status=500, method="GET", times=None)
    ended = rotate(sql=f"EXEC {T}.rotate_token @tokenId = '{id_}'")
    assert (ended.code, ended.out) == (1, "")
    assert f": EXEC {T}.rotate_token: Internal Server Error (GET /v5/user/tokens/" in ended.err
    assert ended.err.count("EXEC") == 1
    assert "500 internal_server_error" in ended.err
    assert ended.err.endswith(". Nothing was changed\n")


def test_read_only(rotate, sim):
    ended = rotate("--read-only")
    assert ended.code == 1
    assert "this connection is read-only" in ended.err
    assert sim.requests() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_before_the_old_one_is_revoked(sim, number):
    sim.faults(kind="hang", path="*/current", after=1)
    with started(["-o", "ndjson", "-c", SELF], environment(sim)) as process:
        end = time.monotonic() + PATIENCE
        while [r.method for r in sim.requests()] != ["GET", "POST", "GET"]:
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(number)
        out, err = (text.decode() for text in process.communicate(timeout=PATIENCE))
    assert process.returncode == 128 + number
    (row,) = map(json.loads, out.splitlines())
    assert sim.state.find_token(row["tokenId"]).bearer == row["bearerToken"]
    assert row["revokedTokenId"] is None
    assert f"There is a new one, {row['tokenId']}" in err
    assert f"The old one, {sim.state.calling_token.id}, is as it was" in err
    assert "Traceback" not in err
    assert row["bearerToken"] not in err
    assert sim.state.find_bearer(sim.token) is sim.state.calling_token


def test_recover_does_not_take_the_old_token_for_a_lost_one(here, sim):
    """It may have the name of the new one, and be as young; what came of the request is named."""
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="drop_after", method="POST")
    ended = here("-c", f"EXEC {T}.rotate_token @tokenId = '{old.id}'", sim=sim)
    assert ended.code == 1
    lost = sim.state.tokens()[0]
    assert lost.id in ended.err
    told = here("recover", sim=sim)
    assert lost.id in told.out + told.err
    assert old.id not in told.out + told.err
