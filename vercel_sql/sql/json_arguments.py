"""The ``@@json`` argument of EXEC: JSON with placeholders in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql.placeholders import braces, other_template
from vercel_sql.sql.tokens import Kind

if TYPE_CHECKING:
    from vercel_sql.sql.fragments import Fragment
    from vercel_sql.sql.parameters import Parameters

_DEPTH_LIMIT = 100


class JSONTextError(ValueError):
    """A text is not JSON, or not what can be sent; the message holds nothing of the text."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder that is the whole of a JSON value."""

    name: str
    written: str
    optional: bool = False
    """Whether the member that it is the value of may be left out: not so in an array."""


@dataclass(frozen=True, slots=True, repr=False)
class Mixed:
    """A JSON string with placeholders inside its text."""

    parts: tuple[str | Slot, ...]


@dataclass(frozen=True, slots=True, repr=False)
class JSONArgument:
    """A JSON object, written out with placeholders in it, or given as one parameter.

    Attributes:
        fragment: where it stands in the script.
        tree: the JSON values, with a `Slot` or a `Mixed` where placeholders stand.
    """

    fragment: Fragment
    tree: object

    def __repr__(self) -> str:
        return f"<JSONArgument at {self.fragment.position}>"

    @property
    def slots(self) -> Iterator[Slot]:
        """Every placeholder, in order."""
        return _slots(self.tree)

    def resolve(self, parameters: Parameters) -> tuple[dict[str, object], dict[str, str]]:
        """The object, and the members that are left out, with the placeholder of each.

        A member whose whole value is a placeholder without a value is left out. The second part
        gives, by the member's path (``scope.teamId``), the placeholder as it is written.
        """
        if isinstance(self.tree, Slot):
            return _whole(self.tree, _value(self.tree, parameters)), {}
        left_out: dict[str, str] = {}
        value = _resolve(self.tree, parameters, "", left_out)
        assert isinstance(value, dict)  # noqa: S101 - as `read_json` makes it
        return value, left_out


def read_json(fragment: Fragment) -> JSONArgument:
    """Read what stands after ``@@json =``: a string that holds a JSON object, or a placeholder."""
    if sole := fragment.sole:
        return JSONArgument(fragment, Slot(sole.name, sole.label))
    lexemes = fragment.lexemes
    if len(lexemes) != 1 or lexemes[0].kind not in (Kind.STRING, Kind.DOLLAR):
        raise SQLSyntaxError(
            "@@json takes one string in '…' or $$…$$ that holds a JSON object, or one "
            f"placeholder, at {fragment.position}."
        )
    try:
        tree = _parse(lexemes[0].value)
    except JSONTextError as error:
        raise SQLSyntaxError(
            f"The text of @@json at {fragment.position} can't be read: {error}."
        ) from None
    if not isinstance(tree, dict | Slot):
        raise SQLSyntaxError(f"The text of @@json at {fragment.position} is not a JSON object.")
    return JSONArgument(fragment, tree)


def _whole(slot: Slot, value: object) -> dict[str, object]:
    """The object that is the value of one parameter: a mapping, or JSON text.

    Braces in it are never read as placeholders: it is a value, not a part of the script.
    """
    if isinstance(value, str):
        try:
            value = _parse(value, placeholders=False)
        except JSONTextError as error:
            raise ParameterError(
                f"The value of {slot.written}, for @@json, can't be read: {error}."
            ) from None
    if not isinstance(value, Mapping):
        raise ParameterError(f"The value of {slot.written}, for @@json, is not a JSON object.")
    return {str(key): member for key, member in value.items()}


def _parse(text: str, *, placeholders: bool = True) -> object:
    """Parse a JSON text exactly: no NaN, no member twice, no number that loses digits."""
    marked = _Marked(text if placeholders else "")
    if placeholders and (name := other_template(text)):
        raise JSONTextError(
            f"a template is not filled in: write {{{{ {name} }}}} instead; for the braces "
            "themselves, write \\u007b\\u007b"
        )
    try:
        tree = json.loads(
            marked.text if placeholders else text,
            object_pairs_hook=_unique,
            parse_float=_exact,
            parse_constant=_refuse_constant,
        )
        return _unmark(tree, marked, depth=0)
    except json.JSONDecodeError as error:
        raise JSONTextError(f"{error.msg}, in line {error.lineno} of the JSON") from None
    except RecursionError:
        raise JSONTextError("it is nested too deeply") from None
    except JSONTextError:
        raise
    except (ValueError, ArithmeticError):
        raise JSONTextError("a number is too large") from None


