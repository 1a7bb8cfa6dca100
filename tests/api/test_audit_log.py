"""The audit log: a line for each write, whole and on the disk, without any secret."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.auth import Credential
from vercel_sql.errors import APIError, AuditLogError, TransportError
from vercel_sql.http.account import ask_account
from vercel_sql.http.events import caused_by
from vercel_sql.http.requests import build_request
from vercel_sql.ledger.audit_log import AuditLog, chosen_log
from vercel_sql.manifest import vercel

KEYS = ["time", "api", "account", "credential", "statement", "resource", "method"]
KEYS += ["id", "status", "outcome", "requests"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def client(sim, make_client, path):
    return make_client(sim, audit_log=AuditLog(path), attempts=3, max_wait=5)


@pytest.fixture
def lines(path):
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_a_create_is_noted_with_the_key_of_its_row(sim, client, method, lines, path):
    with caused_by("INSERT"):
        answer = client.send(build_request(method("create_auth_token"), {"name": "not noted"}))
    (line,) = lines()
    made = answer.json()
    assert list(line) == KEYS
    assert line == {
        "time": line["time"],
        "api": sim.url,
        "account": {"id": sim.state.user["id"], "name": "ada-example", "reason": None},
        "credential": {
            "source": "the test",
            "sha256": sha256(sim.token.encode()).hexdigest()[:16],
        },
        "statement": "INSERT",
        "resource": "authentication.user_tokens",
        "method": "create_auth_token",
        "id": made["token"]["id"],
        "status": 200,
        "outcome": "done",
        "requests": 1,
    }
    assert line["time"].endswith("Z")
    text = path.read_text()
    assert sim.token not in text
    assert made["bearerToken"] not in text
    assert "not noted" not in text, "what it was called with is nobody's business"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_it_is_is_asked_once_for_each_credential(sim, client, method, lines, ids):
    for id_ in ids[:3]:
        client.send(build_request(method("delete_auth_token"), {"tokenId": id_}))
    assert [r.path for r in sim.requests() if r.method == "GET"] == ["/v2/user"]
    assert [line["id"] for line in lines()] == ids[:3]
    client.adopt(Credential(sim.token, "elsewhere"))
    client.send(build_request(method("delete_auth_token"), {"tokenId": ids[3]}))
    assert len([r for r in sim.requests() if r.method == "GET"]) == 1
    assert lines()[-1]["credential"]["source"] == "elsewhere"


def test_reads_are_not_noted(sim, client, method, lines):
    client.send(build_request(method("get_auth_token"), {"tokenId": "current"}))
    assert lines() == []


@pytest.mark.parametrize(
    ("fault", "outcome", "status", "requests"),
    [
        ({"kind": "status", "status": 400}, "refused", 400, 1),
        ({"kind": "status", "status": 403}, "refused", 403, 1),
        ({"kind": "status", "status": 500}, "unknown", 500, 1),
        ({"kind": "status", "status": 408}, "unknown", 408, 1),
        ({"kind": "redirect", "location": "http://127.0.0.1:9/"}, "unknown", 307, 1),
        ({"kind": "drop_after"}, "unknown", None, 1),
        ({"kind": "cut_body"}, "unknown", None, 1),
        ({"kind": "garbage_body"}, "unknown", 200, 1),
        ({"kind": "garbage_body", "html": True}, "unknown", 200, 1),
        ({"kind": "status", "status": 429, "code": "rate_limited"}, "done", 200, 2),
    ],
)
def test_what_came_of_it(sim, client, method, lines, fault, outcome, status, requests):
    sim.faults(method="POST", **fault)
    try:
        client.send(build_request(method("create_auth_token"), {"name": "ci"}))
    except (APIError, TransportError):
        assert outcome != "done"
    (line,) = lines()
    found = (line["outcome"], line["status"], line["requests"])
    assert found == (outcome, status, requests)
    assert (line["id"] is None) == (outcome != "done")


def test_what_is_not_sent_is_noted_so(sim, make_client, method, path, lines):
    client = make_client(sim, audit_log=AuditLog(path), attempts=2, max_wait=0.5)
    client.send(build_request(method("create_auth_token"), {"name": "asks who it is"}))
    sim.stop()
    with pytest.raises(TransportError):
        client.send(build_request(method("delete_auth_token"), {"tokenId": "tok"}))
    line = lines()[-1]
    assert (line["id"], line["status"], line["outcome"]) == ("tok", None, "not sent")
    assert line["requests"] == 2


def test_a_key_that_is_a_secret_is_masked(sim, client, lines, path):
    tokens = vercel().service("oauth").resources["tokens"]
    arguments = {"token": "a-token-to-revoke", "client_id": "cl_1"}
    with pytest.raises(APIError):
        client.send(build_request(tokens.methods["revoke_token"], arguments))
    (line,) = lines()
    assert line["id"] == "[secret]"
    assert line["account"]["reason"] == "it needs none"
    assert "a-token-to-revoke" not in path.read_text()


def test_a_key_that_is_a_known_secret_is_masked(sim, client, method, lines, path):
    with pytest.raises(APIError):
        client.send(build_request(method("delete_auth_token"), {"tokenId": sim.token}))
    assert lines()[0]["id"] == "[secret]"
    assert sim.token not in path.read_text()


def test_a_token_that_may_not_ask_who_it_is(sim, client, method, lines, ids):
    sim.faults(kind="status", status=403, path="/v2/user", times=None)
    for id_ in ids[:2]:
        client.send(build_request(method("delete_auth_token"), {"tokenId": id_}))
    one, two = lines()
    assert one["account"] == two["account"]
    assert one["account"]["id"] is None
    assert one["account"]["reason"] == "not told: 403"
    assert len([r for r in sim.requests() if r.path == "/v2/user"]) == 1


def test_who_could_not_be_asked_is_asked_again(sim, client, method, lines, ids):
    sim.faults(kind="drop_before", path="/v2/user", times=3)
    for id_ in ids[:2]:
        client.send(build_request(method("delete_auth_token"), {"tokenId": id_}))
    one, two = lines()
    assert (one["account"]["id"], two["account"]["name"]) == (None, "ada-example")


def test_whom_a_credential_stands_for(sim, make_client):
    account = ask_account(make_client(sim))
    assert (account.key, account.name) == (sim.state.user["id"], "ada-example")
    sim.state.user["username"] = None
    assert ask_account(make_client(sim)).name == sim.state.user["email"]


# The file


@pytest.mark.parametrize("name", ["missing/log", "folder", "link", "pipe", "open"])
def test_a_file_that_can_not_be_used_is_an_error_before_anything(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "target").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "open").write_text("")
    (tmp_path / "open").chmod(0o666)
    with pytest.raises(AuditLogError, match="can't be used: ") as raised:
        AuditLog(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_others_may_read_it_where_its_owner_says_so(path):
    path.write_text("")
    path.chmod(0o644)
    AuditLog(path).append({"a": 1})
    assert path.read_text() == '{"a":1}\n'


def test_a_file_that_went_bad_stops_what_is_not_sent_yet(sim, client, method, path, ids):
    delete = method("delete_auth_token")
    client.send(build_request(delete, {"tokenId": ids[0]}))
    path.chmod(0o666)
    with pytest.raises(AuditLogError, match=r"chmod go-w.*Nothing was sent"):
        client.send(build_request(delete, {"tokenId": ids[1]}))
    assert sim.state.find_token(ids[1]) is not None


def test_what_could_not_be_noted_is_said_and_goes_in_before_the_next(
    sim, client, method, path, lines, ids, monkeypatch, caplog
):
    delete = method("delete_auth_token")
    append = "vercel_sql.ledger.audit_log.append_line"

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(append, full)
        answer = client.send(build_request(delete, {"tokenId": ids[0]}))
        assert "No space left" in str(answer.unnoted)
        assert client.auditor.log.problem is answer.unnoted
        assert "no other write is sent" in caplog.text
        with pytest.raises(AuditLogError, match="Nothing was sent"):
            client.send(build_request(delete, {"tokenId": ids[1]}))
    assert sim.state.find_token(ids[1]) is not None
    assert client.send(build_request(delete, {"tokenId": ids[2]})).unnoted is None
    assert [line["id"] for line in lines()] == [ids[0], ids[2]]
    assert client.auditor.log.problem is None


def test_a_line_that_was_cut_off_swallows_no_other(path, lines):
    log = AuditLog(path)
    log.append({"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "cut')
    log.append({"n": 3})
    kept = path.read_text().splitlines()
    assert (json.loads(kept[0]), json.loads(kept[2])) == ({"n": 1}, {"n": 3})


def test_half_a_character_is_noted_too(path, lines):
    assert AuditLog(path).append({"id": "tok\ud800"}) is None
    assert lines() == [{"id": "tok\ud800"}]


PROGRAM = """
import sys
from vercel_sql.ledger.audit_log import AuditLog
log = AuditLog(sys.argv[1])
for number in range(200):
    log.append({"process": sys.argv[2], "number": number, "text": "x" * 300})
"""


def test_many_processes_share_one(path, lines):
    env = os.environ | {"PYTHONPATH": str(Path(vercel_sql.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, str(path)]
    running = [subprocess.Popen([*command, name], env=env) for name in "abc"]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = lines()
    for name in "abc":
        assert [x["number"] for x in found if x["process"] == name] == list(range(200))


def test_the_environment_names_one_too(tmp_path, monkeypatch):
    assert chosen_log(None) is None
    monkeypatch.setenv("VERCEL_SQL_AUDIT_LOG", str(tmp_path / "environment"))
    assert chosen_log(None).path == tmp_path / "environment"
    assert chosen_log(tmp_path / "option").path == tmp_path / "option"
    assert repr(chosen_log(None)) == f"<AuditLog {tmp_path / 'environment'}>"
