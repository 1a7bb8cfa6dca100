"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vercel_sql.cli.reports import chart
from vercel_sql.cli.reports.report import MADE_BY, MONTHS, Report, RunFacts, count_text, moment_text
from vercel_sql.cli.reports.rows import Column, Kind, Row, Rows
from vercel_sql.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PACKAGE = "vercel_sql.cli.reports"
_LONG = 44  # characters; longer texts are cut by the style until they are clicked
_LONG_ID = 16
_LINE = 30  # characters of a text that is kept on one line
_ID = re.compile(r"(?:^|_)id$|(?<=[a-z])I[dD]$")  # id, team_id, tokenId
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d:\d\d)(:\d\d)?(?:\.(\d+))?)?(\+00)?")
_PLAIN_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_NULL = "\N{EN DASH}"


def write_page(report: Report, table: pa.Table, facts: RunFacts, out: TextIO) -> None:
    """Write the page to a UTF-8 stream.

    It loads nothing, and its content policy allows only the style and script inside it. Whatever
    comes from the account or the report is escaped text. Without scripts it is the same page, in
    the report's own order.
    """
    rows = Rows(table)
    lines = list(rows)
    classes = [_class(column) for column in rows.columns]
    style, script = _part("page.css"), _part("page.js")
    page = (
        _environment()
        .get_template("page.html")
        .stream(
            report=report,
            answers=facts.filled_in(report.answers),
            on_hit=facts.filled_in(report.on_hit),
            account=visible(facts.account),
            api=visible(facts.api),
            when=moment_text(facts.at),
            moment=facts.at.isoformat(),
            parameters=facts.parameter_lines(report),
            warnings=list(map(visible, facts.warnings)),
            picture=report.chart and chart.draw(report.chart, rows.columns, lines, facts.at),
            columns=[
                (_heading(c), c.name, look) for c, look in zip(rows.columns, classes, strict=True)
            ],
            rows=_rows(rows.columns, classes, lines),
            number=len(lines),
            count=count_text(len(lines), "row"),
            cost=facts.cost,
            maker=MADE_BY,
            style=style,
            script=script,
            policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
            "base-uri 'none'; form-action 'none'",
        )
    )
    page.enable_buffering(500)
    out.writelines(page)


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(_PACKAGE, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _part(name: str) -> Markup:
    """The style or the script, which are the package's own and need no escaping."""
    return Markup((files(_PACKAGE) / "page" / name).read_text("utf-8"))  # noqa: S704


def _heading(column: Column) -> str:
    """A readable name: `idle_days` becomes `idle days`."""
    name = column.name
    return name.replace("_", " ") if _PLAIN_NAME.fullmatch(name) else visible(name)


def _class(column: Column) -> str:
    """The CSS class of a column's cells, by which they are styled and sorted."""
    if column.kind is Kind.TEXT and _ID.search(column.name):
        return "id"
    return column.kind.name.lower()


def _rows(
    columns: Sequence[Column], classes: Sequence[str], lines: Sequence[Row]
) -> Iterator[Markup]:
    """The cells of each row, escaped one by one: joining Markup takes twenty times as long."""
    kinds = [column.kind for column in columns]
    for line in lines:
        cells = map(_cell, kinds, classes, line)
        yield Markup("".join(cells))  # noqa: S704


def _cell(kind: Kind, look: str, text: str | None) -> str:
    if text is None:
        return _td(f"null {look}", _NULL)
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
    """A time in UTC; infinity and years of five digits as they are."""
    found = _TIME.fullmatch(text)
    if found is None:
        return escape(text)
    year, month, day, minutes, seconds, fraction, zone = found.groups()
    shown = f"{day} {MONTHS[int(month) - 1]} {year}"
    exact = f"{year}-{month}-{day}"
    if minutes:
        shown += f' <span class="minutes">{minutes}</span>'
        # The same number of digits in each, so that they sort as texts.
        exact += f"T{minutes}{seconds or ':00'}.{fraction or '':0<9}{'Z' if zone else ''}"
    title = text.removesuffix("+00") + (" UTC" if zone else "")
    return f'<time datetime="{exact}" title="{title}">{shown}</time>'


def _nested(text: str) -> str:
    """A list, struct or JSON value without braces and quotes; structs in a list one per line."""
    try:
        # Numbers keep their digits, and duplicate members are all shown.
        value = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return escape(visible(text))
    if isinstance(value, list) and any(isinstance(each, tuple) for each in value):
        return f"<ul>{''.join(f'<li>{_readable(each)}</li>' for each in value)}</ul>"
    return _readable(value)


def _readable(value: Any) -> str:
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_inner, value)) if value else '<span class="quiet">(none)</span>'
    if isinstance(value, tuple):
        members = (
            f'<span class="key">{escape(visible(name))}</span> {_inner(each)}'
            for name, each in value
            if each is not None
        )
        return " · ".join(members) or _NULL
    return escape(visible(str(value)))


def _inner(value: Any) -> str:
    """A value inside another, in brackets if it has parts itself."""
    readable = _readable(value)
    return f"({readable})" if isinstance(value, list | tuple) else readable
