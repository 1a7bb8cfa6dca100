"""``vercel-sql recover``: what came of creates that a crash or a lost answer cut off."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import pytest

from vercel_sql.api.journal_files import journal_folder
from vercel_sql.api.journal_records import decode_record, encode_record
from vercel_sql.errors import UnknownOutcomeError
from vercel_sql.tables.marks import unmarked

from .conftest import COMMAND, PATIENCE, environment, started

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) VALUES ('ci')"
FINE, FAILED, WRONG_USE, ORPHANS = 0, 1, 2, 3


def named(sim, name="ci") -> list[str]:
    return [token.id for token in sim.state.tokens() if unmarked(token["name"]) == name]


def until(condition: Callable[[], object]) -> None:
    """Waits until something is so."""
    for _ in range(PATIENCE * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.fixture
def killed(sim) -> Callable[..., None]:
    """Kills the command in the middle of a create: ``killed(acts=True)``, before any answer."""

    def kill(*options: str, sql: str = INSERT, method: str = "POST", **fault: Any) -> None:
        sim.clear_requests()
        sim.faults(**{"kind": "hang", "method": method, **fault})
        with started([*options, "-c", sql], environment(sim)) as process:
            until(lambda: any(request.method == method for request in sim.requests()))
            until(lambda: not fault.get("acts") or named(sim))
            process.kill()

    return kill


@pytest.fixture
def answered(sim) -> Callable[..., None]:
    """Kills a process when it has the answer, and before it has shown it to anybody."""

    def kill(**options: Any) -> None:
        script = (
            "import sys, vercel_sql\n"
            f"db = vercel_sql.connect({sim.token!r}, api_url={sim.url!r}, **{options!r})\n"
            f"db.execute({INSERT!r})\n"
            "print('made', flush=True)\n"
            "sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"made\n"
        process.kill()
        process.communicate(timeout=PATIENCE)

    return kill


@pytest.fixture
def recover(here, sim) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """The exit code and the lines of the command."""

    def run(*options: str) -> tuple[int, list[dict[str, Any]]]:
        ended = here("recover", "-o", "json", *options, sim=sim)
        run.err = ended.err
        return ended.code, json.loads(ended.out) if ended.out.strip() else []

    return run


def files() -> list[Path]:
    return sorted(journal_folder().glob("*.create"))


def rewritten(**changes: Callable[[int], int]) -> None:
    """Changes numbers in all that the journal says."""
    for file in files():
        records = [decode_record(line) for line in file.read_bytes().splitlines()]
        for number, record in enumerate(records):
            new = {
                name: change(getattr(record, name))
                for name, change in changes.items()
                if getattr(record, name, None) is not None
            }
            records[number] = msgspec.structs.replace(record, **new)
        file.write_text("".join(encode_record(record) + "\n" for record in records))


def aged(hours: float = 3) -> None:
    """Makes all creates begin hours earlier, by every clock."""
    by = int(hours * 3_600_000)
    rewritten(**dict.fromkeys(("at", "steady_at", "server_at", "since"), lambda at: at - by))


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
    assert f"{ids[0]} is none of the ids that are listed here" in recover.err
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
        assert "Under way at this API: 1." in recover.err
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


# What is done about it


def test_orphans_are_revoked(recover, killed, sim):
    killed("--mark-names", acts=True)
    code, [line] = recover("--revoke", "--yes")
    assert (code, line["outcome"], line["next"]) == (FINE, "made, and revoked now", None)
    assert named(sim) == []
    assert recover() == (FINE, [])


def test_one_that_cannot_be_revoked_is_still_an_orphan(recover, killed, sim):
    killed("--mark-names", acts=True)
    sim.faults(kind="status", status=403, method="DELETE")
    code, [line] = recover("--revoke", "--yes")
    assert (code, line["outcome"]) == (ORPHANS, "made, and its secret is lost")
    assert "could not be revoked" in recover.err


def test_nothing_is_revoked_unasked(here, killed, sim):
    killed("--mark-names", acts=True)
    ended = here("recover", "--revoke", sim=sim)
    assert ended.code == WRONG_USE
    assert "--yes" in ended.err
    assert len(named(sim)) == 1


@pytest.mark.parametrize(("answer", "left", "code"), [("y", 0, FINE), ("", 1, ORPHANS)])
def test_on_a_terminal_it_asks(killed, sim, answer, left, code):
    killed("--mark-names", acts=True)
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "recover", "--revoke"],
        env=environment(sim, TERM="dumb"),
        dimensions=(40, 100),
        timeout=PATIENCE,
        encoding="utf-8",
    )
    child.expect_exact("Go on? [y/N] ")
    assert named(sim)[0] in child.before
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert len(named(sim)) == left
    assert child.exitstatus == code
    # However narrow the terminal, what has to be copied is whole.
    assert not left or f"DELETE FROM {TABLE} WHERE id = '{named(sim)[0]}'" in child.before


def test_ctrl_c_at_the_question_revokes_nothing(killed, sim):
    killed("--mark-names", acts=True)
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "recover", "--revoke"],
        env=environment(sim, TERM="dumb"),
        timeout=PATIENCE,
        encoding="utf-8",
    )
    child.expect_exact("Go on? [y/N] ")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert len(named(sim)) == 1
    assert child.exitstatus == 130
    assert "vercel-sql: interrupted" in child.before
    assert "Traceback" not in child.before


def test_all_is_forgotten_when_somebody_says_so(recover, killed, answered, sim):
    killed(acts=True)
    answered()
    code, lines = recover("--forget")
    assert (code, len(lines)) == (FINE, 2)
    assert recover() == (FINE, [])
    assert len(named(sim)) == 2


def test_what_is_gone_for_good_can_be_forgotten(recover, killed, sim):
    killed()
    sim.stop()
    assert recover()[0] == FAILED
    code, [line] = recover("--forget")
    assert (code, line["outcome"]) == (FINE, "could not be looked up")
    assert recover() == (FINE, [])


@pytest.mark.parametrize("options", [["--yes"], ["--forget", "--revoke", "--yes"]])
def test_options_that_do_not_go_together(here, sim, options):
    assert here("recover", *options, sim=sim).code == WRONG_USE


# Whose it is


def test_another_token_may_be_of_another_account(here, recover, killed, sim, tmp_path):
    killed(acts=True)
    other = tmp_path / "token"
    other.write_text(sim.state.add_token({"name": "other"}).bearer)
    code, [line] = recover("--token-file", str(other))
    assert (code, line["outcome"]) == (ORPHANS, "made with another token")
    assert line["id"] is None
    code, [line] = recover("--token-file", str(other), "--any-token")
    assert line["id"] == named(sim)[0]


def test_another_api_is_none_of_its_business(here, killed, sim, simulate):
    killed(acts=True)
    other = simulate(1)
    ended = here("recover", sim=other)
    assert (ended.code, ended.out) == (FINE, "")
    assert f"at {sim.url}: --api-url URL" in ended.err
    assert other.requests() == []
    assert len(files()) == 1


# What may hinder it


def test_an_account_that_cannot_be_listed_settles_nothing(recover, killed, answered, sim, tmp_path):
    killed(acts=True)
    answered(secrets_file=str(tmp_path / "secrets"))
    sim.faults(kind="status", status=403, method="GET", times=None)
    before = [file.read_text() for file in files()]
    code, lines = recover()
    assert code == FAILED
    assert {line["outcome"] for line in lines} == {
        "made, and its secret is saved",
        "could not be looked up",
    }
    assert "403" in recover.err
    assert [file.read_text() for file in files()] == before


def test_no_token_is_an_error_that_says_where_it_was_sought(here, killed, sim):
    killed(acts=True)
    ended = here("recover", "--api-url", sim.url)
    assert ended.code == FAILED
    assert "vercel-sql login" in ended.err


def test_a_name_that_would_steer_a_terminal(here, killed, sim):
    name = "a\x1b[31mred"
    sim.faults(kind="hang", method="POST", acts=True)
    with started(["-c", f"INSERT INTO {TABLE} (name) VALUES ('{name}')"], environment(sim)):
        until(lambda: named(sim, name))
    ended = here("recover", sim=sim)
    assert named(sim, name)[0] in ended.out
    assert "\x1b" not in ended.out + ended.err


def test_the_shell_says_that_something_was_cut_off(killed, sim):
    killed(acts=True)
    child = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], "shell"], env=environment(sim, TERM="dumb"), timeout=PATIENCE
    )
    child.expect_exact(b"1 earlier create was cut off: vercel-sql recover")
    child.close(force=True)


# Damage


DAMAGE = {
    "zeros": lambda content: bytes(len(content)),
    "half zeros": lambda content: content[: len(content) // 2] + bytes(len(content) // 2),
    "emptied": lambda _content: b"",
    "another version": lambda content: content.replace(b'"intent"', b'"intention"'),
    "cut": lambda content: content[:-20],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_journal_never_gives_the_all_clear(recover, killed, sim, damage):
    killed(acts=True)
    (file,) = files()
    damaged = DAMAGE[damage](file.read_bytes())
    file.write_bytes(damaged)
    for _ in range(2):
        code, lines = recover()
        assert code == ORPHANS
        assert named(sim)[0] in [line["id"] for line in lines]
        assert "can't be read whole" in recover.err
        (kept,) = journal_folder().glob("*.damaged")
        assert kept.read_bytes() == damaged
    assert recover("--forget")[0] == FINE
    assert recover() == (FINE, [])
    assert [path.read_bytes() for path in journal_folder().glob("*.damaged.told")] == [damaged]


@pytest.mark.parametrize("damage", ["zeros", "half zeros", "emptied", "cut"])
def test_a_damaged_secrets_file_never_gives_the_all_clear(recover, here, sim, tmp_path, damage):
    file = tmp_path / "secrets"
    assert here("--save-secrets", str(file), "-c", INSERT, sim=sim).code == FINE
    assert recover() == (FINE, [])
    damaged = DAMAGE[damage](file.read_bytes())
    file.write_bytes(damaged)
    code, _ = recover()
    assert code == ORPHANS
    assert f"the secrets file {file}: it " in recover.err
    assert file.read_bytes() == damaged
    assert recover("--forget")[0] == FINE
