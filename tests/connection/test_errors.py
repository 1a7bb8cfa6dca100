"""Each error that the API can give, on each verb: an exception that says what, where and why."""

import pytest

import vercel_sql
from vercel_sql import errors

T = "vercel.authentication.user_tokens"
ONLY_USERS = "Only user authentication tokens can be used to create new tokens."

VERBS = {
    "list": (f"SELECT * FROM {T}", "GET", "/v6/user/tokens"),
    "get": (f"SELECT * FROM {T} WHERE id = 'x'", "GET", "/v5/user/tokens/x"),
    "insert": (f"INSERT INTO {T} (name) VALUES ('a')", "POST", "/v3/user/tokens"),
    "delete": (f"DELETE FROM {T} WHERE id = 'x'", "DELETE", "/v3/user/tokens/x"),
    "exec": (f"EXEC {T}.email_login @email = 'a@b.c'", "POST", "/registration"),
    "exec read": (f"EXEC {T}.get_auth_token @tokenId = 'x'", "GET", "/v5/user/tokens/x"),
}
ANSWERS = {
    "400": (errors.BadRequestError, "bad_request", {"status": 400}),
    "401": (errors.UnauthorizedError, "unauthorized", {"status": 401}),
    "403": (errors.ForbiddenError, "forbidden", {"status": 403}),
    "403 dead": (
        errors.ForbiddenError,
        "forbidden",
        {"status": 403, "message": "Not authorized", "extra": {"invalidToken": True}},
    ),
    "403 none": (
        errors.ForbiddenError,
        "forbidden",
        {"status": 403, "message": "Not authorized", "extra": {"missingToken": True}},
    ),
    "403 user": (errors.ForbiddenError, "forbidden", {"status": 403, "message": ONLY_USERS}),
    "403 integration": (
        errors.ForbiddenError,
        "integration_configuration_disabled",
        {"status": 403, "code": "integration_configuration_disabled"},
    ),
    "404": (errors.NotFoundError, "not_found", {"status": 404}),
    "405": (errors.MethodNotAllowedError, "method_unknown", {"status": 405}),
    "429": (
        errors.RateLimitedError,
        "too_many_tokens",
        {"status": 429, "code": "too_many_tokens"},
    ),
    "500": (errors.ServerError, "internal_server_error", {"status": 500}),
}


def original(kind, run):
    """The error of what is run, which is of a kind; a create whose outcome is unknown says more."""
    with pytest.raises((kind, vercel_sql.UnknownOutcomeError)) as caught:
        run()
    error = caught.value
    if isinstance(error, vercel_sql.UnknownOutcomeError):
        assert str(error.cause).rstrip(".") in str(error)
        error = error.cause
    assert isinstance(error, kind)
    return error


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_error_on_every_verb(db, sim, verb, answer):
    statement, http, path = VERBS[verb]
    kind, code, fault = ANSWERS[answer]
    sim.faults(kind="status", method=http, path=path, times=None, **fault)
    if answer == "404" and verb in ("get", "delete"):
        assert db.execute(statement).rowcount in (0, -1)
        return
    error = original(kind, lambda: db.execute(statement).fetchall())
    assert (error.status, error.code) == (fault["status"], code)
    assert (error.method, error.path) == (http, path)
    assert fault.get("message", error.message) == error.message
    assert isinstance(error, vercel_sql.OperationalError)
    told = f"{error.message.rstrip('.')} ({http} {path}, {error.status}"
    assert str(error).startswith(told)


@pytest.mark.parametrize("verb", VERBS)
def test_a_limit_that_is_free_too_late_on_every_verb(db, sim, verb):
    statement, http, path = VERBS[verb]
    headers = {"retry-after": "7200"}
    sim.faults(kind="status", method=http, path=path, times=None, status=429, headers=headers)
    db.max_wait = 60
    with pytest.raises(vercel_sql.WaitTooLongError, match=r"only in 2 hours, .* allows 60 s"):
        db.execute(statement).fetchall()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [502, 503])
