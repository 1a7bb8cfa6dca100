"""The journal: a create is on the disk before it is sent, and so is what came of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vercel_sql.errors import JournalError, ServerError, TransportError, UnauthorizedError
from vercel_sql.files import lock
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.requests import build_request
from vercel_sql.ledger import journal as journals
from vercel_sql.ledger import journal_files
from vercel_sql.ledger.journal import Journal, JournalHandle, journal, release_all, tidy
from vercel_sql.ledger.journal_files import (
    CreateHistory,
    damaged_files,
    is_alive,
    journal_folder,
    read_all,
    unfinished,
)


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    """No file of a test's own is left open."""
    yield
    release_all()


@pytest.fixture
def folder() -> Path:
    return journal_folder()


@pytest.fixture
def client(make_client, sim):
    return make_client(sim)


@pytest.fixture
def send(client, method):
    """Creates a token of a name: ``send("ci")`` gives its handle."""

    def send(name: str = "ci") -> JournalHandle:
        create = method("create_auth_token")
        handle = JournalHandle()
        try:
            client.send(build_request(create, check_arguments(create, {"name": name}, "")), handle)
        finally:
            send.handle = handle
        return handle

    return send


def intent(**more: Any) -> dict[str, Any]:
    about = {"url": "http://x", "resource": "s.r", "method": "make", "values": {"name": "n"}}
    return about | more


def told(folder: Path) -> list[CreateHistory]:
    """All creates of all files."""
    return [create for file in read_all(folder) for create in file.creates]


def creates(folder: Path) -> list[Path]:
    """The files of creates."""
    return sorted(folder.glob("*.create"))


def open_creates(folder: Path) -> list[CreateHistory]:
    """What has no end, and nobody goes on with."""
    return [create for file in unfinished(folder) for create in file.creates]


# What is noted


def test_the_intent_is_on_the_disk_while_the_request_is_under_way(send, sim, folder):
    sim.faults(kind="latency", ms=2000, method="POST")
    sending = threading.Thread(target=send)
    sending.start()
    for _ in range(6000):
        if sim.requests():
            break
        time.sleep(0.005)
    (create,) = told(folder)
    assert sending.is_alive()
    assert create.outcomes == ()
    assert create.intent.values == {"name": "ci"}
    assert (create.intent.resource, create.intent.method) == (
        "authentication.user_tokens",
        "create_auth_token",
    )
    assert create.intent.url == sim.url
    sending.join()


def test_neither_the_bearer_nor_the_secret_is_noted(send, sim, folder):
    send().create.answered("some id")
    (file,) = creates(folder)
    text = file.read_text()
    assert sim.token not in text
    assert sim.state.tokens()[0].bearer not in text


