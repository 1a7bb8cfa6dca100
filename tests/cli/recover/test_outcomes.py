"""``vercel-sql recover``: what came of creates that a crash or a lost answer cut off."""

from __future__ import annotations

import json
import threading

import pytest

from vercel_sql.errors import UnknownOutcomeError
from vercel_sql.ledger.journal_files import decode_record

from ..conftest import environment, started
from .conftest import (
    FINE,
    INSERT,
    ORPHANS,
    TABLE,
    WRONG_USE,
    aged,
    files,
    named,
    rewritten,
    until,
)

# How it ended


def test_nothing_to_tell(here, sim):
    ended = here("recover", sim=sim)
    assert (ended.code, ended.out) == (FINE, "")
    assert "Nothing was cut off" in ended.err
    assert sim.requests() == []
    assert here("recover", "-o", "json", sim=sim).out == "[]\n"


def test_a_token_whose_secret_is_lost(recover, killed, sim):
    killed("--mark-names", acts=True)
    code, [line] = recover()
    (orphan,) = named(sim)
    assert code == ORPHANS
    assert line["id"] == orphan
    assert line["outcome"] == "made, and its secret is lost"
    assert line["named"] == f"name {sim.state.find_token(orphan)['name']}"
    assert line["next"] == f"DELETE FROM {TABLE} WHERE id = '{orphan}'"
    assert recover()[1] == [line]


def test_a_token_that_may_be_somebody_elses(recover, killed, sim):
    killed(acts=True)
    code, [line] = recover()
    (orphan,) = named(sim)
    assert code == ORPHANS
    assert (line["id"], line["named"], line["creates"]) == (orphan, "name ci", 1)
    assert line["outcome"] == "may have been made"
    assert line["next"] == f"only if nobody uses it: vercel-sql recover --revoke {orphan}"
    assert recover("--revoke", "--yes") == (ORPHANS, [line])
    assert named(sim) == [orphan]


def test_what_a_person_names_is_revoked(recover, killed, sim):
    killed(acts=True)
    (orphan,) = named(sim)
    other = sim.state.add_token({"name": "ci"}).id
    code, lines = recover("--revoke", orphan, "--yes")
    assert code == FINE
    assert [(line["outcome"], line["id"]) for line in lines] == [("made, and revoked now", orphan)]
    assert named(sim) == [other]
    assert recover() == (FINE, [])


def test_what_nobody_listed_is_not_revoked(recover, killed, ids, exists):
    killed(acts=True)
    code, _ = recover("--revoke", ids[0], "--yes")
    assert code == WRONG_USE
    assert f"{ids[0]} is not one of the ids listed by vercel-sql recover" in recover.err
    assert exists(ids[0])


def test_candidates_are_listed_once_for_all_creates(recover, killed, sim):
    for _ in range(3):
        killed(acts=True)
    killed()
    code, lines = recover()
    assert code == ORPHANS
    assert sorted(line["id"] for line in lines) == sorted(named(sim))
    assert [line["creates"] for line in lines] == [4, 4, 4]


def test_it_is_over_when_somebody_revoked_it(here, recover, killed, sim):
    killed(acts=True)
    (orphan,) = named(sim)
    deletion = f"DELETE FROM {TABLE} WHERE id = '{orphan}'"
    assert here("-c", deletion, sim=sim).code == FINE
    code, [line] = recover()
    assert (code, line["outcome"]) == (ORPHANS, "nothing was made yet"), (
        "it may have been another's"
    )
    aged()
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "nothing was made")
    assert recover() == (FINE, [])
    assert files() == []


@pytest.mark.parametrize("marks", [[], ["--mark-names"]])
def test_a_request_that_arrives_two_hours_later_is_named(recover, killed, sim, marks):
    killed(*marks)
    name = decode_record(files()[0].read_bytes()).values["name"]
    for hours in (0, 1, 0.9):
        aged(hours)
        code, [line] = recover()
        assert (code, line["outcome"]) == (ORPHANS, "nothing was made yet")
        assert "may still arrive" in line["next"]
    late = sim.state.add_token({"name": name}).id
    code, [line] = recover()
    assert (code, line["id"]) == (ORPHANS, late)


def test_nothing_has_been_made_yet(recover, killed):
    killed()
    code, [line] = recover()
    assert (code, line["outcome"]) == (ORPHANS, "nothing was made yet")
    aged()
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "nothing was made")
    assert recover() == (FINE, [])


