"""Sends one write and keeps what its answer shows only once: the one way that all doors go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vercel_sql.api import Answer, Client, Request, SecretsFile
from vercel_sql.api.cancel_scope import GRACE, AbandonedError
from vercel_sql.api.logger import logger, warning_of
from vercel_sql.errors import (
    AnswerMismatchError,
    Error,
    OperationalError,
    PartialWriteError,
    UnknownOutcomeError,
)
from vercel_sql.ledger.journal import JournalHandle, PendingCreate
from vercel_sql.ledger.journal_files import value_at
from vercel_sql.ledger.secrets_file import UNCLAIMED
from vercel_sql.manifest import Method, Resource
from vercel_sql.paths import made_state_dir
from vercel_sql.tables.calls import salvage
from vercel_sql.tables.keeping import Keeping, kept_rows
from vercel_sql.tables.orphans import SEARCH_SECONDS, Row, explained, marked, secretless

if TYPE_CHECKING:
    import pyarrow as pa

log = logger("tables")
T = TypeVar("T")
# How many seconds a create is waited for when the time of its statement is over: what came of it
# is looked up then, and may be revoked.
_OVERTIME = GRACE + 2 * SEARCH_SECONDS + 1
_SECRETS_FILE = "secrets.jsonl"


def saving(keeping: Keeping) -> Keeping:
    """The same with a file for secrets, in the state directory where none was asked for.

    Raises:
        OperationalError: the file can't be written.
    """
    if keeping.secrets_file is None:
        return replace(keeping, secrets_file=SecretsFile(made_state_dir() / _SECRETS_FILE))
    keeping.secrets_file.require_writable()
    return keeping


@warning_of(log, UnknownOutcomeError, PartialWriteError)
def write_and_keep(
    client: Client,
    resource: Resource,
    request: Request,
    keeping: Keeping,
    there: tuple[str, ...] = (),
) -> pa.Table:
    """The answer to a write as a table; its secrets are on disk before this returns.

    Args:
        client: sends the request.
        resource: the resource that the request's method is of.
        request: the write.
        keeping: where its secrets go.
        there: the keys of rows that are known to be there before: none of them is taken for one
            that came of this.

    Raises:
        APIError: Vercel refused it.
        TransportError: it was not sent.
        UnknownOutcomeError: it may have been carried out, and its answer is lost.
        PartialWriteError: it was carried out, and something is wrong with the answer or the file;
            the error carries the secrets.
    """
    method, mark = request.method, None
    if keeping.mark_names:
        request, mark = marked(request)
    file = keeping.secrets_file
    handle = JournalHandle(None if file is None else file.path, mark, there)
    client.create_results.begin(handle)
    try:
        answer = client.send(request, handle)
        client.proofs.check_claims(answer)
        table, problem = salvage(resource, method, answer)
        problem = problem or answer.unnoted
    except Error as error:
        if isinstance(error, AnswerMismatchError) and error.unclaimed:
            error.args = (f"{error}. {_kept_aside(client, resource, method, error, keeping)}",)
        handle.lost(client.redactor.mask(str(error)))
        raise explained(client, resource, handle.create, error, keeping.on_orphan) from None
    for column in method.returns:
        if column.secret:
            client.redactor.add(table.column(column.name)[0].as_py())
    if handle.create is None:
        if problem is not None:
            raise kept_rows(f"{problem}. It was carried out all the same", problem, table)
        return table
    made = _made(method, answer)
    if problem is not None and _lacks_secret(method, table):
        handle.lost(client.redactor.mask(str(problem)))
        report = explained if made is None else partial(secretless, made=made)
        problem = report(client, resource, handle.create, problem, keeping.on_orphan)
        raise kept_rows(str(problem), problem, table)
    unsaved = _saved(resource, method, table, keeping, handle.create)
    place = handle.saved_in if unsaved is None else None
    _note_answer(handle.create, made, place)
    client.create_results.add(handle)
    problem = problem or unsaved
    if problem is not None:
        where = "kept in this error alone" if place is None else f"in {place}"
        text = f"{problem}. It was carried out all the same; what is secret is {where}"
        raise kept_rows(text, problem, table)
    return table


def _made(method: Method, answer: Answer) -> Row | None:
    """The row that an answer says was made, whatever else is wrong with it."""
    if method.trace is None:
        return None
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    key = value_at(content, method.trace.key)
    made_at = value_at(content, [*method.rows, method.trace.since])
    return Row(key, made_at if isinstance(made_at, int) else 0) if isinstance(key, str) else None


def _lacks_secret(method: Method, table: pa.Table) -> bool:
    needed = [c.name for c in method.returns if c.secret and not c.optional]
    return any(table.column(name)[0].as_py() is None for name in needed)


def _note_answer(create: PendingCreate, made: Row | None, place: Path | None) -> None:
    saved_in = None if place is None else str(place.absolute())
    if made is None:
        create.answered(None, saved_in=saved_in)
    else:
        create.answered(made.key, made.made_at, saved_in)


def carried_out(client: Client, send: Callable[[], T], method: Method | None = None) -> T:
    """Sends one write and waits for what comes of it, a moment longer than its statement lasts.

    It runs on a thread of its own, which keeps what the answer shows only once: where nobody
    waits any more, in the secrets file and the journal.

    Args:
        client: its scope is that of the statement.
        send: sends the write and keeps its secret, as `write_and_keep` does.
        method: the method of the write, for what to do where its outcome is unknown.

    Raises:
        UnknownOutcomeError: the statement ended while the request was under way.
        BaseException: what `send` raised.
    """
    batch: list[JournalHandle] = []
    scope = client.current_scope

    def act() -> T:
        # Whatever statement runs by then: this one's end is the end of all that it sends.
        with client.apart(scope), client.create_results.gathered(batch):
            return send()

    try:
        overtime = _OVERTIME if method is not None and method.trace is not None else GRACE
        result = scope.run_to_end(act, GRACE, overtime)
    except AbandonedError as error:
        _give_up(batch, str(error))
        raise unknown_outcome(error, method) from None
    except Exception:
        client.create_results.take(batch)  # their rows are in the error
        raise
    except KeyboardInterrupt:
        _give_up(batch, "it was interrupted")
        raise
    client.create_results.take(batch)
    return result


def _give_up(batch: list[JournalHandle], reason: str) -> None:
    """Notes that nobody waits for some writes any more: whatever comes, nobody is given it."""
    for handle in batch:
        if handle.create is not None:
            handle.create.given_up(reason)


def unknown_outcome(error: AbandonedError, method: Method | None = None) -> UnknownOutcomeError:
    """The error for a write that nobody waits for any more."""
    advice = "list the table before you repeat the statement"
    if method is not None and method.makes_secret:
        advice = "run vercel-sql recover to see the outcome, before you repeat the statement"
    return UnknownOutcomeError(
        f"{error} while a request was under way. It may have been carried out all the "
        f"same, and was not sent again: {advice}",
        cause=error,
    )


def _saved(
    resource: Resource, method: Method, table: pa.Table, keeping: Keeping, create: PendingCreate
) -> OperationalError | None:
    """Puts the secrets of an answer on disk; gives what hindered it."""
    if keeping.secrets_file is None:
        return None
    names = [column.name for column in method.returns if column.stored]
    values = table.select(names).to_pylist()[0]
    given = {name: value for name, value in values.items() if value is not None}
    try:
        keeping.secrets_file.append(resource.full_name, method.name, given, create=create.intent.id)
    except OperationalError as error:
        return error
    return None


def _kept_aside(
    client: Client,
    resource: Resource,
    method: Method,
    error: AnswerMismatchError,
    keeping: Keeping,
) -> str:
    """Saves a new secret that came in an answer to something else; says where it is."""
    for column in method.returns:
        if column.secret:
            client.redactor.add(error.unclaimed.get(column.name))
    try:
        file = saving(keeping).secrets_file
        assert file is not None  # noqa: S101 - that is what `saving` is for
        file.append(resource.full_name, method.name, error.unclaimed, create=UNCLAIMED)
    except OperationalError as failure:
        return f"It had a new secret, which could not be kept: {failure}"
    finally:
        error.unclaimed = {}
    return f"It had a new secret, which is kept in {file.path} in case it is yours"
