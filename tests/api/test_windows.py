"""The budget of one endpoint against made-up servers, in made-up time."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from vercel_sql.http.rate_limits import EndpointBudget, Permit, RateLimitHeaders

EPOCH = 1_795_000_000.0


@dataclass
class Server:
    """Fixed windows, of which each begins with its first request, or with the clock's."""

    limit: int
    seconds: float
    aligned: bool = False
    rounding: object = math.ceil
    ends: float = 0.0
    used: int = 0
    refused: int = 0
    served: list[float] = field(default_factory=list)

    def take(self, now: float, *, counted: bool = True) -> RateLimitHeaders:
        if now >= self.ends:
            begun = now // self.seconds * self.seconds if self.aligned else now
            self.ends, self.used = begun + self.seconds, 0
        if self.used < self.limit:
            self.used += 1
            if counted:
                self.served.append(now)
        elif counted:
            self.refused += 1
        reset = self.rounding(self.ends)
        left = max(0.0, reset - math.floor(now))  # as from the answer's own Date
        return RateLimitHeaders(self.limit, self.limit - self.used, reset, left)


class World:
    """Threads that send requests to a server one after the other, through one budget."""

    def __init__(self, server, requests, apart, seed):
        self.server, self.todo, self.apart = server, requests, apart
        self.budget, self.dice = EndpointBudget(), random.Random(seed)
        self.under_way = 0
        self.waiting: set[int] = set()
        self._events: list[tuple[float, int, object]] = []
        self._number = 0
        self.now = 0.0

    def at(self, when, act, *given):
        self._number += 1
        heapq.heappush(self._events, (when, self._number, lambda: act(*given)))
        return self._number

    def run(self):
        while self.todo or self.under_way:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def somewhen(self):
        return self.now + self.apart * self.dice.uniform(0.2, 0.8)

    def others(self, frequency):
        """Requests of other processes, so many a second."""
        self.server.take(self.now, counted=False)
        self.at(self.now + self.dice.expovariate(frequency), self.others, frequency)

    def ask(self):
        if not self.todo:
            return
        turn = self.budget.ask(self.now)
        if isinstance(turn, Permit):
            self.todo -= 1
            self.under_way += 1
            self.at(self.somewhen(), self.arrive, turn)
        else:
            self.waiting.add(self.at(self.now + turn, self.wake))

    def wake(self, *, all_of_them=False):
        number = len(self.waiting) if all_of_them else min(1, len(self.waiting))
        for _ in range(number):
            self.waiting.pop()
            self.at(self.now, self.ask)

    def arrive(self, turn):
        refused = self.server.refused
        told = self.server.take(self.now)
        self.todo += self.server.refused - refused  # to be sent again
        self.at(self.somewhen(), self.answer, turn, told)

    def answer(self, turn, told):
        self.under_way -= 1
        if self.budget.end(turn, told, self.now, answered=True):
            self.wake(all_of_them=True)
        self.ask()


def run(server, requests, *, threads=8, seconds=0.02, others=0.0, seed=1, start=0.3):
    """Gives how long the server was asked."""
    world = World(server, requests, seconds, seed)
    for thread in range(threads):
        world.at(EPOCH + start + thread * 1e-4, world.ask)
    if others:
        world.at(EPOCH + start, world.others, others)
    world.run()
    assert len(server.served) == requests
    return server.served[-1] - server.served[0]


def allowed(server, requests):
    """What the limit takes for so many requests, of which the server says the end in seconds."""
    return (math.ceil(requests / server.limit) - 1) * (math.ceil(server.seconds) + 1)


@pytest.mark.parametrize("start", [0.0, 0.01, 0.3, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    ("limit", "seconds"),
    [(20, 1), (20, 0.9), (20, 2), (50, 3), (100, 10), (9, 1), (500, 60), (8, 5), (30, 4)],
)
def test_many_threads_never_run_into_the_limit_and_lose_little_time(limit, seconds, aligned, start):
    server = Server(limit, seconds, aligned)
    requests = limit * 6
    took = run(server, requests, start=start)
    assert server.refused == 0
    assert took <= 1.1 * max(allowed(server, requests), seconds), (took, allowed(server, requests))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("threads", [1, 3, 8, 16])
def test_whatever_the_limit_the_threads_and_the_distance(seed, threads):
    dice = random.Random(f"{seed}/{threads}")
    server = Server(dice.randint(1, 60), dice.uniform(0.3, 8), dice.random() < 0.5)
    apart = dice.choice([0.002, 0.02, 0.15])
    requests = dice.randint(1, 6) * server.limit + dice.randint(0, 9)
    took = run(
        server, requests, threads=threads, seconds=apart, seed=seed, start=dice.uniform(0, 1)
    )
    assert server.refused == 0
    windows = math.ceil(requests / server.limit)
    alone = math.ceil(server.limit / threads) * apart * 2
    assert took <= windows * (math.ceil(server.seconds) + 1 + alone + 2 * apart)


@pytest.mark.parametrize("aligned", [False, True])
def test_resets_that_are_rounded_down_are_run_into_at_most_once(aligned):
    server = Server(20, 1.5, aligned, rounding=math.floor)
    run(server, 200)
    assert server.refused <= 1


def test_what_others_take_is_noticed():
    server = Server(40, 2)
    took = run(server, 200, others=8.0)
    assert server.refused < 20, "at most a few in each window, at its end"
    assert took < 2.5 * allowed(server, 200)


# One step at a time


def headers(limit, remaining, reset, date=EPOCH):
    told = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}": str(value) for name, value in told.items()} | {
        "date": format_datetime(datetime.fromtimestamp(date, UTC), usegmt=True)
    }


