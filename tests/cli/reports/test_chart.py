"""The chart of a report: what is drawn, what is left out, and that no label meets another."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.cli.reports import chart
from vercel_sql.cli.reports.axes import (
    fitted,
    number_ticks,
    seconds_of,
    text_width,
    time_ticks,
)
from vercel_sql.cli.reports.report import Chart
from vercel_sql.cli.reports.rows import Column, Kind, Rows
from vercel_sql.errors import ProgrammingError

from .made import EVIL, NOW, result

SIZES = ("wide", "middle", "narrow")
BARS = "SELECT 'token ' || i AS name, 100 - i AS idle_days FROM range({}) r(i)"


def drawn(what: Chart, sql: str) -> chart.Picture | None:
    rows = Rows(result(sql))
    return chart.draw(what, rows.columns, rows, NOW)


def svg(picture: chart.Picture, size: str = "wide") -> ET.Element:
    return ET.fromstring(str(picture.drawings[size]))


def by_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in root.iter() if name in each.get("class", "").split()]


def labels(root: ET.Element) -> list[str]:
    return [each.text or "" for each in root.iter("text")]


def test_bars_are_as_long_as_their_values():
    picture = drawn(
        Chart("bar", "name", "n"), "SELECT * FROM (VALUES ('a', 10), ('b', 5)) t(name, n)"
    )
    for size in SIZES:
        a, b = (float(bar.get("width")) for bar in by_class(svg(picture, size), "bar"))
        assert a == pytest.approx(2 * b, rel=0.01)
    assert picture.title == "N by name"
    assert {"a", "b", "10", "5", "0"} <= set(labels(svg(picture)))
    assert picture.legend == picture.notes == []


def test_bars_below_zero_go_to_the_other_side():
    picture = drawn(
        Chart("bar", "name", "n"), "SELECT * FROM (VALUES ('a', 4), ('b', -4)) t(name, n)"
    )
    a, b = by_class(svg(picture), "bar")
    end = float(b.get("x")) + float(b.get("width"))
    assert end == pytest.approx(float(a.get("x")), abs=0.1)


def test_of_many_bars_the_largest_are_drawn_in_the_reports_order():
    picture = drawn(Chart("bar", "name", "idle_days"), f"{BARS.format(137)} ORDER BY name")
    names = [text for text in labels(svg(picture)) if text.startswith("token")]
    assert sorted(names) == sorted(f"token {i}" for i in range(20))
    assert names == sorted(names)
    assert picture.notes == ["The 20 largest, and 117 more in the table."]


def test_bars_of_one_name_are_as_many_as_rows():
    picture = drawn(Chart("bar", "name", "n"), "SELECT 'CI' AS name, 3 AS n FROM range(4)")
    assert len(by_class(svg(picture), "bar")) == 4


def test_parts_of_a_bar_add_up_and_small_ones_are_one():
    sql = (
        "SELECT 'team ' || t AS team, 'origin ' || o AS origin, 10 - o AS n"
        " FROM range(2) x(t), range(9) y(o)"
    )
    picture = drawn(Chart("bar", "team", "n", "origin"), sql)
    root = svg(picture)
    assert [name for _, name in picture.legend] == [*(f"origin {o}" for o in range(6)), "3 others"]
    assert len(by_class(root, "bar")) == 2 * 7
    assert labels(root).count(str(sum(range(2, 11)))) == 2


def test_bars_over_time_are_columns_and_none_is_left_out():
    sql = (
        "SELECT DATE '2022-01-01' + to_months(i::INTEGER) AS month, t, 1 AS n"
        " FROM range(48) r(i), range(2) s(t)"
    )
    picture = drawn(Chart("bar", "month", "n", "t"), sql)
    for size in SIZES:
        columns = by_class(svg(picture, size), "bar")
        assert len(columns) == 96
        places = sorted({float(each.get("x")) for each in columns})
        assert len(places) == 48
        thick = float(columns[0].get("width"))
        assert all(b - a >= thick for a, b in pairwise(places))
    assert picture.notes == []


def test_lines_have_a_mark_and_a_colour_each():
    sql = (
        "SELECT make_date(2026, m::INTEGER, 1) AS month, 'origin ' || o AS origin, m + o AS n"
        " FROM range(1, 11) x(m), range(8) y(o)"
    )
    picture = drawn(Chart("line", "month", "n", "origin"), sql)
    root = svg(picture)
    assert len(by_class(root, "line")) == 6
    assert len(by_class(root, "mark")) == 60
    assert [name for _, name in picture.legend] == [f"origin {o}" for o in range(7, 1, -1)]
    assert picture.notes == ["The 6 largest, and 2 others in the table."]
    assert "Jan 2026" in labels(root)


def test_a_line_over_names_keeps_their_order():
    picture = drawn(Chart("line", "v", "n"), "SELECT * FROM (VALUES ('z', 1), ('a', 2)) t(v, n)")
    texts = labels(svg(picture))
    assert texts.index("z") < texts.index("a")


def test_a_line_of_one_point():
    picture = drawn(Chart("line", "d", "n"), "SELECT DATE '2026-01-01' AS d, 0 AS n")
    assert len(by_class(svg(picture), "mark")) == 1


def test_a_timeline_has_its_moments_and_the_present():
    sql = (
        "SELECT 'token ' || i AS name,"
        " TIMESTAMPTZ '2026-11-22 12:00:00+00' + to_days(i::INTEGER * 30) AS expires_at"
        " FROM range(1, 26) r(i) UNION ALL SELECT 'never', NULL"
    )
    picture = drawn(Chart("timeline", "expires_at", "name"), sql)
    for size in SIZES:
        root = svg(picture, size)
        marks = [float(mark.get("cx")) for mark in by_class(root, "mark")]
        assert marks == sorted(marks)
        assert len(marks) == 20
        (present,) = by_class(root, "now")
        assert float(present.get("x1")) < marks[0]
        assert "this run" in labels(root)
    assert picture.notes == [
        "The first 20, and 5 more in the table.",
        "1 row without expires_at is not drawn.",
    ]


@pytest.mark.parametrize("sql", [BARS.format(0), "SELECT 'a' AS name, NULL::INT AS idle_days"])
def test_where_nothing_can_be_drawn_there_is_no_picture(sql):
    assert drawn(Chart("bar", "name", "idle_days"), sql) is None


def test_what_can_not_be_drawn_is_said():
    sql = "SELECT * FROM (VALUES ('a', 1.0::DOUBLE), ('b', NULL), ('c', 'nan'::DOUBLE)) t(name, n)"
    picture = drawn(Chart("bar", "name", "n"), sql)
    assert picture.notes == ["2 rows without n are not drawn."]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Chart("bar", "nobody", "n"), "names the column nobody"),
        (Chart("bar", "name", "n", "part"), "names the column part"),
        (Chart("bar", "n", "name"), "draws name, which is not a number"),
        (Chart("timeline", "name", "n"), "needs a time, and name is not a time"),
    ],
)
def test_charts_that_the_result_can_not_fill(what, words):
    with pytest.raises(ProgrammingError, match=words):
        drawn(what, "SELECT 'a' AS name, 1 AS n")


@pytest.mark.parametrize("kind", ["bar", "line", "timeline"])
def test_it_is_there_for_who_can_not_see_it(kind):
    x, y = ("at", "name") if kind == "timeline" else ("name", "n")
    picture = drawn(Chart(kind, x, y), "SELECT 'CI' AS name, 7 AS n, now() AS at")
    ids = []
    for size in SIZES:
        root = svg(picture, size)
        assert root.get("role") == "img"
        named = {each.get("id"): each.text for each in root if each.tag in ("title", "desc")}
        assert list(named) == root.get("aria-labelledby").split()
        assert next(iter(named.values())) == picture.title
        ids += named
    assert len(set(ids)) == len(ids)


def test_names_are_text():
    sql = f"SELECT '{EVIL}' AS name, 1 AS n, '\"><b>' AS part"
    picture = drawn(Chart("bar", "name", "n", "part"), sql)
    for drawing in picture.drawings.values():
        assert "<script" not in str(drawing)
        assert "<b>" not in str(drawing)
    assert EVIL in labels(svg(picture))


def test_long_and_missing_names():
    sql = "SELECT repeat('W', 300) AS name, 1 AS n UNION ALL SELECT NULL, 2 UNION ALL SELECT '', 3"
    texts = labels(svg(drawn(Chart("bar", "name", "n"), sql), "narrow"))
    assert texts.count("(none)") == 2
    assert any(re.fullmatch("W{5,40}…", text) for text in texts)


@given(st.text(max_size=60), st.floats(20, 400))
def test_what_is_fitted_fits(text, width):
    shown = fitted(text, width)
    assert text_width(shown) <= width
    assert shown == text or shown.endswith("…")


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)


@given(st.lists(st.tuples(names, st.integers(-(10**6), 10**9)), min_size=1, max_size=25))
def test_no_label_meets_another_nor_leaves_the_drawing(rows):
    columns = [Column("name", Kind.TEXT), Column("n", Kind.NUMBER)]
    texts = [(name, str(n)) for name, n in rows]
    picture = chart.draw(Chart("bar", "name", "n"), columns, texts, NOW)
    for size in SIZES:
        root = svg(picture, size)
        boxes = [box(each) for each in by_class(root, "label")]
        for left, top, right, bottom in boxes:
            assert left >= -0.1
            assert right <= float(root.get("width")) + 0.1
            assert top >= -0.1
            assert bottom <= float(root.get("height")) + 0.1
        for at, one in enumerate(boxes):
            for other in boxes[at + 1 :]:
                beside = one[2] <= other[0] + 0.1 or other[2] <= one[0] + 0.1
                assert beside or one[3] <= other[1] + 0.1 or other[3] <= one[1] + 0.1


def box(each: ET.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(each.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


@given(st.floats(-1e9, 1e9), st.floats(0.001, 1e9), st.integers(2, 12), st.booleans())
def test_ticks_of_numbers_span_the_values(low, span, most, whole):
    ticks = number_ticks(low, low + span, most, whole=whole)
    assert ticks[0].value <= low + 1e-6 * span
    assert ticks[-1].value >= low + span - 1e-6 * span
    assert len(ticks) <= most + 3


moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(moments, st.floats(120, 5e9), st.integers(1, 12))
def test_ticks_of_time_lie_within_the_span(start, span, most):
    low = seconds_of(start)
    ticks = time_ticks(low, low + span, most)
    assert len(ticks) <= most
    assert all(low <= tick.value <= low + span for tick in ticks)
    assert ticks or most < 4


def test_marks_that_would_lie_on_one_another_are_one():
    """However many there are, the drawing has no more than there are places for."""
    sql = "SELECT 'lane' AS name, make_timestamp(i * 1_000_000) AS at FROM range(20_000) r(i)"
    picture = drawn(Chart("timeline", "at", "name"), sql)
    marks = by_class(svg(picture), "mark")
    assert len(marks) < 920
    says = [mark.find("title").text for mark in marks]
    more = [
        int(found[1].replace(",", "")) for s in says if (found := re.search(r"and (\S+) more", s))
    ]
    assert len(marks) + sum(more) == 20_000
