"""The view for people: every flag against tokens whose answers are known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

AUDIT = "vercel.audit.user_tokens"
DAY = 86_400_000
HOUR = 3_600_000


def user(**fields):
    return {"type": "user", "origin": "manual", "createdAt": 1, **fields}


def team(name):
    return {"type": "team", "teamId": name, "origin": "manual", "createdAt": 1}


@pytest.fixture
def flags(simulate, attached):
    """Gives one column of the view for one hand-made token."""

    def flag(column: str, **fields):
        sim = simulate([{"id": "t", **fields}])
        rows = attached(sim).execute(f"SELECT {column} FROM {AUDIT} WHERE id = 't'").fetchall()
        ((value,),) = rows
        return value

    return flag


@pytest.fixture
def now():
    return int(datetime.now(UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [(-1, True), (-DAY, True), (HOUR, False), (None, False)],
)
def test_is_expired(flags, now, expires, expected):
    assert flags("is_expired", expiresAt=None if expires is None else now + expires) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, True), ({"expiresAt": None}, True), ({"expiresAt": 1}, False), ({"expiresAt": 0}, False)],
)
def test_never_expires(flags, fields, expected):
    assert flags("never_expires", **fields) is expected


@pytest.mark.parametrize(
    ("active", "expected"), [(1000, True), (999, True), (1001, False), (None, None)]
)
def test_never_used(flags, active, expected):
    assert flags("never_used", createdAt=1000, activeAt=active) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"leakedAt": 5}, True),
        ({"leakedAt": 0}, True),
        ({"leakedUrl": "https://example.com"}, True),
        ({"leakedAt": None, "leakedUrl": None}, False),
    ],
)
def test_is_leaked(flags, fields, expected):
    assert flags("is_leaked", **fields) is expected


@pytest.mark.parametrize(("revoked", "expected"), [(None, False), (5, True), (0, True)])
def test_is_revoked(flags, revoked, expected):
    assert flags("is_revoked", revokedAt=revoked) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"expiresAt": 1}, False),
        ({"expiresAt": 99_999_999_999_999}, True),
        ({"revokedAt": 0}, False),
        ({"revokedAt": 1, "expiresAt": 1}, False),
        ({"revokedAt": "x"}, None),
        ({"revokedAt": "x", "expiresAt": 1}, False),
        ({"expiresAt": []}, None),
        ({"expiresAt": [], "revokedAt": 1}, False),
    ],
)
def test_is_working(flags, fields, expected):
    assert flags("is_working", **fields) is expected


@pytest.mark.parametrize(
    ("type_", "name", "expected"),
    [
        ("token", "Website, Login with GitHub (Chrome on macOS)", True),
        ("token", "Website, Login with SAML (Safari on iOS)", True),
        ("token", "website", False),
        ("token", "ci", False),
        ("oauth2-token", "Website, Login with GitHub (Chrome on macOS)", False),
        ("authentication-token", "ci", False),
        ("oauth2-token", 7, False),
        ("token", 7, None),
        (7, "Website, Login with GitHub (Chrome on macOS)", None),
        (7, "ci", False),
    ],
)
def test_is_session(flags, type_, name, expected):
    assert flags("is_session", type=type_, name=name) is expected


@pytest.mark.parametrize(
    ("scopes", "has_user", "teams"),
    [
        ([user()], True, 0),
        ([team("a")], False, 1),
        ([team("a"), user(), team("b"), team("a")], True, 2),
        ([], False, 0),
        (None, False, 0),
        ([None, user()], True, 0),
        ([{"origin": "github"}], False, 0),
    ],
)
def test_what_a_token_reaches(flags, scopes, has_user, teams):
    assert flags("has_user_scope", scopes=scopes) is has_user
    assert flags("team_count", scopes=scopes) == teams


@pytest.mark.parametrize(
    ("sudos", "expected"),
    [
        ([], False),
        ([None], False),
        ([HOUR], True),
        ([-1], False),
        ([-HOUR, HOUR], True),
        ([None, HOUR], True),
        ([None, -HOUR], False),
    ],
)
def test_has_sudo_that_has_not_expired(flags, now, sudos, expected):
    scopes = [
        user() if at is None else user(sudo={"origin": "totp", "expiresAt": now + at})
        for at in sudos
    ]
    assert flags("has_sudo", scopes=scopes) is expected


def test_sudo_without_a_time_is_no_live_sudo(flags):
    assert flags("has_sudo", scopes=[user(sudo={"origin": "totp"})]) is False


@pytest.mark.parametrize(
    ("ago", "days"),
    [(0, 0), (DAY - HOUR, 0), (DAY, 1), (DAY + HOUR, 1), (400 * DAY, 400), (-HOUR, -1)],
)
def test_ages_are_whole_days_rounded_down(flags, now, ago, days):
    assert flags("age_days", createdAt=now - ago) == days
    assert flags("idle_days", createdAt=1, activeAt=now - ago) == days


@pytest.mark.parametrize(
    ("ahead", "days"),
    [(HOUR, 0), (DAY + HOUR, 1), (-HOUR, -1), (-DAY - HOUR, -2), (90 * DAY + HOUR, 90)],
)
def test_days_until_expiry_are_rounded_down_and_negative_once_it_is_over(flags, now, ahead, days):
    assert flags("expires_in_days", expiresAt=now + ahead) == days


def test_days_are_unknown_where_the_time_is(flags):
    assert flags("expires_in_days") is None
    assert flags("idle_days", activeAt=None) is None


def test_a_moment_that_is_now_is_not_in_the_future(simulate, attached):
    """At the very millisecond the token has expired, and the days are 0: the edge itself."""
    sim = simulate([{"id": "t"}])
    con = attached(sim)
    con.execute("BEGIN")  # within a transaction, now() stands still
    ((moment,),) = con.execute("SELECT epoch_ms(now())").fetchall()
    for offset, expected in ((0, (True, 0)), (-1, (True, -1)), (1, (False, 0))):
        sim.state.find_token("t").set("expiresAt", moment + offset)
        query = f"SELECT is_expired, expires_in_days FROM {AUDIT} WHERE id = 't'"
        assert con.execute(query).fetchone() == expected
    con.execute("ROLLBACK")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_times_are_exact_to_the_millisecond_in_every_time_zone(simulate, attached, zone):
    moment = 1_700_000_000_123
    fields = dict.fromkeys(("createdAt", "activeAt", "expiresAt", "revokedAt"), moment)
    con = attached(simulate([{"id": "t", **fields, "leakedAt": -1}]))
    con.execute(f"SET TimeZone = '{zone}'")
    columns = ["created_at", "active_at", "expires_at", "revoked_at", "leaked_at"]
    row = con.execute(f"SELECT {', '.join(columns)} FROM {AUDIT} WHERE id = 't'").fetchone()
    expected = datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert row[:4] == (expected,) * 4
    assert row[4] == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    milliseconds = f"SELECT epoch_ms(created_at), typeof(created_at) FROM {AUDIT} WHERE id = 't'"
    assert con.execute(milliseconds).fetchone() == (moment, "TIMESTAMP WITH TIME ZONE")


def test_is_current_is_the_calling_token_alone(con, sim):
    rows = con.execute(f"SELECT id FROM {AUDIT} WHERE is_current").fetchall()
    assert rows == [(sim.state.calling_token.id,)]
    assert con.execute(f"SELECT count(*) FROM {AUDIT} WHERE NOT is_current").fetchone() == (30,)


def test_is_current_costs_a_request_only_where_it_is_used(con, sim):
    con.execute(f"SELECT id, age_days FROM {AUDIT}").fetchall()
    assert [r.path for r in sim.requests()] == ["/v6/user/tokens"]
    sim.clear_requests()
    con.execute(f"SELECT id, is_current FROM {AUDIT}").fetchall()
    assert [r.path for r in sim.requests()] == ["/v5/user/tokens/current", "/v6/user/tokens"]


def test_a_filter_on_the_id_reaches_the_api(con, sim):
    wanted = sim.state.tokens()[2].id
    query = f"SELECT * EXCLUDE (is_current) FROM {AUDIT} WHERE id = ?"
    assert len(con.execute(query, [wanted]).fetchall()) == 1
    assert [r.path for r in sim.requests()] == [f"/v5/user/tokens/{wanted}"]


def test_it_is_the_same_tokens_as_the_table(con):
    table = "SELECT id, name FROM vercel.authentication.user_tokens ORDER BY id"
    view = f"SELECT id, name FROM {AUDIT} ORDER BY id"
    assert con.execute(view).fetchall() == con.execute(table).fetchall()


LARGEST = 2**63 - 1


@pytest.mark.parametrize("moment", [LARGEST, -LARGEST - 1, 9 * 10**15 + 1, 253_402_300_800_000])
@pytest.mark.parametrize("column", ["createdAt", "activeAt", "expiresAt", "revokedAt", "leakedAt"])
def test_a_moment_that_no_timestamp_holds_hides_no_row(simulate, attached, moment, column):
    sim = simulate([{"id": "t", "createdAt": 1, column: moment}, {"id": "u", "createdAt": 2}])
    con = attached(sim)
    rows = con.execute(f"SELECT * FROM {AUDIT}").fetchall()
    assert {"t", "u"} <= {row[0] for row in rows}
    name = column.removesuffix("At") + "_at"
    query = f"SELECT {name} FROM {AUDIT} WHERE id = 't'"
    assert con.execute(query).fetchall() == [(None,)]


@pytest.mark.parametrize("before", [True, False])
def test_how_whole_numbers_are_divided_is_no_matter(simulate, attached, now, before):
    """Where they are divided as whole numbers, a negative age is rounded the wrong way."""
    sim, con = simulate([{"id": "t", "expiresAt": now - HOUR}]), attached.plain()
    if before:
        con.execute("SET integer_division = true")
    attached(sim, con)
    con.execute("SET integer_division = true")
    query = f"SELECT expires_in_days, age_days >= 0 FROM {AUDIT} WHERE id = 't'"
    assert con.execute(query).fetchall() == [(-1, True)]
