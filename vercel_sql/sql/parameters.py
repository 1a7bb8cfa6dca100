"""The values that a caller gives for a script's placeholders, and the ``@@json`` of EXEC."""

from __future__ import annotations

import datetime
import json
import re
import secrets
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.sql.fragments import Fragment, Need, Placeholder, other_template
from vercel_sql.sql.tokens import Kind

_TABLES = frozenset(
    [
        *("DataFrame", "LazyFrame", "Table", "RecordBatch", "RecordBatchReader", "Dataset"),
        *("DuckDBPyRelation", "Rows"),
    ]
)
_VALUES = (
    *(bool, int, float, str, bytes, bytearray, memoryview, type(None), uuid.UUID),
    *(datetime.date, datetime.time, datetime.timedelta, Decimal),
)
_FINER = ("[ns]", "[ps]", "[fs]", "[as]")


class NoValueError(TypeError):
    """Something has no value in SQL."""


def is_table(value: object) -> bool:
    """Whether it is a DataFrame or another table, of whatever library."""
    return any(kind.__name__ in _TABLES for kind in type(value).__mro__)


def bindable(value: Any) -> Any:
    """A value as DuckDB takes it: a list for a set or a column, None for what is missing."""
    module = type(value).__module__.partition(".")[0]
    if is_table(value):
        raise NoValueError(type(value).__name__)
    if module == "numpy" and hasattr(value, "dtype"):
        return _of_numpy(value)
    if module == "pandas" and type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, _VALUES) or module == "duckdb":
        return value
    if isinstance(value, Mapping):
        return {key: bindable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | Set | range | deque | ValuesView):
        return [bindable(each) for each in value]
    return _of_library(value)


def _of_numpy(value: Any) -> Any:
    if str(value.dtype).endswith(_FINER):
        # It would become a number of nanoseconds.
        value = value.astype(f"{value.dtype.kind}8[us]")
    return bindable(value.tolist()) if value.dtype.kind in "OV" else value.tolist()


def _of_library(value: Any) -> Any:
    for name in ("to_list", "to_pylist", "as_py"):
        if hasattr(value, name):
            return bindable(getattr(value, name)())
    raise NoValueError(type(value).__name__)


_AS_THEY_ARE = (str, int, float, bool, bytes, type(None))
_MOST_BITS = 14_000  # an integer with more has more digits than Python writes


