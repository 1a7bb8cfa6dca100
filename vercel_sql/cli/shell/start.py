"""Opens the shell and keeps it going until it is left."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from types import FrameType

from prompt_toolkit.history import History, InMemoryHistory

from vercel_sql import Connection
from vercel_sql._version import __version__
from vercel_sql.api import Client
from vercel_sql.api.appending import open_for_appending
from vercel_sql.api.journal import unfinished
from vercel_sql.api.journal_files import damaged_files, journal_folder
from vercel_sql.api.private_files import READABLE, make_private
from vercel_sql.api.state_dir import state_dir
from vercel_sql.cli import FINE, WRONG_USE
from vercel_sql.cli.options import opened
from vercel_sql.cli.shell.account_label import AccountLabel
from vercel_sql.cli.shell.commands import DOT_COMMANDS, LeaveShell
from vercel_sql.cli.shell.completion import ShellCompleter
from vercel_sql.cli.shell.highlighting import lexer, style
from vercel_sql.cli.shell.history import MaskedHistory
from vercel_sql.cli.shell.prompting import (
    TERMINATED,
    EditingReader,
    PlainReader,
    Reader,
    can_edit,
    unechoed_controls,
)
from vercel_sql.cli.shell.session import Session
from vercel_sql.cli.terminal import ask
from vercel_sql.errors import Error, JournalError
from vercel_sql.messages import complain, say

_FIRST_PROMPT_SECONDS = 0.3  # how long it waits for the account's name
_DEMO_HINT = "A simulated account. Try: FROM vercel.audit.user_tokens WHERE is_leaked;"
_LOGIN_HINT = "No Vercel token: vercel-sql login makes one, vercel-sql shell --demo needs none."


def run_shell(arguments: argparse.Namespace) -> int:
    """Runs the shell and gives the exit code."""
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
        connection = stack.enter_context(_opened(arguments, stack))
    except Error as error:
        complain(str(error))
        return WRONG_USE
    session = Session(connection, ask, watched=not arguments.verbose)
    stack.callback(session.close)
    session.settings.confirm = not arguments.yes
    stack.enter_context(unechoed_controls())
    label = AccountLabel(connection.client, is_simulated=arguments.demo)
    return _loop(session, label, is_demo=arguments.demo)


def _opened(arguments: argparse.Namespace, stack: ExitStack) -> Connection:
    if not arguments.demo:
        return opened(arguments)
    # Imported here: the shell on a real account starts without it.
    from vercel_sql.simulator import Simulator

    simulator = stack.enter_context(Simulator(tokens=250, seed=7))
    arguments.api_url = arguments.oauth_url = simulator.url
    arguments.marketplace_url = simulator.marketplace_url
    return opened(arguments, simulator.token)


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


def _reader(session: Session, label: AccountLabel, completer: ShellCompleter) -> Reader:
    client = session.connection.client
    mark = " (read-only)" if client.read_only else ""

    def prompt() -> str:
        return f"{label.text}{mark}> "

    if not can_edit():
        return PlainReader(prompt)
    reader = EditingReader(
        prompt,
        history=_history(client),
        completer=completer,
        lexer=lexer(),
        style=style(),
    )
    label.changed = reader.redraw
    return reader


def _history(client: Client) -> History:
    """What was entered before; says once that nothing will be remembered, where that is so."""
    try:
        path = state_dir() / "history"
        make_private(path.parent)
        os.close(open_for_appending(path, forbidden=READABLE))
    except OSError as error:
        complain(f"there is no history: {path}: {error.strerror or 'unknown error'}", "")
    except JournalError as error:
        complain(f"there is no history: {error}", "")
        return InMemoryHistory()
    return MaskedHistory(path, client.redactor.mask)


def _cut_off(client: Client) -> int:
    """How many creates at this API have no end, and nobody who goes on with them."""
    try:
        folder, urls = journal_folder(), client.urls.values()
        told = [story for file in unfinished(folder) for story in file.stories if story.is_open]
        return sum(story.intent.url in urls for story in told) + len(damaged_files(folder))
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
            "vercel-sql recover tells how it ended"
        )
    say(*lines, out=sys.stdout)
