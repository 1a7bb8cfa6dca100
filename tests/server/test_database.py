"""The server's own database has the tables for every connection, and is gone when it is closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.connection.live_catalog import attach_in_place
from vercel_sql.server.bounds import Bounds
from vercel_sql.server.database import Database, lock
from vercel_sql.writes.functions import Idempotency
from vercel_sql.writes.policy import WriteBudgets, WritePolicy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_every_connection_stands_in_the_catalog_and_reads_the_tables(
    folder: Path, sim: Any, make_client: Any
) -> None:
    database = Database("vercel", Bounds(), unsigned=False)
    try:
        attachment = attach_in_place(
            database.con,
            "vercel",
            make_client(sim),
            WritePolicy(),
            Idempotency(),
            WriteBudgets(None),
        )
        attachment.add(attachment.missing)
        database.watch()
        lock(database.con)
        with database.con.cursor() as con:
            for name in ("vercel.authentication.user_tokens", "authentication.user_tokens"):
                assert con.execute(f"SELECT count(*) FROM {name}").fetchall() == [(31,)]
            databases = con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
            assert {name for (name,) in databases} == {"vercel", "system", "temp"}
            with pytest.raises(duckdb.Error, match="disabled"):
                con.execute("FROM read_text('/etc/hostname')")
    finally:
        assert database.close(60)
    assert list(folder.iterdir()) == []


def test_a_database_that_can_not_be_opened_leaves_no_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise duckdb.IOException("the disk is full")

    monkeypatch.setattr(duckdb, "connect", refuse)
    with pytest.raises(duckdb.IOException):
        Database("vercel", Bounds(), unsigned=False)
    assert list(folder.iterdir()) == []
