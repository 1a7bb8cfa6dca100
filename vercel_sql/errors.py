"""One tree of errors, rooted in the exceptions that PEP 249 names.

Every message is written for the person who reads it: what failed, where, and what to do. No
message, attribute or repr of these classes holds a secret: values are masked before they arrive.
And no text of an error steers a terminal or forges a line, whoever prints it: it may cite what a
server sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from vercel_sql.text import message


class Warning(Exception):  # noqa: A001, N818 - the name is PEP 249's
    """An important warning (PEP 249)."""


class DataWarning(Warning, UserWarning):
    """What is worth a look though nothing failed, such as a value that could not be read.

    It is given by Python's `warnings`, whose filters apply.
    """


class Error(Exception):
    """The root of every error that this package raises."""

    def __str__(self) -> str:
        return message(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    """An error that was pickled, whatever its class takes."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InterfaceError(Error):
    """The package was misused: a closed cursor, a wrong argument."""


class DatabaseError(Error):
    """Something went wrong in DuckDB or at Vercel."""


class DataError(DatabaseError):
    """A value is not what its column or parameter can hold."""


class OperationalError(DatabaseError):
    """Something outside the statement failed: network, credentials, limits, files."""


class IntegrityError(DatabaseError):
    """A constraint does not hold, such as a number of rows that was expected."""


class InternalError(DatabaseError):
    """DuckDB or this package is in an invalid state."""


class ProgrammingError(DatabaseError):
    """The statement is wrong: syntax, names, parameters."""


class NotSupportedError(DatabaseError):
    """The statement asks for something that isn't supported."""


class SQLSyntaxError(ProgrammingError):
    """A statement of this dialect is malformed."""


class ParameterError(ProgrammingError):
    """A placeholder, parameter or argument is missing, unknown, unused or has a bad value."""


class ManifestError(InternalError):
    """A manifest file is broken; the message names the file and the key."""


class MissingTokenError(OperationalError):
    """A method needs a Vercel token, and none was found; the message lists the places searched."""


class ReadOnlyError(NotSupportedError):
    """A read-only client was asked to change something."""


class AuditLogError(OperationalError):
    """The audit log can't be written: nothing was sent, or what was sent is not in it yet."""


class JournalError(OperationalError):
    """The journal can't be written, so nothing was sent: a crash could have lost the secret."""


class NotApprovedError(ProgrammingError):
    """A write was not approved, and nothing of it was sent."""


class TooManyWritesError(ProgrammingError):
    """A statement would send more writes than it may; what would be too many was not sent.

    Attributes:
        writes: how many it would have sent altogether, as far as is known.
        limit: how many it may send.
    """

    def __init__(self, message: str, *, writes: int = 0, limit: int = 0) -> None:
        super().__init__(message)
        self.writes = writes
        self.limit = limit


class StatementCancelledError(OperationalError):
    """A statement was interrupted before its end.

    Attributes:
        nothing_changed: True where it is known that the statement changed nothing.
    """

    nothing_changed: bool = False


class StatementTimeoutError(StatementCancelledError):
    """A statement took longer than it may altogether."""


