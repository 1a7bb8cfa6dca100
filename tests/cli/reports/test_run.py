"""``vercel-sql run``: formats, files, options, exit codes, and what is refused before it begins."""

from __future__ import annotations

import json
import os

import duckdb
import pytest

from ..conftest import PATIENCE, environment, started
from .conftest import CALLING, QUERIES

LEAKED = QUERIES / "leaked.sql"
STALE = QUERIES / "stale.sql"
ONE = [{"id": "t1", "name": "=1+1", "leakedAt": 5}]
HEADER = "-- T\n-- Answers: a\n-- Parameter: days INTEGER = 90 -- whole days\n"


@pytest.fixture
def found(simulate):
    """An account with one leaked token, whose name a spreadsheet would compute."""
    return simulate(ONE)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "reports" / "out"


# What is printed


def test_a_report_alone_is_printed_as_it_is(run, found):
    ended = run(LEAKED, "-o", "json", sim=found)
    assert (ended.code, ended.err) == (0, "")
    assert [row["id"] for row in json.loads(ended.out)] == ["t1"]


def test_several_tables_have_titles(run, report_file, found):
    ended = run(report_file("SELECT 1 AS a", "one.sql"), LEAKED, sim=found)
    assert ended.code == 0
    assert ended.out.startswith("one\n\n┌")
    assert "\n\nLeaked or revoked tokens\n\n┌" in ended.out


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("markdown", "## a\n\n| x |\n| ---: |\n| 1 |\n\n## b\n\n| x |\n| ---: |\n| 2 |\n"),
        ("csv", "x\r\n1\r\n\r\nx\r\n2\r\n"),
        ("json", '[\n{"x":1}\n]\n[\n{"x":2}\n]\n'),
        ("ndjson", '{"x":1}\n{"x":2}\n'),
    ],
)
def test_several_results_can_be_told_apart(run, report_file, fmt, expected):
    files = [report_file(f"SELECT {n} AS x", f"{name}.sql") for name, n in (("a", 1), ("b", 2))]
    ended = run(*files, "-o", fmt)
    assert ended.code == 0
    assert ended.out.replace("\r\n", "\n") == expected.replace("\r\n", "\n")


def test_an_html_page_can_be_printed_but_not_two(run, sim):
    ended = run(LEAKED, "-o", "html")
    assert ended.code == 0
    assert ended.out.lstrip().lower().startswith("<!doctype html>")
    sim.clear_requests()
    ended = run(LEAKED, STALE, "-o", "html")
    assert (ended.code, ended.out) == (2, "")
    assert "--out DIR" in ended.err
    assert not sim.requests()


@pytest.mark.parametrize("fmt", ["parquet", "xlsx"])
def test_what_is_no_text_needs_a_directory(run, sim, fmt):
    ended = run(LEAKED, "-o", fmt)
    assert (ended.code, ended.out) == (2, "")
    assert "--out DIR" in ended.err
    assert not sim.requests()


# Files


@pytest.mark.parametrize(
    ("fmt", "name", "begins"),
    [
        ("table", "leaked.txt", "┌".encode()),
        ("csv", "leaked.csv", b"\xef\xbb\xbfname,"),
        ("json", "leaked.json", b"[\n{"),
        ("ndjson", "leaked.ndjson", b"{"),
        ("markdown", "leaked.md", b"| name |"),
        ("parquet", "leaked.parquet", b"PAR1"),
        ("xlsx", "leaked.xlsx", b"PK"),
        ("html", "leaked.html", b"<!"),
    ],
)
def test_a_file_of_each_format_is_for_its_owner_only(run, found, out, fmt, name, begins):
    umask = os.umask(0o022)
    try:
        ended = run(LEAKED, "-o", fmt, "--out", out, sim=found)
    finally:
        os.umask(umask)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"vercel-sql: {LEAKED}: 1 row, written to {out / name}\n"
    (file,) = out.iterdir()
    assert file.name == name
    assert file.read_bytes().startswith(begins)
    assert file.stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o700


def test_a_file_is_replaced_whatever_its_mode_was(run, found, out):
    out.mkdir(parents=True)
    file = out / "leaked.json"
    file.write_text("x" * 100_000)
    file.chmod(0o644)
    assert run(LEAKED, "-o", "json", "--out", out, sim=found).code == 0
    assert len(json.loads(file.read_text())) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(out.iterdir()) == [file]


