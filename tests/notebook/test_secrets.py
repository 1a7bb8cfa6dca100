"""What a cell shows is saved with the notebook: no secret is in it unasked, and none is lost."""

from __future__ import annotations

import pickle
import sys

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
MAKE = f"INSERT INTO {TABLE} (name) SELECT 'ci' || i FROM range(2) r(i)"


def _made(sim):
    return [t.bearer for t in sim.state.tokens() if str(t["name"]).startswith("ci")]


def _shown(ran):
    return "\n".join(
        [*ran.shown, ran.out, repr(ran.value), getattr(ran.value, "_repr_html_", str)()]
    )


@pytest.mark.parametrize("options", ["", "--as pandas", "--as relation", "--save x --as arrow"])
def test_a_new_secret_is_masked_and_kept(run, sim, options):
    ran = run(f"%vercel {options} {MAKE}")
    secrets = _made(sim)
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in _shown(ran)]
    name = "x" if "--save" in options else "_vercel_1"
    assert f"{name}.df()" in repr(ran.value)
    assert set(run(f"{name}.df().bearerToken.tolist()").value) == set(secrets)
    assert set(run("_vercel_1.df().bearerToken.tolist()").value) == set(secrets)


def test_each_is_kept_even_in_the_middle_and_in_silence(run, sim):
    ran = run(f"%%vercel --quiet\n{MAKE};\n{MAKE};\nSELECT 1")
    assert "_vercel_1.df()" in ran.out
    assert "_vercel_2.df()" in ran.out
    kept = [value for n in (1, 2) for value in run(f"_vercel_{n}.df().bearerToken.tolist()").value]
    assert sorted(kept) == sorted(_made(sim))


def test_they_are_shown_on_request(run, sim):
    ran = run(f"%vercel --show-secrets {MAKE}")
    for secret in _made(sim):
        assert secret in repr(ran.value)
        assert secret in ran.value._repr_html_()
    ran = run(f"%vercel --show-secrets --as pandas {MAKE}")
    assert set(ran.value.bearerToken) < set(_made(sim))


def test_secrets_are_never_cut_where_they_are_shown(run, sim):
    names = "SELECT 'ci' || i FROM range(60) r(i)"
    ran = run(f"%vercel --show-secrets INSERT INTO {TABLE} (name) {names}")
    assert len(_made(sim)) == 60
    for secret in _made(sim):
        assert secret in repr(ran.value)
        assert secret in ran.value._repr_html_()


def test_a_known_secret_is_masked_wherever_it_stands(run, sim):
    for expression in ("$token", "'a' || $token", "[$token]", "{'a': $token}"):
        query = f"SELECT {expression} AS a, 1 AS b"
        for options in ("", "--as pandas", "--as polars"):
            ran = run(f"%vercel {options} {query}", token=sim.token)
            assert "[secret]" in repr(ran.value)
            assert sim.token not in _shown(ran)
        assert sim.token in repr(run(f"%vercel --show-secrets {query}").value)
    ran = run("%vercel SELECT base64(encode($token)) AS a")
    assert ran.value._repr_html_().count("[secret]") == 1


def test_an_error_repeats_no_value_that_no_cell_shows(run, sim):
    password = "correct horse battery"
    ran = run("%vercel SELECT $password::INTEGER", password=password)
    assert "[secret]" in ran.out
    assert "horse" not in ran.out
    run("word = 'in a cell'")
    assert "in a cell" in run("%vercel SELECT $word::INTEGER").out
    ran = run("%vercel SELECT $token::INTEGER", token=sim.token)
    assert sim.token not in ran.out + str(ran.error)


def test_what_was_made_before_a_failure_is_shown_masked_and_kept(run, sim):
    sim.faults(kind="status", status=403, method="POST", after=1, times=None)
    ran = run(f"%vercel {MAKE}")
    (secret,) = _made(sim)
    assert isinstance(ran.error, vercel_sql.PartialWriteError)
    assert ran.out.rstrip().endswith("its row is in _vercel_1")
    assert len(ran.shown) == 1
    assert "[secret]" in ran.shown[0]
    assert secret not in _shown(ran)
    assert run("_vercel_1.df().bearerToken[0]").value == secret


def test_deleted_rows_are_no_secrets(run, sim, ids):
    sim.faults(kind="status", status=403, method="DELETE", after=1, times=None)
    ran = run(f"%vercel DELETE FROM {TABLE} WHERE id IN ('{ids[0]}', '{ids[1]}') RETURNING id")
    assert isinstance(ran.error, vercel_sql.PartialWriteError)
    assert "[secret]" not in ran.shown[0]
    assert any(id_[:16] in ran.shown[0] for id_ in ids[:2])  # a long value is cut


def test_a_secret_of_one_connection_is_masked_when_another_is_used(run, sim, simulate):
    run(f"%vercel --save made {MAKE}")
    other = simulate(3)
    with vercel_sql.connect(other.token, api_url=other.url) as con:
        ran = run("%vercel --connection con SELECT 'a' || bearerToken AS a FROM made", con=con)
        assert repr(ran.value).count("[secret]") == 2
        assert not [secret for secret in _made(sim) if secret in _shown(ran)]


def test_rows_are_not_pickled(run):
    rows = run("%vercel SELECT 1").value
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(rows)


def test_what_can_not_be_shown_is_not_made(run, sim, monkeypatch):
    def broken(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr("vercel_sql.notebook.rows.render", broken)
    error = run(f"%vercel {MAKE}").error
    assert "Nothing was sent" in str(error)
    assert _made(sim) == []


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_missed_before(run, sim, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    assert f"{library} is missing" in str(run(f"%vercel --as {library} {MAKE}").error)
    assert _made(sim) == []
