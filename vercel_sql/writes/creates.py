"""Sends one write and saves what its answer shows only once: every write takes this path."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa

from vercel_sql.catalog.results import written_schema, written_table
from vercel_sql.errors import (
    AnswerError,
    AnswerMismatchError,
    DataError,
    Error,
    OperationalError,
    PartialWriteError,
    UnknownOutcomeError,
)
from vercel_sql.files import made_state_dir
from vercel_sql.http.answers import Answer
from vercel_sql.http.client import Client
from vercel_sql.http.requests import Request
from vercel_sql.ledger.journal import JournalHandle, PendingCreate
from vercel_sql.ledger.journal_files import value_at
from vercel_sql.ledger.secrets_file import UNCLAIMED, SecretsFile
from vercel_sql.logger import logger, warning_of
from vercel_sql.manifest import Method, Resource
from vercel_sql.runtime.scope import GRACE, AbandonedError
from vercel_sql.writes.orphans import SEARCH_SECONDS, Row, explained, marked
from vercel_sql.writes.policy import WritePolicy

log = logger("writes")
T = TypeVar("T")
# How many seconds a create is waited for when the time of its statement is over: its outcome is
# looked up then, and the row may be revoked.
_OVERTIME = GRACE + 2 * SEARCH_SECONDS + 1
_SECRETS_FILE = "secrets.jsonl"


def saving(policy: WritePolicy) -> WritePolicy:
    """The policy with a writable file for secrets, in the state directory if it has none."""
    if policy.secrets_file is None:
        return replace(policy, secrets_file=SecretsFile(made_state_dir() / _SECRETS_FILE))
    policy.secrets_file.require_writable()
    return policy


@warning_of(log, UnknownOutcomeError, PartialWriteError)
def write_and_keep(
    client: Client,
    resource: Resource,
    request: Request,
    policy: WritePolicy,
    there: tuple[str, ...] = (),
) -> pa.Table:
    """The answer to a write as a table; its secrets are on disk before this returns.

    None of the rows with the keys ``there`` was made by it: they are known to exist before.

    Raises:
        APIError: Vercel refused it.
        TransportError: it was not sent.
        UnknownOutcomeError: it may have been carried out, and its answer is lost.
        PartialWriteError: it was carried out, and something is wrong with the answer or the file;
            the error carries the secrets.
    """
    method, mark = request.method, None
    if policy.mark_names:
        request, mark = marked(request)
    file = policy.secrets_file
    handle = JournalHandle(None if file is None else file.path, mark, there)
    client.create_results.begin(handle)
    try:
        answer = client.send(request, handle)
        client.proofs.check_claims(answer)
        table, problem = salvage(resource, method, answer)
        problem = problem or answer.unnoted
    except Error as error:
        if isinstance(error, AnswerMismatchError) and error.unclaimed:
            error.args = (f"{error}. {_kept_aside(client, resource, method, error, policy)}",)
        handle.lost(client.redactor.mask(str(error)))
        raise explained(client, resource, handle.create, error, policy.on_orphan) from None
    for column in method.returns:
        if column.secret:
            client.redactor.add(table.column(column.name)[0].as_py())
    if handle.create is None:
        if problem is not None:
            text = f"{problem}. It was carried out all the same"
            raise PartialWriteError(text, cause=problem, table=table)
        return table
    made = _made(method, answer)
    if problem is not None and _missing_secrets(method, table):
        handle.lost(client.redactor.mask(str(problem)))
        problem = explained(client, resource, handle.create, problem, policy.on_orphan, made)
        raise PartialWriteError(str(problem), cause=problem, table=table)
    unsaved = _saved(resource, method, table, policy, handle.create)
    place = handle.saved_in if unsaved is None else None
    saved_in = None if place is None else str(place.absolute())
    key, made_at = (None, None) if made is None else (made.key, made.made_at)
    handle.create.answered(key, made_at, saved_in)
    client.create_results.add(handle)
    problem = problem or unsaved
    if problem is not None:
        where = "kept in this error alone" if place is None else f"in {place}"
        text = f"{problem}. It was carried out all the same; what is secret is {where}"
        raise PartialWriteError(text, cause=problem, table=table)
    return table


def salvage(resource: Resource, method: Method, answer: Answer) -> tuple[pa.Table, Error | None]:
    """The answer of a write as a table, and what is wrong with it.

    A secret is shown once: whatever else is wrong with the answer, it is kept. Raises
    `AnswerError` if the answer is unusable and has no secret.
    """
    try:
        table = written_table(resource, method, answer)
    except (AnswerError, DataError) as error:
        found = answer.secrets()
        if not found and isinstance(error, AnswerError):
            raise
        return pa.Table.from_pylist([found], written_schema(resource, method)), error
    if missing := _missing_secrets(method, table):
        name = f"vercel.{resource.full_name}: {method.name}"
        return table, DataError(f"{name}: the answer has no {', '.join(missing)}")
    return table, None


def _missing_secrets(method: Method, table: pa.Table) -> list[str]:
    needed = [c.name for c in method.returns if c.secret and not c.optional]
    return [name for name in needed if table.column(name)[0].as_py() is None]


def _made(method: Method, answer: Answer) -> Row | None:
    """The row that an answer says was made, whatever else is wrong with the answer."""
    if method.trace is None:
        return None
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    key = value_at(content, method.trace.key)
    made_at = value_at(content, [*method.rows, method.trace.since])
    return Row(key, made_at if isinstance(made_at, int) else 0) if isinstance(key, str) else None


def carried_out(client: Client, send: Callable[[], T], method: Method | None = None) -> T:
    """Sends one write and waits for its outcome, a moment longer than its statement lasts.

    It runs on a thread of its own, which saves what the answer shows only once even if nobody
    waits any more. Raises `UnknownOutcomeError` if the statement ended while the request was
    under way, and whatever ``send`` raises.
    """
    batch: list[JournalHandle] = []
    scope = client.current_scope

    def act() -> T:
        # Whatever statement runs by then: this one's end is the end of all that it sends.
        with client.scoped(scope), client.create_results.gathered(batch):
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
    """Notes that nobody waits for some writes any more, so nobody is given their answers."""
    for handle in batch:
        if handle.create is not None:
            handle.create.given_up(reason)


def unknown_outcome(error: AbandonedError, method: Method | None = None) -> UnknownOutcomeError:
    advice = "list the table before you repeat the statement"
    if method is not None and method.makes_secret:
        advice = "run vercel-sql recover to see the outcome, before you repeat the statement"
    return UnknownOutcomeError(
        f"{error} while a request was under way. It may have been carried out all the "
        f"same, and was not sent again: {advice}",
        cause=error,
    )


def _saved(
    resource: Resource, method: Method, table: pa.Table, policy: WritePolicy, create: PendingCreate
) -> OperationalError | None:
    """Puts the secrets of an answer on disk; returns what prevented it."""
    if policy.secrets_file is None:
        return None
    values = table.select([c.name for c in method.returns if c.stored]).to_pylist()[0]
    given = {name: value for name, value in values.items() if value is not None}
    try:
        policy.secrets_file.append(resource.full_name, method.name, given, create=create.intent.id)
    except OperationalError as error:
        return error
    return None


def _kept_aside(
    client: Client,
    resource: Resource,
    method: Method,
    error: AnswerMismatchError,
    policy: WritePolicy,
) -> str:
    """Saves a new secret that came in an answer to something else; says where it is."""
    for column in method.returns:
        if column.secret:
            client.redactor.add(error.unclaimed.get(column.name))
    try:
        file = saving(policy).secrets_file
        assert file is not None  # noqa: S101 - that is what `saving` is for
        file.append(resource.full_name, method.name, error.unclaimed, create=UNCLAIMED)
    except OperationalError as failure:
        return f"It had a new secret, which could not be kept: {failure}"
    finally:
        error.unclaimed = {}
    return f"It had a new secret, which is kept in {file.path} in case it is yours"
