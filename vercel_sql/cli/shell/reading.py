"""What is entered, read into dot commands and SQL: when it is finished, and what is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vercel_sql.sql import complete
from vercel_sql.sql.tokens import scan

_BARE: Mapping[str, str] = MappingProxyType(
    {"exit": ".exit", "quit": ".quit", "help": ".help", "\\q": ".quit", "\\?": ".help"}
)
"""What people type who know other shells, where it is all that they type."""


@dataclass(frozen=True)
class Entry:
    """A dot command, or SQL that stands between two of them.

    Attributes:
        text: what is written; SQL has empty lines before it, so that its lines keep their numbers.
        is_command: whether it is a dot command.
    """

    text: str
    is_command: bool


def is_finished(text: str) -> bool:
    """Whether nothing is missing: the last statement has its semicolon, and no quote is open."""
    entries = split(text)
    return not entries or entries[-1].is_command or _is_whole(entries[-1].text)


def split(text: str) -> list[Entry]:
    """Reads a text into its dot commands and SQL, in order; blank SQL is left out.

    A line that begins with a dot is a command where no statement is under way.
    """
    bare = _BARE.get(text.strip().rstrip(";").casefold())
    if bare is not None:
        return [Entry(bare, is_command=True)]
    entries: list[Entry] = []
    pending: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if line.lstrip().startswith(".") and _is_whole("\n".join(pending)):
            _flush(pending, entries)
            entries.append(Entry(line.strip(), is_command=True))
            pending = [""] * (number + 1)
        else:
            pending.append(line)
    _flush(pending, entries)
    return entries


def _flush(pending: list[str], entries: list[Entry]) -> None:
    text = "\n".join(pending)
    if not _is_blank(text):
        entries.append(Entry(text, is_command=False))


def _is_whole(sql: str) -> bool:
    return complete(sql) or _is_blank(sql)


def _is_blank(sql: str) -> bool:
    """Whether there is nothing but blanks and comments."""
    if not sql.strip():
        return True
    quoting = scan(sql)
    return quoting.unfinished is None and not quoting.masked.strip()
