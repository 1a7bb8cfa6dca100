"""What the options make: connections, clients, the log."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from vercel_sql.cli import FAILED, WRONG_USE
from vercel_sql.cli.terminal import complain, wrapped
from vercel_sql.errors import DataWarning, Error, OperationalError, ParameterError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from vercel_sql import Connection
    from vercel_sql.http.client import Client


def opened(arguments: argparse.Namespace, token: str | None = None, **more: Any) -> Connection:
    """The connection that the options ask for; a token comes before them, and so does `more`.

    Options are called as the parameters of `connect`.
    """
    from inspect import signature

    from vercel_sql import connect

    known = signature(connect).parameters.keys() - {"token"}
    options = {name: value for name, value in vars(arguments).items() if name in known}
    return connect(token, **(options | more))


def make_client(
    arguments: argparse.Namespace,
    token: str | None = None,
    *,
    read_only: bool,
    max_wait: float | None = None,
) -> Client:
    """The client that the options ask for."""
    from vercel_sql.connection import opening

    return opening.make_client(
        token,
        _urls(arguments),
        token_file=arguments.token_file,
        audit_log=arguments.audit_log,
        request_timeout=arguments.request_timeout,
        max_wait=max_wait,
        strict=arguments.strict,
        read_only=read_only,
    )


def anonymous_client(arguments: argparse.Namespace, max_wait: float | None = None) -> Client:
    from vercel_sql.auth import Credential
    from vercel_sql.http.client import Client
    from vercel_sql.ledger.audit_log import chosen_log
    from vercel_sql.manifest import vercel

    return Client(
        vercel().provider,
        Credential(None, "nowhere"),
        urls={name: url for name, url in _urls(arguments).items() if url},
        max_wait=max_wait,
        request_timeout=arguments.request_timeout,
        audit_log=chosen_log(arguments.audit_log),
    )


def _urls(arguments: argparse.Namespace) -> dict[str, str | None]:
    return {name: getattr(arguments, f"{name}_url") for name in ("api", "oauth", "marketplace")}


def simulated(arguments: argparse.Namespace, stack: ExitStack) -> str:
    """Simulate an account of 250 tokens until the stack is closed; returns its token."""
    from vercel_sql.simulator import Simulator

    simulator = stack.enter_context(Simulator(tokens=250, seed=7))
    arguments.api_url = arguments.oauth_url = simulator.url
    arguments.marketplace_url = simulator.marketplace_url
    return simulator.token


def guarded(run: Callable[[], int]) -> int:
    """Run a command; report its error on standard error, and return the exit code."""
    try:
        return run()
    except Error as error:
        complain(str(error))
        return WRONG_USE if isinstance(error, ParameterError) else FAILED


def logged(arguments: argparse.Namespace, run: Callable[[], int]) -> int:
    """Run a command with the log that its options ask for, and return the exit code.

    Warnings always go to standard error.
    """
    import logging
    import warnings

    from vercel_sql.progress import LogFile, heard_by, on_standard_error

    class Warnings(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return wrapped(super().format(record))

    with ExitStack() as stack:
        if arguments.log_file is not None:
            try:
                file = LogFile(arguments.log_file)
            except OperationalError as error:
                complain(str(error))
                return WRONG_USE
            stack.callback(file.close)
            stack.enter_context(heard_by(file, logging.DEBUG))
        level = logging.DEBUG if arguments.verbose else None
        # What Python would show of them is in the log.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DataWarning)
        handler = on_standard_error(verbose=arguments.verbose)
        if not arguments.verbose:
            handler.setFormatter(Warnings("vercel-sql: %(message)s"))
        stack.enter_context(heard_by(handler, level))
        return run()