def told(remaining, reset, limit=20):
    return RateLimitHeaders(limit, remaining, EPOCH + reset, reset)


class Steps:
    """An endpoint's budget at a clock that stands still unless it is moved."""

    def __init__(self):
        self.budget = EndpointBudget()
        self.now = 0.0

    def ask(self):
        return self.budget.ask(self.now)

    def turns(self, count):
        given = [self.ask() for _ in range(count)]
        assert all(isinstance(turn, Permit) for turn in given)
        return given

    def end(self, turn, what, answered=True):
        if what is not None:
            what = replace(what, seconds=max(0.0, what.reset - EPOCH - math.floor(self.now)))
        return self.budget.end(turn, what, self.now, answered=answered)

    def opened(self, remaining=19, reset=60, limit=20):
        """A window in which one request has been answered."""
        self.end(self.ask(), told(remaining, reset, limit))
        return self


@pytest.fixture
def steps():
    return Steps()


def test_one_goes_first_while_nothing_is_known(steps):
    (first,) = steps.turns(1)
    assert steps.ask() == 1.0
    assert steps.end(first, told(19, 60)), "who waits has to ask again"
    assert len(steps.turns(19)) == 19
    assert steps.ask() == 60


def test_the_first_is_not_waited_for_for_ever(steps):
    (first,) = steps.turns(1)
    steps.now = 1.1
    steps.turns(30)
    steps.end(first, told(19, 60))
    assert steps.ask() == 59, "all that are under way count, and Date is in whole seconds"


def test_where_the_first_gets_no_answer_another_goes_first(steps):
    (first,) = steps.turns(1)
    assert steps.end(first, None, answered=False)
    (second,) = steps.turns(1)
    assert steps.ask() == 1.0
    steps.end(second, told(19, 60))
    steps.turns(19)


def test_a_server_that_tells_nothing_has_no_limit(steps):
    (first,) = steps.turns(1)
    assert steps.end(first, None)
    steps.turns(500)


def test_an_answer_never_raises_what_is_left_in_its_window(steps):
    steps.opened()
    early, *_others = steps.turns(10)
    steps.end(early, told(18, 60))
    steps.turns(9)
    assert steps.ask() == 60


def test_an_answer_lowers_what_is_left(steps):
    steps.opened()
    (one,) = steps.turns(1)
    steps.end(one, told(2, 60))
    steps.turns(2)
    assert steps.ask() == 60


def test_in_a_new_window_what_is_under_way_counts(steps):
    steps.opened(reset=10)
    steps.turns(5)
    steps.now = 10
    (first,) = steps.turns(1)
    steps.end(first, told(19, 20))
    steps.turns(14)
    assert steps.ask() == 10


def test_a_late_answer_of_an_old_window_is_not_taken_for_a_new_one(steps):
    steps.opened(reset=10)
    (late,) = steps.turns(1)
    steps.now = 10.5
    (first,) = steps.turns(1)
    steps.end(late, told(0, 10))
    assert steps.ask() == 1.0
    steps.end(first, told(19, 21))
    steps.turns(19)


def test_after_a_window_whose_reset_was_rounded_down_a_second_more_is_waited(steps):
    steps.opened(reset=10)
    steps.now = 10
    (first,) = steps.turns(1)
    steps.end(first, told(0, 10))
    assert steps.ask() == 1.0
    steps.now = 11
    (first,) = steps.turns(1)
    steps.end(first, told(19, 20))
    steps.now = 20.5
    steps.turns(19)
    assert steps.ask() == pytest.approx(0.5), "from then on always"


@pytest.mark.parametrize(
    "reset",
    [-1_700_000_000, -3600, 1000 * EPOCH],
    ids=["seconds from now", "clocks that differ", "milliseconds"],
)
def test_a_reset_that_is_no_moment_to_come_does_not_hold_anything_up(steps, reset):
    (first,) = steps.turns(1)
    steps.end(first, RateLimitHeaders.read(headers(20, 5, EPOCH + reset)))
    steps.turns(50)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-limit": "20"},
        {"x-ratelimit-limit": "many", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "5"},
        {"x-ratelimit-limit": "0", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"},
        {"x-ratelimit-limit": "9", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "inf"},
        {"x-ratelimit-limit": "9", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "nan"},
        {"x-ratelimit-limit": "9" * 5000, "x-ratelimit-remaining": "1", "x-ratelimit-reset": "5"},
    ],
)
def test_headers_that_make_no_sense_tell_nothing(headers):
    assert RateLimitHeaders.read(headers) is None


def test_a_window_lasts_from_an_answers_own_date_whatever_this_machines_clock_says():
    told = RateLimitHeaders.read(headers(20, 3, 1_000_060, date=1_000_000))
    assert (told.remaining, told.seconds) == (3, 60)


def test_answers_at_other_fractions_of_a_second_tell_the_end_of_a_window_more_exactly(steps):
    steps.opened(reset=60)
    steps.now = 0.9
    (one,) = steps.turns(1)
    steps.end(one, told(0, 60))
    assert steps.ask() == pytest.approx(59.1), "60 s after the first answer"
