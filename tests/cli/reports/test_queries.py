"""The reports that come with the package, against tokens whose answers are known.

Each is asked through two doors: as it is in plain DuckDB, and by ``vercel-sql run``.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from vercel_sql.cli.reports.report import read_report

from .conftest import CALLING, DAY, HOUR, QUERIES

# The report on changes reads a history, and is tested with it.
FILES = sorted(path for path in QUERIES.glob("*.sql") if path.stem != "changes")
NAMES = [path.stem for path in FILES]


def user(**fields):
    return {"type": "user", "origin": "manual", "createdAt": 1, **fields}


def team(name):
    return {"type": "team", "teamId": name, "origin": "manual", "createdAt": 1}


@pytest.fixture(params=["plain DuckDB", "vercel-sql run"])
def ask(request, simulate, attached, here):
    """Gives the rows of a report for hand-made tokens: ``ask("stale", tokens, days=30)``."""

    def plain(sim, report, parameters):
        con = attached(sim)
        for name, value in parameters.items():
            con.execute(f"SET VARIABLE {name} = {value}")
        result = con.execute((QUERIES / f"{report}.sql").read_text())
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def by_command(sim, report, parameters):
        given = [f"--param={name}={value}" for name, value in parameters.items()]
        ended = here("run", str(QUERIES / f"{report}.sql"), "-o", "json", *given, sim=sim)
        assert (ended.code, ended.err) == (0, "")
        return json.loads(ended.out)

    def rows(report, tokens, **parameters):
        door = plain if request.param == "plain DuckDB" else by_command
        return door(simulate(tokens), report, parameters)

    return rows


@pytest.fixture
def names(ask):
    """Gives the names in a report, in order, without the token that makes the calls."""

    def listed(report, tokens, **parameters):
        rows = ask(report, tokens, **parameters)
        return [row["name"] for row in rows if row["name"] != CALLING]

    return listed


def named(**tokens):
    """Tokens by name, with ids in the same order."""
    return [
        {"id": f"t{number}", "name": name, **fields}
        for number, (name, fields) in enumerate(tokens.items())
    ]


def test_there_are_the_reports_that_a_review_asks_for():
    assert set(NAMES) == {
        "inventory", "stale", "never_used", "expiring", "never_expiring", "leaked",
        "broad_scopes", "duplicates", "teams_over_time",
    }  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_each_says_what_it_answers_and_what_to_do(path):
    report = read_report(path)
    assert report.title != path.stem
    assert report.answers.endswith("?")
    assert report.on_hit


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_defaults_of_the_header_are_those_of_the_text(path):
    report = read_report(path)
    found = re.findall(r"coalesce\(getvariable\('(\w+)'\), ([^)]+)\)", report.text)
    written = {(name, str(default).lower()) for name, default in found}
    declared = {(each.name, str(each.default).lower()) for each in report.parameters}
    assert written == declared
    assert len(found) == report.text.count("getvariable")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_an_empty_account_has_only_the_token_that_makes_the_calls(ask, path):
    rows = ask(path.stem, [])
    seen = {"inventory", "never_expiring", "broad_scopes"}
    if path.stem == "teams_over_time":
        assert [(row["team"], row["tokens"]) for row in rows] == [("whole account", 1)]
    else:
        assert [row["name"] for row in rows] == ([CALLING] if path.stem in seen else [])
        assert all(row["is_current"] for row in rows)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_one_listing_and_nothing_that_writes(simulate, attached, path):
    sim = simulate(250)
    attached(sim).execute(path.read_text()).fetchall()
    sent = [(each.method, each.path) for each in sim.requests()]
    assert sent.count(("GET", "/v6/user/tokens")) == 3
    assert set(sent) <= {("GET", "/v6/user/tokens"), ("GET", "/v5/user/tokens/current")}
    assert len(sent) <= 4


def test_an_account_with_5000_tokens(simulate, here):
    sim = simulate(5000)
    ended = here("run", *map(str, FILES), "-o", "ndjson", sim=sim)
    assert (ended.code, ended.err) == (0, "")
    rows = [json.loads(line) for line in ended.out.splitlines()]
    inventory = [row for row in rows if "state" in row]
    assert len({row["id"] for row in inventory}) == len(inventory) == 5001
    forever = [row for row in rows if "age_days" in row and "is_current" in row]
    assert len(forever) == sum(
        token.get("expiresAt") is None and token.get("revokedAt") is None
        for token in sim.state.tokens()
        if token["type"] != "token"
    )


SESSION = {"type": "token", "scopes": [user()]}


@pytest.fixture
def sessions(now):
    """A browser session for each report that would call for its revocation, and no session."""
    name = "Website, Login with GitHub (Chrome on macOS)"
    old = {"createdAt": now - 400 * DAY, "activeAt": now - 300 * DAY}
    return [
        {"id": "idle", "name": name, **SESSION, **old},
        {"id": "unused", "name": name, **SESSION, "createdAt": now - 100 * DAY},
        {"id": "ends", "name": name, **SESSION, **old, "expiresAt": now + HOUR},
        {"id": "revoked", "name": name, **SESSION, **old, "revokedAt": now - HOUR},
        {"id": "leaked", "name": name, **SESSION, **old, "leakedAt": now - HOUR},
    ]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_sessions_are_left_out_of_what_suggests_revoking(ask, sessions, path):
    shown = {row.get("id") for row in ask(path.stem, sessions)}
    expected = {"inventory": {each["id"] for each in sessions}, "leaked": {"leaked"}}
    assert shown & {each["id"] for each in sessions} == expected.get(path.stem, set())


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("stale", ["idle", "leaked", "ends", "unused"]),
        ("never_used", ["unused"]),
        ("expiring", ["ends"]),
        ("never_expiring", ["idle", "leaked", "unused"]),
        ("leaked", ["leaked", "revoked"]),
        ("broad_scopes", ["ends", "idle", "leaked", "unused"]),
        ("duplicates", ["ends", "idle", "leaked", "unused"]),
    ],
)
def test_a_parameter_brings_sessions_back(ask, sessions, report, expected):
    rows = ask(report, sessions, sessions="true")
    assert sorted(row["id"] for row in rows if row["is_session"]) == sorted(expected)


def test_teams_over_time_counts_what_works(ask, sessions, now):
    tokens = [{"id": "t", "name": "t", "createdAt": now}, *sessions]
    for given, expected in (({}, (2, 0)), ({"sessions": "true"}, (6, 1))):
        rows = ask("teams_over_time", tokens, **given)
        counted = [(row["tokens"], row["no_longer_working"]) for row in rows]
        assert tuple(map(sum, zip(*counted, strict=True))) == expected


def test_what_only_looks_like_a_session_is_none(names, now):
    old = {"createdAt": now - 400 * DAY}
    tokens = named(**{"Website, x": old, "website": {**old, "type": "token"}})
    assert names("stale", tokens) == ["Website, x", "website"]


def test_inventory(ask, now):
    tokens = named(
        everyday={"createdAt": now - 3 * DAY, "activeAt": now - DAY, "scopes": [team("a")]},
        unused={"createdAt": now - 4 * DAY},
        expired={"createdAt": now - 5 * DAY, "expiresAt": now - HOUR, "leakedAt": now},
        revoked={"createdAt": now - 6 * DAY, "expiresAt": now - HOUR, "revokedAt": now - HOUR},
        leaked={"createdAt": now - 7 * DAY, "leakedUrl": "https://example.com"},
        wide={
            "createdAt": now - 8 * DAY,
            "scopes": [
                user(sudo={"origin": "totp", "expiresAt": now + DAY}),
                team("a"),
                team("b"),
            ],
        },
        nothing={"createdAt": now - 9 * DAY, "scopes": []},
    )
    rows = ask("inventory", tokens)
    assert [(row["name"], row["state"], row["reaches"]) for row in rows] == [
        ("everyday", "works", "1 team"),
        ("unused", "works", "whole account"),
        ("expired", "expired", "whole account"),
        ("revoked", "revoked", "whole account"),
        ("leaked", "leaked", "whole account"),
        ("wide", "works", "whole account, 2 teams, sudo"),
        ("nothing", "works", ""),
        (CALLING, "works", "whole account"),
    ]
    assert [row["name"] for row in rows if row["last_used_at"]] == ["everyday", CALLING]
    assert [row["name"] for row in rows if row["is_current"]] == [CALLING]


def used(now, ago, **fields):
    return {"createdAt": now - 1000 * DAY, "activeAt": now - ago, **fields}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({}, ["unused", "day91"]),
        ({"days": 90}, ["unused", "day91"]),
        ({"days": 89}, ["unused", "day91", "day90"]),
        ({"days": 91}, ["unused"]),
        ({"days": 0}, ["unused", "day91", "day90", "day1"]),
        ({"days": -1}, ["unused", "day91", "day90", "day1", "today"]),
        ({"days": 2147483647}, []),
    ],
)
def test_stale(names, now, days, expected):
    tokens = named(
        today=used(now, HOUR),
        day1=used(now, DAY + HOUR),
        day90=used(now, 90 * DAY + HOUR),
        day91=used(now, 91 * DAY + HOUR),
        unused={"createdAt": now - 200 * DAY},
        expired=used(now, 500 * DAY, expiresAt=now - HOUR),
        revoked=used(now, 500 * DAY, revokedAt=now - HOUR),
    )
    assert names("stale", tokens, **days) == expected


def test_stale_at_the_very_edge_and_where_nothing_is_known(names, now):
    tokens = named(
        exactly=used(now, 90 * DAY),  # by the time of the query a little more, still 90 whole days
        unknown={"createdAt": now - 100 * DAY, "activeAt": None},
        young={"createdAt": now - DAY, "activeAt": None},
    )
    assert names("stale", tokens) == ["unknown"]


def test_stale_says_which_were_never_used(ask, now):
    tokens = named(a=used(now, 300 * DAY), b={"createdAt": now - 200 * DAY})
    rows = ask("stale", tokens)
    assert [(row["name"], row["idle_days"], row["never_used"]) for row in rows] == [
        ("a", 300, False),
        ("b", 200, True),
    ]
    assert rows[1]["last_used_at"] is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["old", "weekold"]),
        ({"min_age": 7}, ["old", "weekold"]),
        ({"min_age": 8}, ["old"]),
        ({"min_age": 0}, ["old", "weekold", "sixdays", "new"]),
    ],
)
def test_never_used(names, now, parameters, expected):
    tokens = named(
        new={"createdAt": now - HOUR},
        sixdays={"createdAt": now - 7 * DAY + HOUR},
        weekold={"createdAt": now - 7 * DAY},
        old={"createdAt": now - 50 * DAY, "activeAt": None},
        used=used(now, 900 * DAY),
        expired={"createdAt": now - 50 * DAY, "expiresAt": now - HOUR},
        revoked={"createdAt": now - 50 * DAY, "revokedAt": now - HOUR},
    )
    assert names("never_used", tokens, **parameters) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({}, ["hour", "day29", "exactly30"]),
        ({"days": 30}, ["hour", "day29", "exactly30"]),
        ({"days": 31}, ["hour", "day29", "exactly30", "day30"]),
        ({"days": 1}, ["hour"]),
        ({"days": 0}, []),
    ],
)
def test_expiring(names, now, days, expected):
    tokens = named(
        past={"expiresAt": now - 1},
        hour={"expiresAt": now + HOUR},
        day29={"expiresAt": now + 30 * DAY - HOUR},
        exactly30={"expiresAt": now + 30 * DAY},  # by the time of the query a little less
        day30={"expiresAt": now + 30 * DAY + HOUR},
        never={"expiresAt": None},
        revoked={"expiresAt": now + HOUR, "revokedAt": now - HOUR},
    )
    assert names("expiring", tokens, **days) == expected


def test_never_expiring(names, now):
    tokens = named(
        young={"createdAt": now - DAY},
        old={"createdAt": now - 700 * DAY, "expiresAt": None},
        ends={"createdAt": now, "expiresAt": now + 5000 * DAY},
        ended={"createdAt": now, "expiresAt": 0},
        revoked={"createdAt": now - DAY, "revokedAt": now},
    )
    assert names("never_expiring", tokens) == ["old", "young"]


LEAKED = {
    "fine": {},
    "leaked": {"leakedAt": 2000},
    "found": {"leakedUrl": "https://example.com"},
    "dealt": {"leakedAt": 3000, "revokedAt": 4000},
    "over": {"leakedAt": 5000, "expiresAt": 6000},
    "revoked": {"revokedAt": 7000},
}


def test_leaked(ask):
    rows = ask("leaked", named(**LEAKED))
    assert [(row["name"], row["still_works"]) for row in rows] == [
        ("leaked", True),
        ("found", True),
        ("revoked", False),
        ("over", False),
        ("dealt", False),
    ]


def test_leaked_and_still_working(names):
    assert names("leaked", named(**LEAKED), only_working="true") == ["leaked", "found"]
    assert len(names("leaked", named(**LEAKED), only_working="false")) == 5


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [("root", "sudo, whole account"), ("me", "whole account"), ("five", "5 teams")]),
        (
            {"teams": 2},
            [
                ("root", "sudo, whole account"),
                ("me", "whole account"),
                ("five", "5 teams"),
                ("three", "3 teams"),
            ],
        ),
        ({"teams": 5}, [("root", "sudo, whole account"), ("me", "whole account")]),
    ],
)
def test_broad_scopes(ask, now, parameters, expected):
    sudo = {"origin": "totp", "expiresAt": now + HOUR}
    over = {"origin": "totp", "expiresAt": now - HOUR}
    tokens = named(
        me={"scopes": [user()]},
        root={"scopes": [user(sudo=sudo)]},
        one={"scopes": [team("a"), team("a"), team("a"), team("a")]},
        three={"scopes": [team("a"), team("b"), team("c")]},
        five={"scopes": [team(name) for name in "abcde"]},
        was={"scopes": [team("a") | {"sudo": over}]},
        none={"scopes": None},
        expired={"scopes": [user()], "expiresAt": now - HOUR},
        revoked={"scopes": [user()], "revokedAt": now - HOUR},
    )
    rows = ask("broad_scopes", tokens, **parameters)
    found = [(row["name"], row["why"]) for row in rows if row["name"] != CALLING]
    assert found == expected


def test_duplicates(ask, now):
    tokens = [
        {"id": "a1", "name": "deploy", "createdAt": now - 3 * DAY},
        {"id": "a2", "name": "deploy", "createdAt": now - 2 * DAY},
        {"id": "a3", "name": " Deploy ", "createdAt": now - DAY},
        {"id": "b1", "name": "ci", "createdAt": now - 3 * DAY},
        {"id": "b2", "name": "ci", "createdAt": now - 3 * DAY},
        {"id": "c1", "name": "once", "createdAt": now},
        {"id": "d1", "name": "over", "createdAt": now},
        {"id": "d2", "name": "over", "createdAt": now, "expiresAt": now - HOUR},
        {"id": "d3", "name": "over", "createdAt": now, "revokedAt": now - HOUR},
    ]
    rows = ask("duplicates", tokens)
    assert [(row["id"], row["tokens_of_that_name"], row["is_newest"]) for row in rows] == [
        ("a3", 3, True),
        ("a2", 3, False),
        ("a1", 3, False),
        ("b1", 2, True),
        ("b2", 2, False),
    ]


def test_teams_over_time(ask):
    def at(year, month, day, hour=12):
        return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)

    tokens = named(
        a={"createdAt": at(2025, 1, 1, 0), "origin": "github", "scopes": [team("x")]},
        b={"createdAt": at(2025, 1, 31, 23), "origin": "github", "scopes": [team("x")] * 2},
        c={"createdAt": at(2025, 1, 9), "origin": "saml", "scopes": [team("x"), team("y")]},
        d={"createdAt": at(2025, 2, 1, 0), "origin": "github", "scopes": [user()], "expiresAt": 1},
        e={"createdAt": at(2025, 2, 1), "origin": "github", "scopes": [user()]},
        f={"createdAt": at(2025, 2, 1), "origin": None, "scopes": []},
        g={"createdAt": at(2025, 2, 1), "origin": None, "scopes": None, "revokedAt": 1},
        h={
            "createdAt": at(2025, 2, 1),
            "origin": "app",
            "scopes": [{"type": "new", "origin": "x"}],
        },
    )
    rows = ask("teams_over_time", tokens)
    ours = [tuple(row.values()) for row in rows if str(row["month"]) < "2025-03"]
    assert [(str(month), *rest) for month, *rest in ours] == [
        ("2025-01-01", "x", "github", 2, 0),
        ("2025-01-01", "x", "saml", 1, 0),
        ("2025-01-01", "y", "saml", 1, 0),
        ("2025-02-01", "nothing", None, 1, 1),
        ("2025-02-01", "unknown", "app", 1, 0),
        ("2025-02-01", "whole account", "github", 1, 1),
    ]


def test_teams_over_time_does_not_depend_on_where_it_runs(simulate, attached):
    sim = simulate([{"id": "t", "createdAt": 1_735_689_600_000, "origin": "emu"}])  # 2025-01-01
    con = attached(sim)
    con.execute("SET TimeZone = 'America/Los_Angeles'")
    rows = con.execute((QUERIES / "teams_over_time.sql").read_text()).fetchall()
    assert [str(month) for month, _, origin, *_ in rows if origin == "emu"] == ["2025-01-01"]


# Where one of the things that read a time gives up: a calendar's end, nanoseconds, microseconds.
ABSURD = [0, 10**18, 2**63 - 1, -(2**63), 253402300800000, -62135596800001, 9223372036855]
ABSURD += [9223372036854776, -9223372036854776]
MOMENTS = ("createdAt", "activeAt", "expiresAt", "leakedAt", "revokedAt")


def absurd(value):
    """A token for each field with the value, and one with it everywhere."""
    everywhere = dict.fromkeys(("createdAt", "expiresAt"), value)
    scope = {"type": "user", **everywhere, "sudo": {"origin": "x", **everywhere}}
    yield {"id": f"all {value}", **dict.fromkeys(MOMENTS, value), "scopes": [scope]}
    for field in MOMENTS:
        yield {"id": f"{field} {value}", field: value}


@pytest.mark.parametrize("fmt", ["table", "csv", "json", "html", "xlsx", "parquet"])
def test_an_absurd_moment_ends_no_report(simulate, run, tmp_path, fmt):
    sim = simulate([token for value in ABSURD for token in absurd(value)])
    ended = run(*FILES, "-o", fmt, "--out", tmp_path, sim=sim)
    assert ended.code == 0, ended.err
    assert f"inventory.sql: {1 + len(ABSURD) * (1 + len(MOMENTS))} rows" in ended.err
    assert "teams_over_time.sql: " in ended.err
