"""A limit that bites: all threads and clients of a process keep within it, and lose little time."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vercel_sql.errors import (
    StatementCancelledError,
    StatementTimeoutError,
    WaitTooLongError,
)
from vercel_sql.http.requests import build_request
from vercel_sql.runtime.scope import CancelScope

PATIENCE = 30.0


@pytest.fixture
def listing(method):
    return build_request(method("list_auth_tokens"), {}, {"limit": 1})


def statuses(sim):
    return [record.status for record in sim.requests()]


def side_by_side(acts, threads=8):
    """Runs all; gives how many seconds they took."""
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(act) for act in acts]:
            done.result()
    return time.monotonic() - began


@pytest.mark.parametrize(("limit", "seconds", "requests"), [(20, 1, 80), (15, 0.9, 60)])
def test_eight_threads_never_run_into_the_limit_and_lose_little_time(
    simulate, make_client, read, limit, seconds, requests
):
    sim = simulate(3, rate_limit=f"{limit}/{seconds}")
    client = make_client(sim)
    took = side_by_side([lambda: client.send(read)] * requests)
    assert statuses(sim) == [200] * requests
    least = (requests / limit - 1) * seconds
    print(f"\n{requests} requests took {took / least:.2f} times what the limit makes them take")
    assert took < 20 * least  # a busy machine fails no test


def test_several_clients_of_a_process_share_one_budget(simulate, make_client, read):
    sim = simulate(3, rate_limit="20/1")
    clients = [make_client(sim) for _ in range(4)]
    side_by_side([lambda client=client: client.send(read) for client in clients * 12])
    assert statuses(sim) == [200] * 48


def test_the_first_requests_of_a_process_side_by_side_stay_within_a_small_limit(
    simulate, make_client, read
):
    sim = simulate(3, rate_limit="3/1")
    client = make_client(sim)
    side_by_side([lambda: client.send(read)] * 8)
    assert statuses(sim) == [200] * 8


def test_each_credential_and_each_server_has_a_budget_of_its_own(
    simulate, make_client, read, method
):
    sims = simulate(3, rate_limit="5/60"), simulate(3, rate_limit="5/60")
    another = sims[0].state.tokens()[-1].bearer
    spender = make_client(sims[0], max_wait=0)
    for _ in range(5):
        spender.send(read)
    get = method("get_auth_token")
    assert spender.budgets(get).get(get).remaining == 0
    assert make_client(sims[0]).budgets(get).get(get).remaining == 0
    assert make_client(sims[0], token=another).budgets(get).get(get) is None
    assert make_client(sims[1]).budgets(get).get(get) is None


def test_a_token_that_comes_with_the_request_has_a_budget_of_its_own(sim, make_client, method):
    client = make_client(sim)
    client.send(build_request(method("get_auth_token"), {"tokenId": "current"}))
    assert client.budgets(method("get_auth_token")).get(method("get_auth_token")).remaining > 0
    with_code = build_request(method("email_login"), {"email": "a@example.com"})
    client.send(with_code)
    assert client.budgets(with_code.method).get(with_code.method).remaining > 0


def test_what_was_learned_is_forgotten_with_the_last_client(sim, method, read):
    from vercel_sql.auth import Credential
    from vercel_sql.http.client import Client
    from vercel_sql.manifest import vercel

    def client():
        return Client(vercel().provider, Credential(sim.token, "test"), urls={"api": sim.url})

    one = client()
    one.send(read)
    other = client()
    assert other.budgets(read.method).get(read.method) is not None
    for each in (one, other):
        each.close()
    del one, other, each
    gc.collect()
    third = client()
    assert third.budgets(read.method).get(read.method) is None
    third.close()


def test_what_another_process_eats_up_is_waited_for(simulate, make_client, read):
    sim = simulate(3, rate_limit="10/1")
    client = make_client(sim)
    for _ in range(3):
        client.send(read)
    eater = make_client(sim)
    eater._budgets_for = lambda *_: type(client._budgets_for(read.method, {}))()  # as elsewhere
    for _ in range(7):
        eater.send(read)
    assert client.send(read).status == 200
    assert statuses(sim)[-1] == 200


def test_a_wait_that_is_longer_than_allowed_is_refused_before_the_request(
    simulate, make_client, read
):
    sim = simulate(3, rate_limit="2/600")
    client = make_client(sim, max_wait=1)
    client.send(read)
    client.send(read)
    with pytest.raises(
        WaitTooLongError, match=r"only in \d+ minutes.*max_wait allows 1 s"
    ) as raised:
        client.send(read)
    assert 500 < raised.value.wait <= 601
    assert statuses(sim) == [200, 200]


def test_a_wait_for_the_limit_ends_at_once_when_the_statement_is_cancelled(
    simulate, make_client, read
):
    sim = simulate(3, rate_limit="1/100")
    client = make_client(sim)
    client.send(read)
    timer = threading.Timer(0.3, client.scope.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(StatementCancelledError):
        client.send(read)
    assert time.monotonic() - began < PATIENCE
    timer.join()
    assert len(statuses(sim)) == 1


def test_a_wait_that_is_longer_than_the_statement_may_take_is_known_at_once(
    simulate, make_client, read
):
    sim = simulate(3, rate_limit="1/100")
    client = make_client(sim)
    client.send(read)
    client.scope = CancelScope(50)
    began = time.monotonic()
    with pytest.raises(
        StatementTimeoutError,
        match=r"50 s \(timeout\), and the rate limit lets .* only in \d+\.\d s$",
    ):
        client.send(read)
    assert time.monotonic() - began < 20
    assert len(statuses(sim)) == 1


def test_who_waits_for_the_first_answer_of_all_is_not_held_up_by_one_that_hangs(
    sim, make_client, read
):
    sim.faults(kind="hang", ms=20_000)
    client = make_client(sim, attempts=1, request_timeout=15)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        all_four = [pool.submit(client.send, read) for _ in range(4)]
        done = 0
        while done < 3 and time.monotonic() - began < PATIENCE:
            done = sum(each.done() for each in all_four)
            time.sleep(0.02)
        assert time.monotonic() - began < 12, "the hanging one takes 15 s"
        client.scope.cancel()
    assert sum(each.exception() is None for each in all_four) == 3


def test_limits_of_different_endpoints_do_not_wait_for_each_other(
    simulate, make_client, read, listing
):
    sim = simulate(3, rate_limit="1/100")
    client = make_client(sim)
    client.send(read)
    client.send(listing)
    assert statuses(sim) == [200, 200]
