"""What the exchanges of integrations refuse, in the words of the API and without secrets."""

from __future__ import annotations

import pytest

from vercel_sql import errors

ACCESS = "vercel.integrations.access_tokens"
SSO = "vercel.integrations.sso_tokens"


def failure(act, kind, status, *secrets):
    with pytest.raises(kind) as raised:
        act()
    error = raised.value
    assert error.status == status
    assert error.code
    assert error.message
    assert not any(secret in str(error) for secret in secrets)
    return error


@pytest.mark.parametrize("kind", ["integration", "sso"])
def test_a_code_works_once_and_for_half_an_hour(kind, put, installed, opened, sim):
    table, give = {"integration": (ACCESS, installed), "sso": (SSO, opened)}[kind]
    used = give()
    put(table, used)
    secrets = (used["code"], used["client_secret"])
    error = failure(lambda: put(table, used), errors.BadRequestError, 400, *secrets)
    assert "used" in error.message
    young, old = give(age_seconds=29 * 60), give(age_seconds=31 * 60)
    put(table, young)
    error = failure(lambda: put(table, old), errors.BadRequestError, 400, old["code"])
    assert "expired" in error.message


@pytest.mark.parametrize("kind", ["integration", "sso"])
def test_another_secret_and_another_client(kind, put, installed, opened):
    table, give = {"integration": (ACCESS, installed), "sso": (SSO, opened)}[kind]
    wrong = {**give(), "client_secret": "s3cr3t of somebody"}
    failure(lambda: put(table, wrong), errors.BadRequestError, 400, "s3cr3t of somebody")
    unknown = {**give(), "client_id": "oac_unknown"}
    kind_of_error = {
        "integration": (errors.NotFoundError, 404),
        "sso": (errors.ForbiddenError, 403),
    }
    error = failure(lambda: put(table, unknown), *kind_of_error[kind])
    assert "the client_id is unknown" in str(error)
    assert "token may not" not in str(error)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_unknown_provider_is_told_what_to_check(status, put, opened, sim):
    sim.oauth.unknown_sso_client = status
    with pytest.raises(errors.APIError) as raised:
        put(SSO, {**opened(), "client_id": "oac_unknown"})
    assert raised.value.status == status
    assert "the client_id is unknown" in str(raised.value)


def test_another_redirect_uri(put, installed):
    wrong = {**installed(), "redirect_uri": "https://elsewhere.example"}
    error = failure(lambda: put(ACCESS, wrong), errors.BadRequestError, 400, wrong["code"])
    assert "redirect_uri" in error.message


def test_another_state(put, opened):
    values = {**opened(state="a state of mine"), "state": "another state"}
    error = failure(lambda: put(SSO, values), errors.BadRequestError, 400, "another state")
    assert "state" in error.message


def test_a_refresh_token_works_once(put, opened):
    values = opened(scope="openid offline_access")
    refresh_token = put(SSO, values)["refresh_token"]
    del values["code"]
    put(SSO, {**values, "refresh_token": refresh_token})
    again = {**values, "refresh_token": refresh_token}
    failure(lambda: put(SSO, again), errors.BadRequestError, 400, refresh_token)


def test_what_is_missing_is_said_before_anything_is_sent(db, sent):
    with pytest.raises(errors.ParameterError, match="redirect_uri is missing"):
        db.execute(f"INSERT INTO {ACCESS} (client_id, client_secret, code) SELECT 'a', 'b', 'c'")
    with pytest.raises(errors.ParameterError, match="client_secret is missing"):
        db.execute(f"INSERT INTO {SSO} (client_id, refresh_token) SELECT 'a', 'b'")
    with pytest.raises(errors.DataError, match="code is empty"):
        db.execute(f"INSERT INTO {SSO} (client_id, client_secret, code) SELECT 'a', 'b', ''")
    assert sent() == []


def test_the_secrets_file_has_the_access_token_and_no_id_token(
    connect, put, installed, opened, tmp_path
):
    saved = tmp_path / "secrets"
    db = connect(secrets_file=saved)
    row = put(ACCESS, installed(), db)
    sso = put(SSO, opened(scope="openid offline_access"), db)
    first, second = saved.read_text().splitlines()
    assert row["access_token"] in first
    assert sso["refresh_token"] in second
    assert sso["id_token"] not in second