def test_after_a_restart_the_server_tells_how_long_ago_it_was(recover, killed):
    killed()
    rewritten(boot=lambda _: "another start of this machine")
    assert recover()[0] == ORPHANS
    rewritten(server_at=lambda at: at - 2 * 3_600_000)
    assert recover()[0] == ORPHANS
    rewritten(server_at=lambda at: at - 2 * 3_600_000)
    assert recover()[0] == FINE


def test_a_token_whose_secret_is_saved(recover, answered, sim, tmp_path, authenticates):
    file = tmp_path / "secrets"
    answered(secrets_file=str(file))
    sim.stop()  # the journal alone knows it
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and its secret is saved")
    assert line["secret"] == str(file)
    assert line["id"] == json.loads(file.read_text())["token"]["id"]
    assert recover() == (FINE, [])


def test_a_secret_that_was_saved_before_the_journal_knew(recover, answered, sim, tmp_path):
    """The crash came between the two."""
    file = tmp_path / "secrets"
    answered(secrets_file=str(file))
    (journal,) = files()
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and its secret is saved")
    assert (line["id"], line["secret"]) == (named(sim)[0], str(file))


def test_a_secret_that_was_half_saved(recover, answered, sim, tmp_path):
    file = tmp_path / "secrets"
    answered(secrets_file=str(file))
    (journal,) = files()
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    file.write_text(file.read_text()[:60])
    code, lines = recover()
    assert code == ORPHANS
    assert (lines[0]["outcome"], lines[0]["id"]) == ("may have been made", named(sim)[0])
    assert f"the secrets file {file}: it can't be read whole (line 1)" in recover.err
    assert file.stat().st_size == 60


def test_a_secret_that_was_saved_and_is_gone_from_its_file(recover, answered, sim, tmp_path):
    file = tmp_path / "secrets"
    answered(secrets_file=str(file))
    file.unlink()
    code, [line] = recover()
    assert (code, line["id"]) == (ORPHANS, named(sim)[0])
    assert line["outcome"].startswith("made; its secret was not saved")


def test_a_secret_that_may_not_have_been_shown(recover, answered, here, sim):
    answered()
    code, [line] = recover("--revoke", "--yes")
    assert code == ORPHANS
    assert line["outcome"].startswith("made; its secret was not saved")
    assert line["next"].endswith(f"DELETE FROM {TABLE} WHERE id = '{named(sim)[0]}'")
    here("-c", line["next"].partition(": ")[2], sim=sim)
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and gone by now")
    assert recover() == (FINE, [])


def test_what_cannot_be_looked_up_is_told_once(recover, killed):
    killed(sql=f"EXEC {TABLE}.email_login @email = 'a@example.com'")
    code, [line] = recover()
    assert (code, line["outcome"]) == (ORPHANS, "can't be looked up")
    assert line["method"] == "authentication.user_tokens.email_login"
    assert line["named"] == "email a@example.com"
    assert recover() == (FINE, [])


def test_what_others_made_since_is_not_taken_for_it(recover, here, killed, sim):
    killed()
    for _ in range(2):
        assert here("-c", INSERT, sim=sim).code == FINE
    code, [line] = recover()
    assert (code, line["outcome"]) == (ORPHANS, "nothing was made yet")
    aged()
    assert recover()[0] == FINE


@pytest.mark.parametrize("marks", [[], ["--mark-names"]])
def test_a_token_of_another_machine_is_never_revoked(
    recover, here, killed, sim, marks, monkeypatch, tmp_path
):
    """Killed before the server acts, and then repeated on another machine."""
    killed(*marks)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("VERCEL_SQL_STATE_DIR", str(tmp_path / "another machine"))
        assert here(*marks, "-c", INSERT, sim=sim).code == FINE
    (theirs,) = named(sim)
    code, _ = recover("--revoke", "--yes")
    assert (code, named(sim)) == (ORPHANS, [theirs])


def test_a_create_whose_answer_was_lost_while_its_process_lives(recover, connect, sim):
    sim.faults(kind="drop_after", method="POST")
    db = connect(mark_names=True)
    with pytest.raises(db.OperationalError):
        db.execute(INSERT)
    _, [line] = recover("--revoke", "--yes")
    assert (line["outcome"], named(sim)) == ("made, and revoked now", [])
    db.close()
    assert files() == []


