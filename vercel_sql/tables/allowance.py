"""How many writes a statement may send: what would be too many is refused, and says how many."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from vercel_sql.errors import TooManyWritesError

# Statements of DuckDB's that are remembered; those that run at the same time are far fewer.
_REMEMBERED = 1024
SETTING = "max_writes"
"""What the limit is called in Python."""


class Allowance:
    """What one statement may send; threads may share it.

    Args:
        most: how many writes it may send altogether; None allows any number.
        setting: what people raise to allow more.

    Attributes:
        most: the same.
        taken: how many writes were allowed so far.
    """

    def __init__(self, most: int | None = None, setting: str = SETTING) -> None:
        self.most = most
        self.taken = 0
        self._setting = setting
        self._lock = threading.Lock()

    def take(self, what: str, count: int) -> None:
        """Takes so many writes out of what is allowed, or none of them.

        Args:
            what: the statement in a few words, for the error.
            count: how many writes it is about to send.

        Raises:
            TooManyWritesError: that is more than is left.
        """
        with self._lock:
            refused = self.refusal(what, count)
            if refused is not None:
                raise refused
            self.taken += count

    def refusal(self, what: str, count: int) -> TooManyWritesError | None:
        """The error that `take` would raise; None where it would not."""
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


class Allowances:
    """The allowances of DuckDB's own statements, which come one by one, a call of a function each.

    Args:
        most: how many writes each statement may send; None allows any number.
        setting: what people raise to allow more.
    """

    def __init__(self, most: int | None, setting: str = SETTING) -> None:
        self._most = most
        self._setting = setting
        self._by_statement: OrderedDict[Hashable, Allowance] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, statement: Hashable) -> Allowance:
        """The allowance of one statement.

        Args:
            statement: what tells it from all others.
        """
        with self._lock:
            found = self._by_statement.setdefault(statement, Allowance(self._most, self._setting))
            self._by_statement.move_to_end(statement)
            while len(self._by_statement) > _REMEMBERED:
                self._by_statement.popitem(last=False)
            return found


def _writes(count: int) -> str:
    return "1 write was" if count == 1 else f"{count} writes were"
