"""The exchanges of integrations, field by field, as the server received them."""

from __future__ import annotations

ACCESS = "vercel.integrations.access_tokens"
SSO = "vercel.integrations.sso_tokens"


def one(requests, path):
    (request,) = requests
    assert (request.method, request.path, request.query) == ("POST", path, [])
    assert request.status == 200
    assert "authorization" not in request.headers
    return request


def test_code_exchange_on_a_personal_account(put, installed, sent, sim):
    values = installed()
    row = put(ACCESS, values)
    request = one(sent(), "/v2/oauth/access_token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sorted(request.form) == sorted(values.items())
    assert list(row) == ["access_token", "token_type", "installation_id", "user_id", "team_id"]
    assert (row["token_type"], row["team_id"]) == ("Bearer", None)
    assert row["user_id"] == sim.state.user["id"]
    assert row["installation_id"].startswith("icfg_")


def test_code_exchange_on_a_team(put, installed, team):
    assert put(ACCESS, installed(team=team.slug))["team_id"] == team.id


def test_sso_exchange_with_what_is_required(put, opened, sent):
    values = opened()
    row = put(SSO, values)
    request = one(sent(), "/v1/integrations/sso/token")
    assert request.headers["content-type"] == "application/json"
    assert request.body == {**values, "grant_type": "authorization_code"}
    assert row["id_token"].count(".") == 2
    assert [row[name] for name in ("access_token", "token_type", "expires_in")] == [None] * 3
    assert row["refresh_token"] is None


def test_sso_exchange_with_everything(put, opened, sent):
    bound = {"redirect_uri": "https://provider.example/sso", "state": "a state"}
    values = {**opened(scope="openid offline_access", **bound), **bound}
    row = put(SSO, values)
    request = one(sent(), "/v1/integrations/sso/token")
    assert request.body == {**values, "grant_type": "authorization_code"}
    assert (row["token_type"], row["expires_in"]) == ("Bearer", 3600)
    assert row["access_token"]
    assert row["refresh_token"]


def test_sso_refresh(put, opened, sent):
    values = opened(scope="openid offline_access")
    first = put(SSO, values)
    sent()
    del values["code"]
    second = put(SSO, {**values, "refresh_token": first["refresh_token"]})
    request = one(sent(), "/v1/integrations/sso/token")
    assert request.body == {
        **values,
        "refresh_token": first["refresh_token"],
        "grant_type": "refresh_token",
    }
    assert second["refresh_token"] != first["refresh_token"]


def test_exec_is_the_same(db, installed, opened, sent):
    for method, values, path in (
        (f"{ACCESS}.exchange_code", installed(), "/v2/oauth/access_token"),
        (f"{SSO}.exchange_sso_token", opened(), "/v1/integrations/sso/token"),
    ):
        given = ", ".join(f"@{name} = ${name}" for name in values)
        assert len(db.execute(f"EXEC {method} {given}", values).fetchall()) == 1
        one(sent(), path)


def test_no_token_is_needed(connect, put, installed):
    assert put(ACCESS, installed(), connect(token=None))["access_token"]
