"""Every text that the server sends, in every shape, in every format: exact or an error, and inert.

A cell is a field, a text, and a format. The command ends with all rows, whose values read back as
they were sent, or with one error; nothing of the text acts on a terminal, a CI service or a sheet.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from vercel_sql.simulator import Simulator

T = "vercel.authentication.user_tokens"
INVENTORY = """-- Texts
--
-- Answers: What are they called?
SELECT id, name, origin FROM vercel.authentication.user_tokens ORDER BY id;
"""
TEXTS = {
    "empty": "",
    "blank": "  ",
    "null": "NULL",
    "quotes": "\"'`a,b;c\td",
    "lines": "a\nb\r\nc\rd",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x9b",
    "escapes": "\x1b[31m\x1b]0;t\x07",
    "a NUL": "a\0b",
    "bidi": "\u202eabc\u2066\u200f",
    "separators": "a\u2028b\u2029c\x85d",
    "a mark": "\ufeffa",
    "no character": "\uffff\ufffe",
    "emoji": "👩‍👩‍👧 🚀",
    "huge": "x" * 40_000,
    "wide": "漢" * 300,
    "html": "<script>alert(1)</script>&amp;<!-- ]]>",
    "markdown": "|a|`b`*c*_d_[e](f)<br>",
    "GitHub": "::add-mask::x",
    "GitHub again": " ::error title=a::b",
    "Azure": "##vso[task.complete]",
    "TeamCity": "a ##teamcity[x]",
    "formula": "=1+1",
    "formula again": "+cmd|' /C calc'!A0",
    "formulas": "-1;=1+1\n@SUM(A1)",
    "wide formula": "\uff1d1+1",
    "SQL": "'; DROP TABLE x; --",
    "placeholder": "$x {{ x }} ? %s {}",
    "json": '{"a": [1, null]}',
    "number": "00012345678901234567890",
    "path": "../../etc/passwd",
}
FORMATS = ("table", "csv", "json", "ndjson", "markdown")
FILES = {"csv": "csv", "json": "json", "ndjson": "ndjson", "parquet": "parquet", "xlsx": "xlsx"}
FILES |= {"html": "html", "markdown": "md", "table": "txt"}
STEERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
COMMANDS = re.compile(r"(?m)^\s*::[A-Za-z][\w-]*(?: [^\n]*)?::|##[\w.-]*\[")


@pytest.fixture(scope="module")
def account():
    named = [{"id": f"tok_{at:02}", "name": t, "origin": t} for at, t in enumerate(TEXTS.values())]
    with Simulator(named) as sim:
        yield sim


def read(fmt, text):
    """The names in an output, by id; None where the format is for people alone."""
    if fmt == "csv":
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    elif fmt == "json":
        rows = json.loads(text)
    elif fmt == "ndjson":
        rows = [json.loads(line) for line in text.split("\n") if line]
    else:
        return None
    return {row["id"]: row["name"] for row in rows if row["id"].startswith("tok_")}


EXPECTED = {f"tok_{at:02}": text for at, text in enumerate(TEXTS.values())}


@pytest.mark.parametrize("fmt", FORMATS)
def test_names_on_standard_output(forge, account, fmt):
    query = f"SELECT id, name, origin FROM {T} ORDER BY id"
    ended = forge("-o", fmt, "-c", query, sim=account, env={"CI": "true"})
    assert (ended.code, ended.err) == (0, "")
    assert not COMMANDS.search(ended.out)
    plain = forge("-o", fmt, "-c", query, sim=account)
    found = read(fmt, plain.out)
    if found is not None:
        assert found == EXPECTED
    if fmt in ("table", "markdown"):
        assert not STEERS.search(plain.out.replace("\n", ""))
    if fmt == "markdown":  # no value leaves its row
        assert len(plain.out.splitlines()) == len(account.state.tokens()) + 2


@pytest.mark.parametrize("fmt", FILES)
def test_names_in_reports(forge, account, tmp_path, fmt):
    (tmp_path / "texts.sql").write_text(INVENTORY)
    out = tmp_path / "out"
    ended = forge("run", str(tmp_path / "texts.sql"), "-o", fmt, "--out", str(out), sim=account)
    assert ended.code == 0, ended
    made = out / f"texts.{FILES[fmt]}"
    if fmt == "parquet":
        table = pq.read_table(made).to_pylist()
        found = {row["id"]: row["name"] for row in table if row["id"].startswith("tok_")}
        assert found == EXPECTED
    elif fmt == "xlsx":
        sheet = openpyxl.load_workbook(made).worksheets[0]
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
        assert sheet.max_row > len(EXPECTED)
    else:
        check_text(fmt, made)


def check_text(fmt: str, made: Path) -> None:
    text = made.read_bytes().decode()
    found = read(fmt, text)
    if fmt == "csv":
        assert text.startswith("\ufeffid,")
        values = [value for row in csv.reader(io.StringIO(text[1:], newline="")) for value in row]
        assert not [v for v in values if v[:1] in tuple("=+-@\t\r\uff1d")]
        same = {key: EXPECTED[key] for key, value in found.items() if value == EXPECTED[key]}
        assert len(same) >= len(EXPECTED) - 8  # those that a sheet would compute
    elif found is not None:
        assert found == EXPECTED
    elif fmt == "html":
        assert "<script>alert" not in text
        assert not STEERS.search(text)
    else:
        assert not STEERS.search(text)


ANSWERS = {
    "message": lambda text: {"kind": "status", "status": 400, "message": text},
    "code": lambda text: {"kind": "status", "status": 400, "code": text},
    "content type": lambda text: {
        "kind": "body",
        "status": 502,
        "body": "x",
        "headers": {"Content-Type": text},
    },
    "retry-after": lambda text: {
        "kind": "status",
        "status": 400,
        "headers": {"Retry-After": text},
    },
    "location": lambda text: {"kind": "redirect", "location": text},
    "page": lambda text: {
        "kind": "body",
        "status": 502,
        "body": f"<html><title>{text}</title>",
        "headers": {"Content-Type": "text/html"},
    },
    "date": lambda text: {"kind": "status", "status": 400, "headers": {"Date": text}},
    "request id": lambda text: {"kind": "status", "status": 400, "headers": {"X-Vercel-Id": text}},
}
IN_HEADERS = ("content type", "retry-after", "location", "date", "request id")


@pytest.mark.parametrize("field", ANSWERS)
def test_what_errors_say(forge, account, field):
    """One line, which nothing in it can make into two, and no longer than a person reads."""
    for name, text in TEXTS.items():
        if field in IN_HEADERS and not (text.isascii() and text.isprintable() and len(text) < 9000):
            continue
        account.clear_faults()
        account.faults({**ANSWERS[field](text), "times": None})
        ended = forge("whoami", sim=account)
        about = (field, name, ended)
        assert ended.code == 1, about
        assert ended.out == "", about
        assert ended.err.count("\n") == 1, about
        assert len(ended.err) < 4000, about
        assert "internal error" not in ended.err, about
        assert not STEERS.search(ended.err), about
        assert not COMMANDS.search(ended.err), about
    account.clear_faults()


def test_what_whoami_says(forge, account):
    for name, text in TEXTS.items():
        account.clear_faults()
        user = dict.fromkeys(("name", "username", "email"), text)
        patch = {"kind": "patch", "path": "/v2/user", "patch": {"user": user}}
        account.faults({**patch, "times": None})
        for fmt in ("table", "json"):
            options = () if fmt == "table" else ("-o", "json")
            ended = forge("whoami", *options, sim=account)
            about = (name, fmt, ended)
            assert (ended.code, ended.err) == (0, ""), about
            assert not STEERS.search(ended.out.replace("\n", "")), about
            assert not COMMANDS.search(ended.out), about
    account.clear_faults()
