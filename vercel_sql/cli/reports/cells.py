"""Values as cells of a page's table: for the eye first, the exact value at hand, all escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from vercel_sql.cli.reports.facts import MONTHS
from vercel_sql.cli.reports.rows import Column, Kind, Row
from vercel_sql.escapes import visible

_LONG = 44  # characters; more are shortened to the eye, until they are clicked
_LONG_ID = 16
_LINE = 30  # characters of a text that is not broken into lines
_ID = re.compile(r"(?:^|_)id$|(?<=[a-z])I[dD]$")  # id, team_id, tokenId
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d:\d\d)(:\d\d)?(?:\.(\d+))?)?(\+00)?")
_PLAIN_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")

_NOTHING = "\N{EN DASH}"


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

    They are put together as plain strings, whose parts are escaped one by one: markup that knows
    of itself that it is takes twenty times as long.
    """
    cells = [
        f'<td class="null {look}">{_NOTHING}</td>'
        if text is None
        else _cell(column.kind, look, text)
        for column, look, text in zip(columns, looks, row, strict=True)
    ]
    return Markup("".join(cells))  # noqa: S704


def _cell(kind: Kind, look: str, text: str) -> str:
    if kind is Kind.NUMBER:
        return _td(look, escape(text))
    if kind is Kind.FLAG:
        answer = "yes" if text == "true" else "no"
        return _td(f"{look} {answer}", answer)
    if kind in (Kind.TIME, Kind.DATE):
        return _td(look, _moment(text))
    if kind is Kind.NESTED:
        return _td(look, _nested(text))
    return _text(look, visible(text))


def _td(look: str, markup: str) -> str:
    return f'<td class="{look}">{markup}</td>'


def _text(look: str, text: str) -> str:
    if not text:
        return _td(look, '<span class="quiet">(empty)</span>')
    shown = escape(text)
    if len(text) <= (_LONG_ID if look == "id" else _LONG):
        return _td(look if len(text) <= _LINE else f"{look} broken", shown)
    return _td(f"{look} long", f'<span title="{shown}">{shown}</span>')


def _moment(text: str) -> str:
    """A time in UTC; what is in no calendar (infinity, years of five digits) as it is."""
    found = _TIME.fullmatch(text)
    if found is None:
        return escape(text)
    year, month, day, minutes, seconds, fraction, zone = found.groups()
    shown = f"{day} {MONTHS[int(month) - 1]} {year}"
    exact = f"{year}-{month}-{day}"
    if minutes:
        shown += f' <span class="minutes">{minutes}</span>'
        # As many digits in each, so that they sort as texts.
        exact += f"T{minutes}{seconds or ':00'}.{fraction or '':0<9}{'Z' if zone else ''}"
    says = text.removesuffix("+00") + (" UTC" if zone else "")
    return f'<time datetime="{exact}" title="{says}">{shown}</time>'


def _nested(text: str) -> str:
    """A list, a struct or JSON, without braces and quotes: one line a struct in a list."""
    try:
        # Numbers keep their digits, and members that have the same name are all there.
        value = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return escape(visible(text))
    if isinstance(value, list) and any(isinstance(each, tuple) for each in value):
        return f"<ul>{''.join(f'<li>{_readable(each)}</li>' for each in value)}</ul>"
    return _readable(value)


def _readable(value: Any) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        if not value:
            return '<span class="quiet">(none)</span>'
        return ", ".join(map(_inner, value))
    if isinstance(value, tuple):
        members = [
            f'<span class="key">{escape(visible(name))}</span> {_inner(each)}'
            for name, each in value
            if each is not None
        ]
        return " · ".join(members) if members else _NOTHING
    return escape(visible(str(value)))


def _inner(value: Any) -> str:
    """A value within another one, in brackets where it has parts itself."""
    readable = _readable(value)
    return f"({readable})" if isinstance(value, list | tuple) else readable