def test_parquet_keeps_types_and_values(run, found, out):
    run(LEAKED, "-o", "parquet", "--out", out, sim=found)
    with duckdb.connect() as con:
        rows = con.read_parquet(str(out / "leaked.parquet"))
        assert str(rows.types[rows.columns.index("leaked_at")]) == "TIMESTAMP WITH TIME ZONE"
        assert rows.select("name, still_works, epoch_ms(leaked_at)").fetchall() == [
            ("=1+1", True, 5)
        ]


def test_csv_is_safe_in_a_spreadsheet_unless_it_is_raw(run, found, out):
    for arguments in (["--out", out], []):
        ended = run(LEAKED, "-o", "csv", *arguments, sim=found)
        text = ended.out or (out / "leaked.csv").read_text()
        assert "=1+1" in text
        assert "\n=1+1," not in text
        ended = run(LEAKED, "-o", "csv", "--raw", *arguments, sim=found)
        assert "\n=1+1," in (ended.out or (out / "leaked.csv").read_text())


def test_two_reports_of_one_name_are_refused(run, sim, report_file, tmp_path, out):
    (tmp_path / "other").mkdir()
    one = report_file("SELECT 1", "Leaked.sql")
    two = report_file("SELECT 2", "other/leaked.sql")
    ended = run(one, two, "--out", out)
    assert ended.code == 2
    assert str(one) in ended.err
    assert str(two) in ended.err
    assert run(one, two, "-o", "csv").code == 0


# Rules and quiet


@pytest.mark.parametrize(
    ("rows", "options", "code", "printed"),
    [
        (1, [], 0, True),
        (0, [], 0, True),
        (1, ["--fail-if-rows"], 3, True),
        (0, ["--fail-if-rows"], 0, True),
        (1, ["--fail-if-empty"], 0, True),
        (0, ["--fail-if-empty"], 3, True),
        (1, ["--quiet"], 0, False),
        (1, ["--quiet", "--fail-if-rows"], 3, True),
        (0, ["--quiet", "--fail-if-rows"], 0, False),
        (0, ["--quiet", "--fail-if-empty"], 3, True),
    ],
)
def test_rules_and_quiet(run, report_file, rows, options, code, printed):
    path = report_file(f"SELECT 1 AS x FROM range({rows})")
    ended = run(path, "-o", "csv", *options)
    assert ended.code == code
    assert bool(ended.out) == printed
    counted = "1 row" if rows else "0 rows"
    rule = options[-1] if options else ""
    expected = f"vercel-sql: {path}: {counted}, not allowed by {rule}\n" if code else ""
    assert ended.err == expected


def test_of_several_reports_one_that_breaks_the_rule_is_enough(run, report_file):
    none, one = report_file("SELECT 1 WHERE false", "a.sql"), report_file("SELECT 7", "b.sql")
    ended = run(none, one, none, "--fail-if-rows", "--quiet", "-o", "ndjson")
    assert (ended.code, ended.out) == (3, '{"7":7}\n')


def test_with_files_quiet_says_nothing_and_a_broken_rule_is_told(run, found, out):
    ended = run(LEAKED, "--quiet", "-o", "csv", "--out", out, sim=found)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert (out / "leaked.csv").exists()
    ended = run(LEAKED, "--quiet", "-o", "json", "--out", out, "--fail-if-rows", sim=found)
    assert (ended.code, ended.out) == (3, "")
    assert f"1 row, written to {out / 'leaked.json'}, not allowed by --fail-if-rows" in ended.err
    assert (out / "leaked.json").exists()


def test_both_rules_are_one_too_many(run, sim):
    ended = run(LEAKED, "--fail-if-rows", "--fail-if-empty")
    assert ended.code == 2
    assert not sim.requests()


# Parameters


