"""A session on a terminal: entering, stopping, resizing, leaving, and what the screen shows."""

import re
import signal
import stat
import subprocess
import sys
import time

import pytest
import wcwidth

TABLE = "vercel.authentication.user_tokens"
BOX = ("┌", "│", "├", "└")


def listings(sim):
    return [r for r in sim.requests() if "tokens" in r.path and r.method == "GET"]


def wait_until(terminal, is_so):
    terminal.wait(is_so, "a request")


def box_width(screen):
    return max(wcwidth.wcswidth(line) for line in screen.splitlines() if line.startswith(BOX))


# Entering


def test_vercel_sql_alone_is_a_shell(shell):
    screen = shell.enter("SELECT 6 * 7 AS answer;")
    assert "vercel-sql" in screen.splitlines()[0]
    assert ".help" in screen.splitlines()[0]
    assert re.search(r"│ +42 │", screen)
    assert "Traceback" not in shell.raw


def test_a_statement_of_several_lines(shell):
    screen = shell.enter(
        "SELECT 'a;b' AS text, -- no end; here", "  /* nor; here */ 1 AS n,", "$$;$$;"
    )
    assert "a;b" in screen
    prompt, first, second = screen.splitlines()[1:4]
    assert prompt.startswith("simulated ada-example> SELECT")
    assert first.startswith(" " * 21 + "… ")
    assert second.startswith(" " * 21 + "… ")


def test_several_statements_on_one_line_stop_at_the_first_error(shell):
    screen = shell.enter("SELECT 'one' AS a; SELEC 2; SELECT 'three' AS c;")
    assert screen.count("│ one") == 1
    assert "in the statement at 1:20: Parser Error" in screen
    assert "│ three" not in screen


def test_errors_are_short_and_say_where(shell):
    screen = shell.enter("SELECT nope FROM range(3);", f"UPDATE {TABLE} SET name = 'x';")
    assert "LINE 1: SELECT nope FROM range(3)" in screen
    assert "UPDATE vercel.authentication.user_tokens is not possible" in screen
    assert "Traceback" not in shell.raw
    assert "vercel-sql:" not in screen


@pytest.mark.parametrize("width", [80, 120])
def test_errors_are_wrapped(open_terminal, sim, width):
    shell = open_terminal("shell", "--max-writes", "0", sim=sim, columns=width)
    shell.wait_for("simulated ada-example>")
    shell.enter(f"INSERT INTO {TABLE} (name) SELECT 'a';")
    (error,) = re.findall(r"INSERT INTO \S+: it would.*?\)\r\n", shell.raw, re.DOTALL)
    first, *more = error.removesuffix("\r\n").split("\r\n")
    assert more
    assert all(line.startswith("    ") for line in more)
    assert max(map(len, (first, *more))) <= width


@pytest.mark.parametrize("end", ["", "\n"])
def test_pasted_statements(shell, end):
    shell.paste(f"CREATE TEMP TABLE t AS\n  SELECT 41 AS n;\nUPDATE t\nSET n = 42;\nFROM t;{end}")
    shell.wait_for("FROM t;")
    shell.press("\r")
    shell.wait_for("│    42 │")
    shell.wait_for_prompt()


def test_pasted_commands_and_statements(shell):
    shell.paste(".mode csv\nSELECT 1 AS a,\n 2 AS b;\n.mode line\nSELECT 3 AS c;")
    shell.wait_for("AS c;")
    shell.press("\r")
    shell.wait_for("c = 3")
    assert "a,b\n1,2\n" in shell.wait_for_prompt()


def test_words_of_other_shells(shell):
    assert ".tables" in shell.enter("help")
    shell.type("exit")
    shell.press("\r")
    assert shell.wait_for_end() == 0


def test_completion(shell):
    shell.press(".tab\t")
    shell.wait_for("> .tables")
    shell.press("\x03")
    shell.wait_for_prompt()
    shell.press(".mode jsonl\t")
    shell.wait_for("> .mode jsonlines")
    shell.press("\x03")
    shell.wait_for_prompt()
    shell.press("SELECT count(*) AS n FROM vercel.authentication.user_t\t")
    shell.wait_for("user_tokens")
    shell.press(";\r")
    shell.wait_for("│    31 │")


# Stopping and leaving


def test_ctrl_c_at_the_prompt_forgets_what_was_typed(shell):
    shell.type("SELECT 'forgotten")
    shell.press("\x03")
    shell.wait_for_prompt()
    assert "kept" in shell.enter("SELECT 'kept' AS word;").rsplit("┌", 1)[1]


