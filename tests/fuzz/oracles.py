"""What has to hold for any input: the rules that the fuzz targets and the kept cases share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from vercel_sql.errors import Error

SECRET = "vcp_Zq7-planted/secret+7Kx"
"""A secret that is known to the redactor. It can't be read as an unquoted name."""

T = TypeVar("T")


class Violation(AssertionError):
    """Something does not hold that must hold for any input."""


def require(holds: object, what: str) -> None:
    """Raises `Violation` where something does not hold."""
    if not holds:
        raise Violation(what)


def attempt(
    work: Callable[[], T],
    refusals: tuple[type[Error], ...] = (Error,),
    *,
    cites_secret: bool = False,
) -> tuple[T, None] | tuple[None, Error]:
    """What work gave, or the error that it refused with.

    Args:
        work: what is to end in a value, or in one of this package's errors and no other.
        refusals: the errors that it may refuse with.
        cites_secret: whether the input has the secret where errors may cite it: in a name.

    Raises:
        Violation: it ended otherwise, or its error is no good.
    """
    try:
        return work(), None
    except refusals as error:
        _require_fit_to_show(error, cites_secret=cites_secret)
        return None, error
    except Violation:
        raise
    except Exception as error:
        raise Violation(f"a bare {type(error).__name__}: {str(error)[:200]}") from error


def _require_fit_to_show(error: Error, *, cites_secret: bool) -> None:
    for each in _shown_with(error):
        for text in (str(each), repr(each)):
            require(text.strip(), "an error without words")
            require(len(text) < 10_000, f"an error of {len(text)} characters")
            require(cites_secret or SECRET not in text, "the secret is in an error")


def _shown_with(error: BaseException) -> Iterator[BaseException]:
    """An error and those that a traceback of it shows as well."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
