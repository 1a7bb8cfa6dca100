"""What a write may do: where its secret goes, how many a statement sends, how long they wait."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from vercel_sql.errors import ParameterError, TooManyWritesError, WaitTooLongError
from vercel_sql.text import about, spelled

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from vercel_sql.http.client import Client
    from vercel_sql.http.rate_limits import Forecast
    from vercel_sql.ledger.secrets_file import SecretsFile
    from vercel_sql.manifest import Method

OnOrphan: TypeAlias = Literal["report", "revoke"]
# DuckDB statements that are remembered; far fewer run at the same time.
_REMEMBERED = 1024
SETTING = "max_writes"
"""The name of the limit in Python."""
_NOUNS = {"insert": "creation", "delete": "deletion"}


@dataclass(frozen=True)
class WritePolicy:
    """What happens to a write's secret, and to a row whose secret was lost.

    Attributes:
        secrets_file: where secrets that are shown once are saved first.
        on_orphan: what to do about a row that was made by a write whose answer was lost: name it
            in the error, or also revoke it, where it is proven whose it is.
        mark_names: whether new names end with a random mark, which is that proof (see `orphans`).
        is_shared: several callers share the credential of the calls, so that none of them may
            replace it.
    """

    secrets_file: SecretsFile | None = None
    on_orphan: OnOrphan = "report"
    mark_names: bool = False
    is_shared: bool = False

    def note(self, method: Method) -> str | None:
        """What a request of a method does not show before it is sent, for EXPLAIN."""
        trace = method.trace
        if not self.mark_names or trace is None or trace.mark is None:
            return None
        return f"{trace.mark} ends with a random mark"


def checked_on_orphan(on_orphan: str) -> OnOrphan:
    """The option ``on_orphan``, for callers that are not type-checked."""
    if on_orphan not in ("report", "revoke"):
        raise ParameterError(f"on_orphan is {on_orphan!r}; it must be 'report' or 'revoke'")
    return "report" if on_orphan == "report" else "revoke"


@dataclass(frozen=True)
class ArgumentSyntax:
    """How named arguments are written in a statement, for errors that say what to add.

    Attributes:
        sign: what stands before a name.
        equals: what stands between a name and its value.
        takes_null: whether NULL is a value, and not the same as leaving the argument out.
    """

    sign: str
    equals: str
    takes_null: bool

    def given(self, name: str, value: str = "…") -> str:
        return f"{self.sign}{name} {self.equals} {value}"

    def or_null(self, name: str, meaning: str) -> str:
        """The same argument as NULL, as an alternative; empty if NULL isn't a value."""
        return f", or {self.given(name, 'NULL')} {meaning}" if self.takes_null else ""


EXEC = ArgumentSyntax("@", "=", takes_null=True)
"""``EXEC … @name = value``."""

FUNCTION = ArgumentSyntax("", ":=", takes_null=False)
"""``FROM …(name := value)``; a macro passes NULL for what is left out."""


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
        """Takes so many writes out of what is left, or raises `TooManyWritesError`."""
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
            sent = "1 write was" if self.taken == 1 else f"{self.taken} writes were"
            left = "one more was" if count == 1 else f"{count} more were"
            text = f"{sent} sent, and {self._setting} allows {self.most}: {left} not sent"
        else:
            text = (
                f"it would send {count} {'write' if count == 1 else 'writes'}, and "
                f"{self._setting} allows {self.most}. Nothing was sent"
            )
        return TooManyWritesError(
            f"{what}: {text}. If you mean it, raise {self._setting} to {total} or more",
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
        waits = []
        writes = {each.name: each for each in methods if not each.reads}
        counts = Counter(each.name for each in methods)
        for name, method in writes.items():
            count = counts[name] * times
            forecast = client.budgets(method).forecast(method, count)
            if forecast is not None:
                waits.append((method, count, forecast))
        return cls(waits, client.provider.title) if waits else cls()

    @property
    def about(self) -> str:
        """How long all of it takes, such as ``about 25 minutes``; empty where nothing waits."""
        return about(sum(each.likely for *_, each in self.forecasts)) if self.forecasts else ""

    def __str__(self) -> str:
        """Such as ``250 deletions, about 25 minutes: Vercel allows 50 every 5 minutes``."""
        return "; ".join(
            f"{count} {_NOUNS.get(method.verb, 'request')}{'' if count == 1 else 's'}, "
            f"{about(each.likely)}: {self.title} allows {each.limit.requests} every "
            f"{spelled(each.limit.seconds).removeprefix('1 ')}"
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
