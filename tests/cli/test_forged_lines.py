"""Whatever the API, a token or a file is called: no line of ours is forged, and no CI is commanded.

GitHub takes a line for a command that begins with `::name::`, blanks before it or not; GitHub
(`##[`), Azure (`##vso[`) and TeamCity (`##teamcity[`) look for theirs anywhere in a line.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.cli.shell.session import Session
from vercel_sql.simulator import Simulator
from vercel_sql.text import json_without_commands, message, visible

from .conftest import PATIENCE, started

T = "vercel.authentication.user_tokens"
QUERIES = Path(__file__).parents[2] / "queries"
FORGED = "vercel-sql: everything was revoked"
MARKS = ["::add-mask::s", " \t\u3000::error title=t::m", "##vso[task.complete result=Failed]"]
MARKS += ["##[command]x", "##teamcity[message text='x']"]
ENDS = ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"]
EVIL = "x" + "".join(f"{end}{text}" for end in ENDS for text in (FORGED, *MARKS)) + "\n"
COMMAND = re.compile(r"^\s*::[A-Za-z][\w-]*(?: [^\n]*)?::|##[\w.-]*\[")
CI = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")


def commands_in(text: str) -> list[str]:
    """The lines that a CI service acts on."""
    return [line for line in re.split(r"[\r\n]", text) if COMMAND.search(line)]


def honest(text: str, *, prefix: str = "vercel-sql: ") -> None:
    """Of what is told, only the first line of a message begins at the margin."""
    lines = text.splitlines()
    assert commands_in(text) == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    assert [line for line in lines if line.startswith(FORGED)] == []
    assert all(line.startswith((prefix, "    ")) or not line for line in lines), lines


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in CI:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def evil(simulate) -> Simulator:
    """An account in which every text that the API can give is hostile."""
    named = [{"id": f"tok_{at}", "name": text} for at, text in enumerate((EVIL, *MARKS))]
    sim = simulate(named)
    user = dict.fromkeys(("name", "username", "email"), EVIL)
    team = {"id": "team_1", "slug": EVIL, "name": EVIL, "createdAt": 1}
    team["membership"] = {}
    teams = {"teams": [team], "pagination": {"count": 1, "next": None, "prev": None}}
    current = {"token": {"name": EVIL}}
    sim.faults(
        {"kind": "patch", "path": "/v2/user", "patch": {"user": user}, "times": None},
        {"kind": "patch", "path": "*/current", "patch": current, "times": None},
        {"kind": "body", "path": "/v2/teams", "body": teams, "times": None},
    )
    return sim


STATEMENTS = [
    f"SELECT * FROM {T}",
    f"DELETE FROM {T} WHERE id = 'tok_0'",
    f"INSERT INTO {T} (name) SELECT 'x' RETURNING bearerToken",
    f"EXEC {T}.rotate_token @tokenId = 'tok_0', @expiresAt = NULL",
    f"EXEC {T}.email_login @email = 'a@b.c'",
]


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_errors_of_the_api(here, evil, tmp_path, statement, verbose):
    evil.faults({"kind": "status", "status": 403, "code": EVIL, "message": EVIL, "times": None})
    log = tmp_path / "log"
    options = ["--log-file", str(log), *(["--verbose"] if verbose else [])]
    ended = here(*options, "-c", statement, sim=evil)
    assert ended.code == 1
    assert "everything was revoked" in ended.err
    for line in log.read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT", line)
    assert commands_in(log.read_text()) == []
    if not verbose:
        honest(ended.err)
        assert ended.err.count("\n") == 1
    assert all(re.match(r"vercel-sql: |\d{4}-|    |$", line) for line in ended.err.splitlines())
    assert commands_in(ended.err) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["whoami"],
        ["recover"],
        ["login", "--email", "a@b.c"],
        ["snapshot", "--to", "{tmp}/h.duckdb"],
        ["run", str(QUERIES / "never_used.sql")],
    ],
    ids=lambda arguments: arguments[0],
)
def test_errors_of_the_api_in_commands(here, evil, tmp_path, arguments):
    refused = {"kind": "status", "status": 403, "code": EVIL, "message": EVIL, "times": None}
    if arguments[0] == "recover":
        evil.faults({"kind": "drop_after", "method": "POST", "times": 1})
        refused["path"] = "/v6/*"
        evil.faults(refused)
        assert here("-c", STATEMENTS[2], sim=evil).code == 1
    evil.faults(refused)
    ended = here(*(each.format(tmp=tmp_path) for each in arguments), sim=evil)
    assert ended.code == 1
    assert "everything was revoked" in ended.err
    # What login says beforehand is no message of an error.
    own = 3 if "login" in arguments else 0
    told = "".join(ended.err.splitlines(keepends=True)[own:])
    honest(told)


def test_what_the_token_may_not_do(here, evil):
    evil.faults({"kind": "status", "status": 403, "message": EVIL, "times": None})
    ended = here("whoami", sim=evil)
    assert ended.code == 0
    assert "everything was revoked" in ended.err
    assert ended.err.count("\n") == 1
    honest(ended.err)


def test_what_duckdb_cites(here, evil):
    ended = here("-c", f"SELECT name::INTEGER FROM {T} WHERE id = 'tok_0'", sim=evil)
    assert ended.code == 1
    assert f"\n    {FORGED}\n" in ended.err
    honest(ended.err)


def test_where_a_statement_is_wrong_is_still_pointed_at(here, sim):
    ended = here("-c", "SELECT 1 AS\n  nonsense FROM nowhere", sim=sim)
    honest(ended.err)
    *_, cited, mark = ended.err.splitlines()
    assert cited[mark.index("^") :].startswith("nowhere")


def test_what_the_command_line_itself_was_given(here):
    for arguments in (["-c", EVIL], [f"--{EVIL}"], [EVIL], ["-f", f"/nowhere/{EVIL}"]):
        ended = here(*arguments)
        assert ended.code in (1, 2)
        told = ended.err.replace("vercel-sql --help lists the options\n", "")
        honest(told)


def test_rows_that_were_written_before_a_failure(here, evil):
    evil.faults({"kind": "status", "method": "DELETE", "status": 500, "message": EVIL, "after": 1})
    ended = here("-c", f"DELETE FROM {T} WHERE id LIKE 'tok_%' RETURNING name", sim=evil)
    assert ended.code == 1
    honest(ended.err)
    assert commands_in(ended.out) == []


def test_who_it_is(here, evil):
    ended = here("whoami", sim=evil)
    assert ended.code == 0
    assert commands_in(ended.out) == []
    names = [line.split(" ")[0] for line in ended.out.splitlines()]
    assert [name for name in names if name] == ["user", "teams", "token", "kind", "source", "api"]
    told = here("whoami", "-o", "json", sim=evil)
    assert commands_in(told.out) == []
    assert json.loads(told.out)["user"]["name"] == EVIL


def test_what_came_of_a_create(here, simulate):
    sim = simulate(1)
    sim.faults({"kind": "drop_after", "method": "POST", "times": 1})
    made = EVIL.replace("'", "''")
    ended = here("-c", f"INSERT INTO {T} (name) SELECT '{made}' RETURNING bearerToken", sim=sim)
    assert ended.code == 1
    honest(ended.err)
    ended = here("recover", sim=sim)
    assert ended.code == 3
    assert "everything was revoked" in ended.out
    assert commands_in(ended.out) == []
    names = [line.split("=")[0].strip() for line in ended.out.splitlines() if line]
    assert names == [
        "began",
        "method",
        "named",
        "creates",
        "outcome",
        "id",
        "made",
        "secret",
        "next",
    ]
    for form in ("csv", "json", "ndjson", "markdown"):
        assert here("recover", "-o", form, sim=sim).code == 3


@pytest.mark.parametrize("fmt", ["table", "markdown", "json", "ndjson"])
@pytest.mark.parametrize("query", ["SELECT name", "EXPLAIN DELETE"])
def test_rows_that_people_and_programs_read(here, evil, fmt, query):
    """JSON is exact all the same."""
    ended = here("-o", fmt, "-c", f"{query} FROM {T} WHERE id LIKE 'tok_%'", sim=evil)
    assert ended.code == 0
    assert commands_in(ended.out) == []
    if fmt == "ndjson" and query == "SELECT name":
        names = {json.loads(line)["name"] for line in ended.out[:-1].split("\n")}
        assert {EVIL, *MARKS} <= names


def test_csv_is_exact_and_no_line_of_a_value_of_one_line_is_github_s(here, evil):
    query = f"SELECT name, id FROM {T} WHERE id LIKE 'tok_%' ORDER BY id"
    ended = here("-o", "csv", "-c", query, sim=evil)
    rows = list(csv.reader(io.StringIO(ended.out, newline="")))
    assert rows[1:] == [[text, f"tok_{at}"] for at, text in enumerate((EVIL, *MARKS))]
    query = f"SELECT name AS \"::error::\" FROM {T} WHERE id IN ('tok_1', 'tok_2')"
    ended = here("-o", "csv", "-c", query, sim=evil)
    assert commands_in(ended.out) == []


@pytest.mark.parametrize("name", CI)
@pytest.mark.parametrize("to_file", [False, True])
def test_csv_in_the_log_of_a_ci_service(evil, tmp_path, name, to_file):
    """There a mark is spelt out; a file gets what is written."""
    query = f"SELECT name FROM {T} WHERE id LIKE 'tok_%' ORDER BY id"
    env = {"VERCEL_TOKEN": evil.token, "VERCEL_API_URL": evil.url, name: "true"}
    env |= {each: os.environ[each] for each in ("PATH", "VERCEL_SQL_STATE_DIR")}
    out = tmp_path / "out.csv"
    with out.open("wb") if to_file else io.BytesIO() as file:
        stdout = {"stdout": file} if to_file else {}
        with started(["-o", "csv", "-c", query], env, **stdout) as process:
            piped, _ = process.communicate(timeout=PATIENCE)
    text = out.read_bytes().decode() if to_file else piped.decode()
    rows = [row for (row,) in csv.reader(io.StringIO(text, newline=""))]
    if to_file:
        assert rows[1:] == [EVIL, *MARKS]
    else:
        assert commands_in(text) == []
        assert r"\x23#vso[task" in rows[1]
        assert len(rows) == 1 + 1 + len(MARKS)


def test_a_report_s_title(here, evil, tmp_path):
    one, two = tmp_path / "one.sql", tmp_path / "two.sql"
    for file in (one, two):
        text = (QUERIES / "never_used.sql").read_text()
        file.write_text(text)
    for fmt in ("table", "markdown", "json", "html"):
        files = [str(one)] if fmt == "html" else [str(one), str(two)]
        ended = here("run", *files, "-o", fmt, sim=evil)
        assert ended.code == 0, ended
        assert commands_in(ended.out) == []


def test_the_shell(evil, capsys):
    """What it says of an account, a request and an error; its own tests are on a terminal."""
    with vercel_sql.connect(evil.token, api_url=evil.url) as connection:
        session = Session(connection, lambda _plan: False, watched=False)
        capsys.readouterr()
        assert session.enter(".account")
        out = capsys.readouterr().out
        assert [line.split(" ")[0] for line in out.splitlines()][:3] == ["user", "teams", "token"]
        assert commands_in(out) == []
        assert not session.enter(f"SELECT name::INTEGER FROM {T} WHERE id = 'tok_0';")
        honest(capsys.readouterr().err, prefix="Conversion Error")
        assert not session.enter(f".read '/nowhere/{EVIL}'")
        honest(capsys.readouterr().err, prefix="")
        evil.faults({"kind": "status", "status": 403, "code": EVIL, "message": EVIL, "times": None})
        assert not session.enter(f"FROM {T};")
        honest(capsys.readouterr().err, prefix="Error: ")


# The texts themselves


def test_a_message_is_indented_once():
    told = message("first\nsecond\n    third\n\nfourth")
    assert told == "first\n    second\n        third\n\n    fourth"
    assert message(told) == told
    assert message(f"before: {told}") == f"before: {told}"


@pytest.mark.parametrize(
    "harmless",
    ["::1", "1::INT", "a ::b", "::ffff:10.0.0.1", "## heading", "#[x]", "C++::f", ":::", "##"],
)
def test_what_is_no_command_stays_as_it_is(harmless):
    assert visible(harmless) == harmless
    assert message(harmless) == harmless
    assert json_without_commands(json.dumps(harmless)) == json.dumps(harmless)


@pytest.mark.parametrize("mark", MARKS)
def test_a_command_stays_readable_and_is_none(mark):
    assert commands_in(mark)
    for shown in (visible(mark), message(mark), message(f"x\n{mark}")):
        assert commands_in(shown) == []
    text = json.dumps({"a": mark}, ensure_ascii=False)
    assert json.loads(json_without_commands(text)) == {"a": mark}
