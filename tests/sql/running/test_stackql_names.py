"""Names of newer versions of StackQL, and others that are ours but for how they are written."""

import pytest

import vercel_sql

S = "vercel.authentication"
T = f"{S}.user_tokens"


@pytest.mark.parametrize(
    ("statement", "ours"),
    [
        (f"SELECT * FROM {S}.tokens", T),
        (f"INSERT INTO {S}.tokens (name) VALUES ('a')", T),
        (f"DELETE FROM {S}.tokens WHERE id = 'a'", T),
        (f"DESCRIBE {S}.tokens", T),
        (f"EXEC {S}.tokens.delete_auth_token @tokenId = 'a'", T),
        (f"SHOW METHODS IN {S}.tokens", T),
        (f"SHOW INSERT INTO {S}.tokens", T),
        (f"FROM {S}.user_token", T),
        (f"SELECT token_id FROM {T}", '"tokenId"'),
        (f"SELECT u.token_id FROM {T} AS u", '"tokenId"'),
        (f"SELECT id FROM {T} WHERE EXPIRES_AT < 5", '"expiresAt"'),
        (f"DELETE FROM {T} WHERE token_id = 'a'", '"tokenId"'),
        (f"DELETE FROM {T} WHERE expires_at < 5", '"expiresAt"'),
        (f"INSERT INTO {T} (name) VALUES ('a') RETURNING bearer_token", '"bearerToken"'),
        (f"INSERT INTO {T} (name, expires_at) VALUES ('a', 5)", "'expiresAt'"),
        (f"EXEC {T}.delete_auth_token @token_id = 'a'", "'tokenId'"),
    ],
)
def test_the_error_names_ours(db, sent, statement, ours):
    with pytest.raises(vercel_sql.Error, match=ours) as raised:
        db.execute(statement)
    assert 'oauth.tokens"?' not in str(raised.value)
    assert sent() == []


def test_other_names_are_left_to_duckdb(db):
    db.execute("CREATE TABLE local (expiresAt INT)")
    for statement in (
        "SELECT expires_at FROM local",
        "FROM tokenz",
        "SELECT nothing FROM local",
        "SELECT team_id FROM vercel.integrations.access_tokens",
        f"SELECT bearer_token FROM {T}",
    ):
        with pytest.raises(vercel_sql.Error) as raised:
            db.execute(statement)
        assert "it is called" not in str(raised.value)
