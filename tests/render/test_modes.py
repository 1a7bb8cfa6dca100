"""The modes of the shell: what each writes, what the options change, and what none may do."""

import io
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vercel_sql.render import MODES, Options, render_mode
from vercel_sql.text import visible

STREAMING = [m for m in MODES if m not in ("box", "column", "duckbox", "latex", "table", "trash")]
ALIGNED = ["box", "column", "duckbox", "latex", "table"]
HOSTILE = "\x00\x07\x08\x0b\x1b\r\x7f\x80\x85\x9b\u200b\u200e\u2028\u202e\u2066\ufeff\U000e0041"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

TWO_ROWS = """SELECT * FROM (VALUES (1, 'it''s', true), (-22, NULL, false)) AS t (id, "a|b", b)"""

EXPECTED = {
    "ascii": "id\na|b\nb\n1\nit's\ntrue\n-22\nNULL\nfalse\n",
    "box": (
        "┌─────┬──────┬───────┐\n"
        "│ id  │ a|b  │   b   │\n"
        "├─────┼──────┼───────┤\n"
        "│ 1   │ it's │ true  │\n"
        "│ -22 │ NULL │ false │\n"
        "└─────┴──────┴───────┘\n"
    ),
    "column": ("id   a|b   b    \n---  ----  -----\n1    it's  true \n-22  NULL  false\n"),
    "csv": "id,a|b,b\n1,it's,true\n-22,,false\n",
    "duckbox": (
        "┌───────┬─────────┬─────────┐\n"
        "│  id   │   a|b   │    b    │\n"
        "│ int32 │ varchar │ boolean │\n"
        "├───────┼─────────┼─────────┤\n"
        "│     1 │ it's    │ true    │\n"
        "│   -22 │ NULL    │ false   │\n"
        "└───────┴─────────┴─────────┘\n"
    ),
    "html": (
        "<tr><th>id</th>\n<th>a|b</th>\n<th>b</th>\n</tr>\n"
        "<tr><td>1</td>\n<td>it&#39;s</td>\n<td>true</td>\n</tr>\n"
        "<tr><td>-22</td>\n<td>NULL</td>\n<td>false</td>\n</tr>\n"
    ),
    "insert": (
        "INSERT INTO tbl(id,\"a|b\",b) VALUES(1,'it''s','true');\n"
        "INSERT INTO tbl(id,\"a|b\",b) VALUES(-22,NULL,'false');\n"
    ),
    "json": '[\n{"id":1,"a|b":"it\'s","b":true},\n{"id":-22,"a|b":null,"b":false}\n]\n',
    "jsonlines": '{"id":1,"a|b":"it\'s","b":true}\n{"id":-22,"a|b":null,"b":false}\n',
    "latex": (
        "\\begin{tabular}{|rll|}\n\\hline\n"
        "id  & a|b  &   b   \\\\\n\\hline\n"
        "1   & it's & true  \\\\\n"
        "-22 & NULL & false \\\\\n\\hline\n\\end{tabular}\n"
    ),
    "line": ("   id = 1\n  a|b = it's\n    b = true\n\n   id = -22\n  a|b = NULL\n    b = false\n"),
    "list": "id|a|b|b\n1|it's|true\n-22|NULL|false\n",
    "markdown": (
        "| id | a\\|b | b |\n| ---: | --- | --- |\n| 1 | it's | true |\n| -22 | NULL | false |\n"
    ),
    "quote": "'id','a|b','b'\n1,'it''s',true\n-22,NULL,false\n",
    "table": (
        "+-----+------+-------+\n"
        "| id  | a|b  |   b   |\n"
        "+-----+------+-------+\n"
        "| 1   | it's | true  |\n"
        "| -22 | NULL | false |\n"
        "+-----+------+-------+\n"
    ),
    "tabs": "id\ta|b\tb\n1\tit's\ttrue\n-22\tNULL\tfalse\n",
    "tcl": '"id" "a|b" "b"\n"1" "it\'s" "true"\n"-22" "NULL" "false"\n',
    "trash": "",
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_writes_what_duckdbs_shell_does(query, shown, mode) -> None:
    assert shown(query(TWO_ROWS), mode) == EXPECTED[mode]


def test_the_modes_are_those_of_duckdbs_shell() -> None:
    assert list(MODES) == sorted(EXPECTED)


def test_an_unknown_mode_is_an_error_that_lists_the_known(query, shown) -> None:
    with pytest.raises(ValueError, match=r"ascii, box, column, csv, duckbox, html, .*, trash"):
        shown(query("SELECT 1"), "ndjson")


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_gives_the_number_of_rows(query, mode) -> None:
    assert render_mode(query(TWO_ROWS), mode, io.StringIO(), width=80) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_result_without_columns_writes_nothing(shown, mode) -> None:
    assert shown(pa.table({}), mode) == ""


@pytest.mark.parametrize("mode", STREAMING)
def test_each_batch_is_written_before_the_next_is_read(streamed, mode) -> None:
    out = io.StringIO()
    reader, seen = streamed(out)

    assert render_mode(reader, mode, out, width=None) == 3
    assert "7000" in seen[1]
    assert "7001" in seen[2]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("ascii", "1\nx\n"),
        ("column", "1  x\n"),
        ("csv", "1,x\n"),
        ("html", "<tr><td>1</td>\n<td>x</td>\n</tr>\n"),
        ("insert", "INSERT INTO tbl VALUES(1,'x');\n"),
        ("list", "1|x\n"),
        ("quote", "1,'x'\n"),
        ("tabs", "1\tx\n"),
        ("tcl", '"1" "x"\n'),
    ],
)
def test_headers_can_be_left_out(query, shown, mode, expected) -> None:
    assert shown(query("SELECT 1 AS a, 'x' AS b"), mode, headers=False) == expected


