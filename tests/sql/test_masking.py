"""What is secret in a statement, and errors that repeat a part of it."""

from __future__ import annotations

import pytest

from vercel_sql.redaction import MASK, KnownSecrets
from vercel_sql.sql import Parameters
from vercel_sql.sql.masking import mask_cited, mask_plan, secret_values

LONG = "s3cretValue0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("statement", "secret"),
    [
        (f"SELECT active FROM vercel.oauth.introspection WHERE token = '{LONG}'", LONG),
        (f"EXEC vercel.authentication.user_tokens.verify_token @token = '{LONG}'", LONG),
        (
            f'EXEC vercel.oauth.tokens.refresh_tokens @@json = \'{{"refresh_token": "{LONG}"}}\'',
            LONG,
        ),
        ("DELETE FROM vercel.oauth.tokens WHERE token = 'it''s one'", "it's one"),
        (f"SELECT 1 FROM vercel.oauth.introspection WHERE token = '{LONG}", LONG),
        (f"CREATE SECRET s (TYPE quack, TOKEN '{LONG}')", LONG),
        (f"SELECT 1; SET VARIABLE token = '{LONG}'", LONG),
    ],
)
def test_the_secrets_of_a_statement(statement, secret):
    assert secret in secret_values(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM vercel.authentication.user_tokens WHERE name = 'not a secret'",
        "SELECT 'a quote that is open",
        "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('nightly')",
    ],
)
def test_a_statement_without_secrets(statement):
    assert secret_values(statement) == []


STATEMENT = f"SELECT nix FROM vercel.oauth.introspection WHERE token = '{LONG}' AND active"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"LINE 1: … token = '{LONG}' AND active", f"LINE 1: … token = {MASK} AND active"),
        (f"LINE 1: ...{LONG[20:]}' AND active", f"LINE 1: ...{MASK} AND active"),
        (f"LINE 1: WHERE token = '{LONG[:30]}...", f"LINE 1: WHERE token = {MASK}..."),
        (f'Input: "{LONG[:25]}..." and ...{LONG[-7:]}', f'Input: "{MASK}..." and ...{MASK}'),
        ('Referenced column "nix" not found', 'Referenced column "nix" not found'),
    ],
)
def test_errors_cite_no_secret_of_the_statement(said, shown):
    assert mask_cited(said, STATEMENT) == shown


def test_errors_cite_no_value_that_may_be_secret():
    statement = "SELECT 1 FROM vercel.oauth.introspection WHERE token = $t"
    said = f"Could not convert string '{LONG}' to INT32"
    assert LONG not in mask_cited(said, statement, Parameters({"t": LONG}))
    assert LONG not in mask_cited(said, statement, Parameters([[{"deep": LONG}]]))
    assert LONG in mask_cited(said, "SELECT $t::INT", Parameters({"t": LONG}))


def test_errors_cite_no_secret_that_is_known():
    known = KnownSecrets()
    known.add(LONG)
    statement = f"SELECT nix, '{LONG}'"
    assert mask_cited(f"LINE 1: ...{LONG[9:]}'", statement) == f"LINE 1: ...{MASK}'"
    assert mask_cited(f"LINE 1: '{LONG}'", "SELECT 1") == f"LINE 1: '{MASK}'"


def test_a_secret_that_another_begins_with():
    known = KnownSecrets()
    known.add(LONG[:15])
    assert mask_cited(f"LINE 1: token = '{LONG[:30]}...", STATEMENT) == f"LINE 1: token = {MASK}..."
    assert mask_cited(f"token = '{LONG}'", STATEMENT) == f"token = {MASK}"


def test_a_plan_shows_no_piece_of_a_secret():
    boxes = f"│ token={LONG[:20]} │\n│ {LONG[20:40]} │\n│   {LONG[40:]}   │\n│ ~1 row │"
    shown = mask_plan(boxes, STATEMENT)
    assert "~1 row" in shown
    assert not any(LONG[at : at + 5] in shown for at in range(len(LONG) - 4))
