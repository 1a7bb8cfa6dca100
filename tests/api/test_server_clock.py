"""What time it is at the server: learned from Date, whatever somebody does to the clocks."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from vercel_sql.http.requests import build_request
from vercel_sql.http.server_clock import ServerClock

NOW = 1_795_000_000.0


class Machine:
    """A machine whose clocks go on when they are told to."""

    def __init__(self) -> None:
        self.wall = NOW
        self.steady = 5000.0
        self.clock = ServerClock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def hear(self, ahead: float, *, elapsed: float = 0.02) -> None:
        """An answer that was made in the middle of its time, at a server that is ahead."""
        self.clock.learn(formatdate(self.wall - elapsed / 2 + ahead, usegmt=True), elapsed)

    @property
    def local_ms(self) -> int:
        return int(self.wall * 1000)


@pytest.fixture
def machine():
    return Machine()


def test_before_the_first_answer_it_is_the_local_time(machine):
    assert machine.clock.skew_seconds is None
    assert machine.clock.now_ms() == machine.local_ms
    assert machine.clock.cautious_ms() == machine.local_ms
    assert machine.clock.uncertainty is None
    assert machine.clock.earliest_ms() is None
    assert "unknown" in repr(machine.clock)


@pytest.mark.parametrize("ahead", [3600.4, -3600.4, 0.3, -0.3, 0.0, 86_400 * 400])
def test_the_offset_lies_within_what_is_said(machine, ahead):
    for _ in range(40):
        machine.hear(ahead)
        machine.wait(0.3137)
        assert abs(machine.clock.skew_seconds - ahead) <= machine.clock.uncertainty
        assert machine.clock.earliest_ms() <= machine.local_ms + ahead * 1000
    assert machine.clock.uncertainty < 0.2, "answers at many fractions of a second narrow it down"
    assert abs(machine.clock.now_ms() - (machine.wall + ahead) * 1000) < 200


def test_clocks_that_may_be_the_same_are_taken_for_the_same(machine):
    machine.hear(0.0)
    assert machine.clock.skew_seconds == 0
    assert machine.clock.now_ms() == machine.local_ms


def test_a_slow_answer_tells_less(machine):
    machine.hear(100.0, elapsed=8)
    assert 4 <= machine.clock.uncertainty <= 9
    machine.hear(100.0)
    assert machine.clock.uncertainty <= 1.1


@pytest.mark.parametrize("wrong", [-3600, 7200])
def test_one_wrong_date_changes_nothing(machine, wrong):
    for ahead in (10, 10, wrong, 10, wrong, wrong, 10):
        machine.hear(ahead)
        machine.wait(0.4)
        assert abs(machine.clock.skew_seconds - 10) < 1.1


def test_dates_that_stay_different_are_believed(machine):
    for _ in range(5):
        machine.hear(10)
    for _ in range(3):
        machine.hear(7210)
        machine.wait(1)
    assert abs(machine.clock.skew_seconds - 7210) < 1.1


def test_wrong_dates_that_do_not_agree_are_never_believed(machine):
    machine.hear(0)
    for number in range(20):
        machine.hear(1000 * (number + 1))
    assert machine.clock.skew_seconds == 0


@pytest.mark.parametrize("step", [-400 * 86_400, -3600, 30, 3600, 400 * 86_400])
def test_a_local_clock_that_is_set_changes_nothing_at_the_server(machine, step):
    machine.hear(10)
    server = machine.clock.now_ms()
    machine.wall += step
    assert abs(machine.clock.now_ms() - server) < 1100
    assert abs(machine.clock.skew_seconds - (10 - step)) < 1.1


def test_what_was_learned_long_ago_is_less_sure(machine):
    for _ in range(20):
        machine.hear(10)
        machine.wait(0.3137)
    before = machine.clock.uncertainty
    machine.wait(3600)
    assert 0.3 < machine.clock.uncertainty - before < 1


@pytest.mark.parametrize(
    "date", [None, "", "soon", "0", "Thu, 99 Foo 2020", "2026-01-01T00:00:00Z", "\x00", "9" * 5000]
)
def test_what_is_no_date_teaches_nothing(machine, date):
    machine.clock.learn(date, 0.1)
    assert machine.clock.skew_seconds is None


def test_a_client_learns_it_from_its_answers(sim, make_client, method):
    request = build_request(method("get_auth_token"), {"tokenId": "current"})
    client = make_client(sim)
    sim.faults(kind="clock_skew", seconds=-7200, times=None)
    client.send(request)
    assert abs(client.clock("api").skew_seconds + 7200) < 1.5


def test_all_clients_of_a_server_know_it_and_forget_it_with_the_last(sim, simulate, make_client):
    one, other = make_client(sim), make_client(sim, token="vcp_anotherToken00001")
    assert one.clock("api") is other.clock("api") is one.clock("oauth")
    assert one.clock("api") is not make_client(simulate(1)).clock("api")


def test_errors_tell_the_time_too(sim, make_client, method):
    client = make_client(sim, attempts=1)
    sim.faults(kind="clock_skew", seconds=500, times=None)
    sim.faults(kind="status", status=400)
    with pytest.raises(Exception, match="400"):
        client.send(build_request(method("get_auth_token"), {"tokenId": "current"}))
    assert abs(client.clock("api").skew_seconds - 500) < 1.5
