"""The simulated API on a socket of its own, in a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vercel_sql.simulator._app import SimulatedApi
from vercel_sql.simulator._delivery import CLOSE_CONNECTION

HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0
_ACCEPTING_TURNS = 10
"""Turns of the loop within which a connection that was accepted is also known (it takes 3)."""


def bind(port: int) -> socket.socket:
    """Take the port, which refuses connections until someone listens there.

    Raises:
        OSError: It is taken.
    """
    # asyncio turns off Nagle's algorithm only where the protocol is named; with it, every
    # answer would wait some 40 ms for the caller's delayed acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows, another process could take the port as well
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


class Serving:
    """One time of serving, from its making to its end; callers may connect once it is made.

    Args:
        api: What to serve.
        bound: The port to listen on, which is closed at the end.

    Raises:
        OSError: Someone else listens there by now.
        RuntimeError: It does not start.
    """

    def __init__(self, api: SimulatedApi, bound: socket.socket) -> None:
        try:
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
        self._server = _Server(api)
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="vercel-simulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError("the simulated API did not start")

    def end(self) -> None:
        """Close all connections and the port, and wait for the thread.

        Raises:
            RuntimeError: The thread did not end.
        """
        if not self._thread.is_alive():
            return
        self._server.leave()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulated API did not stop")


class _Connection(H11Protocol):
    """HTTP/1.1, with a way for the application to close the raw connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, CLOSE_CONNECTION: transport.close}


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, and that stops at once when it is told to."""

    def __init__(self, app: SimulatedApi) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                workers=1,  # else it reads WEB_CONCURRENCY
                http=_Connection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_keep_alive=75,  # an idle connection outlives any pause of a test
                date_header=False,  # the application tells the account's time
                headers=[("server", "Vercel")],
            )
        )
        self.ready = threading.Event()
        self.leave: Callable[[], object] = lambda: None
        """Stops the server, from any thread, once it is ready."""

    async def main_loop(self) -> None:
        """Serve until told to leave."""
        leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.leave = partial(loop.call_soon_threadsafe, leaving.set)
        await self.on_tick(0)
        self.ready.set()
        await leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and every connection, whatever is under way there.

        Connections are taken no more before the port is closed, since asyncio (of Python 3.13)
        forgets one whose server is closed between its being accepted and being made.
        """
        for listener in sockets or ():
            with suppress(NotImplementedError):  # the loop of Windows has no readers
                asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_ACCEPTING_TURNS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # lets connections be made, and learn that they are closed
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
