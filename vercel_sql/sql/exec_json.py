"""The ``@@json`` argument of EXEC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql import jsontext
from vercel_sql.sql.dialect import Kind
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.jsontext import JSONText, JSONTextError, Slot
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.placeholders import Placeholder


@dataclass(frozen=True, slots=True, repr=False)
class JSONArgument:
    """A JSON object, written out with placeholders in it, or given as one parameter.

    Attributes:
        fragment: where it stands in the script.
        content: the JSON text, parsed; or the placeholder for all of it.
    """

    fragment: Fragment
    content: JSONText | Placeholder

    def __repr__(self) -> str:
        return f"<JSONArgument at {self.fragment.position}>"

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The placeholders in it; one for all of the JSON is never optional."""
        if isinstance(self.content, Placeholder):
            return (Slot(self.content.name, self.content.written),)
        return self.content.slots

    def resolve(self, parameters: Parameters) -> tuple[dict[str, object], dict[str, str]]:
        """The object, and the members that are left out, with the placeholder of each.

        Raises:
            ParameterError: a placeholder has no value or one that does not fit.
        """
        if isinstance(self.content, Placeholder):
            return _given(self.content, parameters.value(self.content)), {}
        value, left_out = self.content.resolve(parameters)
        if not isinstance(value, Mapping):
            raise ParameterError("The value that is given for all of @@json is no JSON object.")
        return dict(value), left_out


def read_json(fragment: Fragment) -> JSONArgument:
    """Read what stands after ``@@json =``.

    Raises:
        SQLSyntaxError: it is neither a string that holds a JSON object nor a placeholder.
    """
    if fragment.sole:
        return JSONArgument(fragment, fragment.sole)
    lexemes = fragment.lexemes
    if len(lexemes) != 1 or lexemes[0].kind not in (Kind.STRING, Kind.DOLLAR):
        raise SQLSyntaxError(
            "@@json takes one string in '…' or $$…$$ that holds a JSON object, or one "
            f"placeholder, at {fragment.position}."
        )
    try:
        content = jsontext.parse(lexemes[0].value)
    except JSONTextError as error:
        raise SQLSyntaxError(
            f"The text of @@json at {fragment.position} can't be read: {error}."
        ) from None
    if not isinstance(content.tree, dict | Slot):
        raise SQLSyntaxError(f"The text of @@json at {fragment.position} is no JSON object.")
    return JSONArgument(fragment, content)


def _given(placeholder: Placeholder, value: object) -> dict[str, object]:
    """The object that is the value of one parameter: a mapping, or JSON text without placeholders.

    Braces in it are never read as placeholders: it is a value, not a part of the script.
    """
    if isinstance(value, str):
        try:
            value = jsontext.parse(value, placeholders=False).tree
        except JSONTextError as error:
            raise ParameterError(
                f"The value of {placeholder.written}, for @@json, can't be read: {error}."
            ) from None
    if not isinstance(value, Mapping):
        raise ParameterError(f"The value of {placeholder.written}, for @@json, is no JSON object.")
    return {str(key): member for key, member in value.items()}
