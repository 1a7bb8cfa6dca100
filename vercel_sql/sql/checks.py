"""Parameters and placeholders, held against one another before the first statement runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from vercel_sql.errors import ParameterError
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.statements import Exec, Native, Need, Statement

# How many placeholders a message names at most.
_NAMED = 8


def check(statements: Sequence[Statement], parameters: Parameters) -> None:
    """Refuse a script whose placeholders and parameters do not fit together.

    An argument of EXEC, or a member of ``@@json``, that is all placeholder needs no value here:
    whether it may be left out is for the method to say.

    Raises:
        ParameterError: a placeholder has no value; a parameter is used by none; placeholders go
            by name and by position; or a string holds a template that is not filled in.
    """
    if any(isinstance(statement, Native) and statement.unreadable for statement in statements):
        # DuckDB refuses the script, and what is wrong with it comes before its parameters.
        return
    needs = [need for statement in statements for need in statement.needs()]
    _refuse_mixture(needs)
    _refuse_templates(statements, parameters)
    _refuse_missing(needs, parameters)
    _refuse_unused(needs, parameters)


def _refuse_mixture(needs: Sequence[Need]) -> None:
    by_position = next((need for need in needs if need.name.isdecimal()), None)
    by_name = next((need for need in needs if not need.name.isdecimal()), None)
    if by_position and by_name:
        raise ParameterError(
            f"A script takes its parameters by position or by name, not both: it has "
            f"{by_position.written} and {by_name.written}."
        )


def _refuse_templates(statements: Iterable[Statement], parameters: Parameters) -> None:
    """Refuse what would stay in a literal as it is written.

    Any text may hold ``{{ name }}`` as long as no value is given for it, but for those that are
    sent to the API.
    """
    for statement in statements:
        for template in statement.templates():
            may_stay = template.is_ours and not isinstance(statement, Exec)
            if not may_stay or template.name in parameters:
                raise statement.not_filled_in(template)


def _refuse_missing(needs: Iterable[Need], parameters: Parameters) -> None:
    missing = dict.fromkeys(
        need.written for need in needs if not need.optional and need.name not in parameters
    )
    if not missing:
        return
    if parameters.positional:
        raise ParameterError(
            f"The script asks for more values by position than the {len(parameters)} that "
            "were given."
        )
    what = "placeholder" if len(missing) == 1 else "placeholders"
    have = "has" if len(missing) == 1 else "have"
    named = ", ".join(list(missing)[:_NAMED])
    more = len(missing) - _NAMED
    named += f" and {more} more" if more > 0 else ""
    raise ParameterError(f"The {what} {named} {have} no value.")


def _refuse_unused(needs: Sequence[Need], parameters: Parameters) -> None:
    used = {need.name for need in needs}
    for written in parameters:
        if written.lower() in used:
            continue
        if parameters.positional:
            raise ParameterError(
                f"Value {written} of the {len(parameters)} that were given is used by no "
                "placeholder."
            )
        raise ParameterError(
            f"No placeholder uses the parameter {written}.{_suggestion(written, needs)}"
        )


def _suggestion(name: str, needs: Sequence[Need]) -> str:
    """The placeholder that was meant, most likely."""
    written = {need.name: need.written for need in needs}
    for near in get_close_matches(name.lower(), written, n=1):
        return f" Did you mean {written[near]}?"
    return ""
