"""A line on standard error that says how far a long statement is, where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vercel_sql import Connection
from vercel_sql.api import RequestEvent

_DELAY_SECONDS = 1.0


@contextmanager
def progress(connection: Connection) -> Iterator[None]:
    """Counts the requests while the context lasts; shown from the second second on."""
    if not sys.stderr.isatty():
        yield
        return
    # Imported here: a pipe or a scheduled job does not pay for it.
    from tqdm import tqdm

    with tqdm(
        file=sys.stderr, unit=" requests", delay=_DELAY_SECONDS, leave=False, dynamic_ncols=True
    ) as bar:

        def count(event: RequestEvent) -> None:
            bar.set_description(event.api_method, refresh=False)
            bar.update()

        with connection.observed(count):
            yield
