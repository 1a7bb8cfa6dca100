"""``vercel-sql serve``: serves the tables of an account to DuckDB clients, until it is ended."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from vercel_sql.cli.exit_codes import FAILED, FINE, INTERRUPTED
from vercel_sql.cli.options import add_account, add_max_wait, add_max_writes, add_on_orphan, seconds
from vercel_sql.errors import Error, ParameterError
from vercel_sql.messages import complain, say
from vercel_sql.paths import named_path
from vercel_sql.server.bounds import Bounds, Settings
from vercel_sql.server.client_setup import acceptable_token, lines_to_paste

if TYPE_CHECKING:
    from vercel_sql.api import Client
    from vercel_sql.server import Server
    from vercel_sql.server.child import Link

_PORT = 9494
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    add = parser.add_argument
    add(
        "--port",
        type=_port,
        default=_PORT,
        metavar="N",
        help=f"where to listen, on loopback only ({_PORT})",
    )
    add(
        "--server-token-file",
        metavar="FILE",
        help="a file with the token that clients need; without it, a random one is made and shown",
    )
    add(
        "--allow-writes",
        action="store_true",
        help="let clients create and revoke tokens and call all else that changes something",
    )
    add(
        "--save-secrets",
        metavar="FILE",
        help="with --allow-writes: the file, of mode 0600, to which every secret that is shown "
        "once is appended before a client sees it",
    )
    add_on_orphan(parser)
    add_max_writes(parser)
    add_max_wait(parser)
    add(
        "--extension",
        dest="extensions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="load this extension file in place of DuckDB's INSTALL quack; give it twice, httpfs "
        "before quack (for DuckDB 1.5.5 they are on PyPI)",
    )
    add("--demo", action="store_true", help="serve a simulated account of 250 tokens")
    add_account(parser)
    _add_bounds(parser)


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    """Adds what one client may take from the others; `Bounds` has the defaults."""
    bounds = Bounds()
    parser.add_argument(
        "--statement-timeout",
        type=seconds,
        default=bounds.statement_seconds,
        metavar="SECONDS",
        help=f"how long a client's statement may run ({bounds.statement_seconds:g})",
    )
    for option, default, what in (
        ("--memory-limit", bounds.memory, "MiB of memory that DuckDB's process may take"),
        ("--temp-limit", bounds.temp, "MiB of temporary files"),
        ("--threads", bounds.threads, "threads that compute, beside one for each statement"),
        ("--max-rows", bounds.rows, "rows that a statement may give"),
        ("--max-statements", bounds.statements, "statements that run at the same time"),
        ("--max-connections", bounds.connections, "connections that have not sent a request yet"),
    ):
        parser.add_argument(
            option, type=_above_0, default=default, metavar="N", help=f"{what} ({default})"
        )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Serves until a signal ends it, after three lines to paste into a DuckDB shell."""
    if arguments.allow_writes and not arguments.save_secrets:
        parser.error("--allow-writes needs --save-secrets FILE: a new token is shown only once")
    if arguments.save_secrets and not arguments.allow_writes:
        parser.error("--save-secrets is for --allow-writes")
    from vercel_sql import files

    if files.IS_WINDOWS:
        parser.error("it does not run on Windows. WSL runs it, on ports that Windows reaches")
    try:
        with ExitStack() as stack:
            if arguments.demo:
                _simulated(arguments, stack)
            return _serve(arguments)
    except Error as error:
        complain(str(error))
        return FAILED


def _simulated(arguments: argparse.Namespace, stack: ExitStack) -> None:
    from vercel_sql.simulator import Simulator

    simulator = stack.enter_context(Simulator())
    arguments.api_url = arguments.oauth_url = simulator.url
    arguments.marketplace_url = simulator.marketplace_url
    arguments.token = simulator.token


def _serve(arguments: argparse.Namespace) -> int:
    from vercel_sql.cli.waiting import waiting
    from vercel_sql.server.children import Children, Supervisor, python_command
    from vercel_sql.server.front import Front

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
            # The port comes first: where it is taken, nothing else is begun.
            front = Front(arguments.port, token, children, bounds)
            with waiting("DuckDB's process and its extension quack"):
                supervisor = Supervisor(children, front)
            ending.is_orderly = True
            try:
                _announce(token, arguments)
                ending.wait()
                _say("stopping; writes that are under way are waited for, a minute at most")
                ended = supervisor.close()
            except BaseException:
                supervisor.kill()
                raise
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    if not ended:
        _say("some statements could not be cancelled, and are cut off")
    return FINE


def _bounds(arguments: argparse.Namespace) -> Bounds:
    return Bounds(
        statement_seconds=arguments.statement_timeout,
        statements=arguments.max_statements,
        rows=arguments.max_rows,
        memory=arguments.memory_limit,
        temp=arguments.temp_limit,
        threads=arguments.threads,
        connections=arguments.max_connections,
    )


def database_process() -> NoReturn:
    """What the process runs that DuckDB is in."""
    from vercel_sql.cli.logged import logged
    from vercel_sql.server.child import Link, leave, live

    link = Link()
    arguments = argparse.Namespace(**link.settings["arguments"])
    bounds = _bounds(arguments)

    def run() -> int:
        return live(link, lambda: _database_server(arguments, link), bounds)

    leave(logged(arguments, run))


def _database_server(arguments: argparse.Namespace, link: Link) -> Server:
    from vercel_sql.api import SecretsFile
    from vercel_sql.server import Server

    settings = Settings(
        writes=arguments.allow_writes,
        secrets_file=SecretsFile(arguments.save_secrets) if arguments.save_secrets else None,
        on_orphan=arguments.on_orphan,
        mark_names=arguments.mark_names,
        max_writes=arguments.max_writes,
        max_wait=arguments.max_wait,
        extensions=tuple(map(Path, arguments.extensions)),
        bounds=_bounds(arguments),
    )
    return Server(
        _client(arguments),
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
    # The terminal may be gone, which is no reason to leave anything unfinished.
    with suppress(OSError):
        complain(text)


def _client(arguments: argparse.Namespace) -> Client:
    from vercel_sql.connection.account import Account
    from vercel_sql.ledger.audit_log import chosen_log

    urls = {name: getattr(arguments, f"{name}_url") for name in ("api", "oauth", "marketplace")}
    client = Account(
        getattr(arguments, "token", None),
        urls,
        chosen_log(arguments.audit_log),
        not arguments.allow_writes,
        arguments.max_wait,
        arguments.request_timeout,
        arguments.strict,
        arguments.token_file,
    ).client()
    client.credential.require("vercel-sql serve")
    return client


def _server_token(path: str | None) -> str | None:
    """The token that clients need, from its file.

    Raises:
        ParameterError: the file can't be read, or others may read it.
    """
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
    """Waits for a signal that ends the command; a second one ends it at once.

    Attributes:
        is_orderly: whether the first one ends it in order: there is something to end.
    """

    def __init__(self) -> None:
        self._came = threading.Event()
        self.is_orderly = False

    def __enter__(self) -> _Ending:
        # What is ignored stays so, as nohup and shells have it for what runs in the background.
        heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self) -> None:
        """Returns when the signal came."""
        self._came.wait()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._came.is_set() or not self.is_orderly:
            raise KeyboardInterrupt
        self._came.set()


def _above_0(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is not a port number")
    return int(text)
