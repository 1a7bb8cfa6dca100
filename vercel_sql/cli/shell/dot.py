"""What a dot command is, and how its arguments are read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from vercel_sql.cli.shell.session import Session

    Function: TypeAlias = Callable[[Session, Sequence[str]], None]


SWITCH = ("on", "off")
"""The choices of a command that turns something on or off."""


class CommandError(Exception):
    """A dot command can't be carried out; the message is for its person."""


class UsageError(Exception):
    """A dot command was given arguments that it does not take."""


@dataclass(frozen=True)
class DotCommand:
    """A command of the shell itself.

    Attributes:
        name: with its dot.
        usage: its arguments, as `.help` shows them.
        help: what it does, in one line.
        run: does it, for a session and the words after the name; raises `CommandError` or
            `UsageError` where it can't.
        choices: the words that its first argument may be; empty where it may be anything.
    """

    name: str
    usage: str
    help: str
    run: Function
    choices: Sequence[str] = ()

    @property
    def synopsis(self) -> str:
        """The name and the arguments."""
        return f"{self.name} {self.usage}".rstrip()


def words(text: str) -> list[str]:
    """The words of a line; one in quotes may hold blanks. A semicolon at the end is dropped."""
    reader = shlex.shlex(text.rstrip().rstrip(";"), posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ""
    try:
        return list(reader)
    except ValueError:
        raise CommandError("a quote is not closed") from None


def switch(arguments: Sequence[str]) -> bool:
    """The one argument of a command that turns something on or off."""
    choices = {"on": True, "yes": True, "true": True, "1": True}
    choices |= {"off": False, "no": False, "false": False, "0": False}
    if len(arguments) != 1 or arguments[0].casefold() not in choices:
        raise UsageError
    return choices[arguments[0].casefold()]


def at_most(count: int, arguments: Sequence[str]) -> str | None:
    """The first argument, or None where there is none."""
    if len(arguments) > count:
        raise UsageError
    return arguments[0] if arguments else None
