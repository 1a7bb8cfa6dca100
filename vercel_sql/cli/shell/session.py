"""A session of the shell: carries out what is entered, and knows nothing of how it is entered."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vercel_sql import Connection
from vercel_sql.api import RequestEvent
from vercel_sql.cli.exit_codes import FINE
from vercel_sql.cli.inputs import ScriptText
from vercel_sql.cli.running import Manner, Runner
from vercel_sql.cli.shell.commands import LeaveShell, run_command
from vercel_sql.cli.shell.destination import Destination
from vercel_sql.cli.shell.dot import CommandError
from vercel_sql.cli.shell.reading import split
from vercel_sql.cli.shell.settings import Settings
from vercel_sql.errors import Error, MissingTokenError, TooManyWritesError, WaitTooLongError
from vercel_sql.messages import complain, say
from vercel_sql.sql import NO_PARAMETERS
from vercel_sql.sql.plan import Plan

_TERMINATED = 128 + signal.SIGTERM
_WITHOUT_LOGIN = "To try things out without an account, run vercel-sql shell --demo."
_UNBOUND = "In the shell, write the value itself in its place."
_NESTING = 20  # files that .read one another


class Session:
    """What a person has open: a connection, the settings, and what the last statement did.

    Args:
        connection: the connection.
        ask: asks the person whether a write may be sent.
        watched: whether a line says how far a long statement is.

    Attributes:
        connection: the connection.
        settings: what is set.
        destination: where results go.
        events: the requests of the last statement.
    """

    def __init__(
        self, connection: Connection, ask: Callable[[Plan], bool], *, watched: bool = True
    ) -> None:
        self.connection = connection
        self.settings = Settings()
        self.destination = Destination(self.settings)
        self.events: list[RequestEvent] = []
        self._ask = ask
        self._depth = 0
        manner = Manner(
            prefix="",
            locate_sole=False,
            watched=watched,
            hints={
                MissingTokenError: _WITHOUT_LOGIN,
                TooManyWritesError: "(here: .maxwrites COUNT)",
                WaitTooLongError: "(here: vercel-sql shell --max-wait SECONDS)",
            },
            unbound=_UNBOUND,
            approve=self._approve,
            around=self._noted,
            leaves=2,
        )
        self._runner = Runner(connection, self.destination, manner)

    def enter(self, text: str) -> bool:
        """Carries out what was entered, and says whether all of it went well.

        Raises:
            LeaveShell: the shell is to end.
        """
        return self._carry_out(text, "")

    def read(self, text: str, source: str) -> None:
        """Carries out the text of a file, up to its first error.

        Raises:
            CommandError: something in it failed, and was told.
            LeaveShell: the shell is to end.
        """
        if self._depth >= _NESTING:
            raise CommandError(f"{source} is read by itself, or files are nested too deeply")
        self._depth += 1
        try:
            if not self._carry_out(text, source):
                raise CommandError(f"stopped reading {source}")
        finally:
            self._depth -= 1

    def say(self, *lines: str) -> None:
        """Tells the person something that is not a result."""
        say(*map(self._runner.mask, lines), out=sys.stdout)

    def rows(self, query: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of a query of the shell's own.

        Raises:
            Error: it failed.
        """
        return self.connection.execute(query, dict(parameters)).fetchall()

    def close(self) -> None:
        """Closes the file that results go to."""
        self.destination.reset()

    def _carry_out(self, text: str, source: str) -> bool:
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
            complain(f"that can't be written: {error.strerror or 'unknown error'}", "")
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
        except KeyboardInterrupt:  # it answers the question; the shell goes on
            return False

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Notes the requests of a statement, and says how long it took where that is wanted."""
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
