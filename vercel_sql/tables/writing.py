"""Sends one write and keeps what its answer shows only once: the one way that all doors go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

import pyarrow as pa

from vercel_sql.api import Client, Request, SecretsFile
from vercel_sql.api.cancel_scope import AbandonedError
from vercel_sql.api.state_dir import made_state_dir
from vercel_sql.errors import OperationalError, PartialWriteError, UnknownOutcomeError
from vercel_sql.manifest import Method, Resource
from vercel_sql.tables.calls import salvage

T = TypeVar("T")
OnOrphan: TypeAlias = Literal["report", "revoke"]
# How many seconds a request that was sent is waited for when its statement is stopped: its answer
# may hold a secret that is shown only once.
_GRACE = 1.0
_SECRETS_FILE = "secrets.jsonl"


@dataclass(frozen=True)
class Keeping:
    """What becomes of a write's secret, and of a row whose secret was lost.

    Attributes:
        secrets_file: where secrets that are shown once are saved first.
        on_orphan: what to do about a row that came of a write whose answer was lost: name it in
            the error, or also take it away again, where there is no doubt which one it is.
        is_shared: several callers share the credential of the calls, so that none of them may put
            another in its place.
    """

    secrets_file: SecretsFile | None = None
    on_orphan: OnOrphan = "report"
    is_shared: bool = False


def saving(keeping: Keeping) -> Keeping:
    """The same with a file for secrets, in the state directory where none was asked for.

    Raises:
        OperationalError: the file can't be written.
    """
    if keeping.secrets_file is None:
        return replace(keeping, secrets_file=SecretsFile(made_state_dir() / _SECRETS_FILE))
    keeping.secrets_file.require_writable()
    return keeping


def write_and_keep(
    client: Client, resource: Resource, request: Request, keeping: Keeping
) -> pa.Table:
    """The answer to a write as a table; its secrets are on disk before this returns.

    Args:
        client: sends the request.
        resource: the resource that the request's method is of.
        request: the write.
        keeping: where its secrets go.

    Raises:
        APIError: Vercel answered with an error.
        TransportError: no answer came.
        AnswerError: the answer can't be used, and has no secret.
        PartialWriteError: it was carried out, and something is wrong with the answer or the file;
            the error carries the secrets.
    """
    method = request.method
    table, problem = salvage(resource, method, client.send(request))
    secret = [column.name for column in method.returns if column.secret]
    for name in secret:
        client.redactor.add(table.column(name)[0].as_py())
    unsaved = _saved(resource, method, table, keeping) if secret else None
    problem = problem or unsaved
    if problem is not None:
        place = keeping.secrets_file if unsaved is None else None
        where = "kept in this error alone" if place is None else f"in {place.path}"
        secrets = f"; what is secret is {where}" if secret else ""
        text = f"{problem}. It was carried out all the same{secrets}"
        raise kept_rows(text, problem, table)
    return table


def carried_out(client: Client, send: Callable[[], T]) -> T:
    """Sends one write and waits for what comes of it, a moment longer than its statement lasts.

    It runs on a thread of its own, which keeps what the answer shows only once: where nobody
    waits any more, in the secrets file and the journal.

    Args:
        client: its scope is that of the statement.
        send: sends the write and keeps its secret, as `write_and_keep` does.

    Raises:
        UnknownOutcomeError: the statement ended while the request was under way.
        BaseException: what `send` raised.
    """
    try:
        return client.current_scope.run_to_end(send, _GRACE)
    except AbandonedError as error:
        raise UnknownOutcomeError(
            f"{error} while a request was under way. It may have been carried out all the "
            "same, and was not sent again: list the table before you repeat the statement",
            cause=error,
        ) from None


def _saved(
    resource: Resource, method: Method, table: pa.Table, keeping: Keeping
) -> OperationalError | None:
    """Puts the secrets of an answer on disk; gives what hindered it."""
    if keeping.secrets_file is None:
        return None
    names = [column.name for column in method.returns if column.stored]
    values = table.select(names).to_pylist()[0]
    try:
        keeping.secrets_file.append(resource.full_name, method.name, _given(values))
    except OperationalError as error:
        return error
    return None


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def kept_rows(text: str, cause: BaseException, table: pa.Table | None) -> PartialWriteError:
    """The error that carries the rows of what was carried out before something failed."""
    if table is None:
        return PartialWriteError(text, cause=cause)
    names, rows = table.column_names, rows_of(table)
    return PartialWriteError(text, cause=cause, columns=names, rows=rows, table=table)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows of a table as PEP 249 has them."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
