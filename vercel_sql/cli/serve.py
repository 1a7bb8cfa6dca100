"""``vercel-sql serve``: serves the tables of an account to DuckDB clients until it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vercel_sql.cli import FAILED, FINE, INTERRUPTED
from vercel_sql.cli.accounts import logged, make_client, simulated
from vercel_sql.cli.commands import BOUNDS
from vercel_sql.cli.terminal import complain
from vercel_sql.errors import Error, ParameterError
from vercel_sql.files import named_path
from vercel_sql.server.bounds import Bounds, Settings, acceptable_token, lines_to_paste
from vercel_sql.text import say

if TYPE_CHECKING:
    from types import FrameType

    from vercel_sql.server.server import Link, Server

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Show three lines to paste into a DuckDB shell, then serve until a signal stops it."""
    if arguments.allow_writes and not arguments.secrets_file:
        parser.error("--allow-writes needs --save-secrets FILE: a new token is shown only once")
    if arguments.secrets_file and not arguments.allow_writes:
        parser.error("--save-secrets is for --allow-writes")
    from vercel_sql import files

    if files.IS_WINDOWS:
        parser.error(
            "serve does not run on Windows, but it does in WSL, on ports that Windows can reach"
        )
    try:
        with ExitStack() as stack:
            if arguments.demo:
                arguments.token = simulated(arguments, stack)
            return _serve(arguments)
    except Error as error:
        complain(str(error))
        return FAILED


def _serve(arguments: argparse.Namespace) -> int:
    from vercel_sql.cli.terminal import waiting
    from vercel_sql.server.children import Children, python_command
    from vercel_sql.server.front import Front, Supervisor

    token = acceptable_token(_server_token(arguments.server_token_file))
    given = {
        name: [str(file) for file in value] if name == "extensions" else value
        for name, value in vars(arguments).items()
    }
    # Arrow's own allocator keeps a heap for each thread, and Quack has more than a hundred.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        with _Ending() as ending:
            bounds = _bounds(arguments)
            command = python_command(f"{__name__}:database_process")
            children = Children(command, {"arguments": given}, bounds)
            # The port comes first: if it is taken, nothing else is started.
            front = Front(arguments.port, token, children, bounds)
            with waiting("DuckDB's process and its extension quack"):
                supervisor = Supervisor(children, front)
            ending.is_orderly = True
            try:
                _announce(token, arguments)
                ending.wait()
                _say("stopping; waiting for writes in progress, a minute at most")
                ended = supervisor.close()
            except BaseException:
                supervisor.kill()
                raise
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    if not ended:
        _say("some statements could not be cancelled, and were cut off")
    return FINE


def _bounds(arguments: argparse.Namespace) -> Bounds:
    return Bounds(**{name: getattr(arguments, name) for name in BOUNDS})


def database_process() -> NoReturn:
    """Run DuckDB's process."""
    from vercel_sql.server.server import Link, leave, live

    link = Link()
    arguments = argparse.Namespace(**link.settings["arguments"])
    bounds = _bounds(arguments)

    def run() -> int:
        return live(link, lambda: _database_server(arguments, link), bounds)

    leave(logged(arguments, run))


def _database_server(arguments: argparse.Namespace, link: Link) -> Server:
    from vercel_sql.ledger.secrets_file import SecretsFile
    from vercel_sql.server.server import Server

    client = make_client(
        arguments,
        getattr(arguments, "token", None),
        read_only=not arguments.allow_writes,
        max_wait=arguments.max_wait,
    )
    client.credential.require("vercel-sql serve")
    settings = Settings(
        writes=arguments.allow_writes,
        secrets_file=SecretsFile(arguments.secrets_file) if arguments.secrets_file else None,
        on_orphan=arguments.on_orphan,
        mark_names=arguments.mark_names,
        max_writes=arguments.max_writes,
        max_wait=arguments.max_wait,
        extensions=tuple(map(Path, arguments.extensions)),
        bounds=_bounds(arguments),
    )
    return Server(
        client,
        settings,
        listener=link.listener,
        token=link.token,
        claim=link.claim,
        say=link.say,
        on_broken=link.give_up,
    )


def _announce(token: str, arguments: argparse.Namespace) -> None:
    file = arguments.server_token_file
    shown = token if file is None else f"the token in {file}"
    say(*lines_to_paste(arguments.port, shown), out=sys.stdout)
    mode = "reads and writes" if arguments.allow_writes else "only reads"
    _say(f"paste the lines above into a DuckDB shell. Serving {mode} until Ctrl-C")


def _say(text: str) -> None:
    # The terminal may be gone: everything is finished all the same.
    with suppress(OSError):
        complain(text)


def _server_token(path: str | None) -> str | None:
    """The token that clients need, from a file that only its owner can read."""
    if path is None:
        return None
    from vercel_sql.files import read_trusted

    try:
        content, _ = read_trusted(named_path(path), forbidden=0o077)
        token = content.decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ParameterError(f"--server-token-file: {path} can't be read: {reason}") from None
    if not token:
        raise ParameterError(f"--server-token-file: {path} is empty")
    return token


class _Ending:
    """Waits for a signal that stops the command; a second one ends it at once.

    Attributes:
        is_orderly: whether there is something to stop in order; else the first ends it at once.
    """

    def __init__(self) -> None:
        self._came = threading.Event()
        self.is_orderly = False

    def __enter__(self) -> _Ending:
        # Ignored signals stay ignored, as under nohup and in a shell's background.
        heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self) -> None:
        self._came.wait()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._came.is_set() or not self.is_orderly:
            raise KeyboardInterrupt
        self._came.set()
