"""A session of the shell: runs entries, and writes their results to the terminal or to a file."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vercel_sql import Connection
from vercel_sql.cli import FINE
from vercel_sql.cli.output import Output, Settings
from vercel_sql.cli.runner import Runner, RunnerOptions, ScriptText
from vercel_sql.cli.shell.commands import CommandError, LeaveShell, run_command
from vercel_sql.cli.shell.entries import split
from vercel_sql.cli.terminal import complain
from vercel_sql.errors import Error, MissingTokenError, TooManyWritesError, WaitTooLongError
from vercel_sql.http.events import RequestEvent
from vercel_sql.messages import say
from vercel_sql.sql import NO_PARAMETERS
from vercel_sql.sql.plan import Plan

_TERMINATED = 128 + signal.SIGTERM
_WITHOUT_LOGIN = "To try things out without an account, run vercel-sql shell --demo."
_UNBOUND = "In the shell, write the value in its place."
_NESTING = 20  # files that .read one another


class Session:
    """A connection, the settings, and the requests of the last statement.

    Args:
        connection: the connection.
        ask: asks the person whether a write may be sent.
        watched: whether to show the progress of a long statement.
    """

    def __init__(
        self, connection: Connection, ask: Callable[[Plan], bool], *, watched: bool = True
    ) -> None:
        self.connection = connection
        self.settings = Settings()
        self.output = Output(self.settings, on_terminal=True)
        self.events: list[RequestEvent] = []
        self._ask = ask
        self._depth = 0
        options = RunnerOptions(
            is_shell=True,
            watched=watched,
            hints={
                MissingTokenError: _WITHOUT_LOGIN,
                TooManyWritesError: "(here: .maxwrites COUNT)",
                WaitTooLongError: "(here: vercel-sql shell --max-wait SECONDS)",
            },
            unbound=_UNBOUND,
            approve=self._approve,
            around=self._observed,
        )
        self._runner = Runner(connection, self.output, options)

    def enter(self, text: str) -> bool:
        """Run an entry, and return whether all of it succeeded."""
        return self._run_entry(text, "")

    def read(self, text: str, source: str) -> None:
        """Run the text of a file, up to its first error."""
        if self._depth >= _NESTING:
            raise CommandError(f"{source} reads itself, or files are nested too deeply")
        self._depth += 1
        try:
            if not self._run_entry(text, source):
                raise CommandError(f"stopped reading {source}")
        finally:
            self._depth -= 1

    def say(self, *lines: str) -> None:
        """Show something that is not a result."""
        say(*map(self._runner.mask, lines), out=sys.stdout)

    def rows(self, query: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of one of the shell's own queries."""
        return self.connection.execute(query, dict(parameters)).fetchall()

    def close(self) -> None:
        """Close the output file."""
        self.output.reset()

    def _run_entry(self, text: str, source: str) -> bool:
        for entry in split(text):
            if entry.is_command:
                done = self._command(entry.text)
            else:
                code = self._runner.run([ScriptText(source, entry.text)], NO_PARAMETERS)
                if code == _TERMINATED:
                    raise LeaveShell(code)
                done = code == FINE
            if not done:
                return False
        return True

    def _command(self, line: str) -> bool:
        try:
            with self._runner.stoppable():
                run_command(self, line)
        except (CommandError, Error) as error:
            self._runner.complain(str(error))
        except OSError as error:
            complain(f"the output can't be written: {error.strerror or 'unknown error'}", "")
        except KeyboardInterrupt:
            complain("interrupted", "")
            if self._runner.stop_code == _TERMINATED:
                raise LeaveShell(_TERMINATED) from None
        else:
            return True
        return False

    def _approve(self, plan: Plan) -> bool:
        try:
            return not self.settings.confirm or self._ask(plan)
        except KeyboardInterrupt:  # it answers the question; the shell continues
            return False

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Record the requests of a statement, and show how long it took if asked to."""
        self.events = []
        began, before = time.perf_counter(), os.times()
        try:
            with self.connection.observed(self.events.append):
                yield
        finally:
            if self.settings.timer:
                real, after = time.perf_counter() - began, os.times()
                user, system = after.user - before.user, after.system - before.system
                self.say(f"Run Time (s): real {real:.3f} user {user:.6f} sys {system:.6f}")