def test_ctrl_c_stops_a_slow_listing_and_keeps_the_session(open_terminal, simulate):
    sim = simulate(3000)
    shell = open_terminal(sim=sim)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    shell.enter(
        "CREATE TEMP TABLE mine AS SELECT 'still here' AS what;", "SET VARIABLE v = 'as well';"
    )
    sim.faults(kind="latency", ms=300, times=None)
    shell.type(f"SELECT count(*) FROM {TABLE};")
    before = len(listings(sim))
    shell.press("\r")
    wait_until(shell, lambda: len(listings(sim)) >= before + 2)
    shell.press("\x03")
    shell.wait_for("interrupted")
    assert "\ninterrupted\n" in shell.wait_for_prompt()  # and no ^C before it
    sent = len(listings(sim))
    sim.clear_faults()
    screen = shell.enter("SELECT what, getvariable('v') AS v FROM mine;")
    assert "still here" in screen
    assert "as well" in screen
    assert len(listings(sim)) <= sent + 1  # one may have been under way
    assert sent < 30
    screen = shell.enter(f"SELECT count(*) AS n FROM {TABLE};")
    assert "3001" in screen


def test_ctrl_c_in_a_bulk_insert_shows_what_was_made(open_terminal, simulate):
    sim = simulate(0, latency_ms=150)
    shell = open_terminal("shell", "--yes", sim=sim)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    shell.type(
        f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(50) r(i) RETURNING bearerToken;"
    )
    shell.press("\r")
    wait_until(shell, lambda: sum(r.method == "POST" for r in sim.requests()) >= 3)
    shell.press("\x03")
    shell.wait_for("carried out")
    shell.wait_for_prompt()
    made = [token.bearer for token in sim.state.tokens() if token.bearer != sim.token]
    assert len(made) < 50
    assert all(map(shell.shows, made))


def test_ctrl_d_leaves(shell):
    shell.press("\x04")
    assert shell.wait_for_end() == 0


@pytest.mark.parametrize("sql", ["", "SELECT max(a.range) FROM range(10000000000) a;"])
def test_sigterm_ends_it(shell, sql):
    if sql:
        shell.type(sql)
        shell.press("\r")
        time.sleep(0.5)  # wherever it is by then, it has to end
    shell.signal(signal.SIGTERM)
    assert shell.wait_for_end() == 143
    assert "Traceback" not in shell.raw


# What the screen shows


def test_a_resize_shows_in_the_next_result(shell):
    query = "SELECT repeat('w', 200) AS wide;"
    shell.enter(query)
    assert 90 < box_width(shell.screen) <= 100
    shell.resize(60, 40)
    shell.enter(".mode duckbox", query)
    assert 50 < box_width(shell.screen) <= 60


