"""The dot commands, in one table from which ``.help`` and the completion are made."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vercel_sql.cli.shell import dot_account, dot_catalog, dot_output
from vercel_sql.cli.shell.dot import SWITCH, CommandError, DotCommand, UsageError, at_most, words
from vercel_sql.cli.terminal import waiting
from vercel_sql.paths import named_path
from vercel_sql.render import MODES

if TYPE_CHECKING:
    from vercel_sql.cli.shell.session import Session


class LeaveShell(Exception):  # noqa: N818 - it is no error
    """The shell is to end.

    Attributes:
        code: the exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _help(session: Session, arguments: Sequence[str]) -> None:
    pattern = at_most(1, arguments)
    found = [command for command in DOT_COMMANDS if _is_about(command, pattern)]
    if not found:
        raise CommandError(f"no command is about {pattern}; .help lists them all")
    wide = max(len(command.synopsis) for command in found)
    session.say(*(f"{command.synopsis:<{wide}}  {command.help}" for command in found))
    if pattern is None:
        session.say(
            "Statements end with a semicolon. Tab completes, Ctrl-C stops a statement, Ctrl-D "
            "leaves.\nWhat there is: .tables, SHOW METHODS IN vercel.authentication.user_tokens;"
        )


def _is_about(command: DotCommand, pattern: str | None) -> bool:
    if pattern is None:
        return True
    wanted = pattern.casefold().lstrip(".").replace("%", "*")
    name = command.name.lstrip(".")
    return fnmatchcase(name, f"{wanted}*") or wanted in command.help.casefold()


def _read(session: Session, arguments: Sequence[str]) -> None:
    path = at_most(1, arguments)
    if path is None:
        raise UsageError
    try:
        with waiting(path):  # it may be a named pipe
            text = named_path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from None
    session.read(text, path)


def _leave(_session: Session, arguments: Sequence[str]) -> None:
    at_most(0, arguments)
    raise LeaveShell(0)


DOT_COMMANDS: tuple[DotCommand, ...] = (
    DotCommand(
        ".account", "", "who the token stands for, and until when", dot_account.show_account
    ),
    DotCommand(
        ".confirm", "on|off", "ask before a write is sent (on)", dot_output.set_confirm, SWITCH
    ),
    DotCommand(".exit", "", "leave the shell", _leave),
    DotCommand(
        ".headers", "on|off", "show the columns' names (on)", dot_output.set_headers, SWITCH
    ),
    DotCommand(".help", "[PATTERN]", "the commands, or those like a pattern", _help),
    DotCommand(
        ".maxrows", "[COUNT]", "how many rows a box shows, 0 for all (40)", dot_output.set_max_rows
    ),
    DotCommand(
        ".maxwrites",
        "[COUNT]",
        "how many writes a statement may send (100)",
        dot_account.set_max_writes,
    ),
    DotCommand(
        ".mode",
        "[MODE]",
        "how results look (duckbox); alone: which modes there are",
        dot_output.set_mode,
        MODES,
    ),
    DotCommand(".once", "FILE", "send the next result to a file", dot_output.redirect_once),
    DotCommand(
        ".output", "[FILE]", "send results to a file, or back to the terminal", dot_output.redirect
    ),
    DotCommand(".quit", "", "leave the shell", _leave),
    DotCommand(".read", "FILE", "run the statements and commands of a file", _read),
    DotCommand(
        ".requests", "", "the HTTP requests of the last statement", dot_account.show_requests
    ),
    DotCommand(
        ".schema", "[PATTERN]", "how the tables like a pattern are made", dot_catalog.show_schema
    ),
    DotCommand(".tables", "[PATTERN]", "the tables like a pattern", dot_catalog.list_tables),
    DotCommand(
        ".timer", "on|off", "say how long each statement took (off)", dot_output.set_timer, SWITCH
    ),
    DotCommand(".width", "[NUM1 NUM2 …]", "the least width of each column", dot_output.set_widths),
)
"""In the order of their names."""


def run_command(session: Session, line: str) -> None:
    """Carries out a line that begins with a dot."""
    name, *arguments = words(line)
    command = find_command(name)
    try:
        command.run(session, arguments)
    except UsageError:
        raise CommandError(f"usage: {command.synopsis}") from None


def find_command(name: str) -> DotCommand:
    """The command of that name, or the one that it is the beginning of."""
    wanted = name.casefold()
    found = [command for command in DOT_COMMANDS if command.name.startswith(wanted)]
    exact = [command for command in found if command.name == wanted]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if found and wanted != ".":
        raise CommandError(f"{name} may be {' or '.join(command.name for command in found)}")
    near = get_close_matches(wanted, [command.name for command in DOT_COMMANDS], n=1)
    hint = f"did you mean {near[0]}?" if near else ".help lists them all"
    raise CommandError(f"there is no command {name}; {hint}")
