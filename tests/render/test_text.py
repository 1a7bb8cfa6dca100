"""CSV, JSON and NDJSON: exact values, streamed."""

import csv
import io
import json
import math
import re
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.render import FORMATS, SEPARATORS, render


def query(sql: str) -> pa.Table:
    config = {"arrow_lossless_conversion": "true"}
    with duckdb.connect(config=config) as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        return con.sql(sql).to_arrow_table()


def rendered(result, fmt: str) -> str:
    out = io.StringIO()
    render(result, fmt, out, width=None)
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9223372036854775807", "9223372036854775807"),
        ("170141183460469231731687303715884105727::HUGEINT", None),
        ("340282366920938463463374607431768211455::UHUGEINT", None),
        ("1.10::DECIMAL(38, 2)", "1.10"),
        ("0.1::FLOAT", "0.1"),
        ("1e300", "1e+300"),
        ("'nan'::DOUBLE", '"NaN"'),
        ("'inf'::FLOAT", '"Infinity"'),
        ("'-inf'::DOUBLE", '"-Infinity"'),
        ("true", "true"),
        ("NULL", "null"),
        ("''", '""'),
        ("DATE '2026-10-01'", '"2026-10-01"'),
        ("'-infinity'::DATE", '"-infinity"'),
        ("TIMESTAMP '2026-10-01 01:02:03.000004'", '"2026-10-01 01:02:03.000004"'),
        ("TIMESTAMPTZ '2026-10-01 01:00:00+02'", '"2026-09-30 23:00:00+00"'),
        ("'infinity'::TIMESTAMPTZ", '"infinity"'),
        ("TIME '01:02:03.5'", '"01:02:03.5"'),
        ("'01:02:03+05'::TIMETZ", '"01:02:03+05"'),
        ("INTERVAL '1 month 2 days 3.5 seconds'", '"1 month 2 days 00:00:03.5"'),
        ("'123e4567-e89b-12d3-a456-426614174000'::UUID", '"123e4567-e89b-12d3-a456-426614174000"'),
        (r"'\x00a'::BLOB", r'"\\x00a"'),
        ("'0101'::BIT", '"0101"'),
        ("'a'::ENUM('a', 'b')", '"a"'),
        ("[[1], NULL, []]", "[[1],null,[]]"),
        ("[1, 2]::INTEGER[2]", "[1,2]"),
        ("{'a': 1.10::DECIMAL(3, 2), 'it''s \"b\"': ['x']}", r'{"a":1.10,"it\'s \"b\"":["x"]}'),
        ("row(1, 'x')", '{"element1":1,"element2":"x"}'),
        ("MAP {1: ['x'], 2: NULL}", '{"1":["x"],"2":null}'),
        ("union_value(num := 'nan'::DOUBLE)", '{"num":"NaN"}'),
        ("[{'m': MAP {'k': [['nan'::DOUBLE]]}}]", '[{"m":{"k":[["NaN"]]}}]'),
    ],
)
def test_json_of_every_type_is_exact(value: str, expected: str | None) -> None:
    text = expected or value.split("::")[0]
    text = text.replace(r"\'", "'")

    assert rendered(query(f"SELECT {value} AS v"), "ndjson") == f'{{"v":{text}}}\n'


def test_json_columns_come_out_as_they_are() -> None:
    document = '{"x": 1.10, "y":12345678901234567890123, "z": "\\u00e9"}'
    table = query(f"SELECT '{document}'::JSON AS j, ['{document}'::JSON] AS l, {{'j': j}} AS s")

    expected = f'{{"j":{document},"l":[{document}],"s":{{"j":{document}}}}}\n'
    assert rendered(table, "ndjson") == expected


def test_a_line_break_inside_a_json_column_does_not_end_the_line() -> None:
    table = pa.table({"j": pa.array(['{"a":\r\n1}'], pa.json_())})

    assert rendered(table, "ndjson") == '{"j":{"a":  1}}\n'


@pytest.mark.parametrize("text", ["NaN", "[1,]", '{"a": -Infinity}', "", "{", '{"a":1} x'])
def test_what_is_not_json_in_a_json_column_is_a_string(text: str) -> None:
    table = pa.table({"j": pa.array([text], pa.json_())})

    assert json.loads(rendered(table, "json")) == [{"j": text}]


@pytest.mark.parametrize("text", ['"NaN, inf"', '{"a\\"NaN": ",]"}', '["\\\\"]'])
def test_strings_inside_a_json_column_may_say_what_they_like(text: str) -> None:
    table = pa.table({"j": pa.array([text], pa.json_())})

    assert rendered(table, "ndjson") == f'{{"j":{text}}}\n'


def test_json_is_one_array_a_result() -> None:
    table = query("SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t (id, name)")

    assert rendered(table, "json") == '[\n{"id":1,"name":"a"},\n{"id":2,"name":null}\n]\n'
    assert rendered(table, "ndjson") == '{"id":1,"name":"a"}\n{"id":2,"name":null}\n'