def test_parameters_have_the_type_of_the_header(run, report_file):
    path = report_file(
        "-- T\n-- Answers: a\n-- Parameter: n BIGINT = NULL -- x\n"
        "-- Parameter: at TIMESTAMPTZ = NULL -- x\n-- Parameter: who VARCHAR = 'x' -- x\n"
        "SELECT typeof(getvariable('n')) AS n, epoch_ms(getvariable('at')) AS at, "
        "getvariable('who') AS who"
    )
    given = ["--param", "N=5", "--param", "at=1970-01-01T00:00:01", "--param", "who='; --"]
    ended = run(path, "-o", "ndjson", *given)
    assert json.loads(ended.out) == {"n": "BIGINT", "at": 1000, "who": "'; --"}
    ended = run(path, "-o", "ndjson")
    assert json.loads(ended.out) == {"n": "BIGINT", "at": None, "who": "x"}


def test_a_value_can_come_from_a_file(run, report_file, tmp_path):
    path = report_file(f"{HEADER}SELECT getvariable('days') AS days")
    (tmp_path / "value").write_text("12\n")
    ended = run(path, "-o", "ndjson", f"--param=days=@{tmp_path / 'value'}")
    assert ended.out == '{"days":12}\n'
    (tmp_path / "value").write_text("s3cret\n")
    ended = run(path, f"--param=days=@{tmp_path / 'value'}")
    assert ended.code == 2
    assert "s3cret" not in ended.err


def test_each_report_takes_the_parameters_that_it_has(run, report_file):
    with_days = report_file(f"{HEADER}SELECT getvariable('days') AS days", "a.sql")
    without = report_file("SELECT getvariable('days') AS days, getvariable('x') AS x", "b.sql")
    sets = report_file("SET VARIABLE x = 1; SELECT getvariable('x') + 1 AS x;", "c.sql")
    ended = run(with_days, sets, without, with_days, "-o", "ndjson", "--param", "days=3")
    assert ended.out.splitlines() == [
        '{"days":3}',
        '{"x":2}',
        '{"days":null,"x":null}',
        '{"days":3}',
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["day=3"], "no report has a parameter day; did you mean days?"),
        (["colour=3"], "no report has a parameter colour; the parameters are days"),
        (["days=soon"], "--param days: 'soon' is not an integer; "),
        (["days=1.5"], "'1.5' is not an integer"),
        (["days="], "'' is not an integer"),
        (["days=99999999999"], "out of range"),
        (["days"], "--param takes NAME=VALUE"),
        (["days=1", "days=2"], "--param days is given twice"),
        (["days=1", "DAYS=2"], "are the same one"),
        (["days=@/no/such/file"], "can't be read"),
    ],
)
def test_bad_parameters_are_told_before_the_first_request(run, sim, given, says):
    ended = run(STALE, *[f"--param={each}" for each in given])
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert not sim.requests()


def test_a_file_without_a_header_has_no_parameters(run, report_file):
    ended = run(report_file("SELECT getvariable('days')"), "--param", "days=3")
    assert ended.code == 2
    assert "'Parameter: name TYPE = default -- what it means'" in ended.err


# What is no report


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a report is one SELECT"),
        ("-- nothing\n;", "a report is one SELECT"),
        ("SELECT 1; SELECT 2", "a report is one SELECT"),
        ("SELECT 1; SET VARIABLE x = 1", "a report is one SELECT"),
        ("SET VARIABLE x = 1", "a report is one SELECT"),
        ("SET threads = 1; SELECT 1", "1:1 is neither a SELECT"),
        ("DELETE FROM vercel.authentication.user_tokens WHERE true", "1:1 is neither a SELECT"),
        ("INSERT INTO vercel.authentication.user_tokens (name) VALUES ('x')", "neither a SELECT"),
        ("WITH a AS (SELECT 1) INSERT INTO t FROM a", "neither a SELECT"),
        ("EXEC vercel.authentication.user_tokens.email_login @email = 'a@b.c'", "neither a SELECT"),
        ("SELECT 1;\nCOPY (SELECT 1) TO 'x.csv'", "2:1 is neither a SELECT"),
        ("CREATE TABLE t AS SELECT 1", "neither a SELECT"),
        ("ATTACH 'x.db'; SELECT 1", "neither a SELECT"),
        ("SELECT $days", "it can't have placeholders"),
        ("SELECT {{ days }}", "it can't have placeholders"),
        ("SELECT 'it", "unterminated"),
        ("SELEC 1", "syntax error"),
        ("SELECT nmae FROM vercel.audit.user_tokens", "nmae"),
        ("SELECT 1 FROM vercel.audit.user_token", "user_token"),
        ("-- T\n-- Answers: a\n-- Chart: bar a, c\nSELECT 1 AS a, 2 AS b", "names the column c"),
        (f"{HEADER}SELECT 1", "the parameter days is not used"),
        ("-- T\n-- Answers: a\n-- Chrat: bar a, b\nSELECT 1", ":3: unknown field Chrat"),
    ],
)
def test_what_is_no_report_is_refused_before_the_first_request(
    run, sim, report_file, out, text, says
):
    path = report_file(text)
    ended = run(LEAKED, path, "-o", "csv", "--out", out)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"vercel-sql: {path}:")
    assert says in ended.err
    assert not sim.requests()
    assert not list(out.glob("*"))