class TextValue(str):
    """A value that was given as text, on the command line, for whatever type it is needed as.

    It is a string like any other, and says so where a number that was given as text may be cast
    and one that a program gave as a string may not.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<TextValue>"


class Parameters(NotPicklable):
    """Values by name or by position.

    Names match whatever their case, as DuckDB's do. No value shows in the repr or in an error:
    any of them may be a secret.
    """

    def __init__(
        self,
        values: Mapping[str, object] | Sequence[object] | None = None,
        *,
        text: bool | Collection[str] = False,
    ) -> None:
        self.positional = values is not None and not isinstance(values, Mapping)
        self._values: dict[str, object] = {}
        self._written: dict[str, str] = {}
        for written, value in _named(values):
            name = written.lower()
            if name in self._values:
                raise ParameterError(
                    f"The parameters {self._written[name]} and {written} are the same one: "
                    "names match whatever their case."
                )
            value = _bindable(written, value)
            if misfit := _misfit(written) or _misfit(value):
                raise ParameterError(
                    f"The parameter {written!a} holds {misfit}, which can't be sent."
                )
            as_text = written in text if isinstance(text, Collection) else text
            self._values[name] = TextValue(value) if as_text and isinstance(value, str) else value
            self._written[name] = written

    def __repr__(self) -> str:
        return f"<Parameters: {', '.join(self._written.values()) or 'none'}>"

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        """The names as they were given; ``1``, ``2``, … for values by position."""
        return iter(self._written.values())

    def __getitem__(self, name: str) -> object:
        """The value of a name; a `TextValue` where it was given as text."""
        return self._values[name.lower()]

    def value(self, placeholder: Placeholder) -> object:
        """The value for a placeholder, as DuckDB takes it."""
        if placeholder.name not in self._values:
            raise ParameterError(f"The placeholder {placeholder.label} has no value.")
        value = self._values[placeholder.name]
        return str(value) if isinstance(value, TextValue) else value


def _named(values: Mapping[str, object] | Sequence[object] | None) -> list[tuple[str, object]]:
    if values is None:
        return []
    if isinstance(values, Mapping):
        return [(str(name), value) for name, value in values.items()]
    if isinstance(values, str | bytes):
        raise ParameterError("Parameters are a sequence or a mapping of values, not one string.")
    if not isinstance(values, Iterable):
        kind = type(values).__name__
        raise ParameterError(
            f"Parameters are a sequence or a mapping of values, not one {kind}: write [value]."
        )
    return [(str(number), value) for number, value in enumerate(values, start=1)]


def _bindable(name: str, value: object) -> object:
    if type(value) in _AS_THEY_ARE:
        return value
    try:
        return bindable(value)
    except NoValueError as error:
        hint = "" if not is_table(value) else f". Name it in the statement: FROM {name}"
        raise ParameterError(
            f"The parameter {name!a} is a {error}, which can't be a value in SQL{hint}."
        ) from None


def half_character(text: str) -> int | None:
    """Where the first half of a surrogate pair stands alone in a text, or None."""
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def _misfit(value: object) -> str:
    """What is in a value that has no text, and that DuckDB has no error for; or nothing."""
    match value:
        case str():
            return "" if half_character(value) is None else "half a character (a lone surrogate)"
        case int():
            return "a number of thousands of digits" if value.bit_length() > _MOST_BITS else ""
        case Mapping():
            parts = [*value.keys(), *value.values()]
        case list() | tuple():
            parts = list(value)
        case _:
            return ""
    return next(filter(None, map(_misfit, parts)), "")


NO_PARAMETERS = Parameters()


_DEPTH_LIMIT = 100
_PLACEHOLDER = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")
_STRING_OR_PLACEHOLDER = re.compile(rf'"(?:[^"\\]|\\.)*+"|{_PLACEHOLDER.pattern}', re.DOTALL)


class JSONTextError(ValueError):
    """A text is not JSON, or not what can be sent; the message holds nothing of the text."""


@dataclass(frozen=True, slots=True, repr=False)
class Mixed:
    """A JSON string with placeholders inside its text."""

    parts: tuple[str | Need, ...]


@dataclass(frozen=True, slots=True, repr=False)
class JSONArgument:
    """The ``@@json`` of EXEC: an object with placeholders in it, or given as one parameter.

    Attributes:
        fragment: where it stands in the script.
        tree: the JSON values, with a `Need` or a `Mixed` where placeholders stand.
    """

    fragment: Fragment
    tree: object

    def __repr__(self) -> str:
        return f"<JSONArgument at {self.fragment.position}>"

    def needs(self) -> Iterator[Need]:
        return _needs(self.tree)

    def resolve(self, parameters: Parameters = NO_PARAMETERS) -> dict[str, object]:
        """The object, without those members whose whole value is a placeholder that has none."""
        if isinstance(self.tree, Need):
            return _whole(self.tree, _value(self.tree, parameters))
        value = _resolve(self.tree, parameters)
        assert isinstance(value, dict)  # noqa: S101 - as `read_json` makes it
        return value


def read_json(fragment: Fragment) -> JSONArgument:
    """Read what stands after ``@@json =``: a string that holds a JSON object, or a placeholder."""
    if sole := fragment.sole:
        return JSONArgument(fragment, Need(sole.name, sole.label))
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
    if not isinstance(tree, dict | Need):
        raise SQLSyntaxError(f"The text of @@json at {fragment.position} is not a JSON object.")
    return JSONArgument(fragment, tree)


def _whole(need: Need, value: object) -> dict[str, object]:
    """The object that is the value of one parameter: a mapping, or JSON text.

    Braces in it are never read as placeholders: it is a value, not a part of the script.
    """
    if isinstance(value, str):
        try:
            value = _parse(value, placeholders=False)
        except JSONTextError as error:
            raise ParameterError(
                f"The value of {need.written}, for @@json, can't be read: {error}."
            ) from None
    if not isinstance(value, Mapping):
        raise ParameterError(f"The value of {need.written}, for @@json, is not a JSON object.")
    return {str(key): member for key, member in value.items()}


def _parse(text: str, *, placeholders: bool = True) -> object:
    """Parse a JSON text exactly: no NaN, no member twice, no number that loses digits."""
    marks = _Marks()
    if placeholders and (name := other_template(text)):
        raise JSONTextError(
            f"a template is not filled in: write {{{{ {name} }}}} instead; for the braces "
            "themselves, write \\u007b\\u007b"
        )
    try:
        tree = json.loads(
            marks.put(text) if placeholders else text,
            object_pairs_hook=_unique,
            parse_float=_exact,
            parse_constant=_refuse_constant,
        )
        return _unmark(tree, marks)
    except json.JSONDecodeError as error:
        raise JSONTextError(f"{error.msg}, in line {error.lineno} of the JSON") from None
    except RecursionError:
        raise JSONTextError("it is nested too deeply") from None
    except JSONTextError:
        raise
    except (ValueError, ArithmeticError):
        raise JSONTextError("a number is too large") from None


class _Marks:
    """Marks that nobody can guess, each in the place of a placeholder of a JSON text."""

    def __init__(self) -> None:
        self.mark = f"<{secrets.token_hex(16)}>"
        self._needs: list[Need] = []

    def put(self, text: str) -> str:
        """The text with marks: within the strings, and in quotes outside of them."""
        return _STRING_OR_PLACEHOLDER.sub(self._marked, text)

    def _marked(self, found: re.Match[str]) -> str:
        marked = _PLACEHOLDER.sub(self._sign, found[0])
        return marked if found[0].startswith('"') else f'"{marked}"'

    def _sign(self, found: re.Match[str]) -> str:
        self._needs.append(Need(found[1].lower(), found[0]))
        return f"{self.mark}{len(self._needs) - 1}{self.mark}"

    def split(self, text: str) -> list[str | Need]:
        """A parsed string, cut at its marks; empty texts between them are left out."""
        pieces: list[str | Need] = list(text.split(self.mark))
        for index in range(1, len(pieces), 2):
            pieces[index] = self._needs[int(str(pieces[index]))]
        return [piece for piece in pieces if piece != ""]


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


def _unmark(node: object, marks: _Marks, depth: int = 0, *, optional: bool = False) -> object:
    """The tree with placeholders where the marks stand."""
    if depth > _DEPTH_LIMIT:
        raise JSONTextError("it is nested too deeply")
    match node:
        case dict():
            for key in node:
                if not isinstance(_unmark(key, marks), str):
                    raise JSONTextError("a placeholder can't stand in the name of a member")
            values = node.items()
            return {key: _unmark(each, marks, depth + 1, optional=True) for key, each in values}
        case list():
            return [_unmark(each, marks, depth + 1) for each in node]
        case str():
            return _unmark_text(node, marks, optional)
    return node


def _unmark_text(text: str, marks: _Marks, optional: bool) -> object:
    if not text.isprintable() and any("\ud800" <= char <= "\udfff" for char in text):
        raise JSONTextError("a string holds half a character (a lone surrogate)")
    if marks.mark not in text:
        return text
    parts = marks.split(text)
    if len(parts) == 1 and isinstance(parts[0], Need):
        return Need(parts[0].name, parts[0].written, optional)
    return Mixed(tuple(parts))


def _needs(node: object) -> Iterator[Need]:
    match node:
        case Need():
            yield node
        case Mixed(parts):
            yield from (part for part in parts if isinstance(part, Need))
        case dict() | list():
            for value in node.values() if isinstance(node, dict) else node:
                yield from _needs(value)


def _resolve(node: object, parameters: Parameters) -> object:
    match node:
        case Need():
            return _value(node, parameters)
        case Mixed(parts):
            texts = (_text(part, parameters) if isinstance(part, Need) else part for part in parts)
            return "".join(texts)
        case dict():
            return {
                key: _resolve(value, parameters)
                for key, value in node.items()
                if not isinstance(value, Need) or value.name in parameters
            }
        case list():
            return [_resolve(value, parameters) for value in node]
    return node


def _value(need: Need, parameters: Parameters) -> object:
    """The value with its type; text from the command line stays a `TextValue`."""
    if need.name not in parameters:
        raise ParameterError(f"The placeholder {need.written} has no value.")
    return parameters[need.name]


def _text(need: Need, parameters: Parameters) -> str:
    value = _value(need, parameters)
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
        f"The placeholder {need.written} stands inside a longer JSON string, so its value must "
        f"be a string or a finite number, not {type(value).__name__}."
    )
