"""Secrets occur in the one row that returns them, and nowhere else, in whatever form."""

import json
import os
import signal
import time
from pathlib import Path

from ..secret_forms import leaks
from .conftest import PATIENCE, environment, started

TABLE = "vercel.authentication.user_tokens"


def test_no_secret_in_logs_errors_or_plans(here, sim, tmp_path):
    (tmp_path / "token").write_text(sim.token)
    (tmp_path / "value").write_text("the-Value/of+a file")
    hidden = (sim.token, "the-Value/of+a file")
    statements = [
        f"SELECT * FROM {TABLE} LIMIT 3",
        "SELECT $v::INT",
        "SELECT error($v)",
        "SELECT * FROM read_csv($v)",
        "SELECT CAST('{t}' AS INT)",
        "SELECT '{t}' +",
        "SELECT * FROM nix WHERE a = '{t}'",
        f"SELECT * FROM {TABLE} WHERE id = '{{t}}' AND nix",
        f"SELECT * FROM {TABLE} WHERE createdAt = '{{t}}'",
        f"INSERT INTO {TABLE} (name, expiresAt) SELECT 'x', '{{t}}'",
        f"INSERT INTO {TABLE} (nix) SELECT '{{t}}'",
        f"EXEC {TABLE}.verify_token @token = '{{t}}'",
        f"EXEC {TABLE}.email_login @@json = '{{{{\"{{t}}\": 1}}}}'",
        f"EXPLAIN INSERT INTO {TABLE} (name) SELECT '{{t}}'",
        f"EXPLAIN EXEC {TABLE}.verify_token @token = $v",
        f"DELETE FROM {TABLE} WHERE id = '{{t}}'",
        "SELECT '\x1b{t}' FROM nix",
    ]
    options = ["-v", "--token-file", str(tmp_path / "token"), "--api-url", sim.url]
    for sql in statements:
        value = ["--param", f"v=@{tmp_path}/value"] if "$v" in sql else []
        ended = here(*options, *value, "-c", sql.replace("{t}", sim.token))
        assert ended.code in (0, 1)
        for secret in hidden:
            assert not leaks(secret, ended.err), (sql, ended.err)
            assert not leaks(secret, ended.out), (sql, ended.out)
        assert "Traceback" not in ended.err
    ended = here(*options, "-c", statements[0])
    assert "GET /v6/user/tokens -> 200" in ended.err


def test_a_new_secret_is_in_its_row_alone(here, sim):
    sql = f"INSERT INTO {TABLE} (name) SELECT 'fresh' RETURNING bearerToken AS t, name"
    again = "SELECT * FROM nix WHERE a = 'x'"
    ended = here("-v", "-o", "ndjson", "-c", sql, "-c", again, sim=sim)
    (made,) = [token.bearer for token in sim.state.tokens() if token["name"] == "fresh"]
    assert (ended.code, json.loads(ended.out)) == (1, {"t": made, "name": "fresh"})
    assert "POST /v3/user/tokens -> 200" in ended.err
    assert not leaks(made, ended.err)
    assert ended.out.count(made) == 1


def test_no_secret_in_the_process_list(simulate, tmp_path):
    sim = simulate(3000, latency_ms=300)
    (tmp_path / "token").write_text(sim.token)
    (tmp_path / "value").write_text("the-Value-of-a-file")
    options = ["-v", "--token-file", str(tmp_path / "token"), "--api-url", sim.url]
    value = ["--param", f"v=@{tmp_path}/value"]
    sql = f"SELECT * FROM {TABLE} WHERE lower(name) = $v"
    with started([*options, *value, "-c", sql], environment(), forked=False) as process:
        deadline = time.monotonic() + PATIENCE
        while len(sim.requests()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        proc = Path("/proc", str(process.pid))
        seen = [(proc / name).read_bytes().decode() for name in ("cmdline", "environ", "comm")]
        seen += [path.read_text() for path in proc.glob("task/*/comm")]
        seen += [os.readlink(path) for path in proc.glob("fd/*")]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert any("--token-file" in text for text in seen)
    for text in (*seen, out.decode(), err.decode()):
        assert not leaks(sim.token, text)
        assert not leaks("the-Value-of-a-file", text)


def test_standard_error_is_silent_at_the_end(command, sim):
    """DuckDB 2.0 complains of objects that outlive it, also after an error."""
    for sql, code in ((f"SELECT * FROM {TABLE}", 0), (f"SELECT nix FROM {TABLE}", 1)):
        ended = command("-c", "SELECT * FROM vercel.audit.user_tokens", "-c", sql, sim=sim)
        assert ended.code == code
        assert "nanobind" not in ended.err + ended.out
        assert len(ended.err.splitlines()) == (0 if code == 0 else len(ended.err.splitlines()))
        assert "Exception ignored" not in ended.err
        assert "Warning" not in ended.err
