"""EXEC: every method of the manifest by its name, with its arguments checked."""

import json
import time
from urllib.parse import urlsplit

import pytest

import vercel_sql
from vercel_sql.manifest import vercel

TABLE = "vercel.authentication.user_tokens"


@pytest.fixture
def one(db):
    """Runs a statement that gives one row, as a dict."""

    def run(statement, parameters=None):
        cursor = db.execute(statement, parameters)
        (row,) = cursor.fetchall()
        return dict(zip([column[0] for column in cursor.description], row, strict=True))

    return run


ARGUMENTS = {
    "get_auth_token": "@tokenId = 'current'",
    "delete_auth_token": "@tokenId = 'current'",
    "create_auth_token": "@name = 'a'",
    "verify_token": "@token = 'a verification token'",
    "email_login": "@email = 'a@example.com'",
}
# What the simulated account can't be asked without more ado; tests/oauth and tests/integrations do.
REFUSED = {"verify_token", "get_userinfo", "revoke_token"}
METHODS = [
    (f"{resource.full_name}", method)
    for service in map(vercel().service, vercel().service_names)
    for resource in service.resources.values()
    for method in resource.methods.values()
]


@pytest.mark.parametrize(("resource", "method"), METHODS, ids=lambda it: getattr(it, "name", it))
def test_every_method_can_be_called(db, sent, resource, method):
    if method.procedure:
        pytest.skip("a procedure of ours: tests/oauth, test_rotation")
    made_up = ", ".join(f"@{parameter.name} = 'x'" for parameter in method.required)
    statement = f"EXEC vercel.{resource}.{method.name} {ARGUMENTS.get(method.name, made_up)}"
    if method.name in REFUSED or "exchange" in method.name or "client_id" in made_up:
        with pytest.raises(vercel_sql.APIError, match=r", 40[0134]\b"):
            db.execute(statement)
    else:
        assert db.execute(statement).fetchall()
    last = sent()[-1]
    path = method.path.replace("{tokenId}", "current")
    if method.endpoint is not None:
        query = f"SELECT {method.endpoint} FROM vercel.oauth.openid_configuration"
        path = urlsplit(db.execute(query).fetchone()[0]).path
    assert (last.method, last.path) == (method.http, path)


def test_the_statement_is_the_same_whatever_the_case(one, sent):
    one(f"exec {TABLE.upper()}.EMAIL_LOGIN @EMAIL = 'a@example.com', @tokenname = 'x'")
    assert sent()[0].body == {"email": "a@example.com", "tokenName": "x"}


@pytest.mark.parametrize(
    "arguments",
    [
        "@email = 'a@example.com', @tokenName = 'x'",
        "@email = 'a@example.com' -- the address,\n@tokenName = 'x'",
        "@email = lower('A@EXAMPLE.COM'), @tokenName = concat('', 'x')",
        "@email = (SELECT 'a@example.com'), @tokenName = CASE WHEN true THEN 'x' END",
        """@@json = '{"email": "a@example.com", "tokenName": "x"}'""",
        """@@json = $${"EMAIL": "a@example.com", "tokenname": "x"}$$""",
    ],
)
def test_ways_to_give_arguments(one, sent, arguments):
    one(f"EXEC {TABLE}.email_login {arguments}")
    assert sent()[0].body == {"email": "a@example.com", "tokenName": "x"}


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ("@email = $e, @tokenName = $n", {"e": "a@example.com", "n": "x"}),
        ("@email = ?, @tokenName = ?", ["a@example.com", "x"]),
        ("@email = :e, @tokenName = '{{ n }}'", {"e": "a@example.com", "n": "x"}),
        ("@@json = $j", {"j": {"email": "a@example.com", "tokenName": "x"}}),
        ("@@json = $j", {"j": '{"email": "a@example.com", "tokenName": "x"}'}),
        (
            """@@json = '{"email": "{{ e }}", "tokenName": {{ n }}}'""",
            {"e": "a@example.com", "n": "x"},
        ),
    ],
)
def test_arguments_from_parameters(one, sent, arguments, parameters):
    one(f"EXEC {TABLE}.email_login {arguments}", parameters)
    assert sent()[0].body == {"email": "a@example.com", "tokenName": "x"}


def test_create_takes_moments_and_the_prefix_of_insert(one, sent, authenticates):
    made = one(f"EXEC {TABLE}.create_auth_token @data__name = 'a', @expiresAt = DATE '2030-01-01'")
    assert sent()[0].body == {"name": "a", "expiresAt": 1893456000000}
    assert authenticates(made["bearerToken"])


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("{t}.email_logn @email = 'x'", "ProgrammingError", "did you mean 'email_login'"),
        ("{t}.email_login @emial = 'x'", "ParameterError", "did you mean 'email'"),
        ('{t}.email_login @@json = \'{{"emial": "x"}}\'', "ParameterError", "did you mean 'email'"),
        ("{t}.email_login", "ParameterError", "email is missing; required: email"),
        ("{t}.email_login @tokenName = 'x'", "ParameterError", "email is missing"),
        ("{t}.email_login @email = NULL", "ParameterError", "email is missing"),
        ("{t}.email_login @email = ''", "DataError", "email is empty"),
        ("{t}.email_login @email = nullif('a', 'a')", "DataError", "became NULL"),
        ("{t}.email_login @email = 'x' @tokenName = 'y'", "SQLSyntaxError", "comma"),
        ("{t}.email_login @email = 'x', @EMAIL = 'y'", "SQLSyntaxError", "given twice"),
        ("{t}.email_login @email = 'x', @@json = '{{}}'", "SQLSyntaxError", "@@json"),
        ("{t}.email_login @@json = '[1]'", "SQLSyntaxError", "not a JSON object"),
        ("{t}.email_login @email = no_such()", "ProgrammingError", "no_such"),
        ("{t}.email_login @email = (SELECT unnest(['a', 'b']))", "ProgrammingError|", "row"),
        ("{t}.email_login @email = 1.5::DOUBLE", "DataError", "takes text"),
        ("{t}.verify_token @token = 'x', @teamPlan = 'gold'", "DataError", "one of pro, hobby"),
        ("{t}.verify_token @token = 'x', @teamPlan = 'prro'", "DataError", "did you mean 'pro'"),
        ("{t}.get_auth_token @tokenId = '..'", "DataError", "can't stand in a path"),
        ("{t}.get_auth_token @tokenId = ''", "DataError", "tokenId is empty"),
        ("{t}", "ProgrammingError", "unknown resource vercel.authentication"),
        ("email_login @email = 'x'", "ProgrammingError", "does not name a method"),
        ("vercel.authentication.tokens.email_login", "ProgrammingError", "unknown resource"),
    ],
)
def test_what_is_wrong_is_found_before_the_first_request(db, statement, kind, words, sent):
    kinds = tuple(getattr(vercel_sql, name or "Error") for name in kind.split("|"))
    with pytest.raises(kinds, match=words):
        db.execute("EXEC " + statement.format(t=TABLE))
    assert sent() == []