@pytest.mark.parametrize("mode", ["duckbox", "column", "trash", "line", "box"])
def test_a_secret_is_shown_in_full_in_a_narrow_terminal(open_terminal, simulate, mode):
    sim = simulate(0)
    shell = open_terminal("shell", "--yes", sim=sim, columns=40)
    shell.wait_for("ada-example>")
    shell.enter(f".mode {mode}", ".width 5 5")
    shell.enter(f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(2) r(i);")
    made = [token.bearer for token in sim.state.tokens() if token.bearer != sim.token]
    assert len(made) == 2
    assert all(map(shell.shows, made)), shell.screen


def test_a_name_can_not_steer_the_terminal(open_terminal, simulate):
    sim = simulate([{"name": "\x1b]0;title\x07\x1b[31mred"}])
    shell = open_terminal(sim=sim)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    query = f"SELECT name FROM {TABLE} WHERE name LIKE '%red';"
    for mode in ("duckbox", "csv", "json", "line", "list", "html", "tabs", "insert"):
        shell.enter(f".mode {mode}")
        assert "red" in shell.enter(query).split("%red")[-1]
    assert "\x1b]0;" not in shell.raw
    assert "\x1b[31mred" not in shell.raw


def test_progress_of_a_bulk_write_has_a_total(open_terminal, simulate):
    sim = simulate(0, latency_ms=300)
    shell = open_terminal("shell", "--yes", sim=sim)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    shell.type(f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(15) r(i);")
    shell.press("\r")
    shell.wait_for("of 15 |")
    assert "of 15 |" not in shell.wait_for_prompt()


# The prompt and the account


def test_read_only_is_marked(open_terminal, sim):
    shell = open_terminal("--read-only", sim=sim)
    shell.wait_for("simulated ada-example (read-only)>")
    shell.wait_for_prompt()
    shell.enter(f"DELETE FROM {TABLE} WHERE id = 'abc';")
    assert shell.shows("this connection is read-only")
    shell.enter(".mode line")
    screen = shell.enter(f"EXPLAIN DELETE FROM {TABLE} WHERE id = 'abc';")
    assert "note = refused: this connection is read-only" in screen
    assert {request.method for request in sim.requests()} == {"GET"}


def test_without_a_token(open_terminal, sim):
    shell = open_terminal("shell", VERCEL_API_URL=sim.url)
    shell.wait_for("no account@simulated>")
    shell.wait_for_prompt()
    assert re.search(r"│ +42 │", shell.enter("SELECT 42 AS n;"))
    screen = shell.enter(f"SELECT name FROM {TABLE};")
    assert "needs a Vercel token" in screen
    assert "vercel-sql login" in screen
    assert shell.shows("run vercel-sql shell --demo")


def test_a_token_that_is_refused(open_terminal, sim):
    shell = open_terminal(VERCEL_API_URL=sim.url, VERCEL_TOKEN="vcp_notOfAnyAccountAtAll0001")
    shell.wait_for("token refused@simulated>")


def test_nobody_there(open_terminal):
    shell = open_terminal(VERCEL_API_URL="http://127.0.0.1:9", VERCEL_TOKEN="vcp_whatever")
    shell.wait_for("offline@127.0.0.1:9>")
    shell.wait_for_prompt()
    assert re.search(r"│ +42 │", shell.enter("SELECT 42 AS n;"))


def test_the_demo(open_terminal, sim):
    shell = open_terminal("shell", "--demo", sim=sim)
    shell.wait_for("simulated ada-example>")
    screen = shell.wait_for_prompt()
    assert "Try: FROM vercel.audit.user_tokens WHERE is_leaked;" in screen
    assert "is_leaked" in shell.enter("FROM vercel.audit.user_tokens WHERE is_leaked;")
    assert "251" in shell.enter(f"SELECT count(*) AS n FROM {TABLE};")
    assert sim.requests() == []


def test_a_dumb_terminal(open_terminal, sim):
    shell = open_terminal(sim=sim, TERM="dumb")
    shell.wait_for("> ".rstrip())
    shell.wait_for_prompt()
    screen = shell.enter("SELECT 'a;b' AS text,", "42 AS n;")
    assert "a;b" in screen
    shell.type("SELECT 'forgotten")
    shell.press("\x03")
    shell.wait_for_prompt()
    assert "kept" in shell.enter("SELECT 'kept' AS word;").rsplit("┌", 1)[1]
    assert "\x1b[" not in shell.raw
    shell.press("\x04")
    assert shell.wait_for_end() == 0


# The history


def test_the_history(shell, tmp_path, open_terminal, sim):
    shell.enter("SELECT 'remembered' AS word;")
    shell.enter(".confirm off", f"EXEC {TABLE}.verify_token @token = 'geheimnis123';")
    shell.press("\x04")
    assert shell.wait_for_end() == 0
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    file = folder / "history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert "SELECT 'remembered' AS word;" in text
    assert "verify_token" in text
    assert "geheimnis123" not in text
    again = open_terminal(sim=sim)
    again.wait_for("simulated ada-example>")
    again.wait_for_prompt()
    again.press("\x1b[A\x1b[A\x1b[A")
    again.wait_for("> SELECT 'remembered' AS word;")


def test_a_history_that_can_not_be_written_is_said_once(open_terminal, sim, tmp_path):
    (tmp_path / "file").write_text("")
    shell = open_terminal(sim=sim, VERCEL_SQL_STATE_DIR=str(tmp_path / "file" / "state"))
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    screen = shell.enter("SELECT 1 AS a;", "SELECT 2 AS b;")
    assert screen.count("entries are not saved") == 1


# Around it


def test_the_shell_needs_a_terminal(command, sim):
    ended = command("shell", sim=sim, stdin=b"SELECT 1;")
    assert ended.code == 2
    assert "needs a terminal" in ended.err
    assert ended.out == ""


def test_the_demo_takes_no_account_of_its_own(open_terminal, sim):
    shell = open_terminal("shell", "--demo", "--api-url", sim.url)
    assert shell.wait_for_end() == 2
    assert "--demo" in shell.screen


def test_statements_do_not_wait_for_what_only_the_shell_needs():
    code = (
        "import sys; from vercel_sql.cli.main import main; main(['-c', 'SELECT 1']); "
        "sys.exit('prompt_toolkit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
