"""The magic ``%vercel``, for a line or a cell of SQL.

Its options stand before the SQL and never swallow a part of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import DisplayHandle

from vercel_sql import Connection
from vercel_sql.errors import (
    Error,
    InterfaceError,
    MissingTokenError,
    TooManyWritesError,
    WaitTooLongError,
)
from vercel_sql.notebook.rows import Mask
from vercel_sql.notebook.session import Options, Session, show
from vercel_sql.progress import progress
from vercel_sql.sql.plan import Plan

_KINDS = ("table", "relation", "pandas", "polars", "arrow")
_A_NUMBER = "an integer ≥ 0"
_FLAGS = ("--quiet", "--show-secrets", "--strict")
_VALUED: dict[str, tuple[str, Callable[[str], object]]] = {
    "--as": (f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}", _KINDS.__contains__),
    "--save": ("the name of a variable", str.isidentifier),
    "--connection": ("the name of a variable", str.isidentifier),
    "--max-writes": (_A_NUMBER, re.compile("[0-9]+").fullmatch),
    "--max-wait": (_A_NUMBER, re.compile("[0-9]+").fullmatch),
}
_ALL = (*_VALUED, *_FLAGS)

# A word of two dashes and a letter; "-- text" is a comment of SQL's.
_OPTION = re.compile(r"\s*(--[A-Za-z][\w-]*)(?:=(\S*)|(?=\s|$))")
_WORD = re.compile(r"\s*(\S*)")
_LATE = re.compile(rf"\s({'|'.join(_ALL)})(?=[\s=]|$)")

_HINTS: dict[type[Error], str] = {
    MissingTokenError: " Or give the notebook a connection of your own: %vercel --connection NAME.",
    TooManyWritesError: " (here: %vercel --max-writes N)",
    WaitTooLongError: " (here: %vercel --max-wait SECONDS)",
}


@magics_class
class VercelMagics(Magics):
    """``%vercel`` and ``%%vercel``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._session = Session(shell.user_ns, lambda connection: watching(shell, connection))

    @no_var_expand
    @line_cell_magic
    def vercel(self, line: str, cell: str | None = None) -> Any:
        """Run SQL over the Vercel API.

        %vercel [OPTIONS] SELECT …      one line, also as: rows = %vercel SELECT …
        %%vercel [OPTIONS]              a cell of statements; returns the last one's result
        %vercel                         which account is used

        The token is that of VERCEL_TOKEN or of vercel-sql login. $name, :name and {{ name }} are
        the values of notebook variables; DataFrames and earlier results can be named in FROM.

        --as KIND          table (the default), relation, pandas, polars or arrow
        --save NAME        puts the result into a variable as well
        --quiet            shows no result
        --show-secrets     shows secrets, which the notebook's file will then hold
        --strict           fails if a value can't be read, instead of NULL and a warning
        --max-writes N     how many writes each statement may send (100)
        --max-wait SECONDS how long each statement may wait for rate limits (as long as it takes)
        --connection NAME  uses the vercel_sql.connect() in a variable, from now on
        """
        try:
            if not line.strip() and cell is None:
                show(self._session.mask(self._session.status()))
                return None
            options, sql = read_options(line)
            if options.connection:
                self._session.use(options.connection)
                if not sql and cell is None:
                    return None
            return self._session.run(options, f"{sql}\n{cell or ''}")
        except (Error, KeyboardInterrupt) as error:
            raise shortened(error, self._session.mask) from None


def read_options(line: str) -> tuple[Options, str]:
    """Read the options at the start of a line; return them, and the SQL that follows."""
    given: dict[str, Any] = {}
    at = 0
    while found := _OPTION.match(line, at):
        name, value = found.groups()
        at = found.end()
        if name in _VALUED and value is None and (word := _WORD.match(line, at)):
            value, at = word[1], word.end()
        _check(name, value)
        field = "kind" if name == "--as" else name.removeprefix("--").replace("-", "_")
        given[field] = int(value) if name.startswith("--max") else value or True
    sql = line[at:].strip()
    if late := _LATE.search(sql):
        raise InterfaceError(
            f"{late[1]} is a comment in the SQL there: options come before the SQL"
        )
    return Options(**given), sql


def _check(name: str, value: str | None) -> None:
    if name in _FLAGS:
        if value is not None:
            raise InterfaceError(f"{name} takes no value")
    elif name in _VALUED:
        wanted, is_one = _VALUED[name]
        if not is_one(value or ""):
            raise InterfaceError(f"{name} takes {wanted}")
    else:
        near = get_close_matches(name, _ALL, n=1)
        raise InterfaceError(
            f"unknown option {name}; the options are {', '.join(_ALL)}."
            + (f" Did you mean {near[0]}?" if near else " A comment has a blank after its dashes.")
        )


def shortened(error: BaseException, mask: Mask) -> BaseException:
    """The same error, which IPython shows and saves as one message, without secrets."""
    if isinstance(error, Error):
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
        error.args = (mask(f"{error}{hint}"),)
    lines = [f"{type(error).__name__}: {error}".removesuffix(": ")]
    # IPython asks an error for this before it makes a traceback.
    error.__dict__["_render_traceback_"] = lambda: lines
    return error.with_traceback(None)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magic, for ``%load_ext vercel_sql``."""
    shell.register_magics(VercelMagics)


@contextmanager
def watching(shell: InteractiveShell, connection: Connection) -> Iterator[None]:
    """Show the progress of a statement, if somebody watches: not with nbclient, for example."""
    # A kernel's shell knows the request that its front end sent.
    request = getattr(shell, "get_parent", None)
    if request is not None:
        watched = request().get("content", {}).get("allow_stdin", False)
        out: Any = _InCell()
    else:
        watched, out = sys.stderr.isatty(), sys.stderr
    if not watched:
        yield
        return
    with progress(connection, out) as line:
        before = connection.approve

        def expect(plan: Plan) -> bool:
            """Approve a plan, and take the number of its requests."""
            line.clear()
            if before is not None and not before(plan):
                return False
            line.expect(plan)
            return True

        connection.approve = expect
        try:
            yield
        finally:
            connection.approve = before


class _InCell:
    """A line in the cell's output that changes, and is empty at the end.

    Of standard error, a front end would save each state.
    """

    def __init__(self) -> None:
        self._handle = DisplayHandle()
        self._shown = False

    def write(self, text: str) -> None:
        """Replace the text."""
        line = text.strip("\r\n")
        if not line:
            return
        data = {"text/plain": line} if line.strip() else {}
        if self._shown:
            self._handle.update(data, raw=True)
        elif data:
            self._handle.display(data, raw=True)
            self._shown = True

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