@pytest.mark.parametrize("left_out", ["@tokenName = NULL", "@tokenName = $nothing"])
def test_an_optional_argument_can_be_null(one, sent, left_out):
    given = {"nothing": None} if "$" in left_out else None
    one(f"EXEC {TABLE}.email_login @email = 'a@example.com', {left_out}", given)
    assert sent()[0].body == {"email": "a@example.com"}


def test_an_optional_argument_that_became_null_is_refused(db, sent):
    with pytest.raises(vercel_sql.DataError, match="tokenName became NULL"):
        db.execute(f"EXEC {TABLE}.email_login @email = 'a@b.c', @tokenName = nullif('a', 'a')")
    assert sent() == []


def test_a_placeholder_beside_other_text_can_not_be_left_out(db, sent):
    with pytest.raises(vercel_sql.ParameterError, match="name"):
        db.execute(f"EXEC {TABLE}.email_login @email = 'a@b.c', @tokenName = 'ci-' || $name")
    assert sent() == []


def test_login_confirm_verify(db, one, sim, authenticates):
    asked = one(f"EXEC {TABLE}.email_login @email = 'ada@example.com'")
    verify = f"EXEC {TABLE}.verify_token @token = $token, @email = 'ada@example.com'"
    with pytest.raises(vercel_sql.APIError, match="not been confirmed") as caught:
        db.execute(verify, {"token": asked["token"]})
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
    with pytest.raises(vercel_sql.APIError) as caught:
        db.execute(verify, {"token": "this one is wrong"})
    assert caught.value.status == 403
    sim.confirm(token=asked["token"])
    cursor = db.execute(verify, {"token": asked["token"]})
    assert cursor.secret_columns == {"token"}
    assert authenticates(cursor.fetchone()[0])


def test_logins_need_no_token(connect, sim):
    db = connect(token=None)
    (asked,) = db.execute(f"EXEC {TABLE}.email_login @email = 'ada@example.com'").fetchall()
    assert asked[0]
    with pytest.raises(vercel_sql.MissingTokenError, match="VERCEL_TOKEN"):
        db.execute(f"EXEC {TABLE}._list_auth_tokens")


def test_a_missing_id_is_an_error(db, sent):
    for method in ("get_auth_token", "delete_auth_token"):
        with pytest.raises(vercel_sql.APIError) as caught:
            db.execute(f"EXEC {TABLE}.{method} @tokenId = 'nobody'")
        assert caught.value.status == 404
    # Each 404 is confirmed.
    assert [r.method for r in sent()] == ["GET", "GET", "GET", "DELETE", "GET"]


def test_the_own_id_is_guarded_and_current_is_not(db, sim, exists, sent):
    own = sim.state.calling_token.id
    with pytest.raises(vercel_sql.ProgrammingError, match="Nothing was deleted"):
        db.execute(f"EXEC {TABLE}.delete_auth_token @tokenId = ?", [own])
    assert sent("DELETE") == []
    assert db.execute(f"EXEC {TABLE}.delete_auth_token @tokenId = 'current'").rowcount == 1
    assert not exists(own)


def test_a_listing_as_one_row_joins_all_pages(simulate):
    big = simulate(230)
    with vercel_sql.connect(big.token, api_url=big.url) as db:
        tokens, pagination, *_ = db.execute(f"EXEC {TABLE}._list_auth_tokens").fetchone()
    assert len({token["id"] for token in json.loads(tokens)}) == 231
    assert json.loads(pagination)["count"] == 231
    assert json.loads(pagination)["next"] is None
    assert len(big.requests()) == 3


def test_writes_need_a_writing_connection(connect, sent):
    db = connect(read_only=True)
    for call in ("email_login @email = 'a@b.c'", "verify_token @token = 'x'"):
        with pytest.raises(vercel_sql.ReadOnlyError):
            db.execute(f"EXEC {TABLE}.{call}")
    assert sent() == []
    assert db.execute(f"EXEC {TABLE}.get_auth_token @tokenId = 'current'").fetchone()


def test_what_changes_something_is_not_sent_again(db, sim, sent):
    sim.faults(kind="status", status=502, path="/registration*", times=None)
    started = time.monotonic()
    for call in ("email_login @email = 'a@b.c'", "verify_token @token = 'x'"):
        with pytest.raises(vercel_sql.APIError):
            db.execute(f"EXEC {TABLE}.{call}")
    assert len(sent()) == 2
    assert time.monotonic() - started < 5
