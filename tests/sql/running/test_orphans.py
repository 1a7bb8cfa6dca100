"""Creates whose answer was lost: never sent again, and what may have come of them is named."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

import vercel_sql
from vercel_sql.ledger import journal as journals
from vercel_sql.ledger.journal import journal
from vercel_sql.ledger.journal_files import read_all, unfinished
from vercel_sql.writes.orphans import unmarked

TABLE = "vercel.authentication.user_tokens"
LOST = [
    {"kind": "drop_after"},
    {"kind": "cut_body"},
    {"kind": "garbage_body"},
    {"kind": "garbage_body", "html": True},
    {"kind": "body", "body": "[]"},
    {"kind": "status", "status": 500, "acts": True},
    {"kind": "status", "status": 408, "acts": True},
    {"kind": "status", "status": 503, "acts": True},
    {"kind": "redirect", "location": "/elsewhere", "acts": True},
]


def create(db, name="ci"):
    return db.execute(f"INSERT INTO {TABLE} (name) VALUES (?)", [name])


def ids_named(sim, name):
    """The ids of the tokens of a name, whatever mark it ends with."""
    return [token.id for token in sim.state.tokens() if unmarked(token["name"]) == name]


def interrupting(db, sent):
    """A thread that interrupts the connection as soon as a POST has arrived."""

    def run():
        for _ in range(6000):
            if sent("POST"):
                break
            time.sleep(0.01)
        db.interrupt()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def lost(db, name="ci"):
    """The error of a create whose answer was lost."""
    with pytest.raises(vercel_sql.UnknownOutcomeError) as caught:
        create(db, name)
    return caught.value


@pytest.fixture
def elsewhere(sim):
    """Makes a token of the same name as soon as a create has failed, as somebody else would."""

    def made(event):
        if event.method == "POST":
            sim.state.add_token({"name": "ci"})

    return lambda db: db.observed(made)


# What is reported


@pytest.mark.parametrize("fault", LOST, ids=str)
def test_what_came_of_it_is_named_with_what_to_run(db, sim, sent, fault):
    sim.faults(method="POST", **fault)
    error = lost(db)
    (orphan,) = ids_named(sim, "ci")
    assert error.orphans == (orphan,)
    assert error.revoked is None
    assert error.outcome_unknown
    assert "was not sent again" in str(error)
    assert len(sent("POST")) == 1
    statement = f"DELETE FROM {TABLE} WHERE id = '{orphan}'"
    assert statement in str(error)
    assert db.execute(statement).rowcount == 1
    assert ids_named(sim, "ci") == []


def test_nothing_came_of_it_so_far(db, sim, sent):
    sim.faults(kind="drop_before", method="POST")
    error = lost(db)
    assert error.orphans == ()
    assert "vercel-sql recover" in str(error)
    assert [request.method for request in sent()] == ["POST", "GET"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_just_that(db, sim, sent, status):
    sim.faults(kind="status", status=status, method="POST")
    with pytest.raises(vercel_sql.APIError):
        create(db)
    # The listing confirms it, since nothing in a refusal shows whose it is.
    assert [request.method for request in sent()] == ["POST", "GET"]
    assert unfinished(journal().folder) == []


def test_what_was_there_before_is_not_named(db, sim):
    sim.state.add_token({"name": "ci"}, created_at=sim.state.clock.now_ms() - 120_000)
    sim.faults(kind="drop_after", method="POST")
    assert lost(db).orphans == (ids_named(sim, "ci")[0],)


def test_what_others_named_alike_at_that_time_is_named_too(db, sim, elsewhere):
    """A token of somebody else's, made while the request was under way, can't be told apart."""
    sim.faults(kind="drop_after", method="POST")
    with elsewhere(db):
        error = lost(db)
    assert sorted(error.orphans) == sorted(ids_named(sim, "ci"))
    assert len(error.orphans) == 2
    assert "nothing proves whose it is" in str(error)
    assert not error.is_proven


def test_what_this_process_made_is_not_named(db, connect, sim):
    create(connect())
    create(db)
    sim.faults(kind="drop_after", method="POST")
    assert lost(db).orphans == (ids_named(sim, "ci")[0],)
    assert len(ids_named(sim, "ci")) == 3


def test_the_whole_account_is_searched(simulate):
    """Also where it takes many pages, and many tokens were made since."""
    sim = simulate(950)
    db = vercel_sql.connect(sim.token, api_url=sim.url)
    with db:
        sim.faults(kind="drop_after", method="POST")
        assert lost(db).orphans == tuple(ids_named(sim, "ci"))


def test_an_account_that_cannot_be_listed(db, sim):
    sim.faults(kind="drop_after", method="POST")
    sim.faults(kind="status", status=403, method="GET", times=None)
    error = lost(db)
    assert error.orphans == ()
    assert "could not be searched" in str(error)
    assert "vercel-sql recover" in str(error)


def test_a_listing_that_fails_once_is_asked_for_again(db, sim):
    sim.faults(kind="drop_after", method="POST")
    sim.faults(kind="status", status=503, method="GET")
    assert len(lost(db).orphans) == 1


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
def test_the_servers_clock_may_be_wrong_by_hours(simulate, hours):
    now = time.time_ns() // 1_000_000 + hours * 3_600_000
    sim = simulate(3, now_ms=now)
    sim.state.add_token({"name": "ci"}, created_at=now - 7_200_000)
    with vercel_sql.connect(sim.token, api_url=sim.url) as db:
        sim.faults(kind="drop_after", method="POST")
        assert lost(db).orphans == (ids_named(sim, "ci")[0],)


def test_an_answer_without_the_secret_names_what_was_made(db, sim):
    sim.faults(kind="patch", method="POST", replace_text=["bearerToken", "bearer_token"])
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        create(db)
    (orphan,) = ids_named(sim, "ci")
    assert caught.value.cause.orphans == (orphan,)
    assert f"WHERE id = '{orphan}'" in str(caught.value)


def test_the_rows_before_are_kept_and_the_orphan_is_named(connect, sim, tmp_path, authenticates):
    sim.faults(kind="drop_after", method="POST", after=2)
    db = connect(secrets_file=tmp_path / "secrets")
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(1, 6) t(i)")
    error = caught.value
    (orphan,) = ids_named(sim, "n3")
    assert error.table.column("name").to_pylist() == ["n1", "n2"]
    assert all(map(authenticates, error.table.column("bearerToken").to_pylist()))
    assert error.cause.orphans == (orphan,)
    assert f"WHERE id = '{orphan}'" in str(error)
    assert len((tmp_path / "secrets").read_text().splitlines()) == 2


def test_exec_names_it_too(db, sim):
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(vercel_sql.UnknownOutcomeError) as caught:
        db.execute(f"EXEC {TABLE}.create_auth_token @name = 'ci'")
    assert caught.value.orphans == tuple(ids_named(sim, "ci"))


def test_a_native_function_names_it_too(attached, sim, tmp_path):
    con = attached(sim, writes=True, secrets_file=tmp_path / "secrets")
    sim.faults(kind="drop_after", method="POST")
    call = "FROM vercel.authentication.create_auth_token('ci', request_id := 'r1')"
    with pytest.raises(duckdb.Error) as caught:
        con.execute(call).fetchall()
    assert f"WHERE id = '{ids_named(sim, 'ci')[0]}'" in str(caught.value).replace("''", "'")


def test_a_secret_in_an_answer_that_does_not_fit_is_kept(db, sim, authenticates):
    """The answer may be another's, and it may be that of a server that changes names."""
    sim.faults(kind="patch", method="POST", replace_text=['"name":"ci"', '"name":"other"'])
    error = lost(db)
    (made,) = sim.state.tokens()[:1]
    assert error.orphans == (made.id,)
    assert "its name is other, and ci was asked for" in str(error)
    assert "It had a new secret, which is kept in" in str(error)
    assert made.bearer not in str(error)
    assert error.cause.unclaimed == {}
    (file,) = Path(os.environ["VERCEL_SQL_STATE_DIR"]).glob("secrets.jsonl")
    saved = json.loads(file.read_text())
    assert saved["token"]["id"] == made.id
    assert authenticates(saved["bearerToken"])


