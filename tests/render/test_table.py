"""The table for people, and Markdown: nothing harmful gets through, and no secret is cut."""

import io

import duckdb
import pyarrow as pa
import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.render import render
from vercel_sql.text import visible

HOSTILE = "\x00\x07\x08\x0b\x1b\r\x7f\x80\x85\x9b\u200b\u200e\u2028\u202e\u2066\ufeff\U000e0041"

BORDERS = tuple("┌│├└")


def query(sql: str) -> pa.Table:
    with duckdb.connect() as con:
        return con.sql(sql).to_arrow_table()


def rendered(result, fmt: str = "table", width: int | None = None, secret: str = "") -> str:
    out = io.StringIO()
    render(result, fmt, out, width=width, secret_columns=frozenset(filter(None, [secret])))
    return out.getvalue()


def test_a_table_looks_like_duckdbs_own() -> None:
    table = query(
        "SELECT 42::BIGINT AS id, 'ci' AS name, NULL::INTEGER AS n, [1] AS l, '日本' AS w"
    )

    assert rendered(table) == (
        "┌───────┬─────────┬───────┬─────────┬─────────┐\n"
        "│  id   │  name   │   n   │    l    │    w    │\n"
        "│ int64 │ varchar │ int32 │ int32[] │ varchar │\n"
        "├───────┼─────────┼───────┼─────────┼─────────┤\n"
        "│    42 │ ci      │  NULL │ [1]     │ 日本    │\n"
        "└───────┴─────────┴───────┴─────────┴─────────┘\n"
    )


def test_an_empty_table_says_so() -> None:
    assert rendered(query("SELECT 1 AS id WHERE false")) == (
        "┌────────┐\n│   id   │\n│ int32  │\n└────────┘\n  0 rows\n"
    )


def test_a_terminal_gets_both_ends_of_a_long_result() -> None:
    lines = rendered(query("SELECT range AS i FROM range(1000)"), width=80).splitlines()

    shown = [line.strip("│ ") for line in lines[4:-3]]
    ends = [*range(20), "·", "·", "·", *range(980, 1000)]
    assert shown == [str(value) for value in ends]
    assert lines[-2:] == ["  1000 rows ", "  (40 shown) "]


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [30, 20], [5, 45], [41, 9], [19, 1, 1, 29]])
def test_the_ends_are_found_however_the_batches_fall(sizes: list[int]) -> None:
    schema = pa.schema([("i", pa.int64())])
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    batches = [
        pa.record_batch([pa.array(range(start, start + size))], schema)
        for start, size in zip(starts, sizes, strict=True)
    ]

    reader = pa.RecordBatchReader.from_batches(schema, batches)

    assert rendered(reader, width=80) == rendered(
        query("SELECT range AS i FROM range(50)"), width=80
    )


def test_a_pipe_gets_everything() -> None:
    table = query("SELECT range AS i, repeat('x', 500) || 'end' AS s FROM range(100)")

    text = rendered(table)

    assert text.count("xend") == 100
    assert "…" not in text
    assert "·" not in text


def test_a_terminal_shortens_values_and_then_leaves_columns_out() -> None:
    few, many = (
        ", ".join(f"repeat('{mark}', 40) AS {mark}" for mark in marks) for marks in ("abc", "abcde")
    )

    shortened, fewer = (rendered(query(f"SELECT {names}"), width=80) for names in (few, many))

    assert [shortened.count(mark * 10) > 0 for mark in "abc"] == [True, True, True]
    assert [fewer.count(mark * 10) > 0 for mark in "abcde"] == [True, False, False, True, True]
    assert "5 columns (3 shown)" in fewer


def test_a_terminal_that_the_box_would_overflow_gets_lines() -> None:
    table = query("SELECT repeat('a', 40) AS a, repeat('b', 40) AS b")

    assert rendered(table, width=79) == f"    a = {'a' * 40}\n    b = {'b' * 40}\n"
    assert rendered(query("SELECT 1 AS a"), width=20).startswith("┌")


def test_a_secret_keeps_its_width_and_others_give_way() -> None:
    table = query("SELECT 'vcp_' || repeat('s', 30) AS bearerToken, repeat('n', 200) AS token")

    line = rendered(table, width=80, secret="bearertoken").splitlines()[4]

    assert f"│ vcp_{'s' * 30} │" in line
    assert len(line) == 80


@pytest.mark.parametrize(("width", "length"), [(30, 30), (80, 90)])
def test_a_secret_that_does_not_fit_stands_on_a_line(width, length) -> None:
    table = query(
        f"SELECT 'vcp_' || range || repeat('s', {length}) AS bearerToken, 'ci' AS name"
        " FROM range(2)"
    )

    assert rendered(table, width=width, secret="bearerToken") == "\n".join(
        f"bearerToken = vcp_{row}{'s' * length}\n       name = ci\n" for row in range(2)
    )


def test_a_secret_between_columns_that_do_not_fit_is_not_left_out() -> None:
    names = [f"repeat('{mark}', 40) AS {mark}" for mark in "abcdef"]
    names.insert(3, "'vcp_' || repeat('s', 30) AS bearerToken")

    lines = rendered(query(f"SELECT {', '.join(names)}"), width=80, secret="bearerToken")

    assert f"bearerToken = vcp_{'s' * 30}\n" in lines