def test_a_name_that_is_a_secret_is_not_noted(send, sim, folder):
    send(f"my {sim.token}")
    assert sim.token not in creates(folder)[0].read_text()
    assert told(folder)[0].intent.values == {}


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_journal_is_the_owners_alone(send, folder):
    send()
    (file,) = creates(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_makes_no_secret_is_not_noted(client, sim, method, folder):
    client.send(build_request(method("list_auth_tokens"), {}))
    doomed = sim.state.tokens()[3].id
    client.send(build_request(method("delete_auth_token"), {"tokenId": doomed}))
    assert not folder.exists()


@pytest.mark.parametrize(
    ("fault", "error", "outcome"),
    [
        ({"kind": "drop_before"}, TransportError, "unknown"),
        ({"kind": "drop_after"}, TransportError, "unknown"),
        ({"kind": "cut_body"}, TransportError, "unknown"),
        ({"kind": "status", "status": 500}, ServerError, "unknown"),
        ({"kind": "status", "status": 401}, UnauthorizedError, "unsent"),
    ],
    ids=str,
)
def test_what_became_of_it_is_noted(send, sim, folder, fault, error, outcome):
    sim.faults(method="POST", **fault)
    with pytest.raises(error):
        send()
    (create,) = told(folder)
    assert create.last.state == outcome
    assert create.is_open == (outcome == "unknown")
    assert send.handle.create.outcome == create.last


def test_no_connection_is_as_good_as_not_sent(send, sim, folder):
    sim.stop()
    with pytest.raises(TransportError):
        send()
    assert told(folder)[0].last.state == "unsent"


# Nothing is sent that could not be noted


def test_nothing_is_sent_where_the_journal_cannot_be_written(send, sim, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")
    with pytest.raises(JournalError, match="VERCEL_SQL_STATE_DIR names another folder"):
        send()
    assert sim.requests() == []


def test_what_comes_of_it_may_fail_to_be_noted(send, folder, monkeypatch, caplog):
    entry = send().create

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journals, "add_to", full)
    entry.answered("an id")
    assert "No space left" in caplog.text
    assert told(folder)[0].outcomes == ()


# Its files


def test_a_file_is_gone_when_it_has_ended(send, client, folder, monkeypatch):
    monkeypatch.setattr(journals, "_KEPT_SECONDS", 0)
    handle = send()
    handle.create.answered("an id")
    client.create_results.take([handle])
    client.close()
    assert list(folder.iterdir()) == []


def test_a_file_stays_where_something_has_no_end(send, client, sim, folder):
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(TransportError):
        send()
    client.close()
    (create,) = open_creates(folder)
    assert create.intent.values == {"name": "ci"}


def test_what_this_process_goes_on_with_is_not_left_behind(send, folder):
    entry = send().create
    assert unfinished(folder) == []
    entry.answered("an id")
    assert unfinished(folder) == []  # its secret may yet be shown
    entry.unknown("lost")
    assert len(unfinished(folder)) == 1


def test_what_was_given_up_may_still_be_answered(folder):
    notes = Journal(folder)
    entry = notes.begin(**intent())
    entry.given_up("interrupted")
    (file,) = unfinished(folder)
    assert not file.is_left
    assert file.creates[0].is_under_way
    notes.release()
    assert not unfinished(folder)[0].is_left, "its request goes on"
    entry.unknown("no answer")
    notes.release()
    assert unfinished(folder)[0].is_left


def test_what_others_made_is_known_as_long_as_it_could_be_taken_for_an_orphan(folder, monkeypatch):
    waiting, other = Journal(folder), Journal(folder)
    lost = waiting.begin(**intent())
    lost.unknown("no answer")
    waiting.release()
    made = other.begin(**intent())
    made.answered("theirs")
    made.settled("given")
    other.release()
    assert len(creates(folder)) == 2
    assert waiting.known_keys() == {"theirs"}
    lost.settled("nothing was made")
    tidy(folder)
    assert waiting.known_keys() == {"theirs"}, "for a moment more"
    monkeypatch.setattr(journals, "_KEPT_SECONDS", 0)
    tidy(folder)
    assert creates(folder) == []


def test_half_a_character_is_noted_too(folder):
    notes = Journal(folder)
    notes.begin(**intent()).answered("tok\ud800")
    assert notes.known_keys() == {"tok\ud800"}
    assert [create.answer.key for create in told(folder)] == ["tok\ud800"]


def test_a_journal_that_somebody_removed_is_made_again(folder):
    notes = Journal(folder)
    notes.begin(**intent()).settled("given")
    shutil.rmtree(folder)
    lost = notes.begin(**intent())
    assert [create.intent for create in told(folder)] == [lost.intent]


def test_its_folders_are_for_the_user_alone(folder):
    Journal(folder / "deep" / "down").begin(**intent())
    for each in (folder, folder / "deep", folder / "deep" / "down"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


DAMAGE = {
    "half a line": lambda text: text + b'4ab0 {"type":"answered","id":"',
    "bytes": lambda text: text + b"\x00\xff\x00\n",
    "another version": lambda text: text + b'{"type":"of another version","id":"x"}\n',
    "deep": lambda text: text + b'{"a":' * 100_000,
    "emptied": lambda text: b"",
    "zeros": lambda text: bytes(len(text)),
    "half zeros": lambda text: text[:40] + bytes(len(text) - 40),
    "a bit": lambda text: text.replace(b'"name":"n"', b'"name":"o"'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_not_whole_and_hides_no_other(folder, damage):
    notes = Journal(folder)
    notes.begin(**intent()).unknown("no answer")
    (file,) = creates(folder)
    notes.begin(**intent()).unknown("no answer")
    notes.release()
    content = file.read_bytes()
    file.write_bytes(DAMAGE[damage](content))
    found = {each.path: each for each in unfinished(folder)}
    assert len(found) == 2
    assert [each.is_whole for path, each in found.items() if path == file] == [False]
    assert [each.is_whole for path, each in found.items() if path != file] == [True]
    tidy(folder)
    assert file.read_bytes() == DAMAGE[damage](content)


def test_every_bit_of_a_file_counts(folder):
    notes = Journal(folder)
    notes.begin(**intent()).settled("given")
    (file,) = creates(folder)
    content = file.read_bytes()
    lines = content.count(b"\n")
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        file.write_bytes(damaged)
        (read,) = read_all(folder)
        ended = bytes(damaged).splitlines() == content.splitlines()
        assert ended or not read.is_whole or read.is_open, (position, lines)


def test_cut_anywhere_it_is_open_or_not_whole(folder):
    notes = Journal(folder)
    entry = notes.begin(**intent())
    entry.answered("an id")
    entry.settled("given")
    (file,) = creates(folder)
    content = file.read_bytes()
    for length in range(len(content) - 1):  # without its last line break alone it is whole
        file.write_bytes(content[:length])
        assert read_all(folder)[0].is_open, length


def test_a_line_that_is_being_written_is_waited_for(folder, monkeypatch):
    notes = Journal(folder)
    entry = notes.begin(**intent())
    entry.answered("an id")
    (file,) = creates(folder)
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        file.write_bytes(content)

    monkeypatch.setattr(journal_files.time, "sleep", pause)
    assert read_all(folder)[0].is_whole
    assert pauses == [journal_files._LINE_SECONDS]


def test_what_is_no_file_is_damage_too(folder):
    folder.mkdir(parents=True)
    (folder / "1-a.create").mkdir()
    os.mkfifo(folder / "2-b.create")
    (folder / "3-c.create").symlink_to(folder / "elsewhere")
    assert [file.is_whole for file in unfinished(folder)] == [False] * 3
    assert Journal(folder).known_keys() == set()
    assert damaged_files(folder) == []


def test_a_file_of_an_earlier_version_is_read(folder):
    """One file a process, with all its creates, and no checksums."""
    folder.mkdir(parents=True)
    lines = [
        {"type": "intent", "id": "a", "at": 1, "url": "http://x", "resource": "s.r", "method": "m"},
        {"type": "intent", "id": "b", "at": 2, "url": "http://x", "resource": "s.r", "method": "m"},
        {"type": "answered", "id": "a", "at": 3, "key": "made"},
        {"type": "settled", "id": "a", "at": 4, "how": "given"},
        {"type": "given up", "id": "b", "at": 5, "reason": "interrupted"},
        {"type": "unknown", "id": "b", "at": 6, "reason": "r", "candidates": ["k"], "since": 1},
    ]
    (folder / "12-ab.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (file,) = unfinished(folder)
    assert file.is_whole
    assert [create.is_open for create in file.creates] == [False, True]
    assert file.creates[1].unknowns[0].candidates == ("k",)
    assert Journal(folder).known_keys() == {"made"}


# Threads and processes


def test_threads_share_it(folder):
    def make(number: int) -> None:
        for count in range(20):
            notes.begin(**intent(values={"name": f"{number}-{count}"})).answered("an id")

    notes = Journal(folder)
    threads = [threading.Thread(target=make, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [create.last.state for create in told(folder)] == ["answered"] * 100


_SCRIPT = """
import os, sys, time
from vercel_sql.ledger.journal import journal
entry = journal().begin(url="http://x", resource="s.r", method="make", values={"name": "n"})
"""


def started(script: str, said: str = "0") -> tuple[subprocess.Popen[bytes], bytes]:
    """A process that has noted an intent, and waits for an end; and what it said."""
    text = f"{_SCRIPT}{script}\nprint({said}, flush=True)\nsys.stdin.read()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def ended(process: subprocess.Popen[bytes]) -> None:
    process.communicate(timeout=30)


def test_a_process_that_was_killed_leaves_what_it_had_begun(folder):
    process, _ = started("")
    assert unfinished(folder) == []
    process.send_signal(signal.SIGKILL)
    ended(process)
    (create,) = open_creates(folder)
    assert create.outcomes == ()
    assert create.intent.process.startswith(f"{process.pid}-")
    tidy(folder)
    assert [path.suffix for path in folder.iterdir()] == [".create"]


def test_the_file_of_a_process_that_ended_goes_where_all_has_ended(folder, monkeypatch):
    process, _ = started("entry.answered('an id'); entry.settled('given')")
    assert len(creates(folder)) == 1
    ended(process)
    assert len(creates(folder)) == 1  # for as long as its row may be taken for another's
    monkeypatch.setattr(journals, "_KEPT_SECONDS", 0)
    tidy(folder)
    assert creates(folder) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_a_child_process_neither_frees_nor_keeps_the_parents_file(folder):
    process, said = started(
        "child = os.fork()\nif child == 0:\n    time.sleep(60); os._exit(0)", "child"
    )
    child = int(said)
    try:
        assert unfinished(folder) == []
        process.kill()
        process.wait(30)
        for _ in range(1000):  # the child may need a moment to let go of it
            if unfinished(folder):
                break
            time.sleep(0.01)
        assert len(unfinished(folder)) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        ended(process)


def test_looking_makes_nobody_look_alive(folder):
    notes = Journal(folder)
    name = notes.begin(**intent()).intent.process
    assert is_alive(folder, name)
    notes.forget_after_fork()  # as if it had been killed
    with (folder / f"{name}.alive").open("rb") as looking:
        lock(looking.fileno(), shared=True)
        assert not is_alive(folder, name)


def test_each_state_directory_has_its_own(monkeypatch, tmp_path):
    before = journal()
    assert journal() is before
    monkeypatch.setenv("VERCEL_SQL_STATE_DIR", str(tmp_path))
    assert journal().folder == tmp_path / "journal"
