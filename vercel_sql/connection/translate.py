"""Turns DuckDB's errors into this package's: the original if it was ours, else with masked text."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

import duckdb

from vercel_sql import errors
from vercel_sql.errors import PartialWriteError
from vercel_sql.redaction import mask_known, mask_shapes
from vercel_sql.redaction.known import SecretText
from vercel_sql.sql import NO_PARAMETERS, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from vercel_sql.manifest import Column, Resource
    from vercel_sql.sql.engine import Catalog

# Characters of an error: masking the megabytes that a statement may give it takes seconds.
_LONGEST = 20_000


class translated:  # noqa: N801 - used like a function, as in contextlib
    """Raises this package's errors in place of DuckDB's, with secrets masked in their text.

    The errors begin their traceback here: the frames below hold requests with their credentials,
    and many a tool writes down the local variables of every frame. What is no error of a statement,
    such as a Ctrl-C, keeps its frames, and they lose their variables.
    """

    def __init__(
        self,
        catalogs: Sequence[Catalog],
        statement: str = "",
        parameters: Parameters = NO_PARAMETERS,
    ) -> None:
        self._catalogs = catalogs
        self._statement = SecretText(statement)
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
        # Both have PEP 249's names.
        names = [base.__name__ for base in type(error).__mro__ if issubclass(base, duckdb.Error)]
        kind = next(filter(None, (getattr(errors, name, None) for name in names)), errors.Error)
        from vercel_sql.sql.masking import dialect_hint, mask_cited  # for an error only

        if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            text = named_ours(text, self._statement.value, self._catalogs)
        elif isinstance(error, duckdb.ParserException):
            text += dialect_hint(self._statement.value)
        # It stays with the new error as its context.
        shown = mask_cited(text[:_LONGEST], self._statement.value, self._parameters)
        # What is cut in the middle of a secret is cut again, before the secret.
        error.args = (shown if len(text) <= _LONGEST else shown[: _LONGEST // 2],)
        return (errors.DatabaseError if kind is errors.Error else kind)(*error.args)

    def _masked(self, argument: object) -> object:
        """Masks an error of ours once more; whoever made it has masked what it cites."""
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


_COLUMN = re.compile(r'(?:Referenced column|does not have a column named) "(\w+)"')
_ARGUMENT = re.compile(r"Macro (\w+)\(\) does not support the supplied arguments")
_TABLE = re.compile(r"Table with name (\w+) does not exist")


def named_ours(text: str, statement: str, catalogs: Sequence[Catalog]) -> str:
    """DuckDB's error about a name, with our name for it in place of DuckDB's guesses.

    What the API refuses here, such as the team of a listing, comes with what to do instead.
    ``expires_at`` is ``expiresAt`` here, and ``vercel.authentication.tokens``, as newer versions of
    StackQL call it, is ``vercel.authentication.user_tokens``.
    """
    for missing, ours in ((_COLUMN, _column), (_ARGUMENT, _argument), (_TABLE, _table)):
        found = missing.search(text)
        said = ours(found[1], statement, catalogs) if found else None
        if said is not None:
            kind = text.partition(":")[0]
            _, line, excerpt = text.partition("\n\nLINE ")
            return f"{kind}: {said}{line}{excerpt}"
    return text


def _column(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    named = [
        resource
        for catalog in catalogs
        for resource in _resources(catalog)
        if re.search(rf"\b{resource.name}\b", statement, re.IGNORECASE)
    ]
    columns = {
        _folded(column.name): column.name
        for resource in named
        for column in _columns(resource, is_returning="returning" in statement.casefold())
    }
    ours = columns.get(_folded(name))
    listers = [resource.lister for resource in named if resource.lister is not None]
    instead = next(filter(None, (lister.refused(name) for lister in listers)), None)
    if ours is None and instead is not None:
        return f'there is no column "{name}". {instead}'
    if ours in (None, name):
        return None
    return f'there is no column "{name}"; it is called "{ours}"'


def _argument(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    """What to do in place of an argument that the API refuses, of the function of a method."""
    for catalog in catalogs:
        for resource in _resources(catalog):
            method = resource.method(name)
            for argument in method.refuses if method is not None else ():
                if method is not None and re.search(rf"\b{argument}\b", statement, re.IGNORECASE):
                    return f"{name} takes no {argument}. {method.refused(argument)}"
    return None


def _table(name: str, statement: str, catalogs: Sequence[Catalog]) -> str | None:
    for catalog in catalogs:
        for service in catalog.manifest.service_names:
            if not re.search(rf"\b{service}\.{name}\b", statement, re.IGNORECASE):
                continue
            known = list(catalog.manifest.service(service).resources)
            longer = [each for each in known if _folded(each).endswith(_folded(name))]
            for ours in longer or get_close_matches(name.casefold(), known, n=1):
                full = f"{catalog.name}.{service}"
                return f"there is no table {full}.{name}; it is called {full}.{ours}"
    return None


def _resources(catalog: Catalog) -> Iterator[Resource]:
    for service in catalog.manifest.service_names:
        yield from catalog.manifest.service(service).resources.values()


def _columns(resource: Resource, *, is_returning: bool) -> Iterator[Column]:
    """The columns of its table, and those that RETURNING knows besides."""
    if is_returning:
        for method in resource.methods.values():
            yield from method.returns
    yield from resource.columns


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


_USED = ["duckdb", "h11", "httpcore", "httpx", "keyring", "pyarrow", "sqlglot"]
_FRAMES_OF = sys.stdlib_module_names | {"vercel_sql", *_USED}
"""The packages whose variables are cleared; a caller's own functions keep theirs."""


def bare(error: BaseException) -> None:
    """Drops the tracebacks of an error and of all that led to it."""
    for each in _chain(error):
        each.__traceback__ = None
    if error.__suppress_context__:
        error.__context__ = None


def clear(error: BaseException) -> None:
    """Clears the variables of the frames that an error came through, which stay in its traceback.

    Frames that still run keep theirs.
    """
    for each in _chain(error):
        traceback = each.__traceback__
        while traceback is not None:
            _clear_frame(traceback.tb_frame)
            traceback = traceback.tb_next


def _clear_frame(frame: FrameType) -> None:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in _FRAMES_OF:
        try:
            frame.clear()
        except RuntimeError:
            return  # it still runs


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that led to it."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        led = [each.__cause__, each.__context__, getattr(each, "cause", None)]
        if isinstance(each, PartialWriteError):
            led += [write.error for write in (*each.failed, *each.unknown)]
        left += [other for other in led if isinstance(other, BaseException)]