def test_no_row_with_a_secret_is_left_out() -> None:
    table = query("SELECT 'vcp_' || range AS bearerToken, range FROM range(100)")

    lines = rendered(table, width=80, secret="bearerToken").splitlines()

    assert [line.split()[1] for line in lines[4:104]] == [f"vcp_{at}" for at in range(100)]


def test_a_column_that_carries_a_secret_inside_is_as_secret() -> None:
    table = query(
        "SELECT 'vcp_secret' AS bearerToken, repeat('x', 90) || bearerToken || 'end' AS header"
    )

    text = rendered(table, width=60, secret="bearerToken")

    assert f"header = {'x' * 90}vcp_secretend\n" in text


SECRETS = st.lists(
    st.text("abcdefXYZ0123456789_-", min_size=1, max_size=120), min_size=1, max_size=3, unique=True
)


@given(
    secrets=SECRETS,
    width=st.integers(20, 200),
    others=st.lists(st.integers(0, 60), max_size=6),
    at=st.integers(0, 6),
)
def test_secrets_stand_whole_on_one_line_at_every_width(secrets, width, others, at) -> None:
    names = [f"column_{number}" for number in range(len(others))]
    columns = [[f"{'日' * (size // 2)}{'v' * size}"] * len(secrets) for size in others]
    at = min(at, len(names))
    names.insert(at, "bearerToken")
    columns.insert(at, secrets)

    text = rendered(pa.table(columns, names=names), width=width, secret="bearerToken")

    lines = text.splitlines()
    for secret in secrets:
        whole = f"bearerToken = {secret}"
        assert any(
            line == whole or secret in line.strip("│ ").replace("│", " ").split() for line in lines
        )
    box = [line for line in lines if line.startswith(BORDERS)]
    assert len({wcwidth.wcswidth(line) for line in box}) <= 1
    assert all(wcwidth.wcswidth(line) <= width for line in box)


@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20), name=st.text(HOSTILE))
@pytest.mark.parametrize("fmt", ["table", "markdown"])
@pytest.mark.parametrize("width", [None, 40])
def test_no_control_character_reaches_the_terminal(fmt, width, value, name) -> None:
    table = pa.table({name: [value, HOSTILE]})

    text = rendered(table, fmt, width)

    assert not set(text) & set(HOSTILE)
    assert all(visible(line) == line for line in text.split("\n"))


@given(
    values=st.lists(
        st.text("aé日本ก\u0301👩\u200d👧\n\t\x1b🇩🇪|", max_size=12), min_size=1, max_size=4
    )
)
def test_columns_align_whatever_the_script(values, shown) -> None:
    lines = shown(pa.table({"a": values, "b": values}), "box").splitlines()

    assert len({wcwidth.wcswidth(line) for line in lines}) == 1


@given(values=st.lists(st.text("aé日本ก한\u0301\n\t\x1b|", max_size=12), min_size=1, max_size=4))
def test_columns_of_duckdbs_box_align_in_east_asian_scripts(values) -> None:
    for width in (None, 80):
        lines = rendered(pa.table({"a": values, "b": values}), width=width).splitlines()

        assert len({wcwidth.wcswidth(line) for line in lines if line.startswith(BORDERS)}) == 1


def test_escapes_are_spelt_out() -> None:
    assert visible("a\x1b[31m\r\n\t\x9b\u202e日👩\u200d👧") == (
        r"a\x1b[31m\r\n\t\x9b\u202e日👩" + "\u200d👧"
    )


def test_markdown() -> None:
    table = query(
        "SELECT 1 AS id, 'a|b' || chr(10) || 'c<script>`x` & *y* \\' AS \"na|me\", NULL AS n"
    )
    table = table.set_column(2, "n", pa.array([None], pa.string()))

    assert rendered(table, "markdown") == (
        "| id | na\\|me | n |\n"
        "| ---: | --- | --- |\n"
        "| 1 | a\\|b<br>c&lt;script&gt;\\`x\\` &amp; \\*y\\* \\\\ | NULL |\n"
    )


def test_a_token_can_be_copied_from_markdown() -> None:
    table = query("SELECT 'vcp_a_b1_2' AS bearerToken, '_it_' AS name")

    assert "| vcp_a_b1_2 | \\_it\\_ |" in rendered(table, "markdown")


@given(values=st.lists(st.text("a|\\`<>\n\r_*[&", max_size=10), min_size=1, max_size=4))
def test_a_markdown_row_is_one_line_with_its_cells(values) -> None:
    text = rendered(pa.table({"a": values, "b": values}), "markdown")

    rows = text.splitlines()[2:]
    assert len(rows) == len(values)
    for row in rows:
        unescaped = row.replace("\\\\", "").replace("\\|", "")
        assert unescaped.count("|") == 3
        assert "<" not in unescaped.replace("<br>", "")


def test_a_result_without_columns_writes_nothing() -> None:
    assert rendered(pa.table({})) == ""
