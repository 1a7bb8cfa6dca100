"""INSERT: points in time, NULL, and values of every type on their way into a request."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
MS_2030 = 1893456000000  # 2030-01-01T00:00:00Z


@pytest.fixture
def body(db, sent):
    """The body of the request that an INSERT of one name and one expression sends."""

    def run(expression, parameters=None, column="expiresAt"):
        names = "name, expiresAt" if column == "expiresAt" else column
        value = f"'a', {expression}" if column == "expiresAt" else expression
        before = len(sent("POST"))
        db.execute(f"INSERT INTO {TABLE} ({names}) SELECT {value}", parameters)
        (request,) = sent("POST")[before:]
        return request.body

    return run


SAY_2030 = [
    "1893456000000",
    "1893456000000::HUGEINT",
    "1893456000000::UBIGINT",
    "1893456000000::DECIMAL(18, 3)",
    "1893456000000::DOUBLE",
    "'1893456000000'",
    "TIMESTAMP '2030-01-01'",
    "TIMESTAMP '2030-01-01 00:00:00.000999'",
    "TIMESTAMP_S '2030-01-01'",
    "TIMESTAMP_MS '2030-01-01'",
    "TIMESTAMP_NS '2030-01-01'",
    "TIMESTAMPTZ '2030-01-01 00:00:00+00'",
    "TIMESTAMPTZ '2029-12-31 19:00:00-05'",
    "DATE '2030-01-01'",
    "'2030-01-01'",
    "'2030-01-01T00:00:00Z'",
    "'2029-12-31 19:00:00-05:00'",
    "epoch_ms(TIMESTAMP '2030-01-01')",
]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_every_way_to_say_2030_in_every_time_zone(db, body, zone):
    db.execute(f"SET TimeZone = '{zone}'")
    for expression in SAY_2030:
        assert (expression, body(expression)) == (expression, {"name": "a", "expiresAt": MS_2030})


@pytest.mark.parametrize(
    "value",
    [
        MS_2030,
        float(MS_2030),
        Decimal(MS_2030),
        "2030-01-01",
        date(2030, 1, 1),
        datetime(2030, 1, 1),
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2030, 1, 1, 5, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
    ids=repr,
)
def test_every_python_value_that_says_2030(db, body, value):
    db.execute("SET TimeZone = 'Asia/Tokyo'")
    assert body("$at", {"at": value})["expiresAt"] == MS_2030


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1577836800000", "lies in the past"),
        ("DATE '2020-01-01'", "lies in the past"),
        ("now()", "lies in the past"),
        ("0", "lies in the past"),
        ("-1", "lies in the past"),
        ("epoch(TIMESTAMP '2030-01-01')::BIGINT", "looks like seconds"),
        ("epoch_us(TIMESTAMP '2030-01-01')", "microseconds"),
        ("epoch_ns(TIMESTAMP '2030-01-01')", "microseconds or nanoseconds"),
        ("1893456000000.5", "not a 64-bit integer"),
        ("1893456000000.5::DOUBLE", "not a 64-bit integer"),
        ("170141183460469231731687303715884105727::HUGEINT", "64-bit|beyond the year"),
        ("'nan'::DOUBLE", "infinite|integer"),
        ("'infinity'::DOUBLE", "infinite"),
        ("'infinity'::TIMESTAMP", "infinite"),
        ("'infinity'::TIMESTAMPTZ", "infinite"),
        ("'-infinity'::TIMESTAMP", "infinite"),
        ("'infinity'::DATE", "infinite"),
        ("epoch_ms('infinity'::TIMESTAMP)", "became NULL"),
        ("(SELECT NULL::BIGINT)", "became NULL"),
        ("nullif(1, 1)", "became NULL"),
        ("try_cast('soon' AS TIMESTAMP)", "became NULL"),
        ("'soon'", "milliseconds since the epoch, a timestamp or a date"),
        ("'infinity'", "milliseconds since the epoch, a timestamp or a date"),
        ("'1_893_456_000_000'", "milliseconds since the epoch, a timestamp or a date"),
        ("''", "milliseconds since the epoch"),
        ("true", "not a boolean"),
        ("TIME '12:00:00'", "not a value of type time"),
        ("INTERVAL 90 DAY", "milliseconds since the epoch"),
        ("[1893456000000]", "not a list"),
        ("{'at': 1893456000000}", "not a struct"),
        ("'x'::BLOB", "not a blob"),
    ],
)
def test_what_is_no_moment_to_come_is_refused(db, body, expression, words, sent):
    with pytest.raises(vercel_sql.DataError, match=words):
        body(expression)
    assert sent() == []


@pytest.mark.parametrize("null", ["NULL", "NULL::BIGINT", "CAST(NULL AS TIMESTAMP)", "(NULL)"])
def test_a_literal_null_means_no_expiry(body, null):
    assert body(null) == {"name": "a"}


def test_a_parameter_that_is_none_means_no_expiry(body):
    assert body("$at", {"at": None}) == {"name": "a"}


def test_null_beside_a_moment_in_values(db, sent):
    db.execute(
        f"INSERT INTO {TABLE} (name, expiresAt) VALUES ('a', NULL), ('b', DATE '2030-01-01')"
    )
    assert [r.body for r in sent("POST")] == [{"name": "a"}, {"name": "b", "expiresAt": MS_2030}]


def test_a_null_that_only_one_row_turned_into_is_refused(db, sent):
    with pytest.raises(vercel_sql.DataError, match="row 2: expiresAt became NULL"):
        db.execute(
            f"INSERT INTO {TABLE} (name, expiresAt) "
            "SELECT * FROM (VALUES ('a', 1893456000000), ('b', NULL)) v"
        )
    assert sent() == []


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("'naïve ☃ 🔑'", "naïve ☃ 🔑"),
        ("'it''s \"quoted\" \\ and\nmore'", 'it\'s "quoted" \\ and\nmore'),
        ("123", "123"),
        ("340282366920938463463374607431768211::HUGEINT", "340282366920938463463374607431768211"),
        ("1.50::DECIMAL(5, 2)", "1.50"),
        ("'b'::ENUM ('a', 'b')", "b"),
        (
            "'6B29FC40-CA47-1067-B31D-00DD010662DA'::UUID",
            "6b29fc40-ca47-1067-b31d-00dd010662da",
        ),
        ("'x' || chr(0) || 'y'", "x\0y"),
        ("repeat('n', 5000)", "n" * 5000),
    ],
)
def test_values_that_are_text(body, expression, name):
    assert body(expression, column="name") == {"name": name}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1.5::DOUBLE", "takes text, not a DOUBLE"),
        ("true", "takes text, not a boolean"),
        ("'x'::BLOB", "takes text, not a blob"),
        ("{'a': 1}", "takes text, not a struct"),
        ("['a']", "takes text, not a list"),
        ("DATE '2030-01-01'", "not a date or time"),
        ("now()", "not a date or time"),
        ("TIME '12:00'", "takes text"),
        ("INTERVAL 1 DAY", "takes text"),
    ],
)
def test_values_that_are_no_text(body, expression, words, sent):
    with pytest.raises(vercel_sql.DataError, match=words):
        body(expression, column="name")
    assert sent() == []
