"""What Quack is given in place of a client's statement: the same rows, types and names, or why not.

This needs no Quack, so that it is tested with every version of DuckDB.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import duckdb
import pytest

from vercel_sql.connection.live_catalog import attach_in_place
from vercel_sql.server.bounds import Bounds
from vercel_sql.server.database import Database, lock, results_database
from vercel_sql.server.sessions import Sessions
from vercel_sql.writes.functions import Idempotency
from vercel_sql.writes.policy import WriteBudgets, WritePolicy

ENDLESS = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"


@pytest.fixture
def make(sim: Any, make_client: Any) -> Iterator[Callable[..., Any]]:
    """Makes sessions with bounds, and what runs a statement in one of them."""
    made: list[tuple[Sessions, Database, duckdb.DuckDBPyConnection]] = []

    def start(**bounds: Any) -> tuple[Sessions, Callable[..., Any]]:
        given = Bounds(**bounds)
        database = Database("vercel", given, unsigned=False)
        keeping = WritePolicy()
        attachment = attach_in_place(
            database.con,
            "vercel",
            make_client(sim),
            keeping,
            Idempotency(),
            WriteBudgets(None),
        )
        attachment.add(attachment.missing)
        quack = results_database(False)
        sessions = Sessions(
            database.con, quack, attachment, given, lambda _caller: None, lambda **_words: None
        )
        lock(database.con)
        lock(quack)
        made.append((sessions, database, quack))

        def run(text: str, key: str = "one") -> Any:
            with quack.cursor() as con:
                con.execute(sessions.answer(key, text))
                names = [(name, str(type_)) for name, type_, *_ in con.description]
                return names, con.fetchall()

        return sessions, run

    yield start
    for sessions, database, quack in made:
        assert sessions.close(60)
        assert database.close(60)
        quack.close()


TYPES = [
    "NULL",
    "1::TINYINT",
    "170141183460469231731687303715884105727::HUGEINT",
    "-170141183460469231731687303715884105727::HUGEINT",
    "1::UHUGEINT",
    "sum(1)",
    "uuid()::VARCHAR::UUID IS NULL",
    "'6b7f0a4e-8d7b-4d5e-9a63-0a5f2c6f1b11'::UUID",
    """'{"a": [1.0, "x"]}'::JSON""",
    """[{'a': '{"b": 1}'::JSON, 'c d': [1.5]}]""",
    "MAP {'a': '1'::JSON}",
    "'b'::ENUM('a', 'b')",
    "union_value(k := 1)",
    "'\\x00\\xff'::BLOB",
    "12345678901234567890123456789012345678.90::DECIMAL(38, 0)",
    "INTERVAL '1 year 2 days 3 microseconds'",
    "TIME '10:00:00.5'",
    "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'",
    "TIMESTAMP_S '2020-01-01'",
    "'infinity'::TIMESTAMPTZ",
    "'nan'::DOUBLE",
    "[1, 2]::INTEGER[2]",
    "'a line\nand ''quotes'''",
]


@pytest.mark.parametrize("value", TYPES)
def test_a_value_arrives_as_it_is(make: Any, value: str) -> None:
    _, run = make()
    text = f'SELECT {value} AS "a ""name""", 2 AS x, 3 AS x'
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(text)
        expected = [(name, str(type_)) for name, type_, *_ in con.description], con.fetchall()
    assert repr(run(text)) == repr(expected)


@pytest.mark.parametrize("value", ["'101'::BIT", "'10:00:00+01'::TIMETZ", "[{'a': '1'::BIT}]"])
def test_what_would_lose_something_is_refused(make: Any, value: str) -> None:
    _, run = make()
    with pytest.raises(duckdb.Error, match="cast it to VARCHAR"):
        run(f"SELECT {value} AS v")
    assert run("SELECT 1 AS a") == ([("a", "INTEGER")], [(1,)])


def test_rows_keep_their_order_and_a_later_result_takes_the_place_of_the_last(make: Any) -> None:
    _, run = make()
    for count in (50_000, 3):
        rows = run(f"SELECT range AS n FROM range({count}) ORDER BY n DESC")[1]
        assert rows == [(n,) for n in reversed(range(count))]


def test_an_error_says_what_duckdb_says_and_no_more(make: Any) -> None:
    _, run = make()
    with pytest.raises(duckdb.Error, match='Referenced column "nme" not found') as caught:
        run("SELECT nme FROM vercel.authentication.user_tokens")
    assert "Traceback" not in str(caught.value)
    with pytest.raises(duckdb.Error, match=r"it's"):
        run("SELECT error('it''s')")


