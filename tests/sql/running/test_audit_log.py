"""The audit log through statements and functions: each write, and no row lost to a full disk."""

from __future__ import annotations

import json

import duckdb
import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def audited(connect, path):
    return connect(audit_log=path, max_writes=None)


@pytest.fixture
def lines(path):
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def full(monkeypatch):
    """Makes the disk of the audit log full, from the line of that number on."""

    def after(count):
        written = []

        def append(path, line, **_options):
            if len(written) >= count:
                raise OSError(28, "No space left on device")
            written.append(line)
            with path.open("a") as file:
                file.write(f"{line}\n")

        monkeypatch.setattr("vercel_sql.ledger.audit_log.append_line", append)

    return after


def test_each_statement_says_what_it_is(audited, lines, ids):
    audited.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b')")
    audited.execute(f"DELETE FROM {T} WHERE id = '{ids[0]}'")
    audited.execute(f"EXEC {T}.create_auth_token @name = 'c'")
    audited.execute(f"EXEC {T}.email_login @email = 'ada@example.com'")
    audited.execute(f"EXPLAIN INSERT INTO {T} (name) VALUES ('d')")
    audited.execute(f"SELECT * FROM {T}").fetchall()
    found = [(line["statement"], line["method"], line["outcome"]) for line in lines()]
    assert found == [
        ("INSERT", "create_auth_token", "done"),
        ("INSERT", "create_auth_token", "done"),
        ("DELETE", "delete_auth_token", "done"),
        ("EXEC", "create_auth_token", "done"),
        ("EXEC", "email_login", "done"),
    ]
    assert lines()[2]["id"] == ids[0]


def test_it_is_a_table_for_duckdb(audited, path, ids):
    audited.execute(f"DELETE FROM {T} WHERE id IN ('{ids[0]}', '{ids[1]}')")
    query = f"SELECT account.name, method, count(*) FROM read_json('{path}') GROUP BY ALL"
    assert duckdb.sql(query).fetchall() == [("ada-example", "delete_auth_token", 2)]


def test_a_rotation_notes_both_its_writes(audited, lines, ids):
    audited.execute(f"EXEC {T}.rotate_token @tokenId = '{ids[0]}', @expiresAt = NULL")
    found = [(line["statement"], line["method"]) for line in lines()]
    assert found == [("EXEC", "create_auth_token"), ("EXEC", "delete_auth_token")]


def test_functions_say_so(attached, sim, tmp_path, path, lines):
    con = attached(sim, writes=True, secrets_file=tmp_path / "secrets", audit_log=path)
    con.sql("FROM vercel.authentication.create_auth_token('f', request_id := '1')").fetchall()
    con.sql("FROM vercel.authentication.create_auth_token('f', request_id := '1')").fetchall()
    (line,) = lines()
    assert (line["statement"], line["method"], line["outcome"]) == (
        "function",
        "create_auth_token",
        "done",
    )


def test_rows_are_given_though_they_could_not_be_noted(audited, full, authenticates, lines):
    full(1)
    with pytest.raises(vercel_sql.PartialWriteError, match="audit log") as caught:
        audited.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b'), ('c')")
    rows = caught.value.rows
    assert [authenticates(row[0]) for row in rows] == [True, True]
    assert len(lines()) == 1
    with pytest.raises(vercel_sql.OperationalError, match="Nothing was sent"):
        audited.execute(f"INSERT INTO {T} (name) VALUES ('d')")


def test_a_deletion_that_could_not_be_noted_is_said(audited, full, ids, exists):
    full(0)
    with pytest.raises(vercel_sql.PartialWriteError, match="audit log"):
        audited.execute(f"DELETE FROM {T} WHERE id = '{ids[0]}'")
    assert not exists(ids[0])


def test_a_function_says_that_it_could_not_be_noted(attached, sim, tmp_path, path, full):
    con = attached(sim, writes=True, secrets_file=tmp_path / "secrets", audit_log=path)
    full(0)
    with pytest.raises(duckdb.Error, match="It was carried out all the same; what is secret is in"):
        con.sql("FROM vercel.authentication.create_auth_token('f', request_id := '1')").fetchall()
    (saved,) = (tmp_path / "secrets").read_text().splitlines()
    assert json.loads(saved)["bearerToken"] in [event.bearer for event in sim.history()]


def test_a_file_that_can_not_be_opened_is_an_error_at_once(sim, tmp_path):
    with pytest.raises(vercel_sql.OperationalError, match=r"audit log .* can't be used"):
        vercel_sql.connect(sim.token, api_url=sim.url, audit_log=tmp_path / "missing" / "log")
    assert sim.requests() == []
