"""Errors of DuckDB's as errors of this package: the original where it was ours, masked text."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from vercel_sql import errors
from vercel_sql.api.redaction import mask_known, mask_shapes
from vercel_sql.api.redaction.unshown import Unshown
from vercel_sql.connection.bared import bare, clear
from vercel_sql.connection.meant import named_ours
from vercel_sql.sql import NO_PARAMETERS, Parameters
from vercel_sql.sql.masking import mask_cited
from vercel_sql.sql.resolver import Catalog

# Characters of an error: masking the megabytes that a statement may give it takes seconds.
_LONGEST = 20_000

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
    and many a tool writes down the local variables of every frame. What is no error of a statement,
    such as a Ctrl-C, keeps its frames, and they lose their variables.

    Args:
        catalogs: the accounts, which know the originals of errors that went through DuckDB.
        statement: what runs; DuckDB repeats parts of it.
        parameters: the values of its placeholders.
    """

    def __init__(
        self,
        catalogs: Sequence[Catalog],
        statement: str = "",
        parameters: Parameters = NO_PARAMETERS,
    ) -> None:
        self._catalogs = catalogs
        self._statement = Unshown(statement)
        self._parameters = parameters

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, duckdb.Error):
            bare(error)
            raise self._translate(error).with_traceback(None) from None
        if isinstance(error, errors.Error):
            bare(error)
            error.args = tuple(self._masked(arg) for arg in error.args)
        elif error is not None:
            clear(error)

    def _translate(self, error: duckdb.Error) -> BaseException:
        """The original of an error that went through DuckDB, else DuckDB's as one of ours."""
        text = str(error)
        for catalog in self._catalogs:
            original = catalog.failures.take(text)
            if original is not None:
                bare(original)
                return original
        if isinstance(error, duckdb.InterruptException):
            return _stopped(self._catalogs, text)
        kind = next((ours for base, ours in _BY_BASE if isinstance(error, base)), None)
        if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            text = named_ours(text, self._statement.value, self._catalogs)
        # It stays with the new error as its context.
        shown = mask_cited(text[:_LONGEST], self._statement.value, self._parameters)
        # What is cut in the middle of a secret is cut again, before the secret.
        error.args = (shown if len(text) <= _LONGEST else shown[: _LONGEST // 2],)
        return (kind or errors.DatabaseError)(*error.args)

    def _masked(self, argument: object) -> object:
        """What an error of ours says; its makers mask what they cite, so this is a second look."""
        return mask_shapes(mask_known(argument)) if isinstance(argument, str) else argument


def _stopped(catalogs: Sequence[Catalog], text: str) -> errors.StatementCancelledError:
    """The error for what DuckDB was computing when it was stopped, by us or by itself."""
    for catalog in catalogs:
        try:
            catalog.client.scope.check()
        except errors.StatementCancelledError as error:
            return error
    is_limit = "maximum execution time" in text
    return errors.StatementCancelledError(text if is_limit else "the statement was interrupted")
