"""Statements and parameters: where they come from, and what is refused before anything runs."""

import json
import os

import pytest

TABLE = "vercel.authentication.user_tokens"


def rows(ended):
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


def refused(ended, *said):
    assert (ended.code, ended.out) == (2, "")
    assert all(text in ended.err for text in said), ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 2


def test_texts_and_files_run_in_the_order_in_which_they_are_given(here, tmp_path):
    file = tmp_path / "b.sql"
    file.write_text("SELECT 2 AS n; SELECT 3 AS n;")
    ended = here("-o", "ndjson", "-c", "SELECT 1 AS n", "-f", str(file), "-c", "SELECT 4 AS n")
    assert rows(ended) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]


@pytest.mark.parametrize("arguments", [(), ("-f", "-")])
def test_standard_input(here, arguments):
    ended = here(
        "-o", "ndjson", *arguments, stdin=b"\xef\xbb\xbfSELECT 1 AS n;\r\nSELECT 2 AS n\r\n"
    )
    assert rows(ended) == [{"n": 1}, {"n": 2}]


def test_a_piped_process(command):
    ended = command("-o", "csv", stdin="SELECT 'é' AS \"ü\"".encode(), forked=False)
    assert ended.out == "ü\né\n"
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("text", ["", ";;", "-- nothing", " \r\n"])
def test_nothing_to_run_is_fine(here, text):
    assert rows(here("-c", text)) == []


