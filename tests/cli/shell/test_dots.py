"""Every dot command, as a person uses it on a terminal."""

import json
import re
import stat

import pytest

from vercel_sql.cli.shell.commands import DOT_COMMANDS, CommandError, find_command

TABLE = "vercel.authentication.user_tokens"
TESTED = """
.account .confirm .exit .headers .help .maxrows .maxwrites .mode .once .output .quit .read .requests
.schema .tables .timer .width
"""


def test_every_command_is_tested_here_and_in_test_confirm():
    assert {command.name for command in DOT_COMMANDS} == set(TESTED.split())


def test_help_names_every_command(shell):
    screen = shell.enter(".help")
    for command in DOT_COMMANDS:
        assert f"\n{command.name}" in screen
        assert command.help in screen
    screen = shell.enter(".help max").rsplit(".help max", 1)[1]
    assert ".maxrows" in screen
    assert ".tables" not in screen
    assert ".help lists them all" in shell.enter(".help zebra")


def test_unknown_commands_and_wrong_arguments(shell):
    screen = shell.enter(
        ".tabels", ".zebra", ".h", ".", ".timer", ".timer perhaps", ".maxrows many"
    )
    assert "unknown command .tabels; did you mean .tables?" in screen
    assert "unknown command .zebra; .help lists them all" in screen
    assert ".h may be .headers or .help" in screen
    assert screen.count("usage: .timer on|off") == 2
    assert "usage: .maxrows [COUNT]" in screen
    screen = shell.enter(".quit now", ".read", ".once", ".read 'open", ".width x")
    assert "usage: .quit" in screen
    assert "usage: .read FILE" in screen
    assert "usage: .once FILE" in screen
    assert "a quote is not closed" in screen
    assert "usage: .width" in screen


def test_a_beginning_of_a_name_is_enough():
    assert find_command(".tab").name == ".tables"
    assert find_command(".REQ").name == ".requests"
    with pytest.raises(CommandError):
        find_command(".o")


def test_tables(shell):
    shell.enter(
        "CREATE TABLE mine AS SELECT 1 AS n;", "CREATE TEMP TABLE passing AS SELECT 2 AS n;"
    )
    names = shell.enter(".tables").rsplit(".tables", 1)[1].splitlines()
    for name in (TABLE, "vercel.audit.user_tokens", "vercel.teams.teams", "mine", "passing"):
        assert name in names
    assert not [name for name in names if ".live." in name]
    screen = shell.enter(".tab mine;").rsplit(".tab mine;", 1)[1]
    assert screen.splitlines()[1:2] == ["mine"]
    assert TABLE not in screen
    assert "no table matches zebra" in shell.enter(".tables zebra")


def test_schema(shell):
    shell.enter("CREATE TABLE mine (n INTEGER, t VARCHAR);")
    screen = shell.enter(".schema mine").rsplit(".schema mine", 1)[1]
    assert "CREATE TABLE mine(n INTEGER, t VARCHAR);" in screen
    screen = shell.enter(".schema vercel.teams.t%").rsplit("t%", 1)[1]
    assert "CREATE VIEW vercel.teams.teams (" in screen
    assert re.search(r"\n  slug VARCHAR,  -- \S", screen)


def test_mode(shell):
    shell.enter(".mode csv")
    assert "\na,b\n1,x\n" in shell.enter("SELECT 1 AS a, 'x' AS b;")
    screen = shell.enter(".mode").rsplit(".mode", 1)[1]
    assert "current output mode: csv" in screen
    assert "jsonlines" in screen
    assert "unknown mode jsno; did you mean json?" in shell.enter(".mode jsno")
    shell.enter(".mode json", "SELECT 1 AS a;")
    assert shell.shows('[{"a":1}]')


def test_headers_maxrows_and_width(shell):
    shell.enter(".mode csv", ".headers off")
    assert "unseen\n" not in shell.enter("SELECT 7 AS unseen;").split("AS unseen;")[1]
    shell.enter(".headers on")
    assert "seen\n" in shell.enter("SELECT 7 AS seen;").split("AS seen;")[1]
    shell.enter(".mode duckbox", ".maxrows 4")
    screen = shell.enter("FROM range(30);").rsplit("FROM", 1)[1]
    assert "(4 shown)" in screen
    assert "current max rows: 4" in shell.enter(".maxrows")
    shell.enter(".maxrows 0")
    assert "│    17 │" in shell.enter("FROM range(30);").rsplit("FROM", 1)[1]
    shell.enter(".mode column", ".width 20")
    assert "-" * 20 in shell.enter("SELECT 'x' AS a;")


def test_maxwrites(shell, ids, received):
    assert "current max writes: 100" in shell.enter(".maxwrites")
    shell.enter(".confirm off", ".maxwrites 1")
    assert "current max writes: 1" in shell.enter(".maxwrites")
    two = f"DELETE FROM {TABLE} WHERE id IN ('{ids[0]}', '{ids[1]}');"
    assert "(here: .maxwrites COUNT)" in " ".join(shell.enter(two).split())
    assert received("DELETE") == []
    shell.enter(".maxwrites 2", two)
    assert len(received("DELETE")) == 2
    assert "usage: .maxwrites [COUNT]" in shell.enter(".maxwrites none")


