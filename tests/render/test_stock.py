"""The modes beside DuckDB's own program, where it is installed: the same bytes."""

import csv
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from vercel_sql.render import MODES

PROGRAM = Path(sys.executable).with_name("duckdb")
OURS_ARE_EXACT = {"csv", "json", "jsonlines", "markdown"}  # and differ for it
SAME = [mode for mode in MODES if mode not in OURS_ARE_EXACT]

VALUES = """SELECT * FROM (VALUES
    (1::INTEGER, 'ci'::VARCHAR, NULL::BIGINT, 3.5::DOUBLE, 1.10::DECIMAL(5, 2), true,
     DATE '2026-10-01', TIMESTAMP '2026-10-01 01:02:03.5', TIMESTAMPTZ '2026-10-01 01:00:00+00',
     [1, NULL], '\\x00a"'::BLOB, 12345678901234567890123::HUGEINT, 7::UTINYINT, '日本',
     INTERVAL '1 month', '123e4567-e89b-12d3-a456-426614174000'::UUID, 'nightly'),
    (-22, 'it''s "q", <a|b> \\ &', 5, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     'é', NULL, NULL, NULL),
    (0, '', 0, 1e300, 0, NULL, DATE '1999-01-01', NULL, NULL, [], 'b', 0, 0, ' x ',
     INTERVAL 0 SECOND, NULL, '')
) AS t (id, "a name", n, d, "dcm", b, "Date", ts, "select", l, "bl""b", h, u, w, iv, uu, s)"""
NO_LATEX = " REPLACE (replace(replace(\"a name\", '\\', '/'), '&', '+') AS \"a name\")"


@pytest.fixture(scope="module")
def stock():
    """Runs a script in DuckDB's program."""
    if not PROGRAM.exists():
        pytest.skip("DuckDB's program (duckdb-cli) is not installed beside this Python")

    def run(*lines: str) -> str:
        done = subprocess.run(
            [PROGRAM, "-init", os.devnull],
            input="\n".join(["SET TimeZone = 'UTC';", *lines, ""]).encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr.decode()) == (0, "")
        return done.stdout.decode()

    if run(".mode list", ".headers off", "SELECT version();").strip("v\n") != duckdb.__version__:
        pytest.skip("DuckDB's program is of another version than DuckDB")
    return run


def in_mode(mode: str) -> str:
    return ".mode insert tbl" if mode == "insert" else f".mode {mode}"


def latex_safe(mode: str, sql: str) -> str:
    """Our LaTeX compiles, and DuckDB's does not where values have markup in them."""
    if mode != "latex":
        return sql
    return f'SELECT * EXCLUDE ("bl""b", l){NO_LATEX} FROM ({sql})'


@pytest.mark.parametrize("mode", SAME)
@pytest.mark.parametrize("empty", ["", " WHERE false"], ids=["rows", "no-rows"])
def test_a_mode_writes_what_duckdbs_program_writes(stock, query, shown, mode, empty) -> None:
    sql = latex_safe(mode, VALUES + empty)

    assert shown(query(sql), mode) == stock(in_mode(mode), f"{sql};")


@pytest.mark.parametrize("mode", SAME)
@pytest.mark.parametrize(
    ("command", "options"),
    [
        (".headers off", {"headers": False}),
        (".nullvalue <->", {"null": "<->"}),
        (".width 5 -20 -3", {"widths": (5, -20, -3)}),
    ],
    ids=["headers", "nullvalue", "width"],
)
def test_options_do_what_they_do_in_duckdbs_program(
    stock, query, shown, mode, command, options
) -> None:
    sql = latex_safe(mode, VALUES)

    assert shown(query(sql), mode, **options) == stock(in_mode(mode), command, f"{sql};")


def test_equal_names_stay_equal_where_duckdbs_program_leaves_them_so(stock, query, shown) -> None:
    for mode in SAME:
        sql = "SELECT 1 AS a, 'b' AS a"
        assert shown(query(sql), mode) == stock(in_mode(mode), f"{sql};")


