"""Errors of DuckDB's as errors of this package: the original where it was ours, masked text."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from vercel_sql import errors
from vercel_sql.sql.running import Catalog

_BY_BASE: list[tuple[type[BaseException], type[errors.Error]]] = [
    (duckdb.NotSupportedError, errors.NotSupportedError),
    (duckdb.ProgrammingError, errors.ProgrammingError),
    (duckdb.IntegrityError, errors.IntegrityError),
    (duckdb.DataError, errors.DataError),
    (duckdb.OperationalError, errors.OperationalError),
    (duckdb.InternalError, errors.InternalError),
    (duckdb.DatabaseError, errors.DatabaseError),
]


class translated:  # noqa: N801 - used like a function, as in contextlib
    """Raises this package's errors in place of DuckDB's, with secrets masked in their text.

    The errors begin their traceback here: the frames below hold requests with their credentials,
    and many a tool writes down the local variables of every frame.
    """

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self._catalogs = catalogs

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, duckdb.Error):
            error.__traceback__ = None
            raise translate(error, self._catalogs).with_traceback(None) from None
        if isinstance(error, errors.Error):
            error.__traceback__ = None
            if error.__suppress_context__:
                error.__context__ = None


def translate(error: duckdb.Error, catalogs: Sequence[Catalog]) -> BaseException:
    """The original of an error that went through DuckDB, else DuckDB's as one of ours."""
    text = str(error)
    for catalog in catalogs:
        original = catalog.failures.take(text)
        if original is not None:
            return original
    if isinstance(error, duckdb.InterruptException):
        return _stopped(catalogs)
    kind = next((ours for base, ours in _BY_BASE if isinstance(error, base)), errors.DatabaseError)
    for catalog in catalogs:
        text = catalog.client.redactor.mask(text)
    # It stays with the new error as its context.
    error.args = (text,)
    return kind(text)


def _stopped(catalogs: Sequence[Catalog]) -> errors.StatementCancelledError:
    """The error for what DuckDB was computing when it was stopped."""
    for catalog in catalogs:
        try:
            catalog.client.scope.check()
        except errors.StatementCancelledError as error:
            return error
    return errors.StatementCancelledError("the statement was interrupted")
