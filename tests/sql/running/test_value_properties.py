"""Any value on its way into a request: it is sent as it was given, or refused before anything is.

Literals, parameters of any Python type, and JSON, in INSERT, DELETE and EXEC.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
APOSTROPHE = "'"
PLACEHOLDER = re.compile(r"{{\s*\w+\s*}}")
NOW = datetime.now(UTC)

TEXTS = st.one_of(
    st.text(max_size=20),  # lone surrogates among them
    st.text(st.sampled_from("'\"\\{}$?:;@-/*%\x00\x1b\n\r\t\u2028\ufeff\U0001f600é"), max_size=12),
    st.sampled_from(
        ["{{ x }}", "'{{ v }}'", "$v", "'; DROP TABLE t; --", "NULL", ".", "..", "a/b"]
    ),
)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-11, minutes=-30))])
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30), timezones=ZONES)
NUMBERS = st.one_of(
    st.integers(-(2**130), 2**130),
    st.integers(1, 2**43).map(lambda n: int(NOW.timestamp() * 1000) + n),
    st.floats(),
    st.decimals(),
    st.sampled_from([Decimal("1893456000000.0"), 1893456000000.0, 1893456000, True, False]),
)
OTHERS = st.one_of(
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.binary(max_size=5),
    st.none(),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.sampled_from([object(), {1, 2}, 1j, range(3), (1, "a"), bytearray(b"x"), Exception]),
)
VALUES = st.one_of(TEXTS, NUMBERS, MOMENTS, OTHERS)


@pytest.fixture
def tried(db, sim):
    """What a statement sent to change anything, or nothing where it was refused."""

    def run(sql, parameters=None):
        sim.clear_requests()
        try:
            cursor = db.execute(sql, parameters)
            if cursor.description:
                cursor.fetchall()
        except (vercel_sql.APIError, vercel_sql.PartialWriteError):
            pass  # it was sent, and the account did not like it
        except vercel_sql.Error:
            assert not [r for r in sim.requests() if r.method != "GET"]
        return [r for r in sim.requests() if r.method != "GET"]

    return run


def is_the_same_text(sent, given):
    """Whether a text in a request is the value that was given: itself, or a number as digits."""
    if isinstance(given, str):
        return sent == given
    if isinstance(given, UUID):
        return UUID(sent) == given
    is_number = isinstance(given, int | Decimal) and not isinstance(given, bool)
    return is_number and Decimal(sent) == given


def milliseconds(given):
    """The moment that a value stands for, or None."""
    if isinstance(given, datetime):
        since = given.replace(tzinfo=given.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return since // timedelta(milliseconds=1)
    if isinstance(given, date):
        return milliseconds(datetime(given.year, given.month, given.day))
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return None
    return int(given) if math.isfinite(given) and given == int(given) else None


@given(VALUES)
@example({"\ud800": 1})
@example(["\udc80"])
@example(10**5000)
@example(Decimal("1E+999999999"))
def test_a_parameter_of_an_insert(tried, value):
    for request in tried(f"INSERT INTO {TABLE} (name) VALUES ($v)", {"v": value}):
        assert is_the_same_text(request.body["name"], value)
    for request in tried(f"INSERT INTO {TABLE} (name, expiresAt) VALUES ('n', $v)", {"v": value}):
        expires = request.body.get("expiresAt")
        if isinstance(value, str):
            assert expires is not None
        else:
            assert expires == milliseconds(value)
            assert expires is not None or value is None, "only NULL itself is no expiry"


@given(TEXTS)
def test_a_literal_of_an_insert(tried, text):
    doubled = text.replace("'", "''")
    requests = tried(f"INSERT INTO {TABLE} (name) VALUES ('{doubled}')")
    # A whole placeholder is one also in a literal, and has no value here.
    assert [r.body["name"] for r in requests] in ([text], [])
    if text.strip() and text.isascii() and "{{" not in text and "\0" not in text:
        assert len(requests) == 1


@given(VALUES)
@example(10**5000)
@example(Decimal("1E+999999999"))
@example(Decimal("sNaN"))
def test_a_parameter_of_exec(tried, value):
    template = '{"email": "{{ v }}", "tokenName": "a{{ v }}b"}'
    scripts = (
        f"EXEC {TABLE}.email_login @email = $v",
        f"EXEC {TABLE}.email_login @@json = '{template}'",
        f"EXEC {TABLE}.email_login @@json = '{template.replace('a{{ v }}b', 'n')}'",
    )
    for script in scripts:
        for request in tried(script, {"v": value}):
            assert is_the_same_text(request.body["email"], value)
            name = request.body.get("tokenName", "n")
            assert name == "n" or is_the_same_text(name[1:-1], value)


@given(TEXTS, TEXTS, st.booleans())
def test_json_of_exec(tried, email, name, escaped):
    body = {"email": email, "tokenName": name}
    text = json.dumps(body, ensure_ascii=escaped)
    ways = [("$j", {"j": text}), ("$j", {"j": body})]
    if not PLACEHOLDER.search(text):
        ways.append((f"'{text.replace(APOSTROPHE, APOSTROPHE * 2)}'", None))
    for script, parameters in ways:
        for request in tried(f"EXEC {TABLE}.email_login @@json = {script}", parameters):
            assert request.body == body


@given(VALUES)
def test_a_parameter_of_delete(tried, value):
    for request in tried(f"DELETE FROM {TABLE} WHERE id = $v", {"v": value}):
        assert isinstance(value, str | int | Decimal | UUID | datetime | date | time)
        assert unquote(request.path.rsplit("/", 1)[1]) == str(value)
