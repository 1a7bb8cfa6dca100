"""The options of ``%vercel``, which stand before the SQL and never swallow a part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from vercel_sql.errors import InterfaceError

KINDS = ("table", "relation", "pandas", "polars", "arrow")
_FLAGS = ("--quiet", "--show-secrets", "--strict")
_VALUED = ("--as", "--save", "--connection", "--max-writes", "--max-wait")

# A word of two dashes and a letter; "-- text" is a comment of SQL's.
_OPTION = re.compile(r"\s*(--[A-Za-z][\w-]*)(?:=(\S*)|(?=\s|$))")
_WORD = re.compile(r"\s*(\S+)")
_LATE = re.compile(rf"\s({'|'.join(_FLAGS + _VALUED)})(?=[\s=]|$)")


@dataclass(frozen=True)
class Options:
    """What a line of the magic asks for.

    Attributes:
        kind: what a result is given as, one of `KINDS`.
        save: the variable that the result becomes, if any.
        connection: the variable with the connection that is used from now on, if it is said.
        max_writes: how many writes each statement may send, if it is said.
        max_wait: how many seconds each statement may wait for rate limits, if it is said.
        quiet: whether results are not shown.
        show_secrets: whether secrets are shown as they are.
        strict: whether a value that can't be read is an error.
        sql: the rest of the line.
    """

    kind: str
    save: str | None
    connection: str | None
    max_writes: int | None
    max_wait: int | None
    quiet: bool
    show_secrets: bool
    strict: bool
    sql: str


def read_options(line: str) -> Options:
    """Reads the options at the start of a line.

    Raises:
        InterfaceError: an option is unknown, lacks its value or has a wrong one.
    """
    given: dict[str, str] = {}
    at = 0
    while found := _OPTION.match(line, at):
        name, value = found.groups()
        at = found.end()
        if name in _VALUED and value is None:
            word = _WORD.match(line, at)
            value, at = (word[1], word.end()) if word else ("", at)
        _check(name, value)
        given[name] = value or ""
    rest = line[at:].strip()
    if late := _LATE.search(rest):
        raise InterfaceError(f"{late[1]} is part of the SQL there, a comment: options come first")
    return Options(
        kind=given.get("--as", "table"),
        save=given.get("--save"),
        connection=given.get("--connection"),
        max_writes=int(given["--max-writes"]) if "--max-writes" in given else None,
        max_wait=int(given["--max-wait"]) if "--max-wait" in given else None,
        quiet="--quiet" in given,
        show_secrets="--show-secrets" in given,
        strict="--strict" in given,
        sql=rest,
    )


def _check(name: str, value: str | None) -> None:
    if name not in _FLAGS + _VALUED:
        near = get_close_matches(name, _FLAGS + _VALUED, n=1)
        raise InterfaceError(
            f"there is no option {name}; there are {', '.join(_VALUED + _FLAGS)}."
            + (f" Did you mean {near[0]}?" if near else " A comment has a blank after its dashes.")
        )
    if name in _FLAGS:
        if value is not None:
            raise InterfaceError(f"{name} takes no value")
    elif name == "--as":
        if value not in KINDS:
            raise InterfaceError(f"--as takes {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    elif name in ("--max-writes", "--max-wait"):
        if value is None or not (value.isascii() and value.isdecimal()):
            raise InterfaceError(f"{name} takes a whole number, 0 or more")
    elif value is None or not value.isidentifier():
        raise InterfaceError(f"{name} takes the name of a variable")
