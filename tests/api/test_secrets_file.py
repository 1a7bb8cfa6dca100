"""The file for secrets: lines of JSON that only grow, whatever cut off the last one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from vercel_sql.api import SecretsFile
from vercel_sql.api.secrets_file import answers_in
from vercel_sql.errors import OperationalError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secrets"


@pytest.mark.parametrize("cut", [b'{"bearerToken":"vcp_ha', b"{}", b"\xff\x00"])
def test_a_line_that_was_cut_off_swallows_no_other(path, cut, method):
    path.touch(mode=0o600)
    path.write_bytes(b'{"first": 1}\n' + cut)
    file = SecretsFile(path)
    file.append("authentication.user_tokens", "create_auth_token", {"bearerToken": "a"})
    file.append("authentication.user_tokens", "create_auth_token", {"bearerToken": "b"})
    first, kept, *made = path.read_bytes().splitlines()
    assert (first, kept) == (b'{"first": 1}', cut)
    assert [json.loads(line)["bearerToken"] for line in made] == ["a", "b"]
    found = answers_in(path, method("create_auth_token"))
    assert [line["bearerToken"] for line in found] == ["a", "b"]


def test_a_named_pipe_is_refused_before_anything_is_sent(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(OperationalError, match="not a regular file"):
        SecretsFile(path).require_writable()


def test_what_cannot_be_read_holds_nothing(path, method):
    assert list(answers_in(path, method("create_auth_token"))) == []
    path.mkdir()
    assert list(answers_in(path, method("create_auth_token"))) == []


@pytest.mark.skipif(sys.platform != "linux", reason="handles have names in /proc there")
def test_each_line_is_synced_and_the_name_of_a_new_file_too(path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(_name_of(handle)))
    file = SecretsFile(path)
    assert synced == [str(path.parent)]
    file.append("s.r", "make", {"a": "b"})
    assert synced == [str(path.parent), str(path)]


def _name_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").resolve())