@pytest.mark.parametrize(
    "text",
    [
        "FROM vercel.audit.user_tokens SELECT name;",
        "(SELECT name FROM vercel.audit.user_tokens)",
        "WITH a AS (FROM vercel.audit.user_tokens) SELECT name FROM a -- the end",
        "SELECT name FROM vercel.authentication.user_tokens WHERE tokenId = 'current'",
        "/* hello */ SET VARIABLE x = 1; TABLE vercel.audit.user_tokens;\n-- the end",
    ],
)
def test_what_only_reads_is_a_report(run, simulate, report_file, text):
    ended = run(report_file(text), "-o", "ndjson", sim=simulate(0))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["name"] == CALLING


# History


def test_a_history_is_there_to_be_read(run, report_file, tmp_path):
    file = tmp_path / "it's.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("CREATE TABLE runs AS SELECT 42 AS run_id")
    before = file.read_bytes()
    path = report_file("SELECT run_id FROM history.runs")
    ended = run(path, "-o", "ndjson", "--history", file)
    assert (ended.code, ended.out) == (0, '{"run_id":42}\n')
    assert file.read_bytes() == before


def test_a_history_that_can_not_be_opened(run, sim, tmp_path):
    ended = run(LEAKED, "--history", tmp_path / "none.duckdb")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("vercel-sql: --history can't be attached: ")
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "none.duckdb").exists()
    assert not sim.requests()


HISTORIES = {
    "": "--history needs a file name",
    ":memory:": "--history :memory: would be lost",
}


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_that_names_none_is_told_for_people(run, sim, history):
    ended = run(LEAKED, "--history", history)
    assert (ended.code, ended.out) == (2, "")
    assert HISTORIES[history] in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not sim.requests()


# The command itself


def test_options_may_stand_anywhere(run, report_file):
    one, two = report_file("SELECT 1 AS x", "a.sql"), report_file("SELECT 2 AS x", "b.sql")
    ended = run("-o", "ndjson", one, "--quiet", two, "--fail-if-rows")
    assert (ended.code, ended.out) == (3, '{"x":1}\n{"x":2}\n')


def test_wrong_use(run, sim):
    assert run().code == 2
    ended = run("--toekn=s3cret", LEAKED)
    assert ended.code == 2
    assert "unknown option --toekn\n" in ended.err
    assert "s3cret" not in ended.err
    assert run("-o", "pdf", LEAKED).code == 2
    assert not sim.requests()


def test_the_exit_codes_are_in_the_help(run):
    ended = run("--help")
    assert ended.code == 0
    assert "3 a report has rows" in ended.out


def test_only_reads_are_sent(run, sim):
    files = [path for path in QUERIES.glob("*.sql") if path.stem != "changes"]
    assert run(*files, "-o", "json").code == 0
    assert {request.method for request in sim.requests()} == {"GET"}


def test_a_full_disk_behind_standard_output(command, sim):
    with open("/dev/full", "wb", buffering=0) as full:
        ended = command("run", str(LEAKED), "-o", "csv", sim=sim, stdout=full)
    assert ended.code == 1
    assert ended.err == (
        f"vercel-sql: {LEAKED}: the result can't be written: No space left on device\n"
    )


def test_a_reader_that_left_is_no_reason_to_complain(sim):
    arguments = ["run", str(LEAKED), str(STALE), "-o", "csv"]
    with started(arguments, environment(sim)) as process:
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, b"")
