"""The search finds a secret wherever it is left, in whatever form: else it would prove nothing."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import duckdb
import pytest

from vercel_sql.redaction.known import secret_forms

from ..secret_forms import forms_of, leaks
from .conftest import PLANTED, secrets_of

SECRETS = ["vcp_abcdefghijklmnop", "s3cr3t'\"/+ \\é=&", PLANTED]
SPOILT = {
    "plain": lambda s: f"a {s} b",
    "url": lambda s: quote(s, safe=""),
    "every byte": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "json": lambda s: json.dumps({"k": s}),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 after 1": lambda s: base64.b64encode(b"x" + s.encode() + b"tail").decode(),
    "base64 after 2": lambda s: base64.b64encode(b"xy" + s.encode() + b"tail").decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(b"user:" + s.encode() + b"?").decode(),
    "hex": lambda s: s.encode().hex(),
    "backwards": lambda s: s[::-1],
    "loud": str.upper,
    "in SQL": lambda s: "'" + s.replace("'", "''") + "'",
    "repr": repr,
}


@pytest.mark.parametrize("form", SPOILT)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_leak_is_found_in_every_form(secret, form):
    assert leaks(secret, SPOILT[form](secret))
    assert not leaks(secret, SPOILT[form]("something else of that length"))


@pytest.mark.parametrize("secret", SECRETS)
def test_the_search_knows_at_least_the_forms_that_are_masked(secret):
    for form in secret_forms(secret):
        # Of base64, masked is what is whole; a search may ask for a character more.
        assert any(each.startswith(form) for each in forms_of(secret))


@pytest.mark.parametrize(
    "leave",
    [
        lambda m, s: m.show("standard error", f"error: {s}"),
        lambda m, s: m.log.write_text(f"DEBUG {s.encode().hex()}\n"),
        lambda m, s: (m.folder("state") / "history").write_text(s),
        lambda m, s: (m.folder("tmp") / f"{s}.txt").write_text(""),
        lambda m, s: m.show("the list of processes", f"vercel-sql\0--token\0{s}\0"),
    ],
    ids=["output", "log", "state", "the name of a file", "process list"],
)
def test_a_leak_is_found_in_every_place(machine, leave):
    machine.show("filler", "x" * 200)
    machine.search()
    leave(machine, sorted(secrets_of(machine.sim))[0])
    with pytest.raises(AssertionError):
        machine.search()


def test_a_leak_is_found_in_a_database(machine):
    machine.show("filler", "x" * 200)
    with duckdb.connect(str(machine.home / "mine.duckdb")) as con:
        con.execute("CREATE TABLE t AS SELECT ? AS token", [machine.sim.token])
    with pytest.raises(AssertionError, match=r"file mine\.duckdb"):
        machine.search()


def test_files_that_are_there_for_secrets_are_left_out(machine):
    machine.show("filler", "x" * 200)
    machine.file("token", machine.sim.token)
    machine.search()


def test_what_is_secret_at_an_account(sim):
    found = secrets_of(sim)
    assert sim.token in found
    assert {token.bearer for token in sim.state.tokens()} <= found
    assert sim.oauth.clients.confidential.client_secret in found
