"""A session of the shell: runs entries until the person leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from prompt_toolkit.history import History, InMemoryHistory

from vercel_sql._version import __version__
from vercel_sql.cli import FINE, WRONG_USE
from vercel_sql.cli.accounts import opened, simulated
from vercel_sql.cli.output import Output, Settings
from vercel_sql.cli.runner import Runner, RunnerOptions, ScriptText
from vercel_sql.cli.shell.commands import DOT_COMMANDS, CommandError, LeaveShell, run_command
from vercel_sql.cli.shell.completion import ShellCompleter
from vercel_sql.cli.shell.prompt import (
    TERMINATED,
    EditingReader,
    MaskedHistory,
    PlainReader,
    can_edit,
    split,
    unechoed_controls,
)
from vercel_sql.cli.terminal import ask, complain
from vercel_sql.errors import (
    Error,
    ForbiddenError,
    JournalError,
    MissingTokenError,
    TooManyWritesError,
    TransportError,
    UnauthorizedError,
    WaitTooLongError,
)
from vercel_sql.files import READABLE, make_private, open_for_appending, state_dir
from vercel_sql.http.account import ask_account
from vercel_sql.http.client import Client
from vercel_sql.http.connections import is_loopback
from vercel_sql.ledger.journal_files import damaged_files, journal_folder, unfinished
from vercel_sql.manifest import vercel
from vercel_sql.sql import NO_PARAMETERS
from vercel_sql.text import say, visible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from vercel_sql import Connection
    from vercel_sql.auth.credentials import Credential
    from vercel_sql.http.events import RequestEvent
    from vercel_sql.sql.plan import Plan

_WITHOUT_LOGIN = "To try things out without an account, run vercel-sql shell --demo."
_UNBOUND = "In the shell, write the value in its place."
_NESTING = 20  # files that .read one another


class Session:
    """A connection, the settings, and the requests of the last statement."""

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
        return self._run_entry(text, "")

    def read(self, text: str, source: str) -> None:
        """Run the text of a file, up to its first error."""
        if self._depth >= _NESTING:
            raise CommandError(f"{source} reads itself, or the files are nested too deeply")
        self._depth += 1
        try:
            if not self._run_entry(text, source):
                raise CommandError(f"stopped reading {source}")
        finally:
            self._depth -= 1

    def say(self, *lines: str) -> None:
        say(*map(self._runner.mask, lines), out=sys.stdout)

    def rows(self, query: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, dict(parameters)).fetchall()

    def close(self) -> None:
        self.output.reset()

    def _run_entry(self, text: str, source: str) -> bool:
        for entry in split(text):
            if entry.is_command:
                done = self._command(entry.text)
            else:
                code = self._runner.run([ScriptText(source, entry.text)], NO_PARAMETERS)
                if code == TERMINATED:
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
            if self._runner.stop_code == TERMINATED:
                raise LeaveShell(TERMINATED) from None
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


_ACCOUNT = ("token_file", "api_url", "oauth_url", "marketplace_url")
_FIRST_PROMPT_SECONDS = 0.3  # that it waits for the account's name
_DEMO_HINT = "A simulated account. Try: FROM vercel.audit.user_tokens WHERE is_leaked;"
_LOGIN_HINT = "No Vercel token: run vercel-sql login, or vercel-sql shell --demo, which needs none."


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the shell until the person leaves it, and return the exit code."""
    if any(stream is None or not stream.isatty() for stream in (sys.stdin, sys.stdout)):
        parser.error("the shell needs a terminal; without one, use vercel-sql -c SQL")
    if arguments.demo and any(getattr(arguments, name) for name in _ACCOUNT):
        parser.error("--demo has its own account, and takes no token or URL")
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with ExitStack() as stack:
            return _run(arguments, stack)
    except LeaveShell as leaving:
        return leaving.code
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: argparse.Namespace, stack: ExitStack) -> int:
    try:
        token = simulated(arguments, stack) if arguments.demo else None
        connection = stack.enter_context(opened(arguments, token))
    except Error as error:
        complain(str(error))
        return WRONG_USE
    session = Session(connection, ask, watched=not arguments.verbose)
    stack.callback(session.close)
    session.settings.confirm = not arguments.yes
    stack.enter_context(unechoed_controls())
    label = AccountLabel(connection.client, is_simulated=arguments.demo)
    return _loop(session, label, is_demo=arguments.demo)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise LeaveShell(TERMINATED)


def _loop(session: Session, label: AccountLabel, *, is_demo: bool) -> int:
    try:
        completer = ShellCompleter(session.connection, DOT_COMMANDS)
        reader = _reader(session, label, completer)
        label.refresh(_FIRST_PROMPT_SECONDS)
        _greet(session.connection.client, label, is_demo=is_demo)
        while True:
            try:
                session.enter(reader.read())
                completer.refresh()
            except EOFError:
                sys.stdout.write("\n" if isinstance(reader, PlainReader) else "")
                return FINE
            except KeyboardInterrupt:
                if isinstance(reader, PlainReader):
                    sys.stdout.write("\n")
            label.refresh()
    finally:
        label.changed = lambda: None


