"""A rotation that fails at any step: a secret at hand works, and the error says what exists."""

import json
import os
import signal
import threading
import time
import traceback
from pathlib import Path
from types import NoneType

import pytest

import vercel_sql
from vercel_sql.errors import UnknownOutcomeError

T = "vercel.authentication.user_tokens"
EXEC = f"EXEC {T}.rotate_token @tokenId = $id"

# Each lasts until it is taken away, so that what is sent again fails again.
FAULTS = {
    "closed before": {"kind": "drop_before"},
    "closed after": {"kind": "drop_after"},
    "cut": {"kind": "cut_body"},
    "garbage": {"kind": "garbage_body"},
    "html": {"kind": "garbage_body", "html": True},
    "500": {"kind": "status", "status": 500},
    "500, acts": {"kind": "status", "status": 500, "acts": True},
    "503": {"kind": "status", "status": 503},
    "403": {"kind": "status", "status": 403},
    "redirect": {"kind": "redirect", "location": "https://example.com/"},
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "60"}},
    "429 of the API": {
        "kind": "status",
        "status": 429,
        "code": "rate_limited",
        "headers": {"Retry-After": "60"},
    },
    "hangs": {"kind": "hang"},
    "acts and hangs": {"kind": "hang", "acts": True},
    "another object": {"kind": "body", "body": {"ok": True}},
}
STEPS = {
    "find": {"method": "GET"},
    "make": {"method": "POST"},
    "prove": {"method": "GET", "path": "*/current", "after": 1},
    "revoke": {"method": "DELETE"},
}
REFUSED = ("403", "429", "429 of the API")
ACTS = ("closed after", "cut", "garbage", "html", "500, acts", "acts and hangs", "another object")


@pytest.fixture
def hands():
    """The secrets that are in the file."""

    def read():
        path = Path(os.environ["VERCEL_SQL_STATE_DIR"]) / "secrets.jsonl"
        if not path.exists():
            return []
        return [json.loads(line)["bearerToken"] for line in path.read_text().splitlines()]

    return read


@pytest.fixture
def db(connect, request):
    # Only what hangs is not waited for: a machine that is busy is no fault.
    return connect(request_timeout=1.0 if "hangs" in request.node.name else 30.0, max_wait=1)


@pytest.fixture
def attempt(db, sim):
    """Rotates a token while a fault lasts; gives the error, or None."""

    def run(id_, *faults):
        for fault in faults:
            sim.faults(times=None, **fault)
        try:
            db.execute(EXEC, {"id": id_}).fetchall()
        except vercel_sql.Error as error:
            return error
        finally:
            sim.clear_faults()
        return None

    return run


