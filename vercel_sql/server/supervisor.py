"""A served account: the front and the database process behind it, on a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from vercel_sql.server.children import Children
from vercel_sql.server.front import Front

T = TypeVar("T")
_FLUSH_SECONDS = 2.0


class Supervisor:
    """Serves until it is closed.

    Args:
        children: the database processes.
        front: what stands in front of them.

    Raises:
        OperationalError: the database process can't start.
    """

    def __init__(self, children: Children, front: Front) -> None:
        self._children = children
        self._front = front
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            started.result()
        except BaseException:
            started.cancel()
            self.kill()
            raise

    async def _start(self) -> None:
        self._children.start()
        await self._children.require()
        await self._front.start()

    def close(self, patience: float = 60.0) -> bool:
        """Ends it: clients are told, and writes that are under way are waited for.

        Args:
            patience: for how many seconds.

        Returns:
            Whether all statements had ended.
        """
        ended = self._run(self._stop(patience))
        self._end()
        return ended

    async def _stop(self, patience: float) -> bool:
        ended = await self._children.stop(patience)
        await self._front.end(_FLUSH_SECONDS)
        return ended

    def kill(self) -> None:
        """Ends it at once."""
        self._run(self._kill())
        self._end()

    async def _kill(self) -> None:
        await self._children.kill()
        await self._front.end(_FLUSH_SECONDS)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
