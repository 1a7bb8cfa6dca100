"""The dot commands, in one table from which ``.help`` and the completion are made."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from vercel_sql.catalog.ddl import LIVE, quoted
from vercel_sql.cli.terminal import counted, terminal_width, waiting
from vercel_sql.cli.whoami import account, account_lines
from vercel_sql.files import named_path
from vercel_sql.manifest import vercel
from vercel_sql.render import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vercel_sql.cli.shell.session import Session
    from vercel_sql.http.events import RequestEvent

_SWITCH = {"on": True, "yes": True, "true": True, "1": True}
_SWITCH |= {"off": False, "no": False, "false": False, "0": False}
_MAX_REQUESTS = 20  # shown at each end of a long list
_MIN_PATH = 20
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RELATIONS = f"""
SELECT database_name, schema_name, table_name, sql, comment,
       schema_name = current_schema() AND database_name = current_database()
       OR database_name = 'temp' AS is_near
FROM (
    SELECT database_name, schema_name, table_name, sql, comment
    FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name, view_name, sql, comment
    FROM duckdb_views() WHERE NOT internal
)
WHERE NOT (database_name = $ours AND schema_name = '{LIVE}')
AND (table_name ILIKE $like
     OR concat_ws('.', database_name, schema_name, table_name) ILIKE $like)
ORDER BY ALL
"""
_COLUMNS = """
SELECT column_name, data_type, comment FROM duckdb_columns()
WHERE database_name = $database AND schema_name = $schema AND table_name = $name
ORDER BY column_index
"""


class CommandError(Exception):
    """A dot command failed; the message is for its person."""


class UsageError(Exception):
    """A dot command has the wrong arguments."""


class LeaveShell(Exception):  # noqa: N818 - it is not an error
    """The shell is to end, with an exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class DotCommand:
    """A command of the shell itself.

    Attributes:
        name: with its dot.
        usage: its arguments; those in brackets are optional, and … stands for any number.
        help: what it does, in one line.
        run: called with the session and the arguments.
        choices: the values of the first argument; empty if any is allowed.
    """

    name: str
    usage: str
    help: str
    run: Callable[..., None]
    choices: Sequence[str] = ()

    @property
    def synopsis(self) -> str:
        return f"{self.name} {self.usage}".rstrip()

    def accepts(self, count: int) -> bool:
        words = self.usage.split()
        least = 0 if self.usage.startswith("[") else len(words)
        return count >= least and (count <= len(words) or "…" in self.usage)


