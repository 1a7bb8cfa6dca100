"""Deletes of many rows: side by side, each once, stopped by what fails, and told in full."""

import _thread
import threading
import time
from collections import Counter

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
OTHERS = f"DELETE FROM {TABLE} WHERE id <> (SELECT id FROM own)"
PATIENCE = 60  # seconds


@pytest.fixture
def account(simulate):
    """Starts an account; gives it, a way to connect to it, and the ids of its other tokens."""
    opened = []

    def start(tokens, *, options=None, **settings):
        sim = simulate(tokens, **settings)
        for token in sim.state.tokens():
            token.remove("revokedAt")  # else a deletion that fails counts as done
        own = sim.state.calling_token
        given = {"api_url": sim.url, "attempts": 2, "max_writes": None, **(options or {})}
        db = vercel_sql.connect(sim.token, **given)
        opened.append(db)
        db.execute("CREATE TEMP TABLE own AS SELECT ? AS id", [own.id])
        ids = [token.id for token in sim.state.tokens() if token is not own]
        sim.clear_requests()
        return sim, db, ids

    yield start
    for db in opened:
        db.close()


def deleted(sim):
    """How often each id was asked to be deleted."""
    return Counter(r.path.rpartition("/")[2] for r in sim.requests() if r.method == "DELETE")


def removed(sim):
    return [event.id for event in sim.history() if event.event == "removed"]


def is_told_in_full(error, sim, ids):
    """Whether the error names each row once, and says of each what became of it at the server."""
    left = {token.id for token in sim.state.tokens()}
    failed = [each.row for each in error.failed]
    unknown = [each.row for each in error.unknown]
    named = [*error.done, *error.missing, *failed, *unknown, *error.not_started]
    assert sorted(named) == sorted(ids)
    assert not left & {*error.done, *error.missing}
    assert left >= {*failed, *error.not_started}
    put_off = {r.path.rpartition("/")[2] for r in sim.requests() if r.status == 429}
    assert not (deleted(sim).keys() - put_off) & {*error.not_started}
    return True


# All goes well


def test_two_thousand_under_a_limit_that_bites(account):
    # All of it takes ten windows of the limit, in which the latency alone would allow 400 each.
    sim, db, ids = account(2000, latency_ms=20, rate_limit="200/1", options={"max_writes": 2000})
    began = time.monotonic()
    cursor = db.execute(OTHERS)
    took = time.monotonic() - began
    print(f"2,000 in {took:.1f} s, {took / 9:.2f} times the nine windows that have to end first")
    assert cursor.rowcount == 2000
    assert [token.id for token in sim.state.tokens()] == [sim.state.calling_token.id]
    assert sorted(removed(sim)) == sorted(ids)
    assert len(deleted(sim)) == 2000
    assert set(deleted(sim).values()) == {1}
    assert {r.status for r in sim.requests()} == {200}


def test_many_are_under_way_at_a_time_but_no_more_than_that(account):
    sim, db, _ids = account(60, latency_ms=30, options={"parallel_deletes": 5})
    under_way, most = set(), []
    act = sim.state.remove_token

    def watched(token):
        under_way.add(threading.get_ident())
        return act(token)

    sim.state.remove_token = watched
    lock, now = threading.Lock(), [0]

    class Counting:
        """The client's way out, counting what passes at a time."""

        def __init__(self, send):
            self.send = send

        def __call__(self, request):
            if request.method.reads:
                return self.send(request)
            with lock:
                now[0] += 1
                most.append(now[0])
            try:
                return self.send(request)
            finally:
                with lock:
                    now[0] -= 1

    db.client.send = Counting(db.client.send)
    assert db.execute(OTHERS).rowcount == 60
    assert 1 < max(most) <= 5
    assert set(deleted(sim).values()) == {1}


def test_rows_come_back_in_the_order_in_which_they_matched(account):
    sim, db, ids = account(40)
    # The first are answered last.
    sim.faults(*[{"kind": "latency", "ms": 200, "path": f"*/{id_}"} for id_ in ids[:4]])
    rows = db.execute(f"{OTHERS} RETURNING id, name").fetchall()
    assert [id_ for id_, _name in rows] == ids