def test_an_answer_that_came_when_nobody_waited_for_it_any_more(recover, connect, sim):
    sim.faults(kind="latency", ms=2500, method="POST", acts_first=True)
    db = connect(mark_names=True)
    interrupting = threading.Thread(target=lambda: (until(sim.requests), db.interrupt()))
    interrupting.start()
    with pytest.raises(db.OperationalError, match="vercel-sql recover"):
        db.execute(INSERT)
    interrupting.join()
    assert recover()[1][0]["id"] == named(sim)[0]
    until(lambda: '"answered"' in files()[0].read_text())
    code, [line] = recover("--revoke", "--yes")
    assert (code, line["outcome"], named(sim)) == (FINE, "made, and revoked now", [])


def test_what_is_under_way_is_not_cut_off(recover, sim):
    sim.faults(kind="hang", method="POST", acts=True)
    with started(["-c", INSERT], environment(sim)):
        until(lambda: named(sim))
        assert recover() == (FINE, [])
        assert "In progress at this API: 1." in recover.err
    assert recover()[0] == ORPHANS


def test_a_marked_token_whose_answer_may_still_come_is_not_revoked(recover, connect, sim):
    sim.faults(kind="latency", ms=4000, method="POST", acts_first=True)
    db = connect(mark_names=True)
    interrupting = threading.Thread(target=lambda: (until(lambda: named(sim)), db.interrupt()))
    interrupting.start()
    with pytest.raises(db.OperationalError, match="vercel-sql recover"):
        db.execute(INSERT)
    interrupting.join()
    code, [line] = recover("--revoke", "--yes")
    assert (code, line["outcome"]) == (ORPHANS, "may have been made")
    assert len(named(sim)) == 1
    until(lambda: '"answered"' in files()[0].read_text())


def test_it_is_over_when_what_was_proven_is_gone(recover, here, connect, sim):
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(UnknownOutcomeError) as caught:
        connect(mark_names=True).execute(INSERT)
    deletion = f"DELETE FROM {TABLE} WHERE id = '{caught.value.orphans[0]}'"
    assert here("-c", deletion, sim=sim).code == FINE
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and gone by now")


def test_a_token_that_another_process_made_just_before_is_none_of_ours(command, connect, sim):
    sql = f"{INSERT} RETURNING bearerToken"
    assert command("-c", sql, sim=sim).code == FINE
    (theirs,) = named(sim)
    sim.faults(kind="drop_before", method="POST")
    with pytest.raises(UnknownOutcomeError) as caught:
        connect(on_orphan="revoke").execute(INSERT)
    assert (caught.value.revoked, caught.value.orphans, named(sim)) == (None, (), [theirs])


@pytest.mark.parametrize("seconds", [-400 * 86_400, -3600, -30, 30, 3600, 400 * 86_400])
@pytest.mark.parametrize("both", [False, True], ids=["the wall clock", "every clock"])
def test_a_clock_that_was_wrong_hides_no_token(recover, killed, sim, seconds, both):
    killed(acts=True)
    names = ("at", "steady_at") if both else ("at",)
    rewritten(**dict.fromkeys(names, lambda at: at + seconds * 1000))
    code, [line] = recover()
    assert (code, line["outcome"], line["id"]) == (ORPHANS, "may have been made", named(sim)[0])


def test_for_people_nothing_is_cut(here, killed, sim):
    killed("--mark-names", acts=True)
    told = here("recover", sim=sim).out
    (orphan,) = named(sim)
    assert "outcome = made, and its secret is lost\n" in told
    assert f"next = DELETE FROM {TABLE} WHERE id = '{orphan}'\n" in told
    assert "named = name ci ~" in told
    ended = here("recover", "--revoke", "--yes", sim=sim)
    assert "outcome = made, and revoked now\n" in ended.out
    assert "Revoked: 1." in ended.err


# Revoked since, and still listed


def revoke(sim, ids):
    sim.state.lists_revoked = True
    for id_ in ids:
        sim.state.remove_token(sim.state.find_token(id_))


def test_a_marked_token_that_is_revoked_but_listed_is_gone(recover, killed, sim):
    killed("--mark-names", acts=True)
    revoke(sim, named(sim))
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and gone by now")
    assert recover() == (FINE, [])


def test_a_token_that_is_revoked_but_listed_is_not_named(recover, killed, sim):
    killed(acts=True)
    revoke(sim, named(sim))
    code, [line] = recover()
    assert (code, line["id"]) == (ORPHANS, None)
    assert line["outcome"] == "nothing was made yet"


def test_an_answered_token_that_is_revoked_but_listed_is_gone(recover, answered, sim):
    answered()
    revoke(sim, named(sim))
    code, [line] = recover()
    assert (code, line["outcome"]) == (FINE, "made, and gone by now")