def run_command(session: Session, line: str) -> None:
    """Run a line that begins with a dot; `CommandError` says why it failed, or the usage."""
    reader = shlex.shlex(line.rstrip().rstrip(";"), posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ""
    try:
        name, *arguments = reader
    except ValueError:
        raise CommandError("a quote is not closed") from None
    command = find_command(name)
    usage = CommandError(f"usage: {command.synopsis}")
    if not command.accepts(len(arguments)):
        raise usage
    try:
        command.run(session, *arguments)
    except UsageError:
        raise usage from None


def find_command(name: str) -> DotCommand:
    """The command with that name, or the only one that begins with it."""
    wanted = name.casefold()
    found = [command for command in DOT_COMMANDS if command.name.startswith(wanted)]
    exact = [command for command in found if command.name == wanted]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if found and wanted != ".":
        raise CommandError(f"{name} may be {' or '.join(command.name for command in found)}")
    near = get_close_matches(wanted, [command.name for command in DOT_COMMANDS], n=1)
    hint = f"did you mean {near[0]}?" if near else ".help lists them all"
    raise CommandError(f"unknown command {name}; {hint}")


# The shell


def _help(session: Session, pattern: str | None = None) -> None:
    wanted = (pattern or "").casefold().lstrip(".").replace("%", "*")
    found = [
        command
        for command in DOT_COMMANDS
        if fnmatchcase(command.name.lstrip("."), f"{wanted}*") or wanted in command.help.casefold()
    ]
    if not found:
        raise CommandError(f"no command matches {pattern}; .help lists them all")
    wide = max(len(command.synopsis) for command in found)
    session.say(*(f"{command.synopsis:<{wide}}  {command.help}" for command in found))
    if pattern is None:
        session.say(
            "Statements end with a semicolon. Tab completes, Ctrl-C stops a statement, Ctrl-D "
            "leaves.\nTo look around: .tables, SHOW METHODS IN vercel.authentication.user_tokens;"
        )


def _leave(_session: Session) -> None:
    raise LeaveShell(0)


def _read(session: Session, path: str) -> None:
    try:
        with waiting(path):  # it may be a named pipe
            text = named_path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from None
    session.read(text, path)


# Output


def _set_mode(session: Session, mode: str | None = None) -> None:
    if mode is None:
        session.say(f"current output mode: {session.settings.mode}")
        session.say(f"modes: {' '.join(MODES)}")
        return
    known = mode.casefold()
    if known not in MODES:
        near = get_close_matches(known, MODES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise CommandError(f"unknown mode {mode}{hint} Modes: {' '.join(MODES)}")
    session.settings.mode = known


def _redirect(session: Session, path: str = "stdout", *, once: bool = False) -> None:
    if path == "stdout" and not once:
        session.output.reset()
        return
    if path.startswith("|"):
        raise CommandError("results can't be piped to a command: give a file name")
    try:
        session.output.redirect(path, once=once)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a file name"
        raise CommandError(f"{path} can't be written: {reason}") from None


def _redirect_once(session: Session, path: str) -> None:
    _redirect(session, path, once=True)


def _set_max_rows(session: Session, count: str | None = None) -> None:
    if count is None:
        session.say(f"current max rows: {session.settings.max_rows or 'all'}")
        return
    session.settings.max_rows = _number(count) or None


def _set_widths(session: Session, *words: str) -> None:
    try:
        session.settings.widths = tuple(int(word) for word in words)
    except ValueError:
        raise UsageError from None


def _switch(name: str) -> Callable[[Session, str], None]:
    """The function of a command that turns a setting on or off."""

    def run(session: Session, value: str) -> None:
        if value.casefold() not in _SWITCH:
            raise UsageError
        setattr(session.settings, name, _SWITCH[value.casefold()])

    return run


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError
    return int(text)


# The API


def _show_account(session: Session) -> None:
    with waiting(session.connection.client.urls["api"]):
        answer = account(session.connection)
    session.say(*account_lines(answer))


def _set_max_writes(session: Session, count: str | None = None) -> None:
    if count is None:
        most = session.connection.max_writes
        session.say(f"current max writes: {'any number' if most is None else most}")
        return
    session.connection.max_writes = _number(count)


def _show_requests(session: Session) -> None:
    events = session.events
    if not events:
        session.say("the last statement made no request")
        return
    lines = _request_lines(events)
    if len(lines) > 2 * _MAX_REQUESTS:
        more = f"… {len(lines) - 2 * _MAX_REQUESTS} more …"
        lines = [*lines[:_MAX_REQUESTS], more, *lines[-_MAX_REQUESTS:]]
    total = sum(event.milliseconds for event in events)
    count = counted(len(events), "request")
    session.say(*lines, f"{count}, {total:.1f} ms in total", *_rate_limits(session))


def _request_lines(events: Sequence[RequestEvent]) -> list[str]:
    """A line per request, with its path cut to fit the terminal."""
    rows = []
    for event in events:
        query = "&".join(f"{name}={value}" for name, value in event.query.items())
        status = "no answer" if event.status is None else str(event.status)
        attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
        end = f"{status:>3} {event.milliseconds:7.1f} ms{attempt}"
        rows.append((event.method, f"{event.path}?{query}" if query else event.path, end))
    verb, longest, end_width = (max(map(len, column)) for column in zip(*rows, strict=True))
    room = min(longest, max(terminal_width() - verb - end_width - 2, _MIN_PATH))
    cut = [(v, p if len(p) <= room else f"{p[: room - 1]}…", end) for v, p, end in rows]
    return [f"{v:<{verb}} {p:<{room}} {end}" for v, p, end in cut]


def _rate_limits(session: Session) -> Iterator[str]:
    """What the answers said about the limits of their endpoints."""
    client = session.connection.client
    for resource, name in dict.fromkeys((e.resource, e.api_method) for e in session.events):
        service, _, own_name = resource.partition(".")
        method = vercel().service(service).resources[own_name].methods.get(name)
        budget = client.budgets(method).get(method) if method is not None else None
        if method is None or budget is None:
            continue
        seconds = max(0.0, budget.reset - client.clock(method.server).now_ms() / 1000)
        yield (
            f"rate limit of {name}: {budget.remaining} of {budget.limit} left, "
            f"reset in {seconds:.0f} s"
        )


# The catalog


class _Relation(NamedTuple):
    database: str
    schema: str
    name: str
    sql: str | None
    comment: str | None
    is_near: bool

    @property
    def written(self) -> str:
        """The name as SQL, qualified if necessary."""
        parts = (self.name,) if self.is_near else (self.database, self.schema, self.name)
        return ".".join(part if _PLAIN.fullmatch(part) else quoted(part) for part in parts)


def _list_tables(session: Session, pattern: str | None = None) -> None:
    found = _matching(session, pattern)
    session.output.write_lines(*(relation.written for relation in found))


def _show_schema(session: Session, pattern: str | None = None) -> None:
    ours = session.connection.client.provider.name
    for relation in _matching(session, pattern):
        is_live = relation.database == ours
        text = _described(session, relation) if is_live else f"{(relation.sql or '').rstrip(';')};"
        session.output.write_lines(*text.split("\n"))


def _matching(session: Session, pattern: str | None) -> list[_Relation]:
    """The relations whose name, qualified or not, is LIKE a pattern or contains it."""
    ours = session.connection.client.provider.name
    like = "%" if pattern is None else pattern if "%" in pattern else f"%{pattern}%"
    rows = session.rows(_RELATIONS, {"ours": ours, "like": like})
    relations = [_Relation(*row) for row in rows]
    if not relations:
        raise CommandError(f"no table matches {pattern}" if pattern else "there are no tables")
    return relations


def _described(session: Session, relation: _Relation) -> str:
    """A live table as a readable CREATE statement."""
    names = {"database": relation.database, "schema": relation.schema, "name": relation.name}
    rows = session.rows(_COLUMNS, names)
    lines = []
    for at, (name, kind, comment) in enumerate(rows, start=1):
        written = name if _PLAIN.fullmatch(name.lower()) else quoted(name)
        comma, text = "," if at < len(rows) else "", _in_one_line(comment)
        lines.append(f"  {written} {kind}{comma}" + (f"  -- {text}" if text else ""))
    head = f"-- {_in_one_line(relation.comment)}\n" if relation.comment else ""
    body = "\n".join(lines)
    return f"{head}CREATE VIEW {relation.written} (\n{body}\n);  -- live: read from the API"


def _in_one_line(text: str | None) -> str:
    return " ".join((text or "").split())


_ON_OFF = ("on", "off")
DOT_COMMANDS = (
    DotCommand(".account", "", "show whose token is used, and when it expires", _show_account),
    DotCommand(
        ".confirm", "on|off", "ask before a write is sent (on)", _switch("confirm"), _ON_OFF
    ),
    DotCommand(".exit", "", "leave the shell", _leave),
    DotCommand(".headers", "on|off", "show the columns' names (on)", _switch("headers"), _ON_OFF),
    DotCommand(".help", "[PATTERN]", "list the commands, or those that match", _help),
    DotCommand(".maxrows", "[COUNT]", "how many rows a box shows, 0 for all (40)", _set_max_rows),
    DotCommand(
        ".maxwrites", "[COUNT]", "how many writes a statement may send (100)", _set_max_writes
    ),
    DotCommand(
        ".mode", "[MODE]", "set the output mode (duckbox); alone, list the modes", _set_mode, MODES
    ),
    DotCommand(".once", "FILE", "send the next result to a file", _redirect_once),
    DotCommand(".output", "[FILE]", "send results to a file, or back to the terminal", _redirect),
    DotCommand(".quit", "", "leave the shell", _leave),
    DotCommand(".read", "FILE", "run the statements and commands of a file", _read),
    DotCommand(".requests", "", "show the HTTP requests of the last statement", _show_requests),
    DotCommand(
        ".schema", "[PATTERN]", "show the definitions of the tables that match", _show_schema
    ),
    DotCommand(".tables", "[PATTERN]", "list the tables, or those that match", _list_tables),
    DotCommand(
        ".timer", "on|off", "show how long each statement took (off)", _switch("timer"), _ON_OFF
    ),
    DotCommand(".width", "[NUM1 NUM2 …]", "the minimum width of each column", _set_widths),
)
"""In the order of their names."""
