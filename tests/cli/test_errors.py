"""Every error of the API ends the command with 1, says what happened, and leaves no half result."""

import json
import re

import pytest

from ..scale import sampled

TABLE = "vercel.authentication.user_tokens"
FORMATS = ("table", "csv", "json", "ndjson", "markdown")
STATEMENTS = {
    "list": (f"SELECT name FROM {TABLE}", "GET", "list_auth_tokens"),
    "get": (f"SELECT name FROM {TABLE} WHERE id = 'abc'", "GET", "get_auth_token"),
    "view": ("SELECT name FROM vercel.audit.user_tokens", "GET", "list_auth_tokens"),
    "insert": (f"INSERT INTO {TABLE} (name) SELECT 'x'", "POST", "create_auth_token"),
    "delete": (f"DELETE FROM {TABLE} WHERE id = 'abc'", "DELETE", "delete_auth_token"),
    "exec": (f"EXEC {TABLE}.email_login @email = 'a@b.c'", "POST", "email_login"),
    "exec list": (f"EXEC {TABLE}._list_auth_tokens", "GET", "_list_auth_tokens"),
    "verify": (f"EXEC {TABLE}.verify_token @token = 'not a secret'", "GET", "verify_token"),
}
ERRORS = (
    (400, "bad_request", "Invalid value."),
    (401, "unauthorized", "No credentials."),
    (403, "forbidden", "Only user authentication tokens can be used to create new tokens."),
    (403, "integration_configuration_disabled", "The owner has left."),
    (404, "not_found", "Nothing has that id."),
    (405, "method_unknown", "Not so."),
    (409, "brand_new_code", "A status that nobody documented."),
    (429, "too_many_tokens", "Too many requests."),
    (500, "internal_server_error", "Oh no."),
    (503, "internal_server_error", "Later."),
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.mark.parametrize("verb", STATEMENTS)
def test_each_status_on_each_verb(here, sim, verb):
    sql, http, _method = STATEMENTS[verb]
    for status, code, message in sampled(ERRORS, 2, verb):
        sim.clear_faults()
        sim.faults(
            kind="status",
            method=http,
            status=status,
            code=code,
            message=message,
            times=None,
        )
        ended = here("-o", "json", "-c", sql, sim=sim)
        if status == 404 and verb in ("get", "delete"):
            assert (ended.code, ended.err) == (0, "")
            assert json.loads(ended.out) == ([] if verb == "get" else [{"Count": 0}])
            continue
        assert (ended.code, ended.out) == (1, ""), (status, ended)
        told = rf"{re.escape(message[:-1])} \({http} /\S+, {status}( {code})?\)"
        assert re.search(told, ended.err), (status, ended.err)
        assert "in the statement at 1:1" in ended.err
        assert "Traceback" not in ended.err
        assert "internal error" not in ended.err


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_listing_that_fails_on_a_late_page_prints_no_rows(here, simulate, fmt):
    sim = simulate(700)
    for columns in ("name", "*"):
        sim.clear_requests()
        sim.clear_faults()
        sim.faults(kind="status", path="*/user/tokens", status=500, after=6, times=None)
        ended = here("-o", fmt, "-c", f"SELECT {columns} FROM {TABLE}", sim=sim)
        assert (ended.code, ended.out) == (1, "")
        assert "500 internal_server_error" in ended.err
        assert len(sim.requests()) >= 7


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body", "garbage_body"])
def test_an_answer_that_does_not_come_is_an_error_that_says_where(here, sim, kind):
    for verb in ("list", "insert", "delete"):
        sql, http, _method = STATEMENTS[verb]
        sim.clear_faults()
        sim.faults(kind=kind, method=http, times=None)
        ended = here("-o", "json", "-c", sql, sim=sim)
        assert (ended.code, ended.out) == (1, "")
        assert f"({http} " in ended.err
        assert "Traceback" not in ended.err


def test_a_cursor_that_goes_nowhere(here, simulate):
    sim = simulate(300)
    sim.faults(kind="repeat_cursor", times=None)
    ended = here("-o", "csv", "-c", f"SELECT id FROM {TABLE}", sim=sim)
    assert (ended.code, ended.out) == (1, "")
    assert TABLE in ended.err


def test_a_script_stops_at_its_first_error_and_keeps_what_was_written(here, sim, tmp_path):
    file = tmp_path / "script.sql"
    file.write_text(
        "SELECT 1 AS n;\n"
        "SELECT nix FROM vercel.authentication.user_tokens;\n"
        f"INSERT INTO {TABLE} (name) SELECT 'x';\n"
    )
    for fmt, kept in (("ndjson", '{"n":1}\n'), ("json", '[\n{"n":1}\n]\n'), ("csv", "n\n1\n")):
        ended = here("-o", fmt, "-f", str(file), "-c", "SELECT 3", sim=sim)
        assert (ended.code, ended.out) == (1, kept)
        assert f"in the statement at 2:1 of {file}: " in ended.err
        assert "nix" in ended.err
    assert sim.requests() == []


def test_an_error_says_which_of_several_texts_it_is_in(here):
    ended = here("-c", "SELECT 1", "-c", "SELECT 2;\n  SELECT nix")
    assert "in the statement at 2:3 of -c no. 2: " in ended.err
    ended = here("-c", "SELECT 1", "-c", "EXEC a.b.c @x")
    assert (ended.code, ended.out) == (1, "")
    assert "in -c no. 2: " in ended.err


def test_results_of_several_statements(here):
    script = (
        "CREATE TABLE t (n INT); SELECT * FROM t; INSERT INTO t VALUES (1), (2); FROM t; "
        "SET threads = 1; DROP TABLE t; SELECT 'a,b' AS \"x y\""
    )
    ended = here("-o", "json", "-c", script)
    assert (ended.code, ended.err) == (0, "")
    arrays, decoder, text = [], json.JSONDecoder(), ended.out
    while text.strip():
        value, end = decoder.raw_decode(text)
        arrays.append(value)
        text = text[end:].lstrip()
    assert arrays == [[], [{"Count": 2}], [{"n": 1}, {"n": 2}], [{"x y": "a,b"}]]
    assert (
        here("-o", "ndjson", "-c", script).out == '{"Count":2}\n{"n":1}\n{"n":2}\n{"x y":"a,b"}\n'
    )
    assert here("-o", "csv", "-c", script).out == 'n\n\nCount\n2\n\nn\n1\n2\n\nx y\n"a,b"\n'
    assert here("-o", "markdown", "-c", "SELECT 'a|b' AS c").out.endswith("| a\\|b |\n")
    assert "│ a,b" in here("-c", script).out


def test_a_piped_table_is_never_elided(here, simulate):
    sim = simulate(130)
    ended = here("-c", f"SELECT * FROM {TABLE}", sim=sim)
    assert (ended.code, ended.err) == (0, "")
    assert all(token.id in ended.out for token in sim.state.tokens())
    assert "·" not in ended.out


def test_without_a_token(here, sim):
    anonymous = ["--api-url", sim.url]
    ended = here(*anonymous, "-c", f"SELECT 1 AS n; SELECT * FROM {TABLE}", "-o", "ndjson")
    assert (ended.code, ended.out) == (1, '{"n":1}\n')
    for said in (TABLE, "VERCEL_TOKEN", "--token-file", "vercel-sql demo"):
        assert said in ended.err
    ended = here(*anonymous, "-c", f"INSERT INTO {TABLE} (name) SELECT 'x'")
    assert (ended.code, ended.out) == (1, "")
    assert "VERCEL_TOKEN" in ended.err
    assert sim.requests() == []
    ended = here(*anonymous, "-o", "ndjson", "-c", f"EXEC {TABLE}.email_login @email = 'a@b.c'")
    assert (ended.code, ended.err) == (0, "")
    assert {"token", "securityCode"} <= json.loads(ended.out).keys()


def test_the_token_comes_from_a_file_before_the_environment(here, sim, tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbf" + sim.token.encode() + b"\r\n")
    monkeypatch.setenv("VERCEL_TOKEN", "vcp_ofTheEnvironment")
    query = ["-o", "csv", "-c", f"SELECT name FROM {TABLE} WHERE tokenId = 'current'"]
    ended = here("--api-url", sim.url, "--token-file", str(file), *query)
    assert (ended.code, ended.out.count("\n"), ended.err) == (0, 2, "")
    ended = here("--api-url", sim.url, *query)
    assert (ended.code, ended.out) == (1, "")
    assert ", 403)" in ended.err


def test_expected_rows(here, sim):
    insert = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(3) r(i) RETURNING bearerToken"
    ended = here("-c", insert, "--expect-rows", "2", sim=sim)
    assert (ended.code, ended.out) == (1, "")
    assert "3 rows would be changed, and 2 were expected. Nothing was changed" in ended.err
    delete = f"DELETE FROM {TABLE} WHERE id IN ('a', 'b')"
    assert here("-c", delete, "--expect-rows", "1", sim=sim).code == 1
    assert {request.method for request in sim.requests()} <= {"GET"}
    ended = here("-c", delete, "--expect-rows", "2", sim=sim)
    assert (ended.code, ended.out) == (1, "")
    assert "0 rows were changed, and 2 were expected" in ended.err
    ended = here("-o", "csv", "-c", insert, "--expect-rows", "3", sim=sim)
    assert (ended.code, ended.out.count("vcp_"), ended.err) == (0, 3, "")


def test_read_only(here, sim):
    for verb in ("insert", "delete", "exec", "verify"):
        ended = here("--read-only", "-c", STATEMENTS[verb][0], sim=sim)
        assert (ended.code, ended.out) == (1, "")
        assert "read-only" in ended.err
        explained = here("--read-only", "-c", f"EXPLAIN {STATEMENTS[verb][0]}", sim=sim)
        assert (explained.code, explained.err) == (0, "")
        assert "refused: this connection is read-only" in explained.out
    assert not [r for r in sim.requests() if r.method != "GET" or "verify" in r.path]
    assert here("--read-only", "-c", STATEMENTS["list"][0], sim=sim).code == 0


def test_a_progress_bar_of_duckdb_is_no_data(here):
    assert here("-o", "csv", "-c", "SELECT current_setting('enable_progress_bar') AS on").out == (
        "on\nfalse\n"
    )


def test_a_statement_that_the_rate_limit_outlasts_says_so_at_once(here, simulate):
    sim = simulate(3, rate_limit="1/100")
    one, other = [t.id for t in sim.state.tokens() if t is not sim.state.calling_token][:2]
    sql = f"DELETE FROM {TABLE} WHERE id IN ('{one}', '{other}')"
    ended = here("--timeout", "20", "-c", sql, sim=sim)
    assert ended.code == 1
    assert "(timeout), and the rate limit lets delete_auth_token go on only in" in ended.err


def test_so_does_one_that_the_server_puts_off(here, sim):
    sim.faults(kind="status", status=429, headers={"Retry-After": "100"}, method="DELETE")
    ended = here("--timeout", "20", "-c", f"DELETE FROM {TABLE} WHERE id = 'x'", sim=sim)
    assert (ended.code, ended.out) == (1, "")
    assert "(timeout), and the rate limit lets delete_auth_token go on only in" in ended.err
    assert ended.err.endswith(" s. Nothing was changed\n")


def test_a_request_that_the_statements_time_cut_says_which_option_that_was(here, sim):
    sim.faults(kind="hang", method="POST", after=1, times=None)
    sql = f"INSERT INTO {TABLE} (name) VALUES ('a'), ('b'), ('c')"
    ended = here("-o", "csv", "--timeout", "1", "-c", sql, sim=sim)
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 2
    assert "had not answered when the statement's time was over" in ended.err
    assert "--timeout says how long a statement may take" in ended.err
    assert "--request-timeout" not in ended.err
