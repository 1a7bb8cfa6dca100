"""Values as cells of a page's table: for the eye first, the exact value at hand, all escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from vercel_sql.cli.reports.facts import MONTHS
from vercel_sql.cli.reports.rows import Column, Kind, Row
from vercel_sql.escapes import visible

_LONG = 44  # characters; more are shortened to the eye, until they are clicked
_LONG_ID = 16
_LINE = 30  # characters of a text that is not broken into lines
_ID = re.compile(r"(?:^|_)id$|(?<=[a-z])I[dD]$")  # id, team_id, tokenId
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d:\d\d)(:\d\d)?(?:\.(\d+))?)?(\+00)?")
_PLAIN_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")

_NOTHING = Markup("\N{EN DASH}")
_NULL = Markup('<td class="null {}">\N{EN DASH}</td>')
_CELL = Markup('<td class="{}">{}</td>')
_MOMENT = Markup('<time datetime="{}" title="{}">{}</time>')


def heading(column: Column) -> str:
    """A column's name for people: `idle_days` is `idle days`."""
    name = column.name
    return name.replace("_", " ") if _PLAIN_NAME.fullmatch(name) else visible(name)


def kind_class(column: Column) -> str:
    """The class of a column's cells, which says how they look and how they sort."""
    if column.kind is Kind.TEXT and _ID.search(column.name):
        return "id"
    return column.kind.name.lower()


def row_cells(columns: Sequence[Column], looks: Sequence[str], row: Row) -> Markup:
    """The cells of a row.

    Args:
        columns: what the row has.
        looks: the class of each column.
        row: its texts.
    """
    return Markup("").join(
        _NULL.format(look) if text is None else _cell(column.kind, look, text)
        for column, look, text in zip(columns, looks, row, strict=True)
    )


def _cell(kind: Kind, look: str, text: str) -> Markup:
    if kind is Kind.NUMBER:
        return _CELL.format(look, text)
    if kind is Kind.FLAG:
        answer = "yes" if text == "true" else "no"
        return _CELL.format(f"{look} {answer}", answer)
    if kind in (Kind.TIME, Kind.DATE):
        return _CELL.format(look, _moment(text))
    if kind is Kind.NESTED:
        return _CELL.format(look, _nested(text))
    return _text(look, visible(text))


def _text(look: str, text: str) -> Markup:
    if not text:
        return _CELL.format(look, Markup('<span class="quiet">(empty)</span>'))
    if len(text) <= (_LONG_ID if look == "id" else _LONG):
        return _CELL.format(look if len(text) <= _LINE else f"{look} broken", text)
    whole = Markup('<span title="{}">{}</span>').format(text, text)
    return _CELL.format(f"{look} long", whole)


def _moment(text: str) -> Markup:
    """A time in UTC; what is in no calendar (infinity, years of five digits) as it is."""
    found = _TIME.fullmatch(text)
    if found is None:
        return escape(text)
    year, month, day, minutes, seconds, fraction, zone = found.groups()
    shown = escape(f"{day} {MONTHS[int(month) - 1]} {year}")
    exact = f"{year}-{month}-{day}"
    if minutes:
        shown += Markup(' <span class="minutes">{}</span>').format(minutes)
        # As many digits in each, so that they sort as texts.
        exact += f"T{minutes}{seconds or ':00'}.{fraction or '':0<9}{'Z' if zone else ''}"
    says = text.removesuffix("+00") + (" UTC" if zone else "")
    return _MOMENT.format(exact, says, shown)


def _nested(text: str) -> Markup:
    """A list, a struct or JSON, without braces and quotes: one line a struct in a list."""
    try:
        # Numbers keep their digits, and members that have the same name are all there.
        value = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return escape(visible(text))
    if isinstance(value, list) and any(isinstance(each, tuple) for each in value):
        items = (Markup("<li>{}</li>").format(_readable(each)) for each in value)
        return Markup("<ul>{}</ul>").format(Markup("").join(items))
    return _readable(value)


def _readable(value: Any) -> Markup:
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    if isinstance(value, list):
        if not value:
            return Markup('<span class="quiet">(none)</span>')
        return Markup(", ").join(map(_inner, value))
    if isinstance(value, tuple):
        members = [
            Markup('<span class="key">{}</span> {}').format(visible(name), _inner(each))
            for name, each in value
            if each is not None
        ]
        return Markup(" · ").join(members) if members else _NOTHING
    return escape(visible(str(value)))


def _inner(value: Any) -> Markup:
    """A value within another one, in brackets where it has parts itself."""
    readable = _readable(value)
    return Markup("({})").format(readable) if isinstance(value, list | tuple) else readable
