"""A target: a text of any bytes, read as a script and bound to parameters that are made up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql import (
    Delete,
    Exec,
    Explain,
    Fragment,
    Insert,
    Native,
    Parameters,
    Statement,
    Write,
    check,
    complete,
    parse,
)
from vercel_sql.sql.parameters import TextValue

from .json_texts import require_same_json
from .literal_nulls import require_nulls
from .matches import require_same_rows
from .oracles import SECRET, Violation, attempt, require

REFUSALS = (SQLSyntaxError, ParameterError)
POSITION = re.compile(r"\b\d+:\d+\b")
VALUES = (
    SECRET,
    TextValue(SECRET),
    None,
    7,
    True,
    Decimal("1.50"),
    2.5,
    "it's {{ n }} $x",
    datetime(2026, 1, 2, tzinfo=UTC),
    date(2026, 1, 2),
    b"\x00",
    [1, None],
    {"k": SECRET},
)
_MOST_POSITIONS = 40
_FORMS = {
    b"\xfe": "EXEC v.a.t.m @@json = '{}'",
    b"\xfd": "DELETE FROM vercel.authentication.user_tokens AS t WHERE {}",
    b"\xfc": "INSERT INTO v.a.t (a, b) VALUES ({})",
    b"\xfb": "EXEC v.a.t.m {}",
}


def run(data: bytes) -> None:
    """Holds the parser to its rules over one input.

    Raises:
        Violation: one of them does not hold.
    """
    text = _text(data)
    complete(text)
    quoted = f'"{SECRET}"' in text or f"`{SECRET}`" in text
    statements, error = attempt(lambda: parse(text), REFUSALS, cites_secret=quoted)
    if statements is None:
        if isinstance(error, SQLSyntaxError):
            require(POSITION.search(str(error)), "a syntax error without a position")
        return
    _require_split_as_duckdb_does(text, statements)
    for statement in statements:
        require(SECRET not in repr(statement), "the secret is in a repr")
        _require_well_placed(statement)
        if statement.text != text:
            _require_same_when_read_alone(statement)
    _bind(statements, quoted)


def _text(data: bytes) -> str:
    """The script of an input.

    Its first byte may be one that no text begins with: FF, where the rest is as a command line
    would give it, broken as it is (which is refused at once, so most inputs are not like that);
    or one of `_FORMS`, where the rest is a part of a statement.
    """
    if data[:1] == b"\xff":
        return data[1:].decode("utf-8", "surrogateescape")
    form = _FORMS.get(data[:1])
    if form is None:
        return data.decode("utf-8", "replace")
    part = data[1:].decode("utf-8", "replace")
    return form.format(part.replace("'", "''") if "json" in form else part)


def _duckdbs(text: str) -> Sequence[duckdb.Statement] | None:
    """DuckDB's own reading; None for what it refuses."""
    try:
        text.encode("utf-8")
        return duckdb.extract_statements(text)
    except (duckdb.Error, UnicodeError):
        return None


def _require_split_as_duckdb_does(text: str, statements: Sequence[Statement]) -> None:
    """What DuckDB can read as well, it must see as the same statements."""
    theirs = _duckdbs(text)
    if theirs is None:
        return
    if any(isinstance(each, Native) and each.unreadable for each in statements):
        raise Violation("DuckDB reads what is no tokens to us")
    require(len(theirs) == len(statements), f"{len(statements)} statements, {len(theirs)} theirs")


def _fragments(statement: Statement) -> Iterator[Fragment]:
    """The parts of a statement that others read."""
    yield statement.fragment
    if isinstance(statement, Explain):
        yield from _fragments(statement.inner)
    if isinstance(statement, Exec):
        yield from (argument.value for argument in statement.arguments)
        if statement.json:
            yield statement.json.fragment
    if isinstance(statement, Insert):
        found = [statement.with_clause, statement.source, statement.returning]
    elif isinstance(statement, Delete):
        parts = [statement.with_clause, statement.using, statement.where, statement.returning]
        found = parts
    else:
        found = []
    yield from (each for each in found if each is not None)


def _require_well_placed(statement: Statement) -> None:
    whole = statement.fragment
    if isinstance(statement, Native) and statement.unreadable:
        return
    for part in _fragments(statement):
        require(whole.first <= part.first < part.stop <= whole.stop, "a part lies outside")
        require(part.text in whole.text, "a part's text is not the statement's")
    if isinstance(statement, Write) and statement.malformed is not None:
        require(POSITION.search(statement.malformed), "what is malformed has no position")
        require(SECRET not in statement.malformed, "the secret is in what is malformed")


def _require_same_when_read_alone(statement: Statement) -> None:
    """A statement's text reads as the same statement without the rest of the script."""
    again = parse(statement.text)
    kinds = [type(each) for each in again]
    require(kinds == [type(statement)], f"read alone it is {kinds}, not {type(statement)}")
    shapes = [[part.text for part in _fragments(each)] for each in (statement, again[0])]
    require(shapes[0] == shapes[1], "read alone it has other parts")


def _made_up(statements: Sequence[Statement]) -> Parameters | None:
    """A value for each placeholder; None where there is no telling, or too many are asked for."""
    names = list(dict.fromkeys(n.name for each in statements for n in each.needs()))
    if not names:
        return Parameters()
    if not all(name.isdecimal() for name in names):
        return Parameters({name: VALUES[len(name) % len(VALUES)] for name in names})
    numbers = [int(name) for name in names]
    if max(numbers) > _MOST_POSITIONS:
        return None
    return Parameters([VALUES[n % len(VALUES)] for n in range(max(numbers))])


def _bind(statements: Sequence[Statement], quoted: bool) -> None:
    attempt(lambda: check(statements, Parameters({"vcp": SECRET})), REFUSALS, cites_secret=quoted)
    parameters = _made_up(statements)
    if parameters is None:
        return
    _, error = attempt(lambda: check(statements, parameters), REFUSALS, cites_secret=quoted)
    if error is not None:
        return
    for statement in statements:
        for part in _fragments(statement):
            if not (isinstance(statement, Exec) and part is statement.fragment):
                _require_bound(part, parameters)
        inner = statement.inner if isinstance(statement, Explain) else statement
        if isinstance(inner, Exec):
            require_same_json(inner, parameters)
        elif isinstance(inner, Delete):
            require_same_rows(inner, parameters)
        elif isinstance(inner, Insert):
            require_nulls(inner, parameters)


def _require_bound(part: Fragment, parameters: Parameters) -> None:
    """Values are bound, not pasted, and the parameters in the text are those that are given."""
    (bound, values), _ = attempt(lambda: part.bind(parameters), ())
    require(SECRET in part.text or SECRET not in bound, "a value was pasted into a text")
    if not part.placeholders:
        require(bound == part.text and not values, "a text without placeholders was changed")
        return
    (again,) = parse(f"x {bound}")  # whose value would stand there is not ours to say
    asked = {placeholder.name for placeholder in again.fragment.placeholders}
    require(asked == set(values), f"the text asks for {asked}, and is given {set(values)}")
    _require_duckdb_asks(bound, set(values))


def _require_duckdb_asks(bound: str, given: set[str]) -> None:
    theirs = _duckdbs(bound)
    if theirs is None:
        return
    asked = {name.lower() for each in theirs for name in each.named_parameters}
    # It also takes names that are no placeholders here, such as `$"x"`: it asks for these itself.
    require(given <= asked, f"DuckDB asks for {asked}, and is given {given}")
