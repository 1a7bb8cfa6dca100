"""Every file that is read, in every state: what it holds is used, or an error names it.

What crashes and bad disks do to our own files stands in `test_damage`, what other users do in
`test_other_users`; here is what people, editors and other versions do to all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from vercel_sql.auth.login_store import LoginStore, SavedLogin
from vercel_sql.simulator import Simulator

T = "vercel.authentication.user_tokens"
QUERIES = Path(__file__).parents[2] / "queries"
WHO = "SELECT username FROM vercel.user.user"
STATES = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "blank": lambda _: b" \n",
    "NULs": lambda whole: bytes(len(whole)),
    "cut": lambda whole: whole[: len(whole) // 2],
    "not text": lambda _: b"\xff\xfe\x00\xd8" * 9,
    "UTF-16": lambda whole: whole.decode("utf-8", "replace").encode("utf-16"),
    "a mark": lambda whole: b"\xef\xbb\xbf" + whole,
    "Windows": lambda whole: whole.replace(b"\n", b"\r\n"),
    "another's format": lambda _: b'<?xml version="1.0"?><a/>\n',
}
FOLDER = "a folder"
# What the whole content is, and how it is used; what ends well is listed by state.
FINE = ("a mark", "Windows")
FILES = {
    "script": (b"SELECT 42 AS whole;\n", ("-f", "{file}"), (*FINE, "empty", "blank", "cut")),
    "parameter": (b"42\n", ("-c", "SELECT $x", "--param", "x=@{file}"), None),
    "token": (b"{token}\n", ("-c", WHO, "--token-file", "{file}"), FINE),
    "server token": (b"x" * 40, ("serve", "--server-token-file", "{file}"), ()),
    "report": (b"-- T\n--\n-- Answers: What?\nSELECT 42 AS whole;\n", ("run", "{file}"), FINE),
    "secrets": (b'{"a":1}\n', ("--save-secrets", "{file}", "-c", WHO), None),
    "audit log": (b'{"a":1}\n', ("--audit-log", "{file}", "-c", WHO), None),
    "log": (b"a line\n", ("--log-file", "{file}", "-c", WHO), None),
    "history": (b"", ("snapshot", "--to", "{file}"), ("missing",)),
    "changes": (
        b"",
        ("run", str(QUERIES / "changes.sql"), "--history", "{file}", "-o", "csv"),
        (),
    ),
    "login": (b"", ("whoami",), FINE),
    "official login": (b"", ("whoami",), FINE),
}


@pytest.fixture(scope="module")
def account():
    with Simulator(3) as sim:
        yield sim


@pytest.fixture
def place(name, account, forge, tmp_path):
    """Where a file is, what it holds, and the environment in which it is used."""
    file, env = tmp_path / "file", {}
    content = FILES[name][0].replace(b"{token}", account.token.encode())
    if name in ("history", "changes"):
        for _ in range(2):
            assert forge("snapshot", "--to", str(file), sim=account).code == 0
        content = file.read_bytes()
    elif name == "login":
        env = {"VERCEL_TOKEN": None, "VERCEL_SQL_CONFIG_DIR": str(tmp_path / "config")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VERCEL_SQL_CONFIG_DIR", env["VERCEL_SQL_CONFIG_DIR"])
            store = LoginStore(account.url)
            urls = {"api_url": account.url, "oauth_url": account.url}
            with store.locked():
                store.write(
                    SavedLogin(kind="token", access_token=account.token, saved_at=0, **urls)
                )
        file, content = store.path, store.path.read_bytes()
    elif name == "official login":
        env = {"VERCEL_TOKEN": None, "XDG_DATA_HOME": str(tmp_path), "VERCEL_API_URL": None}
        file = tmp_path / "com.vercel.cli" / "auth.json"
        file.parent.mkdir()
        content = json.dumps({"token": account.token}).encode()
    return file, content, env


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_every_state(forge, account, name, place):
    file, content, env = place
    _, arguments, fine = FILES[name]
    arguments = [each.replace("{file}", str(file)) for each in arguments]
    if name == "official login":  # which is used for Vercel's own API alone
        arguments += ["--request-timeout", "1"]
    for state, change in {**STATES, FOLDER: None}.items():
        if name == "server token" and state in ("a mark", "Windows", "NULs", "cut"):
            continue  # it would serve
        changed = put(file, state, change and change(content))
        ended = forge(*arguments, sim=account, env=env)
        about = (name, state, ended)
        assert "internal error" not in ended.err, about
        assert "Traceback" not in ended.err, about
        verdict(name, state, ended, file)
        if state == FOLDER:
            file.rmdir()
        elif fine is not None and changed is not None and ended.code:
            assert file.read_bytes() == changed, about
        for beside in file.parent.glob(f"{file.name}.*"):
            beside.unlink()


def put(file, state, content):
    """Has a file be in a state, and gives what it holds."""
    file.unlink(missing_ok=True)
    if state == FOLDER:
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    return content


def verdict(name, state, ended, file):
    """Whether a command ended as it has to."""
    about, fine = (name, state, ended), FILES[name][2]
    if name == "official login":
        assert ("api.vercel.com" if state in fine else str(file)) in ended.err, about
        assert ended.code == 1, about
    elif state == FOLDER or (fine is not None and state not in fine):
        assert ended.code in (1, 2), about
        assert ended.err.startswith("vercel-sql"), about
        if name not in ("script", "report") or state == FOLDER:
            told = (file.name, "VERCEL_TOKEN", "The token is dead", "the server's token")
            assert any(each in ended.err for each in told), about
    elif fine is not None:
        assert ended.code == 0, about
    else:
        assert ended.code in (0, 1, 2), about


def test_a_history_of_a_newer_version(forge, account, tmp_path):
    file = tmp_path / "h.duckdb"
    assert forge("snapshot", "--to", str(file), sim=account).code == 0
    with duckdb.connect(str(file)) as con:
        con.execute("UPDATE runs SET schema_version = 99")
    before = file.read_bytes()
    ended = forge("snapshot", "--to", str(file), sim=account)
    assert ended.code == 1
    assert "a newer vercel-sql has written to it" in ended.err
    assert file.read_bytes() == before


@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev/null/x"])
def test_a_place_that_takes_no_file(forge, account, place):
    for arguments in (
        ("--save-secrets", f"{place}/x", "-c", WHO),
        ("--audit-log", f"{place}/x", "-c", WHO),
        ("--log-file", f"{place}/x", "-c", WHO),
        ("snapshot", "--to", f"{place}/x"),
        ("run", str(QUERIES / "stale.sql"), "-o", "csv", "--out", f"{place}/x"),
    ):
        ended = forge(*arguments, sim=account)
        assert ended.code in (1, 2), (arguments, ended)
        assert ended.err.startswith("vercel-sql"), (arguments, ended)
        assert place in ended.err, (arguments, ended)
        assert "internal error" not in ended.err, (arguments, ended)