def test_a_statement_with_too_many_rows_says_how_to_have_more(make: Any) -> None:
    _, run = make(rows=1_000)
    assert len(run("FROM range(1000)")[1]) == 1_000
    with pytest.raises(duckdb.Error, match=r"more than 1,000 rows.*--max-rows"):
        run("FROM range(1001)")
    assert run("SELECT 42 AS a")[1] == [(42,)]


def test_a_statement_that_takes_too_long_is_cancelled(make: Any) -> None:
    _, run = make(statement_seconds=0.5)
    with pytest.raises(duckdb.Error, match=r"it ran for 0\.5 s.*--statement-timeout"):
        run(ENDLESS)
    assert run("SELECT 42 AS a")[1] == [(42,)]


def test_a_statement_with_too_much_memory_is_an_error(make: Any) -> None:
    _, run = make(memory=200, temp=1)
    with pytest.raises(duckdb.Error, match=r"more memory than there is.*--memory-limit"):
        run("SELECT list(range) FROM range(100000000)")
    assert run("SELECT 42 AS a")[1] == [(42,)]


class Background(threading.Thread):
    """A statement in a thread, and the error that it ends with."""

    def __init__(self, run: Callable[..., Any], key: str) -> None:
        super().__init__(daemon=True)
        self._run, self._key = run, key
        self.error = ""
        self.start()

    def run(self) -> None:
        try:
            self._run(ENDLESS, self._key)
        except duckdb.Error as error:
            self.error = str(error)

    def ended(self) -> str:
        self.join(60)
        assert not self.is_alive()
        return self.error


def wait_for(sessions: Sessions, count: int) -> None:
    end = time.monotonic() + 60
    while len(sessions._all_running()) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_session_whose_client_is_gone_ends_and_no_other(make: Any) -> None:
    sessions, run = make()
    first, second = Background(run, "first"), Background(run, "second")
    wait_for(sessions, 2)
    sessions.cancel("first")
    assert "its client is gone" in first.ended()
    assert second.is_alive()
    assert run("SELECT 42 AS a")[1] == [(42,)]
    sessions.end("second")
    assert "its client is gone" in second.ended()


def test_of_too_many_statements_the_oldest_makes_room(make: Any) -> None:
    sessions, run = make(statements=2)
    first = Background(run, "first")
    wait_for(sessions, 1)
    time.sleep(0.1)
    second = Background(run, "second")
    wait_for(sessions, 2)
    end = time.monotonic() + 60
    while first.is_alive():  # what is young is not ended in favour of others
        assert time.monotonic() < end
        with suppress(duckdb.Error):
            run("SELECT 42 AS a")
    assert "--max-statements" in first.ended()
    assert second.is_alive()
    sessions.cancel_all()
    assert "the server is stopping" in second.ended()


def test_the_bytes_of_a_result_are_bounded_too(make: Any) -> None:
    _, run = make(memory=400)
    with pytest.raises(duckdb.Error, match=r"more than [\d,]+ bytes.*--memory-limit"):
        run("SELECT repeat('x', 20000) || range AS t FROM range(100000)")
    assert run("SELECT 42 AS a")[1] == [(42,)]


def test_the_oldest_results_make_room_for_new_ones(make: Any) -> None:
    sessions, run = make(memory=800)
    for number in range(4):
        run("SELECT repeat('x', 20000) || range AS t FROM range(2000)", str(number))
    held = [session.result is not None for session in sessions._sessions.values()]
    assert held == [False, False, True, True]


def test_an_error_that_speaks_of_memory_ends_nobody(make: Any) -> None:
    sessions, run = make()
    other = Background(run, "other")
    wait_for(sessions, 1)
    time.sleep(1.2)  # now it is one that may be ended
    with pytest.raises(duckdb.Error, match="memory"):
        run("SELECT error('Out of Memory')")
    assert other.is_alive()
    sessions.cancel("other")
    sessions.cancel("other")  # the front says it until the answer is there
    assert "its client is gone" in other.ended()


def test_an_error_is_short_and_has_no_stack_trace(make: Any) -> None:
    _, run = make()
    began = time.monotonic()
    with pytest.raises(duckdb.Error) as caught:
        run("SELECT error(repeat('ab c=', 10000000) || '')")
    print(f"\n{time.monotonic() - began:.2f} s", end="")
    assert len(str(caught.value)) < 3_000
    with pytest.raises(duckdb.Error, match="INTERNAL of it") as caught:
        run("SELECT error('INTERNAL of it' || chr(10) || chr(10) || 'Stack Trace: /home/me')")
    assert "Stack" not in str(caught.value)
