"""The html page of a report: what it says, how values look, and that nothing in it is alive."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from itertools import product

import pytest

from vercel_sql.cli.reports.report import Chart
from vercel_sql.errors import ProgrammingError

from .made import EVIL, Parsed, page

HOSTILE = (
    EVIL,
    '"><img src=x onerror=alert(2)>',
    "'onmouseover='alert(3)",
    "</td></table><script>alert(4)</script>",
    "</style></title></script><script>alert(5)</script>",
    "{{ 7 * 7 }}{% for x in y %}",
    "&lt;b&gt; &amp;",
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def test_it_says_what_when_for_whom_and_at_what_cost():
    parsed = Parsed(page("SELECT 'ci' AS name UNION ALL SELECT 'x'"))
    assert parsed.texts["title"] == parsed.texts["h1"] == ["Stale tokens"]
    said = " ".join(parsed.texts["main"][0].split())
    assert "Which tokens has nobody used for a while?" in said
    assert "What to do Ask the owner." in said
    assert "22 Nov 2026, 11:47 UTC" in said
    assert "Ada (ada@example.com)" in said
    assert "https://api.vercel.com" in said
    assert "days 90 whole days without use" in said
    assert "2 rows" in parsed.texts["h2"]
    assert re.search(r"vercel-sql \d+\.\d+\.\d+ · 3 requests to the API in 1\.2 s", said)
    assert "-- Stale tokens SELECT 1" in said


def test_a_parameter_that_it_names_is_shown_by_its_value():
    parsed = Parsed(page("SELECT 1 AS a", answers="Idle for `days` days, `whatever`?"))
    assert "Idle for 90 days, whatever?" in parsed.texts["p"]


def test_no_rows_say_what_that_means():
    parsed = Parsed(page("SELECT 1 AS a WHERE false", Chart("bar", "a", "a")))
    said = " ".join(parsed.texts["main"][0].split())
    assert "No rows Nothing matched with these parameters." in said
    assert "What to do" not in said
    assert "table" not in parsed.texts
    assert "svg" not in parsed.texts


def test_hostile_text_is_text_wherever_it_is():
    rows = " UNION ALL ".join(
        f"SELECT {quoted(text)} AS name, {at} AS n, [{{'k': {quoted(text)}}}] AS scopes,"
        f" [{quoted(text)}] AS tags, {quoted(text)} AS id, {quoted(text)} AS part"
        for at, text in enumerate(HOSTILE, start=1)
    )
    sql = f'SELECT *, 1 AS "{EVIL}", 2 AS "x"" onclick=""alert(6)" FROM ({rows})'
    for title in HOSTILE:
        source = page(
            sql,
            Chart("bar", "name", "n", "part"),
            title=title,
            answers=title,
            on_hit=title,
            text=f"-- {title}",
        )
        parsed = Parsed(source)
        assert parsed.texts["h1"] == parsed.texts["title"][:1] == [title]
        assert len(parsed.texts["script"]) == len(parsed.texts["style"]) == 1
        assert set(HOSTILE) <= set(parsed.cells)
        assert "img" not in dict(parsed.elements)
        for tag, attributes in parsed.elements:
            assert not {"src", "href", "style", "action"} & set(attributes), tag
            assert not [name for name in attributes if name.startswith("on")], tag
    assert parsed.texts["th"][-2:] == [EVIL, 'x" onclick="alert(6)']


def test_the_policy_lets_nothing_be_loaded_or_run_but_what_is_in_the_page():
    parsed = Parsed(page("SELECT 1 AS a"))
    (policy,) = [
        meta["content"]
        for meta in parsed.attributes("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        digest = sha256(parsed.texts[tag][0].encode()).digest()
        assert rules[rule] == f"'sha256-{b64encode(digest).decode()}'"
    assert "url(" not in parsed.texts["style"][0]
    assert "@import" not in parsed.texts["style"][0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("NULL::INTEGER", "\N{EN DASH}"),
        ("NULL::VARCHAR", "\N{EN DASH}"),
        ("''", "(empty)"),
        ("' '", " "),
        ("9007199254740993", "9007199254740993"),
        ("1.10::DECIMAL(4, 2)", "1.10"),
        ("true", "yes"),
        ("false", "no"),
        ("DATE '2026-03-01'", "01 Mar 2026"),
        ("TIMESTAMP '2026-03-01 09:30:05'", "01 Mar 2026 09:30"),
        ("TIMESTAMPTZ '2026-03-01 09:30:05+02'", "01 Mar 2026 07:30"),
        ("'infinity'::TIMESTAMPTZ", "infinity"),
        ("['a', 'b']", "a, b"),
        ("[]::VARCHAR[]", "(none)"),
        ("{'type': 'team', 'teamId': NULL, 'at': 12}", "type team · at 12"),
        ("[{'type': 'user'}, {'type': 'team'}]", "type usertype team"),
        ("{'a': {'b': [1, 2]}}", "a (b (1, 2))"),
        ("MAP {'k': true}", "k yes"),
        ("'line' || chr(10) || 'break' || chr(8238)", r"line\nbreak\u202e"),
    ],
)
def test_how_a_value_is_shown(value, shown):
    assert Parsed(page(f"SELECT {value} AS v")).cells == [shown]


def test_the_exact_time_is_at_hand():
    parsed = Parsed(page("SELECT TIMESTAMPTZ '2026-03-01 09:30:05.12+02' AS t"))
    time = parsed.attributes("time")[-1]
    assert time["title"] == "2026-03-01 07:30:05.12 UTC"
    assert time["datetime"] == "2026-03-01T07:30:05.120000000Z"


def test_a_long_id_is_there_in_full():
    parsed = Parsed(page("SELECT repeat('0123456789abcdef', 4) AS id"))
    assert parsed.cells == ["0123456789abcdef" * 4]
    assert [td["class"] for td in parsed.attributes("td")] == ["id long"]


def test_columns_of_the_same_name():
    assert Parsed(page('SELECT 1 AS a, 2 AS "A", 3 AS a')).cells == ["1", "2", "3"]


def test_a_chart_of_a_column_that_is_not_there():
    with pytest.raises(ProgrammingError, match=r"names the column idle, .* only has name, n"):
        page("SELECT 'x' AS name, 1 AS n", Chart("bar", "name", "idle"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(scheme):
    style = (files("vercel_sql.cli.reports") / "page" / "page.css").read_text("utf-8")
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(roots) == 2
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", roots[scheme == "dark"]))
    for text, ground in product(("text", "muted", "accent"), ("page", "raised", "hover")):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for series in (f"s{number}" for number in range(7)):
        assert contrast(colours[series], colours["page"]) >= 3, series


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