def test_csv_holds_the_values_that_duckdbs_program_writes(stock, query, shown) -> None:
    theirs = stock(".mode csv", ".nullvalue ''", f"{VALUES};")
    theirs = theirs.replace('"[1, NULL]"', '"[1,null]"')  # JSON is what other programs read
    ours = shown(query(VALUES), "csv")

    read = [list(csv.reader(io.StringIO(text, newline=""))) for text in (theirs, ours)]
    assert read[0] == read[1]


@pytest.mark.parametrize("mode", ["json", "jsonlines"])
def test_json_holds_the_values_that_duckdbs_program_writes(stock, query, shown, mode) -> None:
    sql = f'SELECT * EXCLUDE ("dcm", h, s) FROM ({VALUES})'  # numbers here, strings there
    texts = [stock(f".mode {mode}", f"{sql};"), shown(query(sql), mode)]
    if mode == "jsonlines":
        texts = [f"[{','.join(text.splitlines())}]" for text in texts]

    theirs, ours = map(json.loads, texts)
    assert ours == theirs


def random_table(rnd: random.Random) -> str:
    """A query of some rows of texts and numbers, most of them of one size in a column."""
    kinds = [rnd.choice("ttwidb") for _ in range(rnd.choice([1, 1, 2, 3, 4, 6, 15]))]
    sizes = [rnd.choice([3, 10, 25, 40, 80, 200]) for _ in kinds]
    rows = rnd.choice([0, 1, 1, 2, 3, 8, 9, 10, 11, 40, 43, 44, 60])
    values = {
        "t": lambda size: f"'{''.join(rnd.choices('abcdef ', k=rnd.randint(0, size)))}'",
        "w": lambda size: f"'{''.join(rnd.choices('日本é한xy', k=rnd.randint(0, size // 2)))}'",
        "i": lambda _: f"{rnd.choice([1, -5, 12345678, 10 ** rnd.randint(5, 15)])}::BIGINT",
        "d": lambda _: f"{round(rnd.uniform(-1e8, 1e8), 2)}::DECIMAL(20, 3)",
        "b": lambda _: rnd.choice(["true", "NULL::BOOLEAN"]),
    }
    lines = [
        f"({at}, {', '.join(values[kind](size) for kind, size in zip(kinds, sizes, strict=True))})"
        for at in range(max(rows, 1))
    ]
    names = [
        f'"{"abcdefghij"[: rnd.randint(1, 10)] * rnd.choice([1, 1, 4])}{at}"'
        for at in range(len(kinds))
    ]
    where = "" if rows else " WHERE false"
    columns = ", ".join(names)
    return (
        f"SELECT {columns} FROM (VALUES {', '.join(lines)}) AS t (number, {columns}){where}"
        " ORDER BY number"
    )


def test_the_box_is_duckdbs_own_at_any_width(stock, query, shown) -> None:
    rnd = random.Random(4)
    cases = [
        (
            random_table(rnd),
            rnd.choice([80, 81, 90, 100, 120, 160]),
            rnd.choice([40, 40, 3, 10, 100]),
        )
        for _ in range(60)
    ]
    script = [".large_number_rendering off"]
    for sql, width, rows in cases:
        script += [f".maxwidth {width}", f".maxrows {rows}", f"{sql};", ".print @@@"]
    boxes = stock(*script).split("@@@\n")

    for (sql, width, rows), theirs in zip(cases, boxes, strict=False):
        ours = shown(query(sql), "duckbox", width=width, max_rows=rows)
        assert comparable(ours) == comparable(theirs), (width, rows, sql)


def comparable(box: str) -> list[str]:
    """The box without what only DuckDB's has.

    That is a hint at `.last`, and dots that are out of place right of columns that are left out.
    """
    lines = box.replace("use .last to show entire result", " " * 31).split("\n")
    return [line for line in lines if not ("│ … │" in box and "·" in line)]
