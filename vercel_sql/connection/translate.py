"""Errors of DuckDB's as errors of this package: the original where it was ours, masked text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


@contextmanager
def translated(catalogs: Sequence[Catalog]) -> Iterator[None]:
    """Raises this package's errors in place of DuckDB's, with secrets masked in their text."""
    try:
        yield
    except duckdb.Error as error:
        raise translate(error, catalogs) from None


def translate(error: duckdb.Error, catalogs: Sequence[Catalog]) -> BaseException:
    """The original of an error that went through DuckDB, else DuckDB's as one of ours."""
    text = str(error)
    for catalog in catalogs:
        original = catalog.failures.take(text)
        if original is not None:
            return original
    kind = next((ours for base, ours in _BY_BASE if isinstance(error, base)), errors.DatabaseError)
    for catalog in catalogs:
        text = catalog.client.redactor.mask(text)
    return kind(text)
