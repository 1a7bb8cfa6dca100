"""``vercel-sql recover``: what is done about such creates, and what may hinder it."""

from __future__ import annotations

import pexpect
import pytest

from vercel_sql.ledger.journal_files import journal_folder

from ..conftest import COMMAND, PATIENCE, environment, started
from .conftest import (
    FAILED,
    FINE,
    INSERT,
    ORPHANS,
    TABLE,
    WRONG_USE,
    files,
    named,
    until,
)

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
    assert f"at {sim.url}: see them with --api-url URL" in ended.err
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
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()


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
        assert "can't be read completely" in recover.err
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