@pytest.mark.parametrize("mode", ["box", "duckbox", "json", "jsonlines", "latex", "line", "table"])
def test_modes_that_are_nothing_without_names_keep_them(query, shown, mode) -> None:
    table = query("SELECT 1 AS a")

    assert shown(table, mode, headers=False) == shown(table, mode)


@pytest.mark.parametrize(
    "mode", sorted({*MODES} - {"json", "jsonlines", "insert", "quote", "trash"})
)
def test_null_can_be_said_in_another_way(query, shown, mode) -> None:
    text = shown(query("SELECT NULL AS a, 1 AS b"), mode, null="nix")

    assert "nix" in text
    assert "NULL" not in text


@pytest.mark.parametrize("mode", ["json", "jsonlines", "insert", "quote"])
def test_null_stays_null_where_the_output_is_read_as_values(query, shown, mode) -> None:
    assert "nix" not in shown(query("SELECT NULL AS a"), mode, null="nix")


def test_what_stands_for_null_is_quoted_in_csv(query, shown) -> None:
    assert shown(query("SELECT NULL AS a, '' AS b"), "csv", null="n,a") == 'a,b\n"n,a",""\n'


def test_widths_are_least_widths_and_negative_ones_stand_right(query, shown) -> None:
    table = query("SELECT 'abcdef' AS a, 'x' AS b, 12 AS c")

    assert shown(table, "column", widths=(3, -4, 5, 9)) == (
        "a          b  c    \n------  ----  -----\nabcdef     x  12   \n"
    )


def test_html_escapes_what_is_markup(query, shown) -> None:
    table = query("""SELECT '<b>"&''</b>' AS "<i>" """)

    assert shown(table, "html") == (
        "<tr><th>&lt;i&gt;</th>\n</tr>\n<tr><td>&lt;b&gt;&quot;&amp;&#39;&lt;/b&gt;</td>\n</tr>\n"
    )