# Time


def test_a_statement_whose_time_is_over_still_learns_what_came_of_it(connect, sim, sent):
    db = connect()
    create(db, "warm")
    db.timeout = 2.0
    sim.faults(kind="hang", method="POST", acts=True)
    error = lost(db)
    assert error.orphans == tuple(ids_named(sim, "ci"))
    assert "stopped after 2 s" in str(error)
    assert len(sent("POST")) == 2


def test_a_request_that_takes_too_long(connect, sim):
    sim.faults(kind="latency", ms=5000, method="POST", acts_first=True)
    assert lost(connect(request_timeout=1.5)).orphans == tuple(ids_named(sim, "ci"))


def test_an_interrupt_does_not_wait_for_it_and_names_recover(db, sim, sent):
    sim.faults(kind="hang", method="POST", acts=True)

    thread = interrupting(db, sent)
    error = lost(db)
    thread.join()
    assert error.orphans == ()
    assert "vercel-sql recover" in str(error)
    assert [request.method for request in sent()] == ["POST"]


# What is revoked


@pytest.fixture
def revoking(connect):
    return connect(on_orphan="revoke", mark_names=True)


@pytest.mark.parametrize("fault", LOST[:4], ids=str)
def test_what_its_mark_proves_is_revoked(revoking, sim, sent, fault, elsewhere):
    sim.faults(method="POST", **fault)
    with elsewhere(revoking):
        error = lost(revoking)
    assert [token["name"] for token in sim.state.tokens()].count("ci") == 1, "somebody else's"
    assert error.orphans == (error.revoked,)
    assert error.is_proven
    assert "was revoked" in str(error)
    assert len(sent("DELETE")) == 1
    assert unfinished(journal().folder) == []


