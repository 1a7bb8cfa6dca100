"""Exact JSON: what can't be represented is an error or an `Inexact`, never rounded or dropped."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NoReturn

import msgspec

TOO_DEEP = "the JSON is nested too deeply"
# A value in Python takes up to fifty times the bytes that it takes as JSON.
_MOST_VALUES = 4_000_000
_encoder = msgspec.json.Encoder(decimal_format="number")
DEEPEST = 64
"""So many levels of a row's field are decoded; one that is nested deeper is kept as text."""
_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]|-?Infinity|NaN', re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_HALF = re.compile("\ud800([\udc80-\udcff])|[\ud800-\udfff]")


class Inexact:
    """A value of JSON that can't be had exactly, in the place where it stood.

    Attributes:
        reason: what is wrong, to stand after the name of the place.
        found: what was there: JSON's own text, or the values of a key that stands twice.
    """

    # No dataclass, so that nothing encodes it as an object.
    __slots__ = ("found", "reason")

    def __init__(self, reason: str, found: str | list[Any]) -> None:
        self.reason = reason
        self.found = found

    def __repr__(self) -> str:
        return f"<Inexact {self.found!r}>"


def decode_json(body: bytes | str, *, deepest: int | None = None) -> Any:
    """Decodes JSON exactly: integers as they are, other numbers as `decimal.Decimal`."""
    text = body if isinstance(body, str) else body.decode("utf-8")
    _check_size(text.count(","))
    value = _loads(text, _integer, _decimal, _refuse_constant, _object)
    if deepest is not None and _is_deeper(value, deepest):
        raise ValueError(TOO_DEEP)
    return value


def decode_tolerantly(body: bytes, row_level: int) -> Any:
    """Decodes JSON as `decode_json` does; what that refuses stands in it as `Inexact`.

    Text keeps halves of surrogate pairs, and each byte that is not UTF-8 as two of them, which no
    JSON makes: `escaped` tells them apart.
    """
    text = body.decode("utf-8", "vercel_sql.halves")
    _check_size(max(text.count(","), text.count("[") + text.count("{")))
    text, inexact = _without_inexact(text, row_level)
    found = iter(inexact)
    integer, decimal = partial(_tolerated, _integer), partial(_tolerated, _decimal)
    return _loads(text, integer, decimal, lambda _word: next(found), _tolerated_object)


def _check_size(values: int) -> None:
    if values > _MOST_VALUES:
        raise ValueError(f"the JSON holds more than {_MOST_VALUES:,} values")


def _loads(
    text: str,
    integer: Callable[[str], Any],
    decimal: Callable[[str], Any],
    constant: Callable[[str], Any],
    members: Callable[[list[tuple[str, Any]]], Any],
) -> Any:
    try:
        return json.loads(
            text,
            parse_int=integer,
            parse_float=decimal,
            parse_constant=constant,
            object_pairs_hook=members,
        )
    except RecursionError:  # such as brackets that do not end
        raise ValueError(TOO_DEEP) from None


def text_problem(text: str) -> str | None:
    """What keeps a decoded text from being one, to stand after its name; None where it is one."""
    if text.isascii() or (half := _HALF.search(text)) is None:
        return None
    if half[1]:
        return "holds bytes that are not UTF-8"
    return "holds half a surrogate pair, so it is not text"


def escaped(value: Any) -> Any:
    r"""A decoded value as exact JSON: what text can't hold is spelled out, as ``\ud83d``."""
    if isinstance(value, Inexact):
        return escaped(value.found)
    if isinstance(value, str):
        if text_problem(value) is None:
            return value
        return _HALF.sub(_spelled, value.replace("\\", "\\\\"))
    if isinstance(value, list):
        return [escaped(part) for part in value]
    if isinstance(value, dict):
        return {escaped(name): escaped(part) for name, part in value.items()}
    return value


def problem_in(value: Any) -> str | None:
    """What keeps a decoded value from being exact JSON, wherever in it; None where nothing does."""
    if isinstance(value, Inexact):
        return value.reason
    if isinstance(value, str):
        return text_problem(value)
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    found = map(problem_in, parts) if isinstance(parts, list) else iter(())
    return next((problem for problem in found if problem is not None), None)


def encode_json(value: Any) -> str:
    """The JSON text of what `decode_json` gave, numbers exactly as they were."""
    return _encoder.encode(value).decode("utf-8")


def encode_any_json(value: Any) -> str:
    """The same for what holds any strings: half a character, which UTF-8 has not, is escaped."""
    try:
        return encode_json(value)
    except UnicodeEncodeError:
        return json.dumps(value, default=str)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more levels than so many are nested, found without nesting as deep."""
    level = [value]
    for _ in range(levels):
        parts = [part for whole in level for part in _parts(whole)]
        level = [part for part in parts if isinstance(part, dict | list)]
    return any(_parts(whole) for whole in level)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("a number has thousands of digits") from None


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError("a number has an exponent beyond all bounds") from None


def _tolerated(decode: Callable[[str], Any], digits: str) -> Any:
    try:
        return decode(digits)
    except ValueError as error:
        return Inexact(f"can't be read: {error}", digits)


def _tolerated_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        values: dict[str, list[Any]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        made |= {n: Inexact("stands twice", v) for n, v in values.items() if len(v) > 1}
    return made


def _without_inexact(text: str, row_level: int) -> tuple[str, list[Inexact]]:
    """JSON in which constants stand for what can't be decoded, and what each stands for."""
    found: list[Inexact] = []
    kept: list[str] = []
    level = deepest = begin = end = 0
    before = (0, 0, 0)
    for mark in _MARK.finditer(text):
        word, start, problem = mark[0], mark.start(), ""
        if word in "[{":
            level += 1
            deepest = max(deepest, level)
            if level == row_level + 1:
                deepest, begin, before = level, start, (len(found), len(kept), end)
        elif word in "]}":
            if level == row_level + 1 and deepest > row_level + DEEPEST + 1:
                problem, start = "is nested too deeply", begin
                (count, pieces, end) = before
                del found[count:], kept[pieces:]
            level -= 1
        else:
            problem = _problem_of(word)
        if problem:
            found.append(Inexact(problem, text[start : mark.end()]))
            kept += [text[end:start], "NaN"]
            end = mark.end()
    return "".join([*kept, text[end:]]), found


def _problem_of(word: str) -> str:
    """What is wrong with a string or a constant; empty if nothing."""
    if word[0] != '"':
        return f"is {word}, which is not a JSON number"
    return "" if _STRING.fullmatch(word) else "is text with escapes that JSON does not have"


def _halves(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - it is used to decode alone
    found = error.object[error.start : error.end]
    return "".join(f"\ud800{chr(0xDC00 + byte)}" for byte in found), error.end


codecs.register_error("vercel_sql.halves", _halves)


def _spelled(half: re.Match[str]) -> str:
    return f"\\x{ord(half[1]) - 0xDC00:02x}" if half[1] else f"\\u{ord(half[0]):04x}"


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {doubled!r} stands twice in one object")
    return made
