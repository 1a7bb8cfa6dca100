"""What the process knows to be secret is masked, however much that is, and wherever it stands."""

from __future__ import annotations

import gc
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.redaction import MASK, KnownSecrets, Redactor, mask_known, mask_shapes
from vercel_sql.redaction.known import SecretText, known_in


def made_up(count: int, seed: int = 5) -> list[str]:
    letters, chance = string.ascii_letters + string.digits, random.Random(seed)
    return ["vcp_" + "".join(chance.choices(letters, k=24)) for _ in range(count)]


@pytest.fixture
def crowd():
    """A redactor that knows so many secrets that it keeps an index of them."""
    redactor = Redactor()
    for secret in made_up(2000):
        redactor.add(secret)
    return redactor


def test_one_of_many_secrets_is_masked(crowd):
    redactor = crowd
    for secret in made_up(2000)[::500]:
        assert redactor.mask(f"<{secret}>{secret}") == f"<{MASK}>{MASK}"
        assert redactor.found(f"<{secret}>") == [secret]
    assert redactor.mask("nothing of the kind, and äöü") == "nothing of the kind, and äöü"
    assert redactor.mask("short") == "short"


def test_secrets_that_overlap_leave_no_remainder(crowd):
    for secret in ("the-first-half-and", "half-and-the-second", "inner-one", "an-inner-one-too"):
        crowd.add(secret)
    assert crowd.mask("<the-first-half-and-the-second>") == f"<{MASK}>"
    assert crowd.mask("<an-inner-one-too>") == f"<{MASK}>"


def test_many_and_few_mask_the_same(crowd):
    few = Redactor()
    odd = "s3cr3t'\"/+ \\é=&"
    for redactor in (few, crowd):
        redactor.add(odd)
        redactor.add("plain-secret")
    text = f"a {odd} b {odd!r} c {odd.encode().hex()} plain-secretplain-secret"
    assert few.mask(text) == crowd.mask(text)
    assert odd not in few.mask(text)


# Few letters, so that secrets share beginnings, lie within one another and overlap.
SECRETS = st.lists(st.text("ab'%é", min_size=6, max_size=12), min_size=1, max_size=8)


@given(SECRETS, st.lists(st.integers(0, 40), max_size=12), st.booleans())
def test_no_secret_is_left_wherever_it_stands(secrets, places, many):
    """Whole secrets and parts of them, one after the other and overlapping."""
    redactor = Redactor()
    for secret in (*secrets, *(made_up(300) if many else [])):
        redactor.add(secret)
    text = "x".join(
        secrets[at % len(secrets)][at % 3 :] + secrets[at % 7 % len(secrets)] for at in places
    )
    masked = redactor.mask(text)
    assert not [secret for secret in secrets if secret in masked.replace(MASK, "\0")]


@given(SECRETS, st.text("ab'%é x", max_size=80))
def test_few_and_many_agree_on_any_text(secrets, text):
    few, many = Redactor(), Redactor()
    for secret in secrets:
        few.add(secret)
        many.add(secret)
    for secret in made_up(300):
        many.add(secret)
    assert few.mask(text) == many.mask(text)


def test_one_connection_masks_the_secrets_of_another():
    one, other = KnownSecrets(), KnownSecrets()
    one.add("secret-of-the-one")
    assert other.mask("<secret-of-the-one>") == f"<{MASK}>" == mask_known("<secret-of-the-one>")
    assert other.mask_own("<secret-of-the-one>") == "<secret-of-the-one>"
    assert known_in("a secret-of-the-one b") == ["secret-of-the-one"]
    del one
    gc.collect()
    assert mask_known("<secret-of-the-one>") == "<secret-of-the-one>"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("the token vcp_aaaaBBBB1234 is dead", f"the token {MASK} is dead"),
        ("Authorization: Bearer abc123def456", f"Authorization: Bearer {MASK}"),
        ("http://user:pass-word@proxy:8080/", f"http://user:{MASK}@proxy:8080/"),
        ("GET /x?code=abc&page=2", f"GET /x?code={MASK}&page=2"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", MASK),
        ("prefix vcp_ab of tokens", "prefix vcp_ab of tokens"),
        ("WHERE prefix LIKE 'vcp_%'", "WHERE prefix LIKE 'vcp_%'"),
        ("vcx_notOneOfTheManifests", "vcx_notOneOfTheManifests"),
        ("bearer of bad news", "bearer of bad news"),
    ],
)
def test_what_looks_like_a_token_is_masked(text, masked):
    assert mask_shapes(text) == masked


def test_a_text_that_is_not_shown():
    assert "hidden" not in f"{SecretText('hidden')!r} {SecretText('hidden')}"
    assert SecretText("hidden").value == "hidden"