@pytest.mark.parametrize("fault", LOST[:4], ids=str)
def test_nothing_is_revoked_for_its_name(connect, sim, sent, fault):
    """However alike it is and however alone: another machine may have made it."""
    sim.faults(method="POST", **fault)
    error = lost(connect(on_orphan="revoke"))
    assert error.orphans == tuple(ids_named(sim, "ci"))
    assert error.revoked is None
    assert not error.is_proven
    assert "not revoked, since nothing proves that it is yours (see --mark-names)" in str(error)
    assert sent("DELETE") == []


def test_somebody_elses_token_is_never_taken_for_one_that_was_not_made(revoking, sim, sent):
    sim.faults(kind="drop_before", method="POST")

    def made(event):
        if event.method == "POST":
            sim.state.add_token({"name": "ci"})

    with revoking.observed(made):
        error = lost(revoking)
    assert (error.orphans, error.revoked, sent("DELETE")) == ((), None, [])
    assert len(ids_named(sim, "ci")) == 1


def test_a_marked_name_is_shown_and_explained(connect, sim):
    db = connect(mark_names=True)
    text = f"INSERT INTO {TABLE} (name) VALUES ('ci') RETURNING name, bearerToken"
    assert [row[-1] for row in db.execute(f"EXPLAIN {text}").fetchall()] == [
        "name ends with a random mark"
    ]
    ((name, _),) = db.execute(text).fetchall()
    assert re.fullmatch(r"ci ~[a-z2-7]{16}", name)
    create(db, name)
    newest = sim.state.tokens()[0]["name"]
    assert re.fullmatch(r"ci ~[a-z2-7]{16}", newest), "a mark is replaced, and none follows it"
    assert newest != name


def test_a_rotation_does_not_carry_a_mark_over(connect, sim, tmp_path):
    create(connect(mark_names=True))
    (old,) = ids_named(sim, "ci")
    connect(secrets_file=tmp_path / "s").execute(f"EXEC {TABLE}.rotate_token @tokenId = ?", [old])
    (new,) = ids_named(sim, "ci")
    assert new != old
    assert sim.state.find_token(new)["name"] == "ci"


def test_what_cannot_be_revoked_is_reported(revoking, sim):
    sim.faults(kind="drop_after", method="POST")
    sim.faults(kind="status", status=500, method="DELETE", times=None)
    error = lost(revoking)
    assert error.revoked is None
    assert error.orphans == tuple(ids_named(sim, "ci"))
    assert "could not be revoked" in str(error)
    assert "DELETE FROM" in str(error)


def test_what_has_no_secret_is_revoked(revoking, sim):
    sim.faults(kind="patch", method="POST", replace_text=["bearerToken", "bearer_token"])
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        create(revoking)
    assert ids_named(sim, "ci") == []
    assert caught.value.cause.revoked


def test_another_word_is_refused(connect, sim):
    with pytest.raises(vercel_sql.ParameterError, match="'report' or 'revoke'"):
        connect(on_orphan="delete")
    with suppress(vercel_sql.Error), pytest.raises(vercel_sql.ParameterError):
        vercel_sql.attach(duckdb.connect(), sim.token, api_url=sim.url, on_orphan="delete")


# What the journal keeps


def test_nothing_is_left_of_what_was_given(db, monkeypatch):
    create(db).fetchall()
    assert unfinished(journal().folder) == []
    monkeypatch.setattr(journals, "_KEPT_SECONDS", 0)
    db.close()
    assert not list(journal().folder.glob("*"))


def test_each_of_two_creates_at_once_is_settled(attached, sim, sent, tmp_path):
    """The end of one, and the beginning of another, says nothing about a third under way."""
    con = attached(sim, writes=True, secrets_file=tmp_path / "secrets")

    def create(name):
        call = f"vercel.authentication.create_auth_token('{name}', request_id := '{name}')"
        con.cursor().execute(f"SELECT bearerToken FROM {call}").fetchall()

    sim.faults(kind="latency", ms=1500, method="POST")
    slow = threading.Thread(target=create, args=("slow",))
    slow.start()
    for _ in range(6000):
        if sent("POST"):
            break
        time.sleep(0.01)
    create("quick")
    slow.join()
    vercel_sql.detach(con)
    creates = [each for file in read_all(journal().folder) for each in file.creates]
    assert [each.last.state for each in creates] == ["settled", "settled"]


def test_what_was_named_stays_until_it_is_settled(db, sim):
    sim.faults(kind="drop_after", method="POST")
    error = lost(db)
    db.close()
    ((story,),) = (file.creates for file in unfinished(journal().folder))
    assert story.last.candidates == error.orphans


def test_a_secret_that_nobody_waited_for_any_more_is_not_counted_as_given(connect, sim, sent):
    """The answer comes after the statement was given up: only the journal knows of it."""
    db = connect()
    sim.faults(kind="latency", ms=2500, method="POST", acts_first=True)
    thread = interrupting(db, sent)
    lost(db)
    thread.join()
    (made,) = ids_named(sim, "ci")
    for _ in range(1000):
        if made in journal().known_keys():
            break
        time.sleep(0.01)
    create(db, "next")
    # Named though this process lives: nobody here goes on with it.
    ((story,),) = (file.creates for file in unfinished(journal().folder))
    assert story.is_given_up
    assert story.answer.key == made
