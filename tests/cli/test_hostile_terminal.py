"""No escape sequence that a server sends reaches a terminal, whatever is shown there."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from vercel_sql.cli.output import rescued
from vercel_sql.cli.terminal import OutputError
from vercel_sql.ledger.journal import CreateResults

from .test_terminal import PROGRESS, on_a_terminal

TABLE = "vercel.authentication.user_tokens"
QUERIES = Path(__file__).parents[2] / "queries"

SEQUENCES = {
    "a colour": "\x1b[31mred\x1b[0m",
    "the screen": "\x1b[2J\x1b[H",
    "the title": "\x1b]0;title\x07",
    "the clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "an answer": "\x1b[6n\x1bP+q\x1b\\",
    "one byte": "a\x9b31mb\x9d0;c\x9c",
    "a line again": "a\rb\x08\x7f",
    "new lines": "a\nb\x0b\x0c\x85\u2028",
    "right to left": "\u202eabc\u202c\u2066\u061c\u200e",
    "what nobody sees": "\U000e0041\u200b\ufeff\u00ad",
}
ALL = " ".join(SEQUENCES.values())
UNSEEN = (
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
)
STEERS = re.compile(f"{UNSEEN}\U000e0000-\U000e0fff]")


@pytest.fixture
def hostile(simulate):
    """An account in which every text that the API can give is hostile."""
    names = [*SEQUENCES.values(), ALL]
    sim = simulate(
        [{"name": name, "origin": name, "leakedAt": 1, "leakedUrl": name} for name in names]
    )
    sim.state.add_token({"id": f"tok_{ALL}", "name": "of the key", "future": {ALL: [ALL]}})
    user = dict.fromkeys(("name", "username", "email"), ALL)
    team = {"id": "team_1", "slug": ALL, "name": ALL, "createdAt": 1, "membership": {ALL: ALL}}
    teams = {"teams": [team], "pagination": {"count": 1, "next": None, "prev": 1}}
    sim.faults(
        {"kind": "patch", "path": "/v2/user", "patch": {"user": user}, "times": None},
        {"kind": "patch", "path": "*/current", "patch": {"token": {"name": ALL}}, "times": None},
        {"kind": "body", "path": "/v2/teams", "body": teams, "times": None},
    )
    return sim


def shown(sim, *arguments, code=0, **options):
    """What a person sees of a command, which holds nothing that steers the terminal."""
    ended, screen, _ = on_a_terminal(list(arguments), 100, sim, **options)
    screen = PROGRESS.sub("", screen)
    assert ended == code, screen
    assert not STEERS.findall(screen), screen
    assert "Traceback" not in screen
    return screen


@pytest.mark.parametrize("fmt", ["table", "csv", "json", "ndjson", "markdown"])
def test_rows(hostile, fmt):
    script = (
        f"SELECT * FROM {TABLE}; SELECT * FROM vercel.audit.user_tokens; "
        f"SELECT * FROM vercel.teams.teams; SELECT * FROM vercel.user.user; "
        f"EXEC {TABLE}._list_auth_tokens; EXPLAIN DELETE FROM {TABLE} WHERE name IS NOT NULL "
        f"AND tokenId <> '{hostile.state.calling_token.id}'; "
        f"DELETE FROM {TABLE} WHERE name = 'of the key' RETURNING *"
    )
    screen = shown(hostile, "-o", fmt, "-c", script)
    assert ("u001b" if "json" in fmt else r"\x1b") in screen
    assert len(screen) > 2_000


@pytest.mark.parametrize("fmt", ["table", "csv", "ndjson"])
def test_what_a_write_gives(hostile, fmt):
    patch = {"token": {"origin": ALL, "new": {ALL: ALL}}}
    hostile.faults(kind="patch", method="POST", patch=patch, times=None)
    hostile.faults(kind="status", method="POST", status=400, code=ALL, message=ALL, after=2)
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(4) r(i)"
    screen = shown(hostile, "-o", fmt, "-c", sql, code=1)
    made = [t.bearer for t in hostile.state.tokens() if str(t["name"]).startswith("n")]
    assert made
    assert all(bearer in screen for bearer in made)
    assert r"\x1b]52" in screen


FAULTS = {
    "an error": {"kind": "status", "status": 403, "code": ALL, "message": ALL},
    "an error of OAuth": {
        "kind": "body",
        "status": 400,
        "body": {"error": ALL, "error_description": ALL},
    },
    "an error beside others": {
        "kind": "status",
        "status": 429,
        "code": ALL,
        "message": ALL,
        "headers": {"Retry-After": "7200"},
        "extra": {"limit": ALL, ALL: ALL},
    },
    "a wrong type": {
        "kind": "body",
        "body": {
            "tokens": [{"id": ALL, "expiresAt": "soon"}],
            "pagination": {"count": 1, "next": None},
        },
    },
    "a key twice": {
        "kind": "body",
        "body": f'{{"tokens":[{{"id":"a",{json.dumps(ALL)}:1,{json.dumps(ALL)}:2}}],'
        '"pagination":{"count":1,"next":null}}',
    },
    "no JSON": {"kind": "body", "body": f"<html>{ALL}", "content_type": "text/html"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("verbose", [(), ("--verbose",)], ids=["", "verbose"])
def test_errors(hostile, fault, verbose):
    hostile.faults({**fault, "path": "/v6/user/tokens", "times": None})
    options = ("--strict", "--max-wait", "60", *verbose)
    screen = shown(hostile, *options, "-c", f"SELECT * FROM {TABLE}", code=1)
    assert "user_tokens" in screen or "max_wait allows" in screen


def test_errors_where_only_standard_error_is_the_terminal(hostile):
    hostile.faults({**FAULTS["an error"], "times": None})
    shown(hostile, "-o", "csv", "-c", f"SELECT * FROM {TABLE}", code=1, apart=True)


def test_a_pipe_gets_what_was_sent(hostile):
    sql = f"SELECT name FROM {TABLE} WHERE name LIKE '%title%' AND length(name) < 40"
    code, _, piped = on_a_terminal(["-o", "csv", "-c", sql], 80, hostile, apart=True)
    assert code == 0
    assert SEQUENCES["the title"] in piped.decode()


def test_what_the_statement_itself_says(hostile):
    odd = ALL.replace("'", "''")
    for sql in (
        f"SELECT '{odd}'::INTEGER",
        f'SELECT "{odd}"',
        f'EXEC {TABLE}."{odd}" @x = 1',
        f'INSERT INTO {TABLE} ("{odd}") VALUES (1)',
        f"SELECT {odd}",
        "SELECT {{ x }} AND " + f"'{odd}'",
    ):
        shown(hostile, "-c", sql, code=2 if "{{" in sql else 1)
    shown(hostile, odd, code=2)
    shown(hostile, f"--{odd}", code=2)
    shown(hostile, "-c", "SELECT 1", "--param", f"{odd}=1", code=2)
    shown(hostile, "-f", f"/nowhere/{odd}".replace("\0", ""), code=2)


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_who_it_is(hostile, fmt):
    screen = shown(hostile, "whoami", "-o", fmt)
    assert "x1b]52" in screen or "u001b]52" in screen


def test_reports(hostile):
    files = [str(path) for path in sorted(QUERIES.glob("*.sql")) if path.stem != "changes"]
    for fmt in ("table", "csv", "json"):
        shown(hostile, "run", "-o", fmt, *files)


def test_a_report_that_fails(hostile):
    hostile.faults({**FAULTS["an error"], "times": None})
    shown(hostile, "run", str(QUERIES / "leaked.sql"), code=1)


def test_a_login(hostile):
    body = {"token": "vcp_verification0001", "securityCode": ALL}
    hostile.faults(kind="body", path="/registration", body=body)
    hostile.faults(kind="status", path="/registration/verify", status=403, code=ALL, message=ALL)
    shown(hostile, "login", "--email", "a@b.c", code=1)


def test_a_snapshot(hostile, tmp_path):
    shown(hostile, "snapshot", "--to", str(tmp_path / "history.duckdb"))
    hostile.faults({**FAULTS["an error"], "times": None})
    shown(hostile, "snapshot", "--to", str(tmp_path / "history.duckdb"), code=1)


class Watched(io.StringIO):
    """Standard error that a person watches."""

    def isatty(self) -> bool:
        return True


def test_rows_that_could_not_be_written_where_they_belong(monkeypatch):
    monkeypatch.setattr("sys.stderr", Watched())
    table = pa.table({"bearerToken": ["vcp_shownOnce"], "name": [ALL]})
    with pytest.raises(OutputError), rescued(table, frozenset({"bearerToken"}), CreateResults()):
        raise OSError(28, "No space left on device")
    text = sys.stderr.getvalue()
    assert "vcp_shownOnce" in text
    assert not STEERS.findall(text)
