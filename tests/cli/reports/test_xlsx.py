"""The workbook of a report, read back by another library."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta

import openpyxl
import pyarrow as pa
import pytest
from openpyxl.utils.escape import unescape

from vercel_sql.cli.reports.xlsx import write_workbook
from vercel_sql.errors import DataError

from .made import EVIL, facts, report, result

RISKY = (
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "http://localhost/",
    "mailto:a@example.com",
    "internal:Sheet1!A1",
    "{=1}",
    EVIL,
    '<r></r></is></c><c r="Z1"><f>1+1</f></c><r></r>',
    "<r><t>x</t></r>",
    "_x0041_",
    "2026-01-01",
    "TRUE",
    "00123",
    " spaces ",
    "",
)


def written(table: pa.Table, *, raw: bool = False, **fields: object) -> bytes:
    out = io.BytesIO()
    write_workbook(report(**fields), table, facts(), out, raw=raw)
    return out.getvalue()


def opened(table: pa.Table, *, raw: bool = False) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(written(table, raw=raw)))


@pytest.mark.parametrize("raw", [False, True])
def test_no_text_becomes_a_formula_or_a_link_and_none_is_changed(raw):
    table = pa.table({"=1+1": RISKY, "name": RISKY})
    file = written(table, raw=raw)
    sheet = openpyxl.load_workbook(io.BytesIO(file), rich_text=False)["Report"]
    assert [cell.value for cell in sheet[1]] == ["=1+1", "name"]
    assert sheet["A1"].data_type == "s"
    for line, text in enumerate(RISKY, start=2):
        for cell in sheet[line]:
            # Excel reads `_x005F_` as an underscore; openpyxl leaves that to us.
            assert unescape(cell.value or "") == text
            assert cell.data_type == "s" or text == ""
            assert cell.hyperlink is None
    with zipfile.ZipFile(io.BytesIO(file)) as parts:
        for name in parts.namelist():
            assert b"<f>" not in parts.read(name)
            assert b"<hyperlink" not in parts.read(name)
            assert b"externalLink" not in parts.read(name)


@pytest.mark.parametrize(("raw", "marked"), [(False, True), (True, False)])
def test_a_text_stays_text_when_its_cell_is_edited(raw, marked):
    sheet = opened(pa.table({"name": ["=1+1", "ci"]}), raw=raw)["Report"]
    assert bool(sheet["A2"].quotePrefix) is marked
    assert not sheet["A3"].quotePrefix


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("42", 42),
        ("-7::BIGINT", -7),
        ("1.25::DOUBLE", 1.25),
        ("1.10::DECIMAL(4, 2)", 1.1),
        ("123456789012345::BIGINT", 123456789012345),
        ("1234567890123456::BIGINT", "1234567890123456"),
        ("170141183460469231731687303715884105727::HUGEINT", str(2**127 - 1)),
        ("0.12345678901234567891::DECIMAL(38, 20)", "0.12345678901234567891"),
        ("'nan'::DOUBLE", "nan"),
        ("'infinity'::DOUBLE", "inf"),
        ("true", True),
        ("false", False),
        ("NULL::INTEGER", None),
        ("DATE '2026-03-01'", datetime(2026, 3, 1)),
        ("TIMESTAMP '2026-03-01 09:30:05'", datetime(2026, 3, 1, 9, 30, 5)),
        ("TIMESTAMPTZ '2026-03-01 09:30:05+02'", datetime(2026, 3, 1, 7, 30, 5)),
        ("'infinity'::TIMESTAMPTZ", "infinity"),
        ("DATE '1850-01-01'", "1850-01-01"),
        ("[{'k': 'x', 'n': 12345678901234567890}]", '[{"k":"x","n":12345678901234567890}]'),
        ("'a' || chr(1) || 'b'", "a_x0001_b"),
    ],
)  # fmt: skip
def test_cells_have_types(value, cell):
    found = opened(result(f"SELECT {value} AS v"))["Report"]["A2"].value
    if isinstance(cell, datetime):
        assert abs(found - cell) < timedelta(milliseconds=1)
    else:
        assert (type(found), found) == (type(cell), cell)


def test_the_header_stays_in_sight_and_filters():
    sheet = opened(result("SELECT 'a' AS name, 1 AS n FROM range(3)"))["Report"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B4"
    assert all(cell.font.bold for cell in sheet[1])
    widths = [sheet.column_dimensions[name].width for name in "AB"]
    assert all(6 <= width <= 52 for width in widths)


def test_columns_are_as_wide_as_what_they_hold():
    sheet = opened(result("SELECT repeat('x', 30) AS a, repeat('x', 5000) AS b, 1 AS c"))["Report"]
    narrow, wide, least = (sheet.column_dimensions[name].width for name in "ABC")
    assert least < 30 <= narrow < wide <= 52


def test_the_second_sheet_says_what_it_is():
    sheet = opened(result("SELECT 1 AS a"))["About"]
    said = {name.value: text.value for name, text in sheet.iter_rows(max_col=2)}
    assert sheet["A1"].value == "Stale tokens"
    assert said["What it answers"] == "Which tokens has nobody used for a while?"
    assert said["On a hit"] == "Ask the owner."
    assert said["When"] == "22 Nov 2026, 11:47 UTC"
    assert said["Account"] == "Ada (ada@example.com)"
    assert said["days = 90"] == "whole days without use"
    assert said["Rows"] == "1"
    assert said["Cost"] == "3 requests to the API in 1.2 s"


def test_a_workbook_without_rows_has_its_header():
    sheet = opened(result("SELECT 1 AS a, 2 AS b WHERE false"))["Report"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [["a", "b"]]


def test_a_text_that_no_cell_can_hold_says_that_it_was_cut():
    sheet = opened(result("SELECT repeat('🚀', 20000) AS a, repeat('x', 32767) AS b"))["Report"]
    cut = sheet["A2"].value
    assert cut.startswith("🚀🚀")
    assert cut.endswith("(cut here: an Excel cell holds no more)")
    assert len(cut.encode("utf-16-le")) // 2 <= 32767
    assert sheet["B2"].value == "x" * 32767


def test_more_rows_than_a_sheet_has():
    rows = pa.table({"a": pa.nulls(1_048_576, pa.int8())})
    with pytest.raises(DataError, match=r"1,048,576 rows .* Write parquet or csv"):
        written(rows)


def test_when_it_was_made():
    properties = opened(result("SELECT 1 AS a")).properties
    assert properties.created.replace(tzinfo=UTC) == facts().at
    assert properties.title == "Stale tokens"