def test_a_file_with_a_byte_order_mark_and_crlf(here, tmp_path):
    file = tmp_path / "script.sql"
    file.write_bytes(b"\xef\xbb\xbf-- a comment\r\nSELECT\r\n  1 AS n;\r\nSELECT nix;\r\n")
    ended = here("-o", "ndjson", "-f", str(file))
    assert ended.code == 1
    assert ended.out == '{"n":1}\n'
    assert f"in the statement at 4:1 of {file}: " in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-f", "{tmp}/none.sql"], ["-f", "none.sql can't be read: No such file"]),
        (["-f", "{tmp}"], ["-f", "Is a directory"]),
        (["-f", "{tmp}/binary"], ["-f", "not UTF-8"]),
        (["-c", "SELECT '\udcff'"], ["-c is not UTF-8"]),
        (["-c", "SELECT $a", "--param", "a=\udcff"], ["--param a is not UTF-8"]),
        (["-c", "SELECT $a", "--param", "a"], ["NAME=VALUE"]),
        (["-c", "SELECT $a", "--param", "=1"], ["NAME=VALUE"]),
        (["-c", "SELECT $a", "--param", "a=1", "--param", "a=2"], ["a is given twice"]),
        (["-c", "SELECT $a", "--param", "a=1", "--param", "A=2"], ["a and A are the same"]),
        (["-c", "SELECT $a", "--param", "a=@{tmp}/none"], ["--param a: ", "No such file"]),
        (["-c", "SELECT $a", "--param", "a=@"], ["--param a: "]),
        (["-c", "SELECT $a", "--param", "a=@{tmp}/binary"], ["--param a: ", "not UTF-8"]),
        (["-c", "SELECT $a"], ["$a has no value", "--param NAME=VALUE"]),
        (["-c", "SELECT {{{{ a }}}}"], ["{{ a }} has no value"]),
        (["-c", "SELECT $a", "--param", "a=1", "--param", "b=1"], ["uses the parameter b"]),
        (["-c", "SELECT $aa", "--param", "ab=1"], ["$aa has no value"]),
        (["-c", "SELECT 1", "-o", "xml"], ["-o", "'xml'", "ndjson"]),
        (["-c", "SELECT 1", "-c"], ["-c"]),
        (
            ["-c", "SELECT 1", "--expect-rows", "x"],
            ["--expect-rows", "must be an integer ≥ 0, not x"],
        ),
        (["-c", "SELECT 1", "--expect-rows", "-1"], ["--expect-rows"]),
        (["-c", "SELECT 1", "--timeout", "0"], ["--timeout", "above 0"]),
        (
            ["-c", "SELECT 1", "--timeout", "soon"],
            ["--timeout", "must be a number of seconds above 0, not soon"],
        ),
        (["-c", "SELECT 1", "--timeout", "nan"], ["--timeout"]),
        (["-c", "SELECT 1", "--read"], ["unknown option --read"]),
        (["SELECT 1"], ["after -c", 'vercel-sql -c "SELECT 1"']),
        (["simulat"], ["did you mean simulate?"]),
        (["--read-only", "demo"], ["demo comes first"]),
        (["demo", "-x"], ["-x"]),
        (["simulate", "--bogus"], ["--bogus"]),
        (["simulate", "--port", "70000"], ["--port", "70000"]),
        (["simulate", "--rate-limit", "fast"], ["--rate-limit"]),
        (["-c", "SELECT 1", "--api-url", "http://example.com"], ["plain http to example.com"]),
        (["-c", "SELECT 1", "--api-url", "ftp://example.com"], ["http(s)"]),
        (["-c", "SELECT 1", "--api-url", "example"], ["http(s)"]),
        (["-c", "SELECT 1", "--token-file", "{tmp}/none"], ["token file", "No such file"]),
        (["-c", "SELECT 1", "--token-file", "{tmp}/binary"], ["token file"]),
        (["-c", "SELECT 1", "--token-file", "{tmp}/two"], ["line break"]),
        (["-c", "SELECT 1", "--token-file", "{tmp}/empty"], ["empty"]),
        (["-c", "SELECT 1", "--database", "{tmp}/no/such.db"], ["such.db"]),
        (["-c", "SELECT 1", "--save-secrets", "{tmp}/no/such"], ["secrets file", "No such file"]),
        (["-c", "SELECT 1", "--save-secrets", "{tmp}/open"], ["others may read it", "chmod 600"]),
        (["-c", "SELECT 1", "--save-secrets", "{tmp}/link"], ["secrets file"]),
    ],
)
def test_wrong_use_is_said_in_a_line_and_nothing_runs(here, sim, tmp_path, arguments, said):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "two").write_text("vcp_one\nvcp_two\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "open").write_text("")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    before = ["-c", f"INSERT INTO {TABLE} (name) SELECT 'x'"] if arguments[0] == "-c" else []
    ended = here(*before, *(a.format(tmp=tmp_path) for a in arguments), sim=sim)
    refused(ended, *said)
    assert sim.requests() == []
    assert "vcp_one" not in ended.err


def test_a_typo_in_a_parameter_makes_no_token(here, sim):
    sql = f"INSERT INTO {TABLE} (name, expiresAt) SELECT '{{{{ name }}}}', {{{{ expiresAt }}}}"
    values = [
        "--param",
        "name=x",
        "--param",
        "expiresAt=2099-01-01",
        "--param",
        "expireAt=2099-01-01",
    ]
    refused(here("-c", sql, *values, sim=sim), "uses the parameter expireAt", "{{ expiresAt }}")
    assert sim.requests() == []


def test_standard_input_that_is_no_text(command):
    refused(command(stdin=b"SELECT '\xff'"), "standard input is not UTF-8")


def test_parameters_are_cast_to_what_they_are_needed_as(here, sim, tmp_path):
    (tmp_path / "name").write_text("@from a file\r\n")
    sql = f"INSERT INTO {TABLE} (name, expiresAt) SELECT $name, $expires RETURNING *"
    made = []
    for name, expires in (
        (f"@{tmp_path}/name", "2099-01-01"),
        ("@@at", "4070908800000"),
        ("123", "2099-01-01 00:00:00+00"),
    ):
        values = ["--param", f"name={name}", "--param", f"expires={expires}"]
        made += rows(here("-o", "ndjson", "-c", sql, *values, sim=sim))
    assert [row["name"] for row in made] == ["@from a file", "@at", "123"]
    assert {row["expiresAt"] for row in made} == {4070908800000}


def test_help_and_version(here, command):
    ended = here("--help")
    assert (ended.code, ended.err) == (0, "")
    for word in ("demo", "simulate", "-c SQL", "--param", "examples:", "exit codes:"):
        assert word in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100
    ended = command("--version", forked=False)
    assert ended.out.startswith("vercel-sql ")
    assert (ended.code, ended.err) == (0, "")


def test_standard_output_that_is_closed_stops_everything_before_it_runs(command, sim):
    ended = command(
        "-c",
        f"INSERT INTO {TABLE} (name) SELECT 'x'",
        sim=sim,
        preexec_fn=lambda: os.close(1),
    )
    refused(ended, "standard output is closed")
    assert sim.requests() == []
