"""Arguments are checked before the first request: names, types, and moments that make sense."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from vercel_sql.errors import DataError, ParameterError
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.requests import build_request

NOW = 1_795_000_000_000  # what the clock of these tests shows
DAY = 86_400_000


@pytest.fixture
def check(method, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: NOW * 1_000_000)

    def check(name: str = "create_auth_token", /, **arguments):
        return check_arguments(method(name), arguments, "here")

    return check


# Names


def test_names_match_whatever_their_case_and_null_is_left_out(check):
    given = check(NAME="ci", ExpiresAt=None, teamid="team_1")
    assert given == {"name": "ci", "teamId": "team_1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "here: name is missing; required: name; optional: expiresAt, projectId, teamId, slug"),
        ({"name": None}, "name is missing"),
        ({"name": "x", "expires_at": 1}, r"no parameter 'expires_at' \(did you mean 'expiresAt'\?"),
        ({"name": "x", "zzz": 1}, "no parameter 'zzz'; required"),
        ({"name": "x", "NAME": "y"}, "name is given twice"),
    ],
)
def test_wrong_names(check, arguments, words):
    with pytest.raises(ParameterError, match=words):
        check(**arguments)


# Text


@pytest.mark.parametrize("value", ["x", "日本", "'", 5, Decimal("1.10")])
def test_text(check, value):
    assert check(name=value)["name"] == str(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "name is empty"),
        ("   ", "name is empty"),
        ("\ud800", "half a surrogate pair"),
        (True, "takes text, not a boolean"),
        ([], "takes text, not a list"),
        (b"x", "takes text, not a blob"),
        (datetime.now(UTC), "takes text, not a date or time"),
    ],
)
def test_what_is_no_text(check, value, words):
    with pytest.raises(DataError, match=words):
        check(name=value)


@pytest.mark.parametrize("value", [".", ".."])
def test_steps_in_a_path_are_refused(check, value):
    with pytest.raises(DataError, match="can't stand in a path"):
        check("delete_auth_token", tokenId=value)


def test_a_value_outside_of_what_is_allowed(check):
    with pytest.raises(DataError, match="takes one of pro, hobby"):
        check("verify_token", token="t", teamPlan="enterprise")
    assert check("verify_token", token="t", teamPlan="pro")["teamPlan"] == "pro"


# expiresAt

SOON = datetime.fromtimestamp((NOW + 90 * DAY) // 1000, UTC).replace(microsecond=999_000)
SOON_MS = (NOW + 90 * DAY) // 1000 * 1000 + 999


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (NOW + DAY, NOW + DAY),
        (str(NOW + DAY), NOW + DAY),
        (f" {NOW + DAY} ", NOW + DAY),
        (Decimal(NOW + DAY), NOW + DAY),
        (float(NOW + DAY), NOW + DAY),
        (SOON, SOON_MS),
        (SOON.replace(tzinfo=None), SOON_MS),
        (SOON.astimezone(timezone(timedelta(hours=-7))), SOON_MS),
        (SOON.isoformat(), SOON_MS),
        (SOON.replace(tzinfo=None).isoformat(" "), SOON_MS),
        (date(2100, 1, 1), 4_102_444_800_000),
        ("2100-01-01", 4_102_444_800_000),
        (datetime(2100, 1, 1, microsecond=999), 4_102_444_800_000),
        (253_402_300_799_999, 253_402_300_799_999),
    ],
)
def test_a_moment_as_milliseconds_timestamp_or_date(check, value, milliseconds):
    assert check(name="x", expiresAt=value)["expiresAt"] == milliseconds


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (NOW // 1000 + 86_400, "looks like seconds"),
        (NOW // 1000 + 400 * 86_400, "looks like seconds"),
        (0, "lies in the past"),
        (-1, "lies in the past"),
        (NOW - 1, "lies in the past"),
        (datetime(2020, 1, 1), "lies in the past"),
        (date(2020, 1, 1), "lies in the past"),
        ("2020-01-01", "lies in the past"),
        (-(10**15), "long ago"),
        ((NOW + DAY) * 1000, "microseconds or nanoseconds"),
        (253_402_300_800_000, "beyond the year 9999"),
        (2**63, "not a 64-bit integer"),
        (NOW + DAY + 0.5, "not a 64-bit integer"),
        (Decimal(NOW + DAY) + Decimal("0.1"), "not a 64-bit integer"),
        (float("inf"), "not an infinite value or NaN"),
        (float("nan"), "not an infinite value or NaN"),
        (Decimal("Infinity"), "not an infinite value or NaN"),
        ("infinity", "the text given is not one"),
        ("tomorrow", "the text given is not one"),
        ("", "the text given is not one"),
        (True, "not a boolean"),
        ([NOW], "not a list"),
    ],
)
def test_what_is_no_moment_in_the_future(check, value, words):
    with pytest.raises(DataError, match=words) as raised:
        check(name="x", expiresAt=value)
    assert str(raised.value).startswith("here: expiresAt")


# Requests


def test_each_argument_goes_where_the_manifest_says(check, method):
    given = check(name="ci", expiresAt=NOW + DAY, teamId="te am&", projectId="prj")
    request = build_request(method("create_auth_token"), given)
    assert request.target == "/v3/user/tokens?teamId=te%20am%26"
    assert request.body == {"name": "ci", "expiresAt": NOW + DAY, "projectId": "prj"}
    assert request.content_type == "application/json"


def test_a_method_without_body_parameters_has_no_body(method):
    assert build_request(method("get_auth_token"), {"tokenId": "t"}).content is None


@pytest.mark.parametrize(
    ("token_id", "path"),
    [
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("?q#f", "%3Fq%23f"),
        ("%2e", "%252e"),
        ("é", "%C3%A9"),
        ("{tokenId}", "%7BtokenId%7D"),
        ("~a-b_c.d", "~a-b_c.d"),
    ],
)
def test_path_values_stay_one_segment(method, token_id, path):
    request = build_request(method("get_auth_token"), {"tokenId": token_id})
    assert request.target == f"/v5/user/tokens/{path}"
