"""Rows in the order of their creation, and pages of them that neither lose nor double a row."""

import base64
import binascii
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vercel_sql.simulator._errors import invalid
from vercel_sql.simulator._json import Object

Key = tuple[int, str]
"""When a row was created (ms), and its id, which orders rows of the same millisecond."""

_MILLISECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)
_CURSOR_PREFIX = "cur_"


class Row(Protocol):
    """What a timeline can hold."""

    @property
    def id(self) -> str:
        """The row's own identifier."""

    @property
    def created_at(self) -> int:
        """When the row was created, in milliseconds since the epoch."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows, newest first, and how to ask for those before and after."""

    rows: list[R]
    next: int | str | None
    prev: int | None

    def pagination(self) -> Object:
        """Give the `pagination` object of an answer: its cursors are both numbers or both text."""
        is_text = isinstance(self.next, str) and self.prev is not None
        prev = str(self.prev) if is_text else self.prev
        return {"count": len(self.rows), "next": self.next, "prev": prev}


class Timeline(Generic[R]):
    """Rows by id and by creation; a page costs the same however many rows there are.

    Args:
        only_numbers: Whether cursors are numbers even where a number may lose a row.
    """

    def __init__(self, *, only_numbers: bool = False) -> None:
        self._only_numbers = only_numbers
        self._keys: list[Key] = []
        self._rows: dict[str, R] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        """Go through all rows, newest first."""
        return iter([self._rows[id_] for _, id_ in reversed(self._keys)])

    def get(self, id_: str) -> R | None:
        """Find the row of an id."""
        return self._rows.get(id_)

    def add(self, row: R) -> None:
        """Put in a new row.

        Raises:
            ValueError: There is a row with that id already.
        """
        if row.id in self._rows:
            raise ValueError(f"there is already a row with the id {row.id!r}")
        self._rows[row.id] = row
        insort(self._keys, (row.created_at, row.id))

    def extend(self, rows: Iterable[R]) -> None:
        """Put in many new rows, sorting once.

        Raises:
            ValueError: There is a row with one of the ids already.
        """
        for row in rows:
            if row.id in self._rows:
                raise ValueError(f"there is already a row with the id {row.id!r}")
            self._rows[row.id] = row
            self._keys.append((row.created_at, row.id))
        self._keys.sort()

    def remove(self, row: R) -> None:
        """Take out a row that is in the timeline."""
        del self._rows[row.id]
        del self._keys[bisect_left(self._keys, (row.created_at, row.id))]

    def page(
        self, limit: int, until: str | None, since: str | None = None, *, inclusive: bool = True
    ) -> Page[R]:
        """Give at most `limit` rows, newest first.

        Args:
            limit: How many rows at most.
            until: The cursor of an earlier page: a millisecond, or a string of ours.
            since: The millisecond from which on rows are wanted.
            inclusive: Whether `until` and `since` include their own millisecond.

        Raises:
            ApiError: A cursor is neither a millisecond nor one of ours (400).
        """
        end = len(self._keys) if until is None else self._position(until, inclusive)
        first = 0
        if since is not None:
            first = self._before(_milliseconds("since", since) + (not inclusive))
        start = max(first, end - limit)
        keys = self._keys[start:end] if start < end else []
        return Page(
            rows=[self._rows[id_] for _, id_ in reversed(keys)],
            next=self._cursor(start, limit, inclusive) if keys and start > first else None,
            prev=keys[-1][0] if keys else None,
        )

    def _before(self, millisecond: int) -> int:
        """Count the rows that are older than a millisecond."""
        return bisect_left(self._keys, (millisecond,))  # sorts before all of that millisecond

    def _position(self, until: str, inclusive: bool) -> int:
        """Count the rows that `until` leaves."""
        if until.startswith(_CURSOR_PREFIX):
            return bisect_left(self._keys, _read_cursor(until))
        return self._before(_milliseconds("until", until) + inclusive)

    def _cursor(self, start: int, limit: int, inclusive: bool) -> int | str:
        """Say where the page after the one that begins at `start` goes on.

        A millisecond is enough wherever it can lose nothing and brings something new:
        including its own, unless the rows that share it fill a whole page (the next page
        would be the same rows for ever); excluding its own, unless rows that share it
        are still to come (they would be lost).
        """
        created_at = self._keys[start][0]
        if inclusive:
            sharing = self._before(created_at + 1) - self._before(created_at)
            enough = sharing < limit
        else:
            enough = self._keys[start - 1][0] < created_at
        if self._only_numbers:
            return created_at if enough or not inclusive else created_at - 1
        return created_at if enough else _write_cursor(self._keys[start])


def _milliseconds(name: str, value: str) -> int:
    if not _MILLISECONDS.fullmatch(value):
        raise invalid(f"`{name}` should be a timestamp in milliseconds or a cursor.")
    return int(value)


def _write_cursor(key: Key) -> str:
    text = f"{key[0]}:{key[1]}"
    return _CURSOR_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> Key:
    encoded = cursor.removeprefix(_CURSOR_PREFIX)
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        created_at, colon, id_ = text.partition(":")
        key = (int(created_at), id_)
    except (binascii.Error, ValueError):
        raise invalid("`until` is not a cursor.") from None
    if not colon or _write_cursor(key) != cursor:  # nothing but what was given out
        raise invalid("`until` is not a cursor.")
    return key