@dataclass(repr=False)
class _Marked:
    """A JSON text in which a mark that nobody can guess stands for each placeholder."""

    source: str
    text: str = ""
    slots: list[Slot] = field(default_factory=list)
    mark: str = field(default_factory=lambda: f"<{secrets.token_hex(16)}>")

    def __post_init__(self) -> None:
        pieces: list[str] = []
        done = 0
        quoted = False
        for start, end, name in braces(self.source):
            quoted = _ends_in_string(self.source[done:start], quoted)
            sign = f"{self.mark}{len(self.slots)}{self.mark}"
            pieces += [self.source[done:start], sign if quoted else f'"{sign}"']
            self.slots.append(Slot(name.lower(), self.source[start:end]))
            done = end
        self.text = "".join([*pieces, self.source[done:]])

    def split(self, text: str) -> list[str | Slot]:
        """A parsed string, cut at its marks; empty texts between them are left out."""
        pieces: list[str | Slot] = list(text.split(self.mark))
        for index in range(1, len(pieces), 2):
            pieces[index] = self.slots[int(str(pieces[index]))]
        return [piece for piece in pieces if piece != ""]


def _ends_in_string(text: str, quoted: bool) -> bool:
    """Whether a piece of JSON ends inside a string, if `quoted` says whether it begins in one."""
    position = 0
    while position < len(text):
        if quoted and text[position] == "\\":
            position += 1
        elif text[position] == '"':
            quoted = not quoted
        position += 1
    return quoted


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise JSONTextError("a member is there twice")
    return found


def _exact(digits: str) -> float | Decimal:
    """A float where it says the same number, else a Decimal."""
    number, exact = float(digits), Decimal(digits)
    return number if Decimal(repr(number)) == exact else exact


def _refuse_constant(name: str) -> object:
    raise JSONTextError(f"{name} is not a JSON number")


def _unmark(node: object, marked: _Marked, *, depth: int, optional: bool = False) -> object:
    """The tree with placeholders where the marks stand."""
    if depth > _DEPTH_LIMIT:
        raise JSONTextError("it is nested too deeply")
    if isinstance(node, dict):
        for key in node:
            if not isinstance(_unmark_text(key, marked, optional=False), str):
                raise JSONTextError("a placeholder can't stand in the name of a member")
        return {
            key: _unmark(value, marked, depth=depth + 1, optional=True)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_unmark(value, marked, depth=depth + 1) for value in node]
    if isinstance(node, str):
        return _unmark_text(node, marked, optional=optional)
    return node


def _unmark_text(text: str, marked: _Marked, *, optional: bool) -> object:
    if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
        raise JSONTextError("a string holds half a character (a lone surrogate)")
    if marked.mark not in text:
        return text
    parts = marked.split(text)
    if len(parts) == 1 and isinstance(parts[0], Slot):
        return Slot(parts[0].name, parts[0].written, optional)
    return Mixed(tuple(parts))


def _slots(node: object) -> Iterator[Slot]:
    match node:
        case Slot():
            yield node
        case Mixed(parts):
            yield from (part for part in parts if isinstance(part, Slot))
        case dict():
            for value in node.values():
                yield from _slots(value)
        case list():
            for value in node:
                yield from _slots(value)


def _resolve(node: object, parameters: Parameters, path: str, left_out: dict[str, str]) -> object:
    match node:
        case Slot():
            return _value(node, parameters)
        case Mixed(parts):
            return "".join(
                _text(part, parameters) if isinstance(part, Slot) else part for part in parts
            )
        case dict():
            return _resolve_object(node, parameters, path, left_out)
        case list():
            return [
                _resolve(value, parameters, f"{path}[{index}]", left_out)
                for index, value in enumerate(node)
            ]
    return node


def _resolve_object(
    node: dict[str, object], parameters: Parameters, path: str, left_out: dict[str, str]
) -> dict[str, object]:
    resolved: dict[str, object] = {}
    for key, value in node.items():
        member = f"{path}.{key}" if path else key
        if isinstance(value, Slot) and value.name not in parameters:
            left_out[member] = value.written
        else:
            resolved[key] = _resolve(value, parameters, member, left_out)
    return resolved


def _value(slot: Slot, parameters: Parameters) -> object:
    """The value with its type; text from the command line stays a `TextValue`."""
    if slot.name not in parameters:
        raise ParameterError(f"The placeholder {slot.written} has no value.")
    return parameters[slot.name]


def _text(slot: Slot, parameters: Parameters) -> str:
    value = _value(slot, parameters)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal):
        # Python writes no number of thousands of digits, and JSON has no NaN.
        with suppress(ValueError):
            text = str(value)
            if Decimal(text).is_finite():
                return text
    raise ParameterError(
        f"The placeholder {slot.written} stands inside a longer JSON string, so its value must "
        f"be a string or a finite number, not {type(value).__name__}."
    )
