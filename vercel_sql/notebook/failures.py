"""Errors as a notebook shows and saves them: one message, without traceback or secret."""

from __future__ import annotations

from collections.abc import Sequence

from vercel_sql.api.redaction import Redactor
from vercel_sql.api.redaction.structures import texts_in
from vercel_sql.errors import Error, MissingTokenError, TooManyWritesError, WaitTooLongError
from vercel_sql.notebook.masking import Mask
from vercel_sql.sql import Parameters

_HINTS: dict[type[Error], str] = {
    MissingTokenError: " Or give the notebook a connection of your own: %vercel --connection NAME.",
    TooManyWritesError: " (here: %vercel --max-writes N)",
    WaitTooLongError: " (here: %vercel --max-wait SECONDS)",
}


def shortened(error: BaseException, mask: Mask) -> BaseException:
    """The error, as IPython and Jupyter will show it; the cell fails as it does for any error.

    It stays what it is, so that code around the magic can catch it.
    """
    if isinstance(error, Error):
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
        error.args = (mask(f"{error}{hint}"),)
    lines = [f"{type(error).__name__}: {error}".removesuffix(": ")]
    # IPython asks an error for this before it makes a traceback.
    error.__dict__["_render_traceback_"] = lambda: lines
    return error.with_traceback(None)


def unseen(parameters: Parameters, inputs: Sequence[str]) -> Redactor:
    """Masks the values that no cell shows, such as a password that was asked for.

    Args:
        parameters: the values of a statement.
        inputs: the cells that were run.
    """
    redactor = Redactor()
    for name in parameters:
        for text in texts_in(parameters[name]):
            if not any(text in cell for cell in inputs):
                redactor.add(text)
    return redactor
