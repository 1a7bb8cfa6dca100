"""Secrets occur in the rows that return them, and in nothing else that a program may show."""

import logging
import traceback

import pytest

import vercel_sql

from ..secret_forms import leaks

T = "vercel.authentication.user_tokens"
ODD = "s3cr3t'\"/+ \\é=&"  # takes another form in each encoding


@pytest.fixture
def heard(caplog):
    """All that is logged, by any library, from DEBUG on."""
    caplog.set_level(logging.DEBUG)
    # The simulated server, which shares the process, may well log what it receives.
    ours = lambda: [r for r in caplog.records if not r.name.startswith("uvicorn")]  # noqa: E731
    return lambda: "\n".join(r.getMessage() + repr(vars(r)) for r in ours())


def shown(error):
    """All that is shown of an error, local variables of this package's frames included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The first frame is the test's own, and knows the secrets.
    told.stack = traceback.StackSummary.from_list(told.stack[1:])
    parts = [str(error), repr(error), repr(error.args), "".join(told.format())]
    parts += [repr(getattr(error, name, "")) for name in ("message", "extra", "path", "cause")]
    while (error := error.__context__ or error.__cause__) is not None:
        parts += [str(error), repr(error.args)]
    return "\n".join(parts)


def test_the_bearer_is_in_no_log_and_no_repr(db, sim, heard):
    events = []
    with db.observed(events.append):
        cursor = db.execute(f"SELECT * FROM {T}")
        rows = cursor.fetchall()
        db.execute(f"DELETE FROM {T} WHERE id = 'x'")
    things = [db, cursor, db.client, db.client.credential, db.client.redactor, *events]
    things += [db._catalogs, vars(cursor), db._engine, rows]
    assert "user/tokens" in heard()
    assert leaks(sim.token, heard() + repr(things)) == []


def test_new_tokens_are_only_in_their_rows(db, heard):
    events = []
    with db.observed(events.append):
        cursor = db.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b')")
        text = repr([cursor, vars(cursor), vars(db), events])
        bearers = [row[0] for row in cursor.fetchall()]
    for bearer in bearers:
        assert leaks(bearer, text + heard()) == []


def test_verification_tokens_are_only_in_their_rows(db, sim, heard):
    events = []
    with db.observed(events.append):
        (asked,) = db.execute(f"EXEC {T}.email_login @email = 'a@b.co'").fetchall()
        verify = f"EXEC {T}.verify_token @token = $t"
        with pytest.raises(vercel_sql.APIError) as early:
            db.execute(verify, {"t": asked[0]})
        with pytest.raises(vercel_sql.APIError) as wrong:
            db.execute(verify, {"t": ODD})
        explained = db.execute(f"EXPLAIN {verify}", {"t": asked[0]}).fetchall()
        sim.confirm(email="a@b.co")
        (verified,) = db.execute(verify, {"t": asked[0]}).fetchall()
    text = heard() + repr([events, explained]) + shown(early.value) + shown(wrong.value)
    for secret in (asked[0], verified[0], ODD):
        assert leaks(secret, text) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 500},
        {"kind": "drop_before"},
        {"kind": "drop_after"},
        {"kind": "cut_body"},
        {"kind": "garbage_body"},
    ],
    ids=lambda fault: fault["kind"],
)
@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT * FROM {T}",
        f"SELECT * FROM {T} WHERE id = 'x'",
        f"INSERT INTO {T} (name) VALUES ('a'), ('b')",
        f"DELETE FROM {T} WHERE name > ''",
        f"EXEC {T}.verify_token @token = $secret",
        f"EXEC {T}._list_auth_tokens",
    ],
)
def test_no_failure_shows_a_secret(db, sim, heard, statement, fault):
    sim.faults(times=None, **fault)
    given = {"secret": ODD} if "$secret" in statement else None
    with pytest.raises(vercel_sql.Error) as caught:
        db.execute(statement, given).fetchall()
    text = shown(caught.value) + heard()
    assert "Error" in text
    assert leaks(sim.token, text) == leaks(ODD, text) == []


@pytest.mark.parametrize("field", ["code", "message"])
def test_a_secret_that_the_server_repeats_is_masked(db, sim, heard, field):
    sim.faults(kind="status", status=400, times=None, **{field: f"bad token {sim.token}"})
    for statement in (f"SELECT * FROM {T}", f"INSERT INTO {T} (name) VALUES ('a')"):
        with pytest.raises(vercel_sql.APIError, match="secret") as caught:
            db.execute(statement).fetchall()
        assert leaks(sim.token, shown(caught.value) + heard()) == []


def test_a_secret_asked_for_by_mistake_is_masked(db, sim, heard):
    with pytest.raises(vercel_sql.APIError) as caught:
        db.execute(f"EXEC {T}.get_auth_token @tokenId = $id", {"id": sim.token})
    assert leaks(sim.token, shown(caught.value) + heard()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT $secret::INT",
        "SELECT error($secret)",
        f"INSERT INTO {T} (name, expiresAt) SELECT 'a', $secret",
        f"INSERT INTO {T} (name, slug) SELECT '', $secret",
        f"DELETE FROM {T} WHERE id = $secret::INT",
        f"EXEC {T}.verify_token @token = $secret, @teamPlan = 'gold'",
        f"EXEC {T}.verify_token @token = $secret, @no_such = 1",
        f"EXEC {T}.email_login @email = ($secret::INT)",
    ],
)
def test_known_secrets_are_masked_in_errors_about_values(db, sim, heard, statement):
    with pytest.raises(vercel_sql.Error) as caught:
        db.execute(statement, {"secret": sim.token}).fetchall()
    assert leaks(sim.token, shown(caught.value) + heard()) == []


def test_explain_shows_no_bearer(db, sim, ids):
    rows = db.execute(f"EXPLAIN DELETE FROM {T} WHERE id = '{ids[0]}'").fetchall()
    rows += db.execute(f"EXPLAIN INSERT INTO {T} (name) VALUES (?)", [sim.token]).fetchall()
    assert leaks(sim.token, repr(rows)) == []
