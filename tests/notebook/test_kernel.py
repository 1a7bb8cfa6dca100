"""Notebooks in a real kernel, run by nbclient, and what their files then hold."""

from __future__ import annotations

LOAD = "%load_ext vercel_sql"
TABLE = "vercel.authentication.user_tokens"


def test_a_notebook_runs_from_top_to_bottom(kernel, sim):
    ran = kernel(
        LOAD,
        "%vercel",
        f"%vercel SELECT count(*) AS tokens FROM {TABLE}",
        "days = 0\norigins = ['saml', 'manual']",
        f"%%vercel --save kept --as pandas --quiet\nSELECT id, origin FROM {TABLE}\n"
        "WHERE activeAt < epoch_ms(now() - to_days($days)) -- a comment\n",
        "len(kept), list(kept.columns)",
        "%vercel SELECT count(*) = count(DISTINCT id) AS whole FROM kept",
    )
    assert not ran.failure
    assert "ada-example" in ran.text(1)
    assert sim.url in ran.text(1)
    assert ran.cells[2].outputs[0].output_type == "execute_result"
    assert "<td>31</td>" in ran.cells[2].outputs[0].data["text/html"]
    assert ran.cells[4].outputs == []
    assert "['id', 'origin']" in ran.text(5)
    assert "true" in ran.text(6)


def test_an_error_fails_the_cell_and_shows_one_message(kernel, sim):
    sim.faults(kind="status", status=403, method="GET", times=None)
    ran = kernel(LOAD, f"%vercel SELECT name FROM {TABLE}", "'not run'")
    (output,) = ran.cells[1].outputs
    assert output.output_type == "error"
    assert output.ename == "ForbiddenError"
    assert "403" in output.evalue
    assert output.traceback == [f"ForbiddenError: {output.evalue}"]
    assert ran.cells[2].outputs == []
    for text in (ran.failure, ran.saved):
        assert "Traceback" not in text
        assert ".py" not in text.partition("metadata")[0]


def test_no_secret_is_in_the_file_and_none_is_lost(kernel, sim):
    ran = kernel(
        LOAD,
        f"%vercel INSERT INTO {TABLE} (name) SELECT 'ci'",
        "kept = _vercel_1.df()\nlen(kept.bearerToken[0]) > 20",
        "%vercel --as pandas FROM kept",
        "import os\nmine = os.environ['VERCEL_TOKEN']",
        "%vercel SELECT $mine AS mine, 'a' || $mine AS more",
    )
    assert not ran.failure
    (made,) = [token.bearer for token in sim.state.tokens() if token["name"] == "ci"]
    assert "True" in ran.text(2)
    for number in (1, 3, 5):
        assert "[secret]" in ran.text(number)
    assert made not in ran.saved
    assert sim.token not in ran.saved


def test_secrets_that_are_asked_for_are_in_the_file(kernel, sim):
    ran = kernel(LOAD, f"%vercel --show-secrets INSERT INTO {TABLE} (name) SELECT 'ci'")
    (made,) = [token.bearer for token in sim.state.tokens() if token["name"] == "ci"]
    assert made in ran.cells[1].outputs[0].data["text/html"]
    assert made in ran.cells[1].outputs[0].data["text/plain"]


def test_what_was_made_before_a_write_failed_is_kept(kernel, sim):
    sim.faults(kind="status", status=403, method="POST", after=2, times=None)
    ran = kernel(
        LOAD,
        "try:\n"
        "    get_ipython().run_line_magic('vercel',"
        f" \"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(4) r(i)\")\n"
        "except Exception as error:\n"
        "    print(error)",
        "len(set(_vercel_1.df().bearerToken))",
    )
    made = [token.bearer for token in sim.state.tokens() if token["name"] in ("n0", "n1")]
    assert len(made) == 2
    assert "their rows are in _vercel_1" in ran.text(1)
    assert ran.text(1).count("[secret]") >= 4  # in HTML and as text
    assert ran.cells[2].outputs[0].data["text/plain"] == "2"
    assert not [secret for secret in made if secret in ran.saved]


def test_progress_is_shown_to_a_person_and_nothing_of_it_stays(kernel, sim):
    sim.faults(kind="latency", ms=300, times=None)
    cells = (
        f"{LOAD}\nimport vercel_sql.progress\nvercel_sql.progress.SAID_AFTER = 0\n"
        "from IPython import get_ipython\nsent = []\npub = get_ipython().display_pub\n"
        "pub.register_hook(lambda message: sent.append(message['content']['data']) or message)",
        f"%vercel SELECT count(*) AS tokens FROM {TABLE}",
        "sent",
    )
    watched, alone = kernel(*cells, watched=True), kernel(*cells)
    assert "no answer yet, 00:" in watched.text(2)
    assert alone.cells[2].outputs[0].data["text/plain"] == "[]"
    assert ", 00:" not in watched.text(1)
    shown = [each for each in watched.cells[1].outputs if each.output_type == "display_data"]
    assert [each.data for each in shown] == [{}]
    assert "<td>31</td>" in watched.text(1)


def test_ctrl_c_stops_duckdb_and_shows_no_traceback(kernel):
    ran = kernel(
        LOAD,
        "import os, signal, vercel_sql\ncon = vercel_sql.connect()\n"
        "%vercel --connection con\n"
        "interrupting = con.observed(lambda _: os.kill(os.getpid(), signal.SIGINT))\n"
        "interrupting.__enter__()",
        f"try:\n    %vercel SELECT r.range FROM {TABLE}, range(1000000000000) r WHERE r.range < 0\n"
        "except KeyboardInterrupt:\n    print('stopped')",
        f"%vercel SELECT sum(r.range % 7) FROM {TABLE}, range(1000000000000) r",
    )
    assert "stopped" in ran.text(2)
    (output,) = ran.cells[3].outputs
    assert (output.ename, output.traceback) == ("KeyboardInterrupt", ["KeyboardInterrupt"])