def _reader(
    session: Session, label: AccountLabel, completer: ShellCompleter
) -> EditingReader | PlainReader:
    client = session.connection.client
    mark = " (read-only)" if client.read_only else ""

    def prompt() -> str:
        return f"{label.text}{mark}> "

    if not can_edit():
        return PlainReader(prompt)
    reader = EditingReader(prompt, history=_history(client), completer=completer)
    label.changed = reader.redraw
    return reader


def _history(client: Client) -> History:
    """The entries of earlier sessions; says so once if entries can't be saved."""
    try:
        path = state_dir() / "history"
        make_private(path.parent)
        os.close(open_for_appending(path, forbidden=READABLE))
    except OSError as error:
        complain(f"entries are not saved: {path}: {error.strerror or 'unknown error'}", "")
    except JournalError as error:
        complain(f"entries are not saved: {error}", "")
        return InMemoryHistory()
    return MaskedHistory(path, client.redactor.mask)


def _cut_off(client: Client) -> int:
    """How many creates at this API were cut off and are not continued."""
    try:
        folder, urls = journal_folder(), client.urls.values()
        told = [each for file in unfinished(folder) for each in file.creates if each.is_open]
        return sum(each.intent.url in urls for each in told) + len(damaged_files(folder))
    except (OSError, JournalError):
        return 0


def _greet(client: Client, label: AccountLabel, *, is_demo: bool) -> None:
    lines = [f"vercel-sql {__version__}: statements end with a semicolon, .help lists the commands"]
    if is_demo:
        lines.append(_DEMO_HINT)
    elif label.has_no_account:
        lines.append(_LOGIN_HINT)
    cut_off = 0 if is_demo else _cut_off(client)
    if cut_off:
        lines.append(
            f"{cut_off} earlier {'create was' if cut_off == 1 else 'creates were'} cut off: "
            "vercel-sql recover shows the outcome"
        )
    say(*lines, out=sys.stdout)


_SECONDS = 5.0  # for one request: being offline should show soon
_NO_ACCOUNT, _REFUSED, _OFFLINE = "no account", "token refused", "offline"
_SIMULATOR = "/_simulator/faults"  # only a simulator answers there


class AccountLabel:
    """The name of the account and the API, found in the background, for the prompt.

    It has a client of its own, so that its request is not mixed up with those of statements.
    `changed` is called in another thread when the name is known.
    """

    def __init__(
        self, client: Client, *, is_simulated: bool, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.changed = changed
        self._client = client
        self._is_simulated = is_simulated
        self._credential: Credential | None = None
        self._account = ""
        self._thread: threading.Thread | None = None

    @property
    def text(self) -> str:
        """The name so far, such as ``ada@vercel`` or ``simulated ada``."""
        account = visible(self._account)
        if account in (_NO_ACCOUNT, _REFUSED, _OFFLINE):
            return f"{account}@{self._place}" if self._place != "vercel" else account
        if self._is_simulated:
            return f"simulated {account}".rstrip()
        return f"{account}@{self._place}" if account else self._place

    @property
    def has_no_account(self) -> bool:
        return self._account == _NO_ACCOUNT

    def refresh(self, seconds: float = 0.0) -> None:
        """Ask, unless the token is known, and wait so many seconds for the answer."""
        credential = self._client.credential
        is_known = credential is self._credential and self._account != _OFFLINE
        if not is_known and (self._thread is None or not self._thread.is_alive()):
            if credential is not self._credential:
                self._account = ""
            self._credential = credential
            self._thread = threading.Thread(target=self._find, args=(credential,), daemon=True)
            self._thread.start()
        if self._thread is not None:
            self._thread.join(seconds)

    @property
    def _place(self) -> str:
        if self._is_simulated:
            return "simulated"
        url = self._client.urls["api"]
        is_own = url == vercel().provider.servers["api"].url
        return "vercel" if is_own else httpx.URL(url).netloc.decode("ascii", "replace")

    def _find(self, credential: Credential) -> None:
        url = self._client.urls["api"]
        self._is_simulated = self._is_simulated or _answers_as_simulator(url)
        account = self._name(credential)
        if credential is self._credential:
            self._account = account
            self.changed()

    def _name(self, credential: Credential) -> str:
        client = Client(
            vercel().provider,
            credential,
            urls=self._client.urls,
            read_only=True,
            request_timeout=_SECONDS,
            attempts=1,
            max_wait=0,
        )
        try:
            return ask_account(client).name
        except MissingTokenError:
            return _NO_ACCOUNT
        except (UnauthorizedError, ForbiddenError) as error:
            # A valid token may not be allowed to ask whose it is.
            return _REFUSED if error.is_dead else ""
        except TransportError:
            return _OFFLINE
        except (Error, ValueError):
            return ""  # a statement will report the problem
        finally:
            client.close()


def _answers_as_simulator(api_url: str) -> bool:
    """Whether a URL of this machine is a simulator's, and not a proxy of Vercel's."""
    url = httpx.URL(api_url)
    if not is_loopback(url.host):
        return False
    try:
        with httpx.Client(timeout=_SECONDS, trust_env=False) as plain:
            return "faults" in plain.get(f"{api_url}{_SIMULATOR}").json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False
