"""How many writes a statement may send, and how long rate limits make them wait."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vercel_sql.errors import TooManyWritesError, WaitTooLongError
from vercel_sql.text import about, spelled

if TYPE_CHECKING:
    from vercel_sql.http.client import Client
    from vercel_sql.http.rate_limits import Forecast
    from vercel_sql.manifest import Method

# DuckDB statements that are remembered; far fewer run at the same time.
_REMEMBERED = 1024
SETTING = "max_writes"
"""The name of the limit in Python."""
_NOUNS = {"insert": "creation", "delete": "deletion"}


class WriteBudget:
    """How many writes one statement may send; threads may share it.

    Attributes:
        most: how many altogether; None allows any number.
        taken: how many were allowed so far.
    """

    def __init__(self, most: int | None = None, setting: str = SETTING) -> None:
        self.most = most
        self.taken = 0
        self._setting = setting
        self._lock = threading.Lock()

    def take(self, what: str, count: int) -> None:
        """Takes so many writes out of what is left, or raises `TooManyWritesError`.

        ``what`` is the statement in a few words, for the error.
        """
        with self._lock:
            refused = self.refusal(what, count)
            if refused is not None:
                raise refused
            self.taken += count

    def refusal(self, what: str, count: int) -> TooManyWritesError | None:
        """The error that `take` would raise, if any."""
        total = self.taken + count
        if self.most is None or total <= self.most:
            return None
        if self.taken:
            text = (
                f"{what}: {_writes(self.taken)} sent, and {self._setting} allows {self.most}: "
                f"{'one more was' if count == 1 else f'{count} more were'} not sent"
            )
        else:
            text = (
                f"{what}: it would send {count} {'write' if count == 1 else 'writes'}, and "
                f"{self._setting} allows {self.most}. Nothing was sent"
            )
        return TooManyWritesError(
            f"{text}. If you mean it, raise {self._setting} to {total} or more",
            writes=total,
            limit=self.most,
        )


class WriteBudgets:
    """The budgets of DuckDB's own statements, each write of which is a function call."""

    def __init__(self, most: int | None, setting: str = SETTING) -> None:
        self._most = most
        self._setting = setting
        self._by_statement: OrderedDict[Hashable, WriteBudget] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, statement: Hashable) -> WriteBudget:
        """The budget of one statement, given what tells it from all others."""
        with self._lock:
            found = self._by_statement.setdefault(statement, WriteBudget(self._most, self._setting))
            self._by_statement.move_to_end(statement)
            while len(self._by_statement) > _REMEMBERED:
                self._by_statement.popitem(last=False)
            return found


@dataclass(frozen=True)
class Pace:
    """What rate limits do to writes that are yet to be sent.

    Attributes:
        forecasts: for each method whose limit makes them wait: the method, how many requests, and
            for how long.
        title: whose limits they are.
    """

    forecasts: Sequence[tuple[Method, int, Forecast]] = ()
    title: str = ""

    @classmethod
    def of(cls, client: Client, methods: Sequence[Method], times: int = 1) -> Pace:
        """The pace of calling methods, once each, so many times; reads are not counted."""
        writes = {each.name: each for each in methods if not each.reads}
        counts = Counter(each.name for each in methods for _ in range(times))
        found = [
            (method, counts[name], _forecast(client, method, counts[name]))
            for name, method in writes.items()
        ]
        waits = [(method, count, each) for method, count, each in found if each is not None]
        return cls(waits, client.provider.title) if waits else cls()

    @property
    def about(self) -> str:
        """How long all of it takes, such as ``about 25 minutes``; empty where nothing waits."""
        return about(sum(each.likely for *_, each in self.forecasts)) if self.forecasts else ""

    def __str__(self) -> str:
        """Such as ``250 deletions, about 25 minutes: Vercel allows 50 every 5 minutes``."""
        return "; ".join(
            f"{_counted(method, count)}, {about(each.likely)}: {self.title} allows "
            f"{each.limit.requests} every {spelled(each.limit.seconds).removeprefix('1 ')}"
            for method, count, each in self.forecasts
        )

    def refusal(self, what: str, max_wait: float | None) -> WaitTooLongError | None:
        """The error if they surely wait longer than so many seconds; None does not limit them."""
        wait = sum(each.wait for *_, each in self.forecasts)
        if max_wait is None or wait <= max_wait:
            return None
        error = WaitTooLongError(
            f"{what}: {self}. It would wait at least {spelled(wait)}, and max_wait allows "
            f"{max_wait:g} s. Nothing was sent",
            wait=wait,
            limit=max_wait,
        )
        error.nothing_changed = True
        return error


def _forecast(client: Client, method: Method, count: int) -> Forecast | None:
    return client.budgets(method).forecast(method, count)


def _counted(method: Method, count: int) -> str:
    return f"{count} {_NOUNS.get(method.verb, 'request')}{'' if count == 1 else 's'}"


def _writes(count: int) -> str:
    return "1 write was" if count == 1 else f"{count} writes were"