def test_what_is_gone_already_stops_nothing(account):
    sim, db, ids = account(30)
    sim.faults(
        *[
            {"kind": "status", "status": 404, "acts": True, "path": f"/v3/*/{id_}"}
            for id_ in (ids[0], ids[17])
        ]
    )
    assert db.execute(OTHERS).rowcount == 28
    assert set(deleted(sim)) == set(ids)


# Something goes wrong in the middle


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "status", "status": 500}, "500 internal_server_error"),
        ({"kind": "status", "status": 403}, r", 403\)"),
        ({"kind": "status", "status": 400}, r", 400\)"),
        ({"kind": "drop_before"}, "The row is still there"),
        ({"kind": "redirect", "location": "https://example.com"}, "307|302"),
    ],
    ids=str,
)
@pytest.mark.parametrize("returning", ["", " RETURNING id, name"])
def test_nothing_is_begun_after_a_failure(account, fault, words, returning):
    sim, db, ids = account(200, latency_ms=10)
    sim.faults(method="DELETE", after=20, **fault)
    with pytest.raises(vercel_sql.PartialWriteError, match=words) as caught:
        db.execute(OTHERS + returning)
    error = caught.value
    assert is_told_in_full(error, sim, ids)
    (failed,) = error.failed
    assert failed.error is error.cause
    assert not error.unknown
    assert max(deleted(sim).values()) == 1
    # Those that were under way when it was sent, and when it was answered, and no others.
    assert 20 <= len(error.done) <= 20 + 2 * 8
    assert len(error.not_started) == 200 - 1 - len(error.done)
    assert error.columns == (("id", "name") if returning else ("id",))
    assert [row[0] for row in error.rows] == list(error.done)
    for part in (failed.row, f"Not started: {len(error.not_started)} (", "more)"):
        assert part in str(error)
    assert f"{len(error.done)} of 200 were carried out" in str(error)
    assert len(str(error)) < 2000


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "cut_body"},
        {"kind": "garbage_body"},
        {"kind": "garbage_body", "html": True},
        {"kind": "body", "body": {}},
        {"kind": "body", "body": "Bad gateway", "status": 502, "content_type": "text/html"},
        {"kind": "status", "status": 500, "acts": True},
        {"kind": "hang", "ms": 100, "acts": True},
    ],
    ids=str,
)
def test_a_lost_answer_is_looked_up_and_what_is_gone_is_gone(account, fault):
    sim, db, ids = account(30)
    sim.faults(method="DELETE", after=5, times=3, **fault)
    rows = db.execute(f"{OTHERS} RETURNING id").fetchall()
    assert [id_ for (id_,) in rows] == ids
    assert set(deleted(sim).values()) == {1}
    looked_up = [r.path for r in sim.requests() if r.path.startswith("/v5/") and r.status == 404]
    assert len(set(looked_up)) == 3


def test_a_lost_answer_that_can_not_be_looked_up_is_told_as_unknown(account):
    sim, db, ids = account(50)
    sim.faults(
        {"kind": "drop_after", "method": "DELETE", "after": 10},
        {"kind": "drop_before", "method": "GET", "path": "/v5/*", "after": 1, "times": None},
    )
    with pytest.raises(vercel_sql.PartialWriteError, match="may have been carried out") as caught:
        db.execute(OTHERS)
    error = caught.value
    assert is_told_in_full(error, sim, ids)
    (unknown,) = error.unknown
    assert unknown.error.outcome_unknown
    assert not error.failed
    assert unknown.row in str(error)
    assert set(deleted(sim).values()) == {1}