def test_empty_results() -> None:
    table = query("SELECT 1 AS id, 'x' AS \"a,b\" WHERE false")

    assert rendered(table, "json") == "[]\n"
    assert rendered(table, "ndjson") == ""
    assert rendered(table, "csv") == 'id,"a,b"\n'


def test_repeated_names_are_told_apart_in_json_only() -> None:
    table = query("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS b")

    assert rendered(table, "ndjson") == '{"a":1,"a_1":2,"a_1_1":3,"b":4}\n'
    assert rendered(table, "csv") == "a,a,a_1,b\n1,2,3,4\n"


def test_csv_tells_null_from_the_empty_string() -> None:
    table = query(
        "SELECT NULL AS a, '' AS b, 'x,\"y\"' AS c, 'l' || chr(10) || 'm' AS d, ' p' AS e"
    )

    assert rendered(table, "csv") == 'a,b,c,d,e\n,"","x,""y""","l\nm"," p"\n'


@pytest.mark.parametrize("fmt", ["csv", "markdown"])
def test_nested_values_are_the_json_that_json_has(fmt: str) -> None:
    values = [
        "{'a': 1, 'b': [DATE '2026-01-01'], 'c': NULL}",
        "[1, NULL, 3]",
        "[]",
        "MAP {'k': 'v|,\"'}",
        "[{'x': 'y\nz', 'n': 1.50::DECIMAL(9, 2)}]",
        "[1, 2]::INT[2]",
        "union_value(n := 'x')",
        "{'d': 'NaN'::DOUBLE}",
        "NULL::INT[]",
    ]
    names = [f"c{number}" for number in range(len(values))]
    columns = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
    table = query(f"SELECT {columns}")
    (expected,) = json.loads(rendered(table, "json"))
    text = rendered(table, fmt)
    if fmt == "csv":
        found = list(csv.reader(io.StringIO(text, newline="")))[1]
    else:
        cells = re.split(r"(?<!\\)\|", text.splitlines()[2].strip("| "))
        found = [re.sub(r"\\(.)", r"\1", each.strip()) for each in cells]
    null = "" if fmt == "csv" else "NULL"
    assert found.pop() == null
    assert [json.loads(each) for each in found] == list(expected.values())[:-1]


def test_csv_results_are_parted_by_an_empty_line() -> None:
    assert SEPARATORS["csv"] == "\n"
    assert set(SEPARATORS) == set(FORMATS)


def test_an_unknown_format_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="table, csv, json, ndjson, markdown"):
        rendered(query("SELECT 1"), "xml")


@pytest.mark.parametrize("fmt", ["csv", "json", "ndjson", "markdown"])
def test_each_batch_is_written_before_the_next_is_read(streamed, fmt: str) -> None:
    out = io.StringIO()
    reader, seen = streamed(out)

    assert render(reader, fmt, out, width=None) == 3
    assert "7000" in seen[1]
    assert "7001" in seen[2]


def test_an_error_in_the_source_passes_and_leaves_the_array_open() -> None:
    schema = pa.schema([("n", pa.int64())])

    def batches():
        yield pa.record_batch([pa.array([1])], schema)
        raise LookupError("the API went away")

    out = io.StringIO()
    with pytest.raises(LookupError, match="went away"):
        render(pa.RecordBatchReader.from_batches(schema, batches()), "json", out, width=None)

    assert out.getvalue() == '[\n{"n":1}'


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(
    st.tuples(
        st.none() | TEXT,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.decimals(places=3, min_value=-(10**15), max_value=10**15),
        st.none() | st.floats(),
        st.none() | st.lists(st.none() | TEXT, max_size=3),
    ),
    max_size=5,
)
NAMES = ["text", "integer", "decimal", "double", "list"]
SCHEMA = pa.schema(
    list(
        zip(
            NAMES,
            [pa.string(), pa.int64(), pa.decimal128(20, 3), pa.float64(), pa.list_(pa.string())],
            strict=True,
        )
    )
)


def arrow(rows: list[tuple[object, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in rows], SCHEMA)


def plain(value: object) -> object:
    """What JSON can say of a value."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


@given(rows=ROWS)
def test_json_reads_back_as_the_values(rows) -> None:
    def decimals(pairs):
        return {
            name: float(value) if name == "double" and isinstance(value, Decimal) else value
            for name, value in pairs
        }

    expected = [{name: plain(v) for name, v in zip(NAMES, row, strict=True)} for row in rows]
    lines = rendered(arrow(rows), "ndjson").split("\n")[:-1]
    for text in (rendered(arrow(rows), "json"), f"[{','.join(lines)}]"):
        assert json.loads(text, parse_float=Decimal, object_pairs_hook=decimals) == expected


@given(rows=st.lists(st.lists(st.none() | TEXT, min_size=2, max_size=2), max_size=5))
def test_csv_reads_back_as_the_values(rows) -> None:
    table = pa.table(
        [pa.array([row[at] for row in rows], pa.string()) for at in range(2)], names=["a", 'b"']
    )

    read = list(csv.reader(io.StringIO(rendered(table, "csv"), newline="")))

    assert read == [["a", 'b"'], *[[value or "" for value in row] for row in rows]]
