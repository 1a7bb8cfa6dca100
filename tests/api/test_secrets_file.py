"""The file for secrets: lines of JSON that only grow, whatever cut off the last one."""

from __future__ import annotations

import errno
import json
import os
import pwd
import sys
from pathlib import Path

import pytest

from vercel_sql.errors import OperationalError
from vercel_sql.ledger.journal_files import journal_folder, noted_lengths
from vercel_sql.ledger.secrets_file import SecretsFile, read_secrets


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secrets"


def append(file: SecretsFile, secret: str) -> None:
    values = {"bearerToken": secret}
    file.append("authentication.user_tokens", "create_auth_token", values, create="c1")


@pytest.mark.parametrize("cut", [b'{"bearerToken":"vcp_ha', b"[]", b"\xff\x00"])
def test_a_line_that_was_cut_off_swallows_no_other(path, cut):
    path.touch(mode=0o600)
    path.write_bytes(b'{"first": 1}\n' + cut)
    file = SecretsFile(path)
    append(file, "a")
    append(file, "b")
    first, kept, *made = path.read_bytes().splitlines()
    assert (first, kept) == (b'{"first": 1}', cut)
    assert [json.loads(line)["bearerToken"] for line in made] == ["a", "b"]
    read = read_secrets(path)
    assert [line.get("bearerToken") for line in read.lines] == [None, "a", "b"]
    assert read.problem == "it can't be read whole (line 2)"


def test_every_bit_of_a_line_counts(path):
    append(SecretsFile(path), "a")
    content = path.read_bytes()
    assert read_secrets(path).problem is None
    for position in range(len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 7)
        path.write_bytes(damaged)
        read = read_secrets(path)
        assert read.problem or not read.lines[0].get("create"), position


def test_what_is_gone_from_its_end_is_told(path):
    file = SecretsFile(path)
    append(file, "a")
    first = path.read_bytes()
    append(file, "b")
    length = len(path.read_bytes())
    assert noted_lengths(journal_folder()) == {path: length}
    assert read_secrets(path, length).problem is None
    for left in (first, b""):
        path.write_bytes(left)
        assert read_secrets(path).problem is None
        assert (
            read_secrets(path, length).problem == f"it had {length} bytes, and has {len(left)} now"
        )
    path.unlink()  # somebody took the secrets elsewhere
    assert read_secrets(path, length).problem is None


def test_a_named_pipe_is_refused_before_anything_is_sent(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(OperationalError, match="not a regular file"):
        SecretsFile(path).require_writable()


def test_what_cannot_be_read_holds_nothing(path):
    assert read_secrets(path).lines == []
    path.mkdir()
    assert read_secrets(path).lines == []
    assert (
        read_secrets(path).problem
        == f"it can't be read: {os.strerror(errno.EISDIR)} (it belongs to {_me()})"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="handles have names in /proc there")
def test_each_line_is_synced_and_the_name_of_a_new_file_too(path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(_name_of(handle)))
    file = SecretsFile(path)
    assert synced == [str(path.parent)]
    append(file, "a")
    assert synced[:2] == [str(path.parent), str(path)]


def _me() -> str:
    return f"{pwd.getpwuid(os.geteuid()).pw_name} (uid {os.geteuid()})"


def _name_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").resolve())
