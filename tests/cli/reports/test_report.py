"""The header of a report: what is read from it, and which mistakes are told with their line."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from vercel_sql.cli.reports.report import Chart, Parameter, ReportError, read_report

WHOLE = """\
-- Stale tokens
--
-- Answers: Which tokens has nobody used
--   for more than `days` days?
-- Parameter: days INTEGER = 90 -- whole days without use
-- Parameter: origin VARCHAR = 'it''s -- all' -- where it came from,
--   such as github
-- On a hit: Ask the owner: who misses it?
-- Chart: bar name, idle_days

-- This is no part of it.
SELECT 1;
"""


def test_a_whole_header(report_file):
    path = report_file(WHOLE, "stale.sql")
    report = read_report(path)
    assert (report.name, report.path, report.title) == ("stale", path, "Stale tokens")
    assert report.answers == "Which tokens has nobody used for more than `days` days?"
    assert report.on_hit == "Ask the owner: who misses it?"
    assert report.parameters == (
        Parameter("days", "INTEGER", 90, "whole days without use"),
        Parameter("origin", "VARCHAR", "it's -- all", "where it came from, such as github"),
    )
    assert report.chart == Chart("bar", "name", "idle_days", None)
    assert report.text == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "",
        "-- only for people, with a colon: here\nSELECT 1",
        "-- Written on Monday. Note: it is slow.\n-- see https://example.com\nSELECT 1",
        "\n-- Answers: not the first line, so no header\nSELECT 1",
        "/* Answers: what? */ SELECT 1",
    ],
)
def test_without_a_header_the_file_name_is_the_title(report_file, text):
    report = read_report(report_file(text, "my report.sql"))
    assert (report.name, report.title) == ("my report", "my report")
    assert (report.answers, report.on_hit, report.parameters, report.chart) == ("", "", (), None)


def test_a_short_header_with_windows_lines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "r.sql"
    path.write_bytes("\ufeff--Title\r\n--answers: What?\r\nSELECT 1\r\n".encode())
    report = read_report(path)
    assert (report.title, report.answers) == ("Title", "What?")


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("INTEGER", "-7", -7),
        ("bigint", "9000000000", 9_000_000_000),
        ("DOUBLE", "0.5", 0.5),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", "false", False),
        ("VARCHAR", "''", ""),
        ("VARCHAR", "'NULL'", "NULL"),
        ("DATE", "2026-02-28", date(2026, 2, 28)),
        ("TIMESTAMPTZ", "2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("TIMESTAMPTZ", "2026-02-28T01:00+01:00", datetime(2026, 2, 28, tzinfo=UTC)),
        ("INTEGER", "null", None),
    ],
)
def test_the_types_of_parameters(report_file, kind, written, value):
    text = f"-- T\n-- Answers: a\n-- Parameter: p {kind} = {written} -- says\nSELECT 1"
    (parameter,) = read_report(report_file(text)).parameters
    assert (parameter.type, parameter.default) == (kind.upper(), value)


@pytest.mark.parametrize(
    ("header", "line", "says"),
    [
        ("-- Answers: What?", 1, "begins with a title"),
        ("--\n-- Title\n-- Answers: What?", 1, "begins with a title"),
        ("-- T\n-- On a hit: Act.", 1, "no line 'Answers: …'"),
        ("-- T\n-- Answers: a\n-- Answers: b", 3, "Answers is given twice"),
        ("-- T\n-- Answers:", 2, "Answers is empty"),
        ("-- T\n-- Answers: a\nand goes on", None, None),
        ("-- T\n-- Answers: a\n-- and goes on", 3, "its further lines are indented"),
        ("-- T\n--   goes on\n-- Answers: a", 2, "its further lines are indented"),
        ("-- T\n-- Answers: a\n-- Paramter: days INTEGER = 1 -- x", 3, "did you mean Parameter?"),
        ("-- T\n-- Answers: a\n-- Author: me", 3, "unknown field Author; the fields are Answers"),
        ("-- T\n-- Answer: a", 2, "unknown field Answer; did you mean Answers?"),
        ("-- T\n-- Answers: a\n-- Parameter: days = 1 -- x", 3, "'name TYPE = default -- what"),
        ("-- T\n-- Answers: a\n-- Parameter: days INTEGER = 1", 3, "'name TYPE = default -- what"),
        ("-- T\n-- Answers: a\n-- Parameter: days INTEGER -- x", 3, "'name TYPE = default -- what"),
        ("-- T\n-- Answers: a\n-- Parameter: 9d INTEGER = 1 -- x", 3, "'name TYPE = default"),
        (
            "-- T\n-- Answers: a\n-- Parameter: days INT = 1 -- x",
            3,
            "unknown type INT; the types are INT",
        ),
        ("-- T\n-- Answers: a\n-- Parameter: d INTEGER = 1.5 -- x", 3, "'1.5' is not an integer"),
        ("-- T\n-- Answers: a\n-- Parameter: d INTEGER = 3000000000 -- x", 3, "out of range"),
        (
            "-- T\n-- Answers: a\n-- Parameter: d VARCHAR = all -- x",
            3,
            "not a text in single quotes",
        ),
        ("-- T\n-- Answers: a\n-- Parameter: d BOOLEAN = 1 -- x", 3, "neither true nor false"),
        ("-- T\n-- Answers: a\n-- Parameter: d DOUBLE = inf -- x", 3, "is not a number"),
        ("-- T\n-- Answers: a\n-- Parameter: d DATE = 2026-02-30 -- x", 3, "there is no day"),
        ("-- T\n-- Answers: a\n-- Parameter: d TIMESTAMPTZ = soon -- x", 3, "not a time such as"),
        (
            "-- T\n-- Answers: a\n-- Parameter: d DATE = NULL -- x\n"
            "-- Parameter: D DATE = NULL -- y",
            4,
            "the parameter D is given twice",
        ),
        ("-- T\n-- Answers: a\n-- Chart: pie a, b", 3, "unknown chart pie; the charts are bar"),
        ("-- T\n-- Answers: a\n-- Chart: bar a", 3, "'bar x, y' or 'bar x, y, series'"),
        ("-- T\n-- Answers: a\n-- Chart: line a, b, c, d", 3, "'line x, y' or"),
    ],
)
def test_a_malformed_header_is_an_error_with_file_and_line(report_file, header, line, says):
    path = report_file(f"{header}\nSELECT 1")
    if line is None:
        assert read_report(path).answers == "a"
        return
    with pytest.raises(ReportError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_files_that_cant_be_read(tmp_path):
    with pytest.raises(ReportError, match="can't be read: No such file"):
        read_report(tmp_path / "none.sql")
    with pytest.raises(ReportError, match="can't be read: Is a directory"):
        read_report(tmp_path)
    (tmp_path / "latin.sql").write_bytes(b"-- \xe9t\xe9")
    with pytest.raises(ReportError, match="is not UTF-8 text"):
        read_report(tmp_path / "latin.sql")
    with pytest.raises(ReportError, match="is not the name of a file"):
        read_report("a\0b")