def test_timer(shell):
    shell.enter(".timer on")
    screen = shell.enter("SELECT 1 AS a;")
    assert re.search(r"Run Time \(s\): real \d+\.\d{3} user \d+\.\d+ sys \d+\.\d+", screen)
    shell.enter(".timer off")
    assert "Run Time" not in shell.enter("SELECT 2 AS b;").rsplit("SELECT 2", 1)[1]


def test_output_and_once(shell, tmp_path):
    shell.enter(".mode csv", f".output {tmp_path}/all.csv", "SELECT 1 AS a;", "SELECT 2 AS a;")
    assert "│" not in shell.enter(".output")
    assert (tmp_path / "all.csv").read_text() == "a\n1\na\n2\n"
    assert stat.S_IMODE((tmp_path / "all.csv").stat().st_mode) == 0o600
    shell.enter(f".once '{tmp_path}/one of them.csv'", "SELECT 3 AS a;")
    assert (tmp_path / "one of them.csv").read_text() == "a\n3\n"
    assert "a\n4\n" in shell.enter("SELECT 4 AS a;")
    shell.enter(f".output {tmp_path}/none/x", ".once |less")
    assert shell.shows("can't be written: No such file or directory")
    assert shell.shows("can't be piped")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_secrets_go_to_files_that_nobody_else_may_read(shell, sim, tmp_path, mode):
    file = tmp_path / "made.json"
    file.write_text("")
    file.chmod(mode)
    shell.enter(".confirm off", ".mode jsonlines", f".output {file}")
    shell.enter(f"INSERT INTO {TABLE} (name) SELECT 'made' RETURNING bearerToken;")
    made = [token.bearer for token in sim.state.tokens() if token["name"] == "made"]
    if mode == 0o600:
        assert [json.loads(file.read_text())] == [{"bearerToken": secret} for secret in made]
        assert made[0] not in shell.screen
    else:
        assert made == [], "found out before anything is sent"
        assert file.read_text() == ""
        assert "can read the output file (mode 0644)" in shell.screen


def test_read(shell, tmp_path):
    script = tmp_path / "script.sql"
    script.write_text(
        "-- a comment; of mine\n.mode csv\nSELECT 1\n  AS a;\n.mode line\nSELECT 2 AS b"
    )
    screen = shell.enter(f".read {script}")
    assert "a\n1\n" in screen
    assert "b = 2" in screen
    script.write_text("SELECT 3 AS c;\n\nSELEC 4;\nSELECT 5 AS d;")
    screen = shell.enter(f".read {script}")
    assert "c = 3" in screen
    assert f"in the statement at 3:1 of {script}" in screen.replace("\n", "") or "at 3:1" in screen
    assert "d = 5" not in screen
    script.write_text(f".read {script}")
    assert "reads itself" in shell.enter(f".read {script}")
    assert "No such file" in shell.enter(".read nowhere.sql")
    script.write_bytes(b"\xff")
    assert "is not UTF-8" in shell.enter(f".read {script}").replace("\n", "")


def test_requests(shell, sim):
    sim.faults(kind="status", status=500, method="GET", path="/v6/*")
    shell.enter(f"SELECT name FROM {TABLE} LIMIT 1;")
    screen = shell.enter(".requests").rsplit(".requests", 1)[1]
    first, second, total = screen.strip().splitlines()[:3]
    assert re.fullmatch(r"GET /v6/user/tokens\?limit=\d+ +500 +[\d.]+ ms", first)
    assert re.fullmatch(r"GET /v6/user/tokens\?limit=\d+ +200 +[\d.]+ ms, attempt 2", second)
    assert re.fullmatch(r"2 requests, [\d.]+ ms in total", total)
    assert re.search(r"rate limit of list_auth_tokens: \d+ of \d+ left, reset in \d+ s", screen)
    shell.enter("SELECT 1 AS a;")
    assert "made no request" in shell.enter(".requests")


def test_account(shell, sim):
    screen = shell.enter(".account")
    assert re.search(r"user +ada-example, ", screen)
    assert re.search(r"teams +\S", screen)
    assert re.search(r"token +simulated calling token", screen)
    assert re.search(r"source +VERCEL_TOKEN", screen)
    assert sim.url in screen
    assert sim.token not in shell.raw


def test_what_a_token_is_and_what_to_use_instead(open_terminal, sim):
    sim.state.calling_token = sim.state.find_bearer(sim.bearer("team"))
    shell = open_terminal(sim=sim, columns=160)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    screen = shell.enter(".account")
    assert re.search(r"kind +token that is limited to a team", screen)
    assert shell.shows("https://vercel.com/account/tokens")
    shell.enter("SELECT name FROM vercel.authentication.user_tokens;")
    assert shell.shows("It may be limited to another team, a project or a few permissions")


@pytest.mark.parametrize("word", [".quit", ".exit", ".q;"])
def test_leaving(shell, word):
    shell.type(word)
    shell.press("\r")
    assert shell.wait_for_end() == 0


def test_secrets_and_an_output_that_is_gone(shell, sim, tmp_path, received):
    insert = f"INSERT INTO {TABLE} (name) SELECT 'made' RETURNING bearerToken;"
    shell.enter(".confirm off", ".mode jsonlines", f".output {tmp_path}/made.json")
    (tmp_path / "made.json").unlink()
    assert "the output file was deleted" in " ".join(shell.enter(insert).split())
    assert received("POST") == []
    assert "it is not a regular file" in " ".join(shell.enter(".output /dev/full").split())
    shell.enter(".output /dev/null")
    assert "others can read the output file" in " ".join(shell.enter(insert).split())
    assert received("POST") == []
