"""Python: DB-API connections and native ones, through success and failure, with all logging on."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import duckdb
import pytest

import vercel_sql
from vercel_sql.progress import LogFile, heard_by

from .conftest import NAMES, PLANTED, REFUSED, Machine, T, cited

APP = {"c": "cl_app", "s": PLANTED}
STATEMENTS: list[tuple[str, Any]] = [
    (f"SELECT * FROM {T}", None),
    (f"SELECT name FROM {T} WHERE tokenId = 'current'", None),
    (f"SELECT active FROM vercel.oauth.introspection WHERE token = '{PLANTED}'", None),
    ("SELECT sub FROM vercel.oauth.get_userinfo(access_token := $t)", {"t": PLANTED}),
    (f"INSERT INTO {T} (name) VALUES ('a'), ('b')", None),
    (f"INSERT INTO {T} (name) SELECT 'a' RETURNING bearerToken, reverse(bearerToken) AS r", None),
    (f"INSERT INTO {T} (name) SELECT 'a' RETURNING bearerToken, bearerToken::INT", None),
    (f"DELETE FROM {T} WHERE name = 'a' OR name = 'b'", None),
    (f"EXEC {T}.email_login @email = 'ada@example.com'", None),
    (f"EXEC {T}.verify_token @token = '{PLANTED}'", None),
    (f"EXEC {T}.verify_token @token = $t", {"t": PLANTED}),
    (f"EXEC {T}._list_auth_tokens", None),
    (f"INSERT INTO vercel.oauth.tokens (client_id, refresh_token) SELECT $c, '{PLANTED}'", None),
    ("DELETE FROM vercel.oauth.tokens WHERE token = $s AND client_id = $c", APP),
    (f"EXPLAIN EXEC {T}.verify_token @token = '{PLANTED}'", None),
    (f"EXPLAIN ANALYZE SELECT 1 FROM vercel.oauth.introspection WHERE token = '{PLANTED}'", None),
    (f"EXPLAIN SELECT 1 FROM vercel.oauth.introspection WHERE token = '{PLANTED}'", None),
    # Mistakes near a secret.
    (f"SELECT nix FROM vercel.oauth.introspection WHERE token = '{PLANTED}'", None),
    (f"EXEC {T}.verify_token @token = '{PLANTED}', @teamPlan = 'gold'", None),
    (f"EXEC {T}.verify_token @token '{PLANTED}'", None),
    (f'EXEC {T}.verify_token @@json = \'{{"token": "{PLANTED}"\'', None),
    (f"DELETE FROM vercel.oauth.tokens WHERE token = '{PLANTED}'", None),
    (f"CREATE SECRET s (TYPE nix, TOKEN '{PLANTED}')", None),
    (f"SELECT 1 FROM vercel.oauth.introspection WHERE token = '{PLANTED}", None),
]


def fitting(statement: str, parameters: Any) -> Any:
    return {"c": "cl_app"} if parameters is None and "$c" in statement else parameters


def told(error: BaseException) -> str:
    """All that is told of an error, local variables of this package's frames included."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The first frame is the test's own, and knows the secrets.
    shown.stack = traceback.StackSummary.from_list(shown.stack[1:])
    parts = [str(error), repr(error), repr(error.args), repr(vars(error).get("message"))]
    return "\n".join([*parts, "".join(shown.format())])


@contextmanager
def watched(machine: Machine) -> Iterator[None]:
    """Everything is logged, by every library, and what is written anywhere is noted."""
    out, err = io.StringIO(), io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().level
    every = LogFile(machine.home / "root-log")
    # The simulated server, which shares the process, may well log what it receives.
    every.addFilter(lambda record: not record.name.startswith("uvicorn"))
    ours = LogFile(machine.log)
    root.addHandler(every)
    root.setLevel(logging.DEBUG)
    try:
        with heard_by(ours, logging.DEBUG), redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        root.setLevel(before)
        root.removeHandler(every)
        for handler in (every, ours):
            handler.close()
        machine.show("standard output", out.getvalue())
        machine.show("standard error", err.getvalue())


