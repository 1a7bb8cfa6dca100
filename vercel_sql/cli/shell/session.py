"""A session of the shell: runs entries, and writes their results to the terminal or to a file.

A secret is shown only once: if the chosen mode cuts it or leaves it out, it follows in full.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from vercel_sql import Connection
from vercel_sql.cli import FINE
from vercel_sql.cli.output import SAMPLE, rehearse
from vercel_sql.cli.runner import Runner, RunnerOptions, ScriptText
from vercel_sql.cli.shell.commands import CommandError, LeaveShell, run_command
from vercel_sql.cli.shell.entries import split
from vercel_sql.cli.terminal import OutputError, terminal_width
from vercel_sql.errors import Error, MissingTokenError, TooManyWritesError, WaitTooLongError
from vercel_sql.files import READABLE, named_path, open_private, permissions
from vercel_sql.http.events import RequestEvent
from vercel_sql.render import Options, render_mode
from vercel_sql.sql import NO_PARAMETERS
from vercel_sql.sql.plan import Plan
from vercel_sql.text import complain, say, visible

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Settings:
    """The settings of a session, which dot commands change.

    Attributes:
        mode: one of the renderers' modes.
        headers, max_rows, widths: see `Options`.
        timer: whether to show how long each statement took.
        confirm: whether to ask before a write is sent.
    """

    mode: str = "duckbox"
    headers: bool = True
    max_rows: int | None = 40
    widths: tuple[int, ...] = ()
    timer: bool = False
    confirm: bool = True


class Destination:
    """Writes results according to the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file: TextIO | None = None
        self._is_for_one = False

    def redirect(self, path: str, *, once: bool = False) -> None:
        """Send the next result, or all that follow, to a file, which is emptied first."""
        if path == os.devnull:  # nobody's
            handle = os.open(path, os.O_WRONLY)
        else:
            flags = os.O_WRONLY | os.O_CREAT
            handle = open_private(named_path(path), flags, forbidden=READABLE)
            os.ftruncate(handle, 0)
        file = open(handle, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - stays open
        self.reset()
        self._file, self._is_for_one = file, once

    def reset(self) -> None:
        """Send what follows to the terminal."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def require_ready(self, *, has_secrets: bool) -> None:
        """Raise `OutputError` if a result can't be written, before anything makes one."""
        if self._file is not None and not os.fstat(self._file.fileno()).st_nlink:
            raise OutputError(
                "the output file was deleted: choose another with .output. Nothing was sent",
                reader_left=False,
            )
        if self._file is not None and has_secrets:
            _require_own(self._file)
        rehearse(lambda out: self._render(SAMPLE, out, terminal_width(), frozenset(["secret"])))

    def write(self, table: pa.Table, secrets: frozenset[str], *, whole: bool = False) -> None:
        """Write a result; `whole` shows all rows, whatever ``.maxrows`` says."""
        if self._file is None:
            self._to_terminal(table, secrets, whole)
            return
        try:
            self._to_file(self._file, table, secrets)
        finally:
            if self._is_for_one:
                self.reset()

    def write_lines(self, *lines: str) -> None:
        """Write lines that are not a result, such as the names of tables."""
        say(*lines, out=self._file or sys.stdout)
        if self._is_for_one:
            self.reset()

    def _to_terminal(self, table: pa.Table, secrets: frozenset[str], whole: bool) -> None:
        if not secrets:
            self._render(table, sys.stdout, terminal_width(), secrets, whole=whole)
            sys.stdout.flush()
            return
        shown = io.StringIO()
        self._render(table, shown, terminal_width(), secrets)
        sys.stdout.write(shown.getvalue())
        _write_missing(table, secrets, shown.getvalue())

    def _to_file(self, file: TextIO, table: pa.Table, secrets: frozenset[str]) -> None:
        if not secrets:
            self._render(table, file, None, secrets)
            file.flush()
            return
        _require_own(file)
        written = io.StringIO()
        self._render(table, written, None, secrets)
        file.write(written.getvalue())
        file.flush()
        os.fsync(file.fileno())
        _write_missing(table, secrets, written.getvalue())

    def _render(
        self,
        table: pa.Table,
        out: TextIO,
        width: int | None,
        secrets: frozenset[str],
        *,
        whole: bool = False,
    ) -> None:
        settings = self._settings
        max_rows = None if whole else settings.max_rows
        options = Options(max_rows=max_rows, headers=settings.headers, widths=settings.widths)
        render_mode(table, settings.mode, out, width=width, secret_columns=secrets, options=options)


def _require_own(file: TextIO) -> None:
    """Refuse to write secrets to a file that others may read."""
    mode = permissions(os.fstat(file.fileno()))
    if mode & 0o077:
        raise OutputError(
            f"others can read the output file (mode {mode:04o}), and the rows contain secrets: "
            "run chmod 600 on it",
            reader_left=False,
        )


def _write_missing(table: pa.Table, secrets: frozenset[str], shown: str) -> None:
    """Write the secrets that were not shown in full to the terminal."""
    wanted = {name.casefold() for name in secrets}
    names = [name for name in table.column_names if name.casefold() in wanted]
    rows = list(zip(*(_texts(table.column(name)) for name in names), strict=True))
    if all(text is None or text in shown for row in rows for text in row):
        return
    for number, row in enumerate(rows, start=1):
        if len(rows) > 1:
            say(f"row {number}", out=sys.stdout)
        for name, text in zip(names, row, strict=True):
            say(f"{name}: {'NULL' if text is None else text}", out=sys.stdout)


def _texts(column: pa.ChunkedArray) -> Iterator[str | None]:
    return (None if value is None else visible(str(value)) for value in column.to_pylist())


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
        self.destination = Destination(self.settings)
        self.events: list[RequestEvent] = []
        self._ask = ask
        self._depth = 0
        options = RunnerOptions(
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
            around=self._observed,
            leaves=2,
        )
        self._runner = Runner(connection, self.destination, options)

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
        self.destination.reset()

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
