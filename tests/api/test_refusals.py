"""An error answer shows nothing of its request: what somebody would act upon is confirmed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

import vercel_sql
from vercel_sql.auth.login_store import LoginStore, SavedLogin
from vercel_sql.auth.saved_credential import sign_out
from vercel_sql.errors import UnknownOutcomeError
from vercel_sql.manifest import vercel

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'ci' RETURNING bearerToken"


@pytest.fixture
def methods(sim):
    """The HTTP methods of what was sent."""
    return lambda: [request.method for request in sim.requests()]


@pytest.mark.parametrize("door", ["DELETE", "EXEC"])
def test_a_row_that_is_there_is_not_gone(db, sim, ids, exists, door):
    sim.faults(kind="status", status=404, method="DELETE")
    statement = {
        "DELETE": f"DELETE FROM {TABLE} WHERE id = '{ids[0]}'",
        "EXEC": f"EXEC {TABLE}.delete_auth_token @tokenId = '{ids[0]}'",
    }[door]
    with pytest.raises(vercel_sql.OperationalError, match="another request: it says that the row"):
        db.execute(statement)
    assert exists(ids[0])


def test_a_row_that_is_gone_is_gone(db, sim, methods):
    assert db.execute(f"DELETE FROM {TABLE} WHERE id = 'nobody'").rowcount == 0
    assert methods() == ["GET", "DELETE", "GET"], "the own key, the deletion, and whether it is so"


def test_a_deletion_that_was_refused_for_another_is_done(db, sim, ids, exists):
    sim.faults(kind="status", status=403, method="DELETE", acts=True)
    query = f"DELETE FROM {TABLE} WHERE id IN ('{ids[0]}') AND name IS NOT NULL"
    assert db.execute(query).rowcount == 1
    assert not exists(ids[0])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_create_that_was_refused_for_another_is_not_refused(db, sim, status):
    code = {"code": "rate_limited"} if status == 429 else {}
    sim.faults(kind="status", status=status, method="POST", acts=True, **code)
    with pytest.raises(UnknownOutcomeError, match="says that nothing was made") as caught:
        db.execute(INSERT)
    (event,) = [event for event in sim.history() if event.request is not None]
    assert caught.value.orphans == (event.id,), "it was not sent again, and is named"


@pytest.mark.parametrize("status", [400, 403])
def test_a_create_that_was_refused_costs_one_read(db, sim, methods, status):
    db.execute(INSERT), db.execute(INSERT)
    sim.clear_requests()
    sim.faults(kind="status", status=status, method="POST")
    with pytest.raises(vercel_sql.OperationalError) as caught:
        db.execute(INSERT)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert methods() == ["POST", "GET"]


def test_a_refusal_that_can_not_be_confirmed_leaves_it_open(db, sim):
    sim.faults(kind="status", status=400, method="POST")
    sim.faults(kind="status", status=503, method="GET", times=None)
    with pytest.raises(UnknownOutcomeError, match="could not be confirmed"):
        db.execute(INSERT)


def test_a_row_that_is_there_is_listed(db, sim, ids):
    sim.faults(kind="status", status=404, path=f"*{ids[0]}")
    query = f"SELECT id FROM {TABLE} WHERE id IN ('{ids[0]}', '{ids[1]}')"
    assert len(db.execute(query).fetchall()) == 2


def test_a_rotation_whose_end_was_refused_for_another_is_done(db, sim, ids, exists):
    sim.faults(kind="status", status=403, method="DELETE", acts=True)
    name = sim.state.find_token(ids[0])["name"]
    sim.state.find_token(ids[0]).set("expiresAt", None)
    sim.state.find_token(ids[0]).set("scopes", [])
    statement = f"EXEC {TABLE}.rotate_token @tokenId = '{ids[0]}', @teamId = NULL"
    (row,) = db.execute(f"{statement}, @expiresAt = NULL, @name = 'n'").fetchall()
    assert name
    assert not exists(ids[0])
    assert ids[0] in row


@pytest.mark.parametrize(("status", "extra"), [(404, {}), (403, {"invalidToken": True})])
def test_a_login_that_lives_is_not_called_revoked(sim, status, extra):
    store = LoginStore(sim.url)
    login = SavedLogin(
        kind="token", access_token=sim.token, api_url=sim.url, oauth_url=sim.url, saved_at=0
    )
    store.write(login)
    sim.faults(kind="status", status=status, extra=extra, method="DELETE")
    assert "another request" in (sign_out(vercel().provider, store, 5).failure or "")
    store.write(login)
    assert sign_out(vercel().provider, store, 5).failure is None
    store.write(login)
    assert sign_out(vercel().provider, store, 5).failure is None, "it is dead by now"


# What sign-ins show


@pytest.fixture
def begun(db, sim):
    """A sign-in that was begun here, and the values of its exchange."""
    app = sim.oauth.clients.public
    cursor = db.execute(
        "EXEC vercel.oauth.sign_in.authorize_url @client_id = ?, @redirect_uri = ?",
        [app.client_id, app.redirect_uris[0]],
    )
    url, _, _, verifier, *_ = cursor.fetchone()
    code = parse_qs(urlsplit(sim.oauth.authorize(url)).query)["code"][0]
    return [app.client_id, code, verifier, app.redirect_uris[0]]


EXCHANGE = (
    "INSERT INTO vercel.oauth.tokens (client_id, code, code_verifier, redirect_uri) "
    "SELECT ?, ?, ?, ?"
)


@pytest.mark.parametrize(("fault", "claim"), [("wrong_nonce", "nonce"), ("wrong_audience", "aud")])
def test_the_tokens_of_another_sign_in_are_not_given(db, sim, begun, fault, claim):
    sim.oauth.spoil_id_tokens(fault)
    with pytest.raises(vercel_sql.OperationalError, match=f"its ID token has another {claim}"):
        db.execute(EXCHANGE, begun)


def test_a_token_that_works_is_not_called_dead(db, sim, begun):
    token = db.execute(EXCHANGE, begun).fetchone()[0]
    query = "SELECT active FROM vercel.oauth.introspection WHERE token = ?"
    sim.faults(kind="body", body={"active": False}, path="*/introspect")
    assert db.execute(query, [token]).fetchall() == [(True,)]
    sim.faults(kind="patch", patch={"jti": "another"}, path="*/introspect", times=None)
    with pytest.raises(vercel_sql.OperationalError, match="it is about another"):
        db.execute(query, [token]).fetchall()
