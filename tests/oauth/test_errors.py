"""What the authorization server refuses is an error with its status, code and message."""

from __future__ import annotations

import pytest

import vercel_sql
from vercel_sql import errors

T = "vercel.oauth.tokens"


def failure(act, kind):
    with pytest.raises(kind) as raised:
        act()
    return raised.value


def check(error, status, code, message, *secrets):
    assert (error.status, error.code) == (status, code)
    assert message in error.message
    assert message in str(error)
    assert ".." not in str(error)
    assert not any(secret in str(error) for secret in secrets)


def test_a_code_works_once(db, sign_in):
    begun = sign_in()
    begun.exchange()
    error = failure(begun.exchange, errors.BadRequestError)
    check(error, 400, "invalid_grant", "used before", begun.code, begun.verifier)
    assert "Begin the sign-in again" in str(error)


def test_a_code_does_not_work_for_long(sim, sign_in):
    begun = sign_in()
    sim.advance(31 * 60)
    error = failure(begun.exchange, errors.BadRequestError)
    check(error, 400, "invalid_grant", "expired", begun.code, begun.verifier)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant", "code_verifier"),
        ({"redirect_uri": "https://elsewhere.example"}, "invalid_grant", "redirect_uri"),
        ({"code": "nonesuch-code"}, "invalid_grant", ""),
    ],
)
def test_an_exchange_that_does_not_fit(changes, code, message, sign_in):
    begun = sign_in()
    error = failure(lambda: begun.exchange(**changes), errors.BadRequestError)
    check(error, 400, code, message, begun.code, begun.verifier, "x" * 43, "nonesuch-code")


@pytest.mark.parametrize("secret", [None, "wrong secret of the app"])
def test_a_wrong_client_secret(secret, sign_in, confidential):
    begun = sign_in(confidential)
    act = lambda: begun.exchange(client_secret=secret)  # noqa: E731
    error = failure(act, errors.UnauthorizedError)
    check(error, 401, "invalid_client", "secret is wrong", "wrong secret of the app")
    assert "Check client_id and client_secret" in str(error)


def test_a_wrong_secret_at_the_revocation(db, sign_in, confidential):
    token = sign_in(confidential).exchange()["access_token"]
    statement = f"DELETE FROM {T} WHERE token = $t AND client_id = $c AND client_secret = $s"
    values = {"t": token, "c": confidential.client_id, "s": "wrong secret of the app"}
    error = failure(lambda: db.execute(statement, values), errors.UnauthorizedError)
    check(error, 401, "invalid_client", "", token, "wrong secret of the app")


def test_a_refresh_token_works_once(sign_in, put, public):
    refresh_token = sign_in().exchange()["refresh_token"]
    values = {"client_id": public.client_id, "refresh_token": refresh_token}
    put(T, values)
    error = failure(lambda: put(T, values), errors.BadRequestError)
    check(error, 400, "invalid_grant", "used before", refresh_token)


def test_userinfo_of_a_token_that_is_none(db):
    query = "FROM vercel.oauth.get_userinfo(access_token := 'vca_notOfAnyoneAtAll')"
    error = failure(lambda: db.execute(query).fetchall(), errors.UnauthorizedError)
    check(error, 401, "invalid_token", "access token is not valid", "vca_notOfAnyoneAtAll")


def test_userinfo_of_a_token_without_the_scope(db, sign_in):
    token = sign_in(scope="email").exchange()["access_token"]
    query = "FROM vercel.oauth.get_userinfo(access_token := $t)"
    error = failure(lambda: db.execute(query, {"t": token}).fetchall(), errors.ForbiddenError)
    check(error, 403, "insufficient_scope", "openid", token)


@pytest.mark.parametrize("token", ["vca_line\nbreak", "vca_ümlaut", "vca_\r\nX-Evil: 1"])
def test_a_bearer_that_no_header_can_hold(token, db, sent):
    query = "FROM vercel.oauth.get_userinfo(access_token := $t)"
    error = failure(lambda: db.execute(query, {"t": token}).fetchall(), errors.DataError)
    assert "characters that no token has" in str(error)
    assert token not in str(error)
    assert sent() == []


def test_both_shapes_of_errors(db, sim):
    query = "FROM vercel.oauth.introspection WHERE token = 'a'"
    db.execute(query).fetchall()  # where that is, is known now
    vercels = {"error": {"code": "forbidden", "message": "No.", "invalidToken": True}}
    oauths = {"error": "access_denied", "error_description": "No.", "error_uri": "https://a.b"}
    bare = {"error": "server_error", "error_description": None}
    for status, body, code, message, extra in (
        (403, vercels, "forbidden", "No.", {"invalidToken": True}),
        (403, oauths, "access_denied", "No.", {"error_uri": "https://a.b"}),
        (400, bare, "server_error", "", {}),
    ):
        sim.faults(kind="body", status=status, body=body)
        error = failure(lambda: db.execute(query).fetchall(), vercel_sql.errors.APIError)
        found = (error.status, error.code, error.message, error.extra)
        assert found == (status, code, message, extra)
        assert "None" not in str(error)


def test_secrets_that_the_server_cites_are_masked(db, sim, sign_in):
    begun = sign_in()
    cited = f"no {begun.code} with {begun.verifier}"
    body = {"error": "invalid_grant", "error_description": cited}
    sim.faults(kind="body", status=400, body=body)
    error = failure(begun.exchange, errors.BadRequestError)
    assert error.message == "no [secret] with [secret]"


def test_an_exchange_is_not_sent_again(sim, sign_in, sent):
    begun = sign_in()
    sim.faults(kind="drop_after")
    error = failure(begun.exchange, errors.TransportError)
    assert error.outcome_unknown
    assert len(sent()) == 1
    assert begun.code not in str(error)


def test_looking_a_token_up_is_sent_again(db, sim, sent):
    sim.faults(kind="drop_before", method="POST")
    query = "SELECT active FROM vercel.oauth.introspection WHERE token = 'a'"
    assert db.execute(query).fetchall() == [(False,)]
    assert len(sent()) == 3  # that a token is not active is confirmed