@pytest.fixture
def opened(at_home: Machine) -> Callable[..., vercel_sql.Connection]:
    """Opens a connection that keeps everything that can be kept."""
    secrets = at_home.file("secrets.jsonl")

    def open_(**options: Any) -> vercel_sql.Connection:
        sim = at_home.sim
        return vercel_sql.connect(
            sim.token,
            api_url=sim.url,
            oauth_url=sim.url,
            database=at_home.home / "mine.duckdb",
            secrets_file=secrets,
            audit_log=at_home.home / "audit.jsonl",
            attempts=1,
            request_timeout=5,
            **options,
        )

    return open_


def run_all(machine: Machine, con: vercel_sql.Connection) -> None:
    events: list[Any] = []
    with con.observed(events.append):
        for statement, parameters in STATEMENTS:
            try:
                cursor = con.execute(statement, fitting(statement, parameters))
                described = repr([cursor.description, cursor.rowcount, cursor])
                machine.show("what a program sees of a result", described)
                if statement.startswith("EXPLAIN"):
                    machine.show("plans", repr(cursor.fetchall()))
            except vercel_sql.Error as error:
                machine.show("errors", told(error))
    machine.show("what observers are told", repr(events))
    machine.show("what is written of a connection", repr([con, vars(con), con.client]))


def test_all_goes_well(at_home, opened):
    with watched(at_home), opened() as con:
        run_all(at_home, con)
    at_home.search()
    assert "POST /v3/user/tokens -> 200" in at_home.log.read_text()
    assert len((at_home.home / "audit.jsonl").read_text().splitlines()) > 5
    assert len((at_home.home / "secrets.jsonl").read_text().splitlines()) >= 3


@pytest.mark.parametrize("fault", REFUSED, ids=NAMES)
def test_all_goes_wrong(at_home, opened, sim, fault):
    with watched(at_home), opened() as con:
        con.execute(f"SELECT count(*) FROM {T}").fetchall()
        sim.faults(times=None, **fault)
        run_all(at_home, con)
    at_home.search()
    assert "Error" in at_home.shown["errors"].decode()


def test_a_server_that_repeats_what_it_was_asked_with(at_home, opened, sim):
    with watched(at_home), opened() as con:
        sim.faults(times=None, **cited(sim))
        run_all(at_home, con)
    at_home.search()
    log = at_home.log.read_text()
    assert "\x1b" not in log
    assert not any(line.startswith("2026-01-01 INFO revoked") for line in log.splitlines())


def test_nobody_is_there(at_home, opened, sim):
    with watched(at_home), opened() as con:
        sim.pause()
        run_all(at_home, con)
        sim.resume()
    at_home.search()


CALLS = [
    f"SELECT name FROM {T} WHERE tokenId = 'current'",
    "FROM vercel.authentication.create_auth_token('native', request_id := 'one')",
    "FROM vercel.authentication.verify_token($t, request_id := 'two')",
    "FROM vercel.oauth.get_userinfo(access_token := $t)",
    "SELECT active FROM vercel.oauth.introspection WHERE token = $t",
]


@pytest.mark.parametrize("fault", [None, *REFUSED[::2]], ids=["fine", *NAMES[::2]])
def test_native_connections(at_home, sim, attached, fault):
    """What DuckDB says by itself is its own; what passes through us is masked."""
    options = {"secrets_file": at_home.file("secrets.jsonl"), "request_timeout": 5}
    audit_log = at_home.home / "audit.jsonl"
    with watched(at_home):
        con = attached(sim, writes=True, audit_log=audit_log, **options)
        if fault is not None:
            sim.faults(times=None, **fault)
        for call in CALLS:
            try:
                con.execute(call, {"t": PLANTED} if "$t" in call else None).fetchall()
            except duckdb.Error as error:
                at_home.show("errors of DuckDB", str(error))
        at_home.show("what is written of it", repr([vercel_sql.connection.opening._attached]))
    at_home.search()


def test_warnings_hold_none(at_home, opened):
    with warnings.catch_warnings(record=True) as caught, watched(at_home), opened() as con:
        warnings.simplefilter("always")
        run_all(at_home, con)
    at_home.show("warnings", "\n".join(str(warning.message) for warning in caught))
    at_home.search()