def test_a_page_of_a_proxy_is_an_error_too(db, sim, verb, status):
    statement, http, path = VERBS[verb]
    page = "<html><body>Bad gateway</body></html>"
    sim.faults(
        *[
            {"kind": "body", "method": http, "path": path, "times": None, "status": status}
            | {"body": page, "content_type": "text/html"}
        ]
    )
    error = original(errors.ServerError, lambda: db.execute(statement).fetchall())
    assert error.status == status
    assert "an HTML page" in str(error)
    assert f"({http} " in str(error)
    assert path in str(error)


@pytest.mark.parametrize("verb", VERBS)
def test_a_good_status_with_a_bad_body_is_no_empty_table(db, sim, verb):
    statement, http, path = VERBS[verb]
    sim.faults(kind="garbage_body", method=http, path=path, times=None, html=True)
    error = original(vercel_sql.AnswerError, lambda: db.execute(statement).fetchall())
    assert f"({http} " in str(error)
    assert path in str(error)
    # A page with status 200 does not say whether a write was carried out.
    assert error.outcome_unknown is (http != "GET")


@pytest.mark.parametrize("verb", VERBS)
def test_no_answer_at_all(db, sim, verb, sent):
    statement, http, path = VERBS[verb]
    sim.faults(kind="drop_after", method=http, path=path, times=None)
    error = original(vercel_sql.TransportError, lambda: db.execute(statement).fetchall())
    reads = http == "GET"
    assert error.outcome_unknown is not reads
    assert len([r for r in sent(http) if r.path == path]) == (2 if reads else 1)
    assert f"({http} " in str(error)
    assert path in str(error)


def test_a_dead_server(connect, sim):
    db = connect(attempts=1)
    sim.stop()
    for statement, *_ in VERBS.values():
        with pytest.raises(vercel_sql.TransportError, match="got no answer"):
            db.execute(statement).fetchall()


def test_an_error_on_a_later_page_is_no_short_table(simulate):
    big = simulate(250)
    big.faults(kind="status", status=400, path="/v6/*", after=2)
    with (
        vercel_sql.connect(big.token, api_url=big.url) as db,
        pytest.raises(errors.BadRequestError, match=r"\(GET /v6/user/tokens, 400\)"),
    ):
        db.execute(f"SELECT count(*) FROM {T}").fetchall()


def test_an_api_error_in_a_source_or_predicate_is_that_error(db, sim, sent):
    sim.faults(kind="status", status=403, path="/v6/*", times=None)
    for statement in (
        f"INSERT INTO {T} (name) SELECT name FROM {T}",
        f"DELETE FROM {T} WHERE name = 'a'",
        f"EXEC {T}.email_login @email = (SELECT max(name) FROM {T})",
        f"CREATE TABLE local AS FROM {T}",
        f"EXPLAIN DELETE FROM {T} WHERE name = 'a'",
    ):
        with pytest.raises(errors.ForbiddenError):
            db.execute(statement)
    assert {request.method for request in sent()} == {"GET"}


def test_duckdbs_errors_are_those_of_the_pep(db):
    for statement, kind in {
        "SELEC 1": vercel_sql.ProgrammingError,
        "SELECT no_such": vercel_sql.ProgrammingError,
        "FROM no_such": vercel_sql.ProgrammingError,
        "SELECT 'x'::INT": vercel_sql.DataError,
        "CREATE TABLE t (i INT CHECK (i > 0)); INSERT INTO t VALUES (0)": vercel_sql.IntegrityError,
        "FROM 'no/such/file.csv'": vercel_sql.OperationalError,
    }.items():
        with pytest.raises(kind):
            db.execute(statement).fetchall()


def test_without_a_token_the_error_says_where_it_was_sought(connect, sent):
    db = connect(token=None)
    for statement in (f"SELECT * FROM {T}", f"INSERT INTO {T} (name) VALUES ('a')"):
        with pytest.raises(vercel_sql.MissingTokenError, match="VERCEL_TOKEN"):
            db.execute(statement).fetchall()
    assert sent() == []
