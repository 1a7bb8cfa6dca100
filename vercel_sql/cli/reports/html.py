"""The page of a report: one file that needs nothing else, for a person to read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TextIO

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vercel_sql.cli.reports import chart
from vercel_sql.cli.reports.cells import heading, kind_class, row_cells
from vercel_sql.cli.reports.facts import (
    cost_text,
    count_text,
    maker_text,
    moment_text,
    parameter_lines,
    with_values,
)
from vercel_sql.cli.reports.report import Report, RunFacts
from vercel_sql.cli.reports.rows import Column, Row, Rows
from vercel_sql.escapes import visible

_ROOM = "vercel_sql.cli.reports"


def write_page(report: Report, table: pa.Table, facts: RunFacts, out: TextIO) -> None:
    """Write the page.

    It loads nothing, and its content policy lets nothing be loaded or run but the style and the
    script that are in it. All that comes from the account or the report is text. Without scripts it
    is the same page, in the report's own order.
    """
    rows = Rows(table)
    lines = list(rows)
    picture = report.chart and chart.draw(report.chart, rows.columns, lines, facts.at)
    style, script = _part("page.css"), _part("page.js")
    page = (
        _environment()
        .get_template("page.html")
        .stream(
            report=report,
            answers=with_values(report.answers, facts),
            on_hit=with_values(report.on_hit, facts),
            account=visible(facts.account),
            api=visible(facts.api),
            when=moment_text(facts.at),
            moment=facts.at.isoformat(),
            parameters=parameter_lines(report, facts),
            warnings=list(map(visible, facts.warnings)),
            picture=picture,
            columns=[(heading(column), column.name, kind_class(column)) for column in rows.columns],
            rows=_rows(rows.columns, lines),
            number=len(lines),
            count=count_text(len(lines), "row"),
            cost=cost_text(facts),
            maker=maker_text(),
            style=style,
            script=script,
            policy=_policy(style, script),
        )
    )
    page.enable_buffering(500)
    out.writelines(page)


def _rows(columns: Sequence[Column], lines: Sequence[Row]) -> Iterator[Markup]:
    looks = [kind_class(column) for column in columns]
    return (row_cells(columns, looks, line) for line in lines)


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(_ROOM, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _part(name: str) -> Markup:
    """A part of the page that is the package's own, and goes in unescaped."""
    return Markup((files(_ROOM) / "page" / name).read_text("utf-8"))  # noqa: S704