def words_of(error):
    """All that a program may print of an error, local variables included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([str(error), repr(error), repr(error.args), *told.format()])


@pytest.fixture
def check(db, sim, hands, authenticates, exists):
    """Whether what came of an attempt is what is so, and somebody has a secret that works."""

    def so(error, old):
        known = hands()
        words = "" if error is None else words_of(error)
        assert not [secret for secret in [old.bearer, *known] if secret in words]
        assert authenticates(old.bearer) or any(map(authenticates, known))
        if error is None:
            assert not exists(old.id)
            assert authenticates(known[-1])
        elif isinstance(error, vercel_sql.RotationError):
            says_what_exists(error, old, known)
        else:
            assert known == []
            assert authenticates(old.bearer)
            assert f"The old one, {old.id}, is as it was" in str(error)
        # Whatever happened, the connection goes on, and knows who it is.
        ((mine,),) = db.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchall()
        assert sim.state.find_token(mine).bearer == db.client.credential.token
        assert db.client.credential.token in [sim.token, *known]

    def says_what_exists(error, old, known):
        text = str(error)
        (row,) = error.rows
        secret = row[error.columns.index("bearerToken")]
        assert known == [secret]
        (new,) = [token for token in sim.state.tokens() if token.bearer == secret]
        assert (error.old, error.new) == (old.id, new.id)
        assert new.id in text
        assert f"DELETE FROM {T} WHERE id = '{old.id}'" in text
        assert error.saved_to in text
        assert error.is_proven == ("it works" in text)
        if error.is_proven:
            assert authenticates(secret)
        if "is not known" not in text:
            assert authenticates(old.bearer)

    return so


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_step(attempt, check, sim, sent, fault, step, is_own):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    before = [token.id for token in sim.state.tokens()]
    error = attempt(old.id, {**FAULTS[fault], **STEPS[step]})
    if step == "find":
        assert not [r for r in sent() if r.method != "GET"]
        assert sim.state.find_token(old.id) is old
        return
    check(error, old)
    if step == "make":
        assert len(sent("POST")) == 1
        assert sent("DELETE") == []
        assert isinstance(error, UnknownOutcomeError) == (fault not in REFUSED)
        orphans = [token.id for token in sim.state.tokens()[:1] if token.id not in before]
        assert list(getattr(error, "orphans", [])) == orphans
        assert len(orphans) == (fault in ACTS)
    elif step == "prove":
        assert isinstance(error, vercel_sql.RotationError)
        assert (error.is_proven, sent("DELETE")) == (False, [])
        assert "it was not proven to work" in str(error)
    else:
        assert len(sent("DELETE")) == 1
        assert (error is None) == (fault in ACTS)
        assert error is None or error.is_proven


# Two faults at once


def test_a_proof_that_fails_once_is_asked_for_again(db, sim, sent):
    sim.faults(**STEPS["prove"], **FAULTS["500"])
    assert db.execute(EXEC, {"id": sim.state.add_token().id}).fetchone()
    assert len(sent("GET")) == 4


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "drop_before"},
        {"kind": "body", "body": {"ok": True}},
        {"kind": "patch", "patch": {"token": {"id": "0" * 64}}},
    ],
    ids=["none", "another object", "another row"],
)
def test_what_nobody_can_find_out_is_not_claimed(db, sim, check, exists, is_own, acts, answer):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    look = {"path": "*/current", "after": 2} if is_own else {"path": f"*{old.id}", "after": 1}
    if acts and answer["kind"] == "patch":
        answer = {"kind": "body", "body": {"token": {"id": "0" * 64}}}
    sim.faults(kind="drop_after" if acts else "drop_before", method="DELETE")
    sim.faults(**answer, method="GET", times=None, **look)
    with pytest.raises(vercel_sql.RotationError) as caught:
        db.execute(EXEC, {"id": old.id})
    sim.clear_faults()
    check(caught.value, old)
    assert exists(old.id) is not acts
    assert f"the old one, {old.id}, was revoked is not known" in str(caught.value)
    assert f"SELECT id FROM {T} WHERE id = '{old.id}'; where it gives a row" in str(caught.value)
    assert len(db.execute(f"SELECT id FROM {T} WHERE id = ?", [old.id]).fetchall()) == (not acts)


@pytest.mark.parametrize("seems_gone", [False, True])
@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
def test_a_404_is_not_taken_for_a_revocation(db, sim, check, is_own, seems_gone):
    """A token may not see another, and then the API says that it is not there."""
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    sim.faults(kind="status", status=404, code="not_found", method="DELETE")
    if seems_gone:
        sim.faults(kind="status", status=404, code="not_found", path=f"*/{old.id}", after=1)
    told = "was not there to be removed" if seems_gone else "it says that the row is gone"
    with pytest.raises(vercel_sql.RotationError, match=told) as caught:
        db.execute(EXEC, {"id": old.id})
    check(caught.value, old)
    assert f"The old one, {old.id}, was still there just now" in str(caught.value)


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
def test_an_old_token_that_somebody_else_has_revoked_is_fine(db, sim, hands, authenticates, is_own):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})

    def revoke(event):
        if event.method == "GET" and hands() and sim.state.find_token(old.id):
            sim.state.remove_token(old)

    with db.observed(revoke):
        (row,) = db.execute(EXEC, {"id": old.id}).fetchall()
    assert row[3] == old.id
    assert authenticates(hands()[0])


def test_a_proof_for_another_token_is_none(db, sim, check, ids):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="patch", patch={"token": {"id": ids[0]}}, **STEPS["prove"], times=2)
    with pytest.raises(vercel_sql.RotationError, match="the answer to another request") as caught:
        db.execute(EXEC, {"id": old.id})
    check(caught.value, old)


# An answer or a file that is no good


@pytest.mark.parametrize(
    "fault",
    [
        {"patch": {"token": {"createdAt": "yesterday"}}},
        {"patch": {"token": None}},
        {"replace_text": ['"bearerToken":', '"name":1,"name":2,"bearerToken":']},
    ],
    ids=str,
)
def test_an_answer_that_is_wrong_elsewhere_keeps_the_secret(
    db, sim, sent, hands, authenticates, fault
):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="patch", method="POST", **fault)
    with pytest.raises(vercel_sql.RotationError) as caught:
        db.execute(EXEC, {"id": old.id})
    error = caught.value
    secret = error.rows[0][error.columns.index("bearerToken")]
    assert hands() == [secret]
    assert authenticates(secret)
    assert authenticates(old.bearer)
    assert secret not in str(error) + repr(error)
    assert "run DELETE FROM" in str(error)
    assert sent("DELETE") == []


def test_an_answer_without_the_secret_leaves_the_old_one_and_names_the_orphan(
    db, sim, sent, hands, authenticates
):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="patch", method="POST", replace_text=["bearerToken", "bearer_token"])
    with pytest.raises(UnknownOutcomeError, match="nothing proves whose it is") as caught:
        db.execute(EXEC, {"id": old.id})
    (orphan,) = caught.value.orphans
    assert sim.state.tokens()[0].id == orphan
    assert f"The old one, {old.id}, is as it was" in str(caught.value)
    assert authenticates(old.bearer)
    assert (hands(), sent("DELETE")) == ([], [])


def test_an_orphan_is_revoked_where_that_was_asked_for(connect, sim, sent, authenticates):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(UnknownOutcomeError) as caught:
        connect(on_orphan="revoke", mark_names=True).execute(EXEC, {"id": old.id})
    assert sim.state.find_token(caught.value.revoked) is None
    assert authenticates(old.bearer)
    assert [r.path for r in sent("DELETE")] == [f"/v3/user/tokens/{caught.value.revoked}"]


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
def test_the_old_token_is_never_taken_for_an_orphan(connect, sim, authenticates, is_own):
    """It may have the name of the new one, and be as young."""
    old = sim.state.add_token({"name": "deploys"})
    db = connect(token=old.bearer if is_own else sim.token, on_orphan="revoke")
    sim.faults(kind="drop_before", method="POST")
    with pytest.raises(UnknownOutcomeError) as caught:
        db.execute(EXEC, {"id": old.id})
    assert (caught.value.orphans, caught.value.revoked) == ((), None)
    assert authenticates(old.bearer)


@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
def test_a_full_disk_keeps_the_secret_in_the_error(
    connect, sim, sent, authenticates, tmp_path, is_own
):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    db = connect(secrets_file=tmp_path / "secrets")

    def fill(event):
        if event.method == "POST":
            (tmp_path / "secrets").unlink()
            (tmp_path / "secrets").symlink_to("/dev/full")

    with db.observed(fill), pytest.raises(vercel_sql.RotationError, match="error alone") as caught:
        db.execute(EXEC, {"id": old.id})
    error = caught.value
    assert error.saved_to is None
    assert authenticates(error.rows[0][error.columns.index("bearerToken")])
    assert authenticates(old.bearer)
    assert sent("DELETE") == []
    assert db.client.credential.token == sim.token


# Somebody has no patience


def when(condition, act):
    """Does something, once, from another thread as soon as a condition holds."""

    def wait():
        for _ in range(3000):
            if condition():
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def ctrl_c():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


ARRIVED = {
    "make": lambda requests: requests[-1].method == "POST",
    "prove": lambda requests: [r.method for r in requests][-2:] == ["POST", "GET"],
    "revoke": lambda requests: requests[-1].method == "DELETE",
}


@pytest.mark.parametrize("how", ["ctrl-c", "interrupt", "timeout"])
@pytest.mark.parametrize("is_own", [False, True], ids=["another", "own"])
@pytest.mark.parametrize("step", ["make", "prove", "revoke"])
def test_it_stops_before_the_next_step(connect, sim, sent, check, how, is_own, step):
    old = sim.state.calling_token if is_own else sim.state.add_token({"name": "deploys"})
    db = connect(timeout=2.0 if how == "timeout" else None)
    # What was sent is waited for; the proof is given up.
    slow = how == "timeout" or step == "prove"
    sim.faults(kind="latency", ms=60_000 if slow else 400, **STEPS[step])
    act = {"ctrl-c": ctrl_c, "interrupt": db.interrupt, "timeout": lambda: None}
    thread = when(lambda: sent() and ARRIVED[step](sent()), act[how])
    error, began = None, time.monotonic()
    try:
        db.execute(EXEC, {"id": old.id}).fetchall()
    except (vercel_sql.Error, KeyboardInterrupt) as raised:
        error = raised
    assert time.monotonic() - began < 50  # and not the whole minute
    thread.join()
    sim.clear_faults()
    if step == "revoke" and not slow:
        # All of it was done; a Ctrl-C is told all the same, with the row.
        assert isinstance(error, vercel_sql.PartialWriteError if how == "ctrl-c" else NoneType)
        assert error is None or sim.state.tokens()[0].id in error.rows[0]
        assert sim.state.find_token(old.id) is None
        return
    if step == "make" and slow:
        assert isinstance(error, vercel_sql.OperationalError)
        assert f"The old one, {old.id}, is as it was" in str(error)
    else:
        assert isinstance(error, vercel_sql.RotationError)
        assert isinstance(error.cause, KeyboardInterrupt if how == "ctrl-c" else vercel_sql.Error)
    assert (sent("DELETE") == []) == (step != "revoke")
    if step != "revoke":
        assert db.client.credential.token == sim.token
    # The watch over the statement's time may still stop DuckDB.
    db.timeout = None
    db.execute("SELECT 1").fetchall()
