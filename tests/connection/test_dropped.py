"""A connection that is dropped without `close()` leaves nothing behind."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

import vercel_sql

QUERY = "SELECT count(*) FROM vercel.authentication.user_tokens"


@pytest.fixture
def opened(sim):
    return lambda: vercel_sql.connect(sim.token, api_url=sim.url, oauth_url=sim.url)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settled(most: int) -> int:
    """The descriptors, once the threads that close what was dropped have done so."""
    deadline = time.monotonic() + 30
    while (found := descriptors()) > most and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_descriptors_threads_and_memory(opened):
    def drop():
        con = opened()
        assert con.execute(QUERY).fetchall() == [(31,)]
        return [weakref.ref(each) for each in (con, con.client, con._catalogs[0])]

    drop()
    gc.collect()
    before, threads = descriptors(), threading.active_count()
    dropped = [drop() for _ in range(5)]
    assert settled(before) <= before
    # The client's own threads, of which there is a bounded number, serve the next connection.
    assert threading.active_count() <= threads + 1
    # What closes them runs on a thread of its own.
    deadline = time.monotonic() + 30
    while any(each() for refs in dropped for each in refs) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert [[each() for each in refs] for refs in dropped] == [[None] * 3] * 5


def test_a_result_keeps_its_connection(opened):
    cursor = opened().execute("SELECT range FROM range(3)")
    gc.collect()
    assert cursor.fetchall() == [(0,), (1,), (2,)]


def test_what_was_handed_out_still_works(opened):
    native = opened().duckdb
    gc.collect()
    time.sleep(0.2)
    assert native.sql("SELECT 42").fetchall() == [(42,)]
    native.close()