def test_several_may_fail_before_they_are_stopped(account):
    sim, db, ids = account(20)
    sim.faults(
        {"kind": "latency", "ms": 1000, "method": "DELETE", "after": 5, "times": None},
        {"kind": "status", "status": 403, "method": "DELETE", "after": 5, "times": None},
    )
    with pytest.raises(vercel_sql.PartialWriteError, match=r"; \d more failed\. Not") as caught:
        db.execute(OTHERS)
    assert is_told_in_full(caught.value, sim, ids)
    assert len(caught.value.failed) > 3
    assert len(caught.value.done) == 5


def test_the_first_of_all_may_be_the_one_that_fails(account):
    sim, db, ids = account(20)
    sim.faults(kind="status", status=403, method="DELETE", times=None)
    with pytest.raises(vercel_sql.PartialWriteError, match="0 of 20 were carried out") as caught:
        db.execute(OTHERS)
    assert is_told_in_full(caught.value, sim, ids)
    assert (caught.value.table, caught.value.rows, caught.value.done) == (None, [], ())


def test_one_after_the_other_stops_at_the_first(account):
    sim, db, ids = account(20, options={"parallel_deletes": 1})
    sim.faults(kind="status", status=403, method="DELETE", after=7)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(OTHERS)
    error = caught.value
    assert (list(error.done), [each.row for each in error.failed]) == (ids[:7], [ids[7]])
    assert list(error.not_started) == ids[8:]


def test_a_row_alone_fails_with_its_own_error(account):
    sim, db, ids = account(3)
    sim.faults(kind="status", status=500, method="DELETE")
    with pytest.raises(vercel_sql.OperationalError, match=r"500.*still there") as caught:
        db.execute(f"DELETE FROM {TABLE} WHERE id = ?", [ids[0]])
    assert caught.value.status == 500


def test_a_row_that_nobody_saw_is_not_counted_after_a_lost_answer(account):
    sim, db, ids = account(3)
    for id_ in (ids[0], "mistyped"):
        sim.faults(kind="drop_after", method="DELETE")
        with pytest.raises(vercel_sql.TransportError, match="whether there was one") as caught:
            db.execute(f"DELETE FROM {TABLE} WHERE id = ?", [id_])
        assert caught.value.outcome_unknown
        sim.faults(kind="status", status=500, method="DELETE", acts=True)
        with pytest.raises(vercel_sql.APIError, match="whether there was one") as caught:
            db.execute(f"DELETE FROM {TABLE} WHERE id = ?", ["mistyped"])
        assert (caught.value.status, caught.value.outcome_unknown) == (500, True)
    # One that was listed before is.
    sim.faults(kind="drop_after", method="DELETE")
    assert db.execute(f"DELETE FROM {TABLE} WHERE id LIKE ?", [ids[1]]).rowcount == 1


def test_a_returning_that_fails_keeps_the_rows(account):
    _sim, db, ids = account(5)
    with pytest.raises(vercel_sql.PartialWriteError, match="result could not be made") as caught:
        db.execute(f"{OTHERS} RETURNING id::INTEGER")
    assert list(caught.value.done) == ids
    assert caught.value.table.column("id").to_pylist() == ids


# It is stopped


@pytest.mark.parametrize("acts", [True, False])
def test_the_end_of_its_time_in_the_middle_of_requests(account, acts):
    sim, db, ids = account(60)
    db.timeout = 4
    sim.faults(kind="hang", method="DELETE", after=12, times=None, acts=acts)
    began = time.monotonic()
    with pytest.raises(vercel_sql.PartialWriteError, match="stopped after 4 s") as caught:
        db.execute(OTHERS)
    assert time.monotonic() - began < PATIENCE
    error = caught.value
    assert isinstance(error.cause, vercel_sql.OperationalError)
    assert is_told_in_full(error, sim, ids)
    assert set(deleted(sim).values()) == {1}
    assert error.done
    assert not error.failed
    assert len(error.unknown) + len(error.done) == len(deleted(sim))