def test_latex_escapes_what_is_markup(query, shown) -> None:
    text = shown(query(r"""SELECT '50% of $x_1 & {#~^\}' AS a"""), "latex")

    assert r"50\% of \$x\_1 \& \{\#\textasciitilde{}\textasciicircum{}\textbackslash{}\} \\" in text


def test_tcl_spells_bytes_that_are_not_printable_ascii(query, shown) -> None:
    table = query("""SELECT 'é' || chr(9) || chr(10) || chr(27) || '"\\$[x]' AS a""")

    assert shown(table, "tcl") == '"a"\n"\\303\\251\\t\\n\\033\\"\\\\$[x]"\n'


def test_wide_characters_line_up(query, shown) -> None:
    table = query("SELECT '日本' AS \"wide ü\" UNION ALL SELECT 'ab'")

    assert shown(table, "table") == (
        "+--------+\n| wide ü |\n+--------+\n| 日本   |\n| ab     |\n+--------+\n"
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_secret_is_whole_in_every_mode_at_every_width(query, shown, mode) -> None:
    table = query("SELECT range AS n, 'vcp_' || repeat('s', 50) || range AS token FROM range(100)")

    for width in (None, 20, 80):
        text = shown(table, mode, width=width, secret="TOKEN", max_rows=2, widths=(3, 3))
        text = text.replace(r"\_", "_") if mode == "latex" else text
        assert all(f"vcp_{'s' * 50}{number}" in text for number in range(100))


def test_trash_shows_rows_with_a_secret_as_lines(query, shown) -> None:
    table = query("SELECT 'ci' AS name, 'vcp_1' AS token")

    assert shown(table, "trash", secret="token") == shown(table, "line")


@settings(max_examples=10)
@given(value=TEXT, name=st.text(HOSTILE + "ab"))
@pytest.mark.parametrize("mode", MODES)
def test_no_control_character_reaches_a_terminal_in_any_mode(mode, value, name) -> None:
    out = io.StringIO()

    render_mode(pa.table({name: [value, HOSTILE]}), mode, out, width=40)

    assert not set(out.getvalue()) & set(HOSTILE)
    assert all(visible(line) == line for line in out.getvalue().replace("\t", "").split("\n"))


@settings(max_examples=10)
@given(value=TEXT, name=st.text(HOSTILE + "ab"))
@pytest.mark.parametrize("mode", ALIGNED)
def test_a_mode_that_lines_up_has_no_control_characters_anywhere(mode, value, name) -> None:
    out = io.StringIO()

    render_mode(pa.table({name: [value, HOSTILE]}), mode, out, width=None)

    assert not set(out.getvalue()) & set(HOSTILE)


def test_tabs_stay_tabs_in_a_terminal(query, shown) -> None:
    assert shown(query("SELECT 1 AS a, 'x' || chr(27) AS b"), "tabs", width=80) == (
        "a\tb\n1\tx\\x1b\n"
    )


def test_json_keeps_its_spelling_in_a_terminal(query, shown) -> None:
    for mode in ("json", "jsonlines"):
        text = shown(query("SELECT chr(155) || chr(8238) AS a"), mode, width=80)
        assert json.loads(text) in ({"a": "\x9b\u202e"}, [{"a": "\x9b\u202e"}])
        assert text.isascii()


NAMES = ("     a", "longer")
ONE_LINE = TEXT.filter(lambda text: "\n" not in text)


@given(rows=st.lists(st.tuples(ONE_LINE, ONE_LINE), max_size=4))
def test_line_mode_reads_back_as_the_values(rows) -> None:
    out = io.StringIO()
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(2)]

    render_mode(
        pa.table(columns, names=["a", "longer"]), "line", out, width=None, options=Options()
    )

    records = out.getvalue().split("\n\n") if rows else []
    lines = [line for record in records for line in record.removesuffix("\n").split("\n")]
    expected = [f"{name} = {text}" for row in rows for name, text in zip(NAMES, row, strict=True)]
    assert lines == expected
