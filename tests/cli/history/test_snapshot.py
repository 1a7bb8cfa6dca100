"""``vercel-sql snapshot``: one run is appended, or the history is as it was."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from vercel_sql.manifest import vercel

from .conftest import altered, rows


def test_a_run_has_its_time_account_and_requests(sim, snapshot, file):
    before = datetime.now(UTC)
    said = snapshot(sim)
    user, requests = sim.state.user, len(sim.requests())
    assert said == f"run 1: 31 tokens of {user['username']}, {requests} requests\n"
    [run] = rows(file, "FROM history.runs")
    assert before - timedelta(seconds=1) < run["taken_at"] < datetime.now(UTC)
    assert (run["account_id"], run["account"]) == (user["id"], user["username"])
    assert (run["token_count"], run["request_count"]) == (31, requests)
    assert (run["api_url"], run["schema_version"]) == (sim.url, 1)


def test_the_tokens_are_kept_as_they_are(simulate, snapshot, file):
    sim = simulate([{"name": "новый", "scopes": [{"type": "user", "n": 1}], "later": [1]}])
    snapshot(sim)
    kept = {row["id"]: row for row in rows(file, "FROM history.tokens")}
    for token in sim.state.tokens():
        row = kept.pop(token.id)
        for name in ("name", "createdAt", "expiresAt", "origin", "type", "prefix", "suffix"):
            assert row[name] == token.get(name)
        assert json.loads(row["scopes"])[0]["type"] == token.get("scopes")[0]["type"]
        assert row["is_current"] == (token is sim.state.calling_token)
        if token is not sim.state.calling_token:
            assert json.loads(row["additional_fields"])["later"] == [1]
    assert not kept


def test_every_column_of_the_manifest_is_kept(sim, snapshot, file):
    snapshot(sim)
    columns = vercel().service("authentication").resources["user_tokens"].columns
    kept = [row["column_name"] for row in rows(file, "DESCRIBE history.tokens")]
    of_tokens = ("field", "rest", "self")
    told = [column.name for column in columns if column.source in of_tokens]
    assert kept == ["run_id", *told]


def test_runs_are_appended_and_quiet_says_nothing(sim, snapshot, file):
    assert snapshot(sim, "--quiet") == ""
    assert snapshot(sim).startswith("run 2: ")
    counts = rows(file, "SELECT run_id, count(*) AS n FROM history.tokens GROUP BY 1 ORDER BY 1")
    assert counts == [{"run_id": 1, "n": 31}, {"run_id": 2, "n": 31}]


def test_an_empty_listing_is_a_run_too(simulate, snapshot, file):
    sim = simulate(0)
    sim.faults(
        kind="body",
        path="/v6/user/tokens",
        body={"tokens": [], "pagination": {"count": 0, "next": None, "prev": None}},
    )
    assert snapshot(sim).startswith("run 1: 0 tokens of ")


def test_both_versions_of_duckdb_open_the_file(sim, snapshot, file):
    """The storage version says so; here there is only one version to try it with."""
    for _ in range(2):
        snapshot(sim)
        [kept] = rows(file, "SELECT tags FROM duckdb_databases() WHERE database_name = 'history'")
        assert kept["tags"]["storage_version"] == "v1.5.0+"
        assert not file.with_name(f"{file.name}.wal").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_the_owner_may_read_a_new_history(sim, snapshot, file):
    before = os.umask(0o022)
    try:
        snapshot(sim)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o640)
        snapshot(sim)
        assert stat.S_IMODE(file.stat().st_mode) == 0o640  # who may read it is its owner's choice
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_older_file_grows(sim, snapshot, file):
    snapshot(sim)
    altered(
        file,
        "ALTER TABLE history.tokens DROP COLUMN leakedUrl",
        "ALTER TABLE history.tokens DROP COLUMN scopes",
        "ALTER TABLE history.runs DROP COLUMN tool_version",
    )
    snapshot(sim)
    kept = rows(file, "SELECT run_id, count(scopes) AS n FROM history.tokens GROUP BY 1 ORDER BY 1")
    assert kept == [{"run_id": 1, "n": 0}, {"run_id": 2, "n": 31}]


def test_columns_of_a_newer_version_are_left_alone(sim, snapshot, file):
    snapshot(sim)
    altered(file, "ALTER TABLE history.tokens ADD COLUMN later VARCHAR DEFAULT 'old'")
    altered(file, "ALTER TABLE history.tokens ALTER COLUMN later DROP DEFAULT")
    snapshot(sim)
    kept = rows(file, "SELECT DISTINCT run_id, later FROM history.tokens ORDER BY 1")
    assert kept == [{"run_id": 1, "later": "old"}, {"run_id": 2, "later": None}]


def test_names_need_no_care(sim, snapshot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("it's.duckdb", "history.main.db", "vercel.duckdb", "runs", "a b.duckdb"):
        snapshot(sim, to=name)
        snapshot(sim, to=name)
        with duckdb.connect(str(tmp_path / name), read_only=True) as con:
            assert con.execute("SELECT max(run_id) FROM runs").fetchall() == [(2,)]


def test_a_symbolic_link_is_followed(sim, snapshot, tmp_path):
    link, real = tmp_path / "link.duckdb", tmp_path / "real.duckdb"
    link.symlink_to(real)
    for _ in range(2):
        snapshot(sim, to=link)
    assert link.is_symlink()
    assert len(rows(real, "FROM history.runs")) == 2


def test_the_help_says_what_to_give(here):
    ended = here("snapshot", "--help")
    assert ended.code == 0
    assert "--to FILE.duckdb" in ended.out
    assert "--token-file" in ended.out


@pytest.mark.parametrize("target", [":memory:", ":memory:x", "duckdb::memory:"])
def test_what_would_be_gone_is_no_history(here, sim, target):
    ended = here("snapshot", "--to", target, sim=sim)
    assert ended.code == 2
    assert f"--to {target} would be lost with the command" in ended.err
    assert sim.requests() == []