def test_the_end_of_its_time_while_it_waits_for_a_limit(account):
    sim, db, ids = account(60, rate_limit="20/30")
    db.timeout = 2
    with pytest.raises(
        vercel_sql.PartialWriteError, match=r"may take 2 s .* the rate limit"
    ) as caught:
        db.execute(OTHERS)
    error = caught.value
    assert is_told_in_full(error, sim, ids)
    assert len(error.done) == len(removed(sim)) == 20
    assert not error.failed
    assert not error.unknown
    assert len(error.not_started) == 40


def test_an_interrupt_while_it_waits_for_a_limit(account):
    sim, db, ids = account(60, rate_limit="20/60")

    def interrupt():
        end = time.monotonic() + PATIENCE
        while len(removed(sim)) < 20 and time.monotonic() < end:
            time.sleep(0.01)
        db.interrupt()

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(vercel_sql.PartialWriteError, match="interrupted") as caught:
        db.execute(OTHERS)
    assert time.monotonic() - began < 30
    assert is_told_in_full(caught.value, sim, ids)
    assert len(removed(sim)) == 20


def interrupt_once_one_is_sent(sim):
    def interrupt():
        end = time.monotonic() + PATIENCE
        while not deleted(sim) and time.monotonic() < end:
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()


def test_ctrl_c_waits_for_what_is_under_way_and_begins_nothing(account):
    sim, db, ids = account(100, latency_ms=300)
    interrupt_once_one_is_sent(sim)
    with pytest.raises(vercel_sql.PartialWriteError, match="interrupted") as caught:
        db.execute(OTHERS)
    error = caught.value
    assert isinstance(error.cause, KeyboardInterrupt)
    assert is_told_in_full(error, sim, ids)
    assert not error.failed
    assert len(deleted(sim)) <= 16
    assert len(error.done) + len(error.unknown) == len(deleted(sim))


def test_ctrl_c_during_the_last_is_not_forgotten(account):
    sim, db, ids = account(1, latency_ms=300)
    interrupt_once_one_is_sent(sim)
    with pytest.raises(
        vercel_sql.PartialWriteError, match=r"it was interrupted\. 1 of 1"
    ) as caught:
        db.execute(OTHERS)
    assert list(caught.value.done) == ids
    assert isinstance(caught.value.cause, KeyboardInterrupt)


def test_a_timeout_before_the_first_is_just_that(account):
    sim, db, ids = account(5, rate_limit="1/60")
    db.execute(f"DELETE FROM {TABLE} WHERE id = ?", [ids[0]])
    db.timeout = 1
    sim.clear_requests()
    with pytest.raises(vercel_sql.errors.StatementTimeoutError):
        db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?)", ids[1:3])
    assert not deleted(sim)


# Others spend the limit too


def test_a_limit_that_others_spend_is_waited_for(account):
    sim, db, ids = account(20)
    sim.faults(
        kind="status",
        status=429,
        code="rate_limited",
        method="DELETE",
        after=5,
        times=3,
        headers={"Retry-After": "0"},
    )
    assert db.execute(OTHERS).rowcount == 20
    assert sorted(removed(sim)) == sorted(ids)
    counts = deleted(sim)
    # What the API refused to do was asked again, and nothing else was.
    assert sum(counts.values()) == 23


def test_a_limit_that_is_spent_for_too_long_stops_it(account):
    sim, db, ids = account(40, options={"max_wait": 60})
    sim.faults(
        kind="status",
        status=429,
        code="rate_limited",
        method="DELETE",
        after=10,
        times=None,
        headers={"Retry-After": "600"},
    )
    with pytest.raises(vercel_sql.PartialWriteError, match="max_wait allows 60 s") as caught:
        db.execute(OTHERS)
    error = caught.value
    assert is_told_in_full(error, sim, ids)
    assert isinstance(error.cause, vercel_sql.WaitTooLongError)
    assert (len(error.done), len(error.not_started)) == (10, 30)
    assert set(deleted(sim).values()) == {1}


def test_no_thread_is_left_for_each_row(account):
    _sim, db, _ids = account(300)
    before = threading.active_count()
    assert db.execute(OTHERS).rowcount == 300
    assert threading.active_count() <= before + 16