class WaitTooLongError(StatementTimeoutError):
    """A statement would wait longer for rate limits than it may; it was stopped before it did.

    Attributes:
        wait: how many seconds it would wait altogether, as far as is known.
        limit: how many it may wait.
    """

    def __init__(self, message: str, *, wait: float = 0.0, limit: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait
        self.limit = limit


class RowCountError(IntegrityError):
    """A statement changed another number of rows than was expected."""


class RequestError(OperationalError):
    """A request failed without an error of Vercel's.

    Attributes:
        method: the HTTP method, such as ``GET``.
        path: the path of the request, without its query.
        outcome_unknown: True where the request may have changed something all the same.
    """

    def __init__(
        self, message: str, *, method: str = "", path: str = "", outcome_unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.outcome_unknown = outcome_unknown


class TransportError(RequestError):
    """No answer came: connection, TLS, proxy or time-out.

    Attributes are those of `RequestError`, and:
        lasting: whether trying again is no use, as with a certificate that is not trusted.
        timed_out: True where it was not waited for any longer, and the server may still be at it.
    """

    lasting = False
    timed_out = False


class UnknownOutcomeError(OperationalError):
    """A write whose answer was lost: it may have been carried out, and was not sent again.

    Attributes:
        outcome_unknown: True, as for a `RequestError`.
        cause: how the answer was lost.
        orphans: the keys of the rows that it may have made. Others may have made them.
        is_proven: whether their marks or the answer prove that they are its own.
        revoked: the key of the one that was revoked at once, or None.
    """

    outcome_unknown = True

    def __init__(
        self,
        message: str,
        *,
        cause: BaseException,
        orphans: Sequence[str] = (),
        is_proven: bool = False,
        revoked: str | None = None,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.orphans = tuple(orphans)
        self.is_proven = is_proven
        self.revoked = revoked


class AnswerError(RequestError):
    """An answer came that is not what the API promises: cut, garbled, or of a wrong type."""


class AnswerMismatchError(AnswerError):
    """An answer came that belongs to another request, as broken proxies and connections mix up.

    What only reads was sent again on a new connection, and mismatched again.

    Attributes:
        unclaimed: what the answer to a create held that has a secret which nobody was given yet:
            it may be one's own, of a server that changes more than is expected.
    """

    unclaimed: Mapping[str, Any] = MappingProxyType({})


class PagingError(AnswerError):
    """A listing could not be read to its end: a cut page, or a cursor that goes nowhere."""


@dataclass(frozen=True)
class APIErrorDetail:
    """What Vercel said about a refused request.

    Attributes:
        status: the HTTP status.
        code: Vercel's ``error.code``, such as ``not_found``.
        message: Vercel's ``error.message``.
        method: the HTTP method.
        path: the path of the request, without its query.
        extra: the fields beside ``code`` and ``message``, such as ``invalidToken``.
    """

    status: int
    code: str
    message: str
    method: str
    path: str
    extra: Mapping[str, Any] = field(default_factory=dict)


class APIError(OperationalError):
    """Vercel answered with an error.

    Attributes are those of `APIErrorDetail`, and:
        retry_after: how many seconds the server asks to wait, or None where it does not say.
        outcome_unknown: True where it was looked up whether the request changed something all the
            same, and that could not be found out.
    """

    retry_after: float | None = None
    outcome_unknown: bool = False

    def __init__(self, text: str, detail: APIErrorDetail) -> None:
        super().__init__(text)
        self.detail = detail
        self.status = detail.status
        self.code = detail.code
        self.message = detail.message
        self.method = detail.method
        self.path = detail.path
        self.extra = detail.extra

    @property
    def is_dead(self) -> bool:
        """Whether the token of the request authenticates nobody, or nobody any more."""
        return self.status == 401 or self.extra.get("invalidToken") is True


class BadRequestError(APIError):
    """400: a value is invalid."""


class UnauthorizedError(APIError):
    """401: no or bad credentials."""


class ForbiddenError(APIError):
    """403: not allowed, or the token is dead (``invalidToken``)."""


class NotFoundError(APIError):
    """404: nothing has that id."""


class MethodNotAllowedError(APIError):
    """405: the endpoint does not take that HTTP method."""


class RateLimitedError(APIError):
    """429: something is over a limit that waiting does not help against."""


class ServerError(APIError):
    """5xx: Vercel failed."""


class RedirectError(APIError):
    """3xx: redirects are not followed, since credentials would go with them."""


@dataclass(frozen=True)
class FailedWrite:
    """One request of a statement that was not carried out, or may not have been.

    Attributes:
        row: what tells its row from the others: its key, or its number.
        error: what went wrong.
    """

    row: str
    error: BaseException


class PartialWriteError(OperationalError):
    """A statement failed after some of its requests had been carried out.

    Rows are told apart by their keys where they have some, as in a DELETE, else by their numbers
    (``row 7``).

    Attributes:
        table: the result rows of what was done before the failure, as a ``pyarrow.Table``; None
            if there are none. They may hold secrets that are shown once: the message and the repr
            never include them.
        columns: the names of its columns.
        rows: the same rows as tuples.
        cause: what stopped the statement.
        done: what was carried out.
        missing: what was to be deleted, and was gone already.
        failed: what was not carried out, and why.
        unknown: what may have been carried out all the same, since its answer was lost.
        not_started: what was not sent any more, or was put off by a rate limit and not sent again.
    """

    KEPT: ClassVar = ", and are kept in this error"

    def __init__(
        self,
        message: str,
        *,
        cause: BaseException,
        table: Any = None,
        done: Sequence[str] = (),
        missing: Sequence[str] = (),
        failed: Sequence[FailedWrite] = (),
        unknown: Sequence[FailedWrite] = (),
        not_started: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.table = table
        self.columns: tuple[str, ...] = () if table is None else tuple(table.column_names)
        self.rows: list[tuple[Any, ...]] = (
            [] if table is None else list(zip(*(c.to_pylist() for c in table.columns), strict=True))
        )
        self.done = tuple(done)
        self.missing = tuple(missing)
        self.failed = tuple(failed)
        self.unknown = tuple(unknown)
        self.not_started = tuple(not_started)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.rows:
            return super().__reduce__()
        raise TypeError(
            f"a {type(self).__name__} is not pickled, since its rows may hold secrets: take its "
            "rows, or have the secrets saved to a file (secrets_file=)"
        )

    def placed(self, where: str) -> str:
        """The text for whoever took the rows out of the error, and put them somewhere."""
        text = str(self).removesuffix(self.KEPT)
        if not self.rows:
            return text
        return f"{text}; {'its row is' if len(self.rows) == 1 else 'their rows are'} {where}"


class RotationError(PartialWriteError):
    """A rotation that was not completed: the old row is unchanged unless the message says so.

    Attributes are those of `PartialWriteError`, whose ``rows`` has the new row where there is
    one, and:
        old: the key of the row that was to be replaced.
        new: the key of the new row; None where there is none, or it is not known.
        is_proven: whether the new secret is known to authenticate.
        saved_to: the file that has the new secret; None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: BaseException,
        old: str,
        new: str | None = None,
        is_proven: bool = False,
        saved_to: str | None = None,
        table: Any = None,
    ) -> None:
        super().__init__(message, cause=cause, table=table)
        self.old = old
        self.new = new
        self.is_proven = is_proven
        self.saved_to = saved_to

    def placed(self, where: str) -> str:
        """The text for whoever took the new row out of the error, and put it somewhere."""
        return f"{self}. The row of the new one is {where}" if self.rows else str(self)
