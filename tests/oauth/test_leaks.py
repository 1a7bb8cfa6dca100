"""No secret of a sign-in is logged, shown in an error, or told to an observer."""

from __future__ import annotations

import logging

import pytest

import vercel_sql


def test_a_whole_sign_in_leaves_no_trace(db, sim, sign_in, put, confidential, caplog):
    caplog.set_level(logging.DEBUG)
    told = []
    with db.observed(told.append):
        begun = sign_in(confidential)
        first = begun.exchange()
        identity = {"client_id": confidential.client_id}
        secret = {"client_secret": confidential.client_secret}
        refreshed = {"refresh_token": first["refresh_token"]}
        second = put("vercel.oauth.tokens", {**identity, **secret, **refreshed})
        bearer = {"t": second["access_token"]}
        verify = "FROM vercel.oauth.verify_id_token($t, $c)"
        values = {"t": second["id_token"], "c": confidential.client_id}
        db.execute(verify, values).fetchall()
        db.execute("FROM vercel.oauth.introspection WHERE token = $t", bearer).fetchall()
        db.execute("FROM vercel.oauth.get_userinfo(access_token := $t)", bearer).fetchall()
        revoke = "token = $t AND client_id = $c AND client_secret = $s"
        db.execute(
            f"DELETE FROM vercel.oauth.tokens WHERE {revoke}",
            {**bearer, "c": confidential.client_id, "s": confidential.client_secret},
        )
        with pytest.raises(vercel_sql.Error) as raised:
            begun.exchange()
    secrets = [
        *(begun.code, begun.verifier, confidential.client_secret),
        *(tokens[name] for tokens in (first, second) for name in tokens if name.endswith("_token")),
    ]
    assert len(told) >= 8
    for shown in (caplog.text, repr(told), str(raised.value), repr(raised.value), repr(db)):
        assert not any(secret in shown for secret in secrets)
