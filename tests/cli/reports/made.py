"""Reports, results and pages that are made for a test."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.cli.reports import html
from vercel_sql.cli.reports.report import Chart, Parameter, Report, RunFacts

NOW = datetime(2026, 11, 22, 11, 47, 3, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"


def result(sql: str) -> pa.Table:
    """The rows of a query, in another time zone than UTC."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'America/New_York'")
        return con.sql(sql).to_arrow_table()


def report(chart: Chart | None = None, **fields: Any) -> Report:
    """A report about stale tokens."""
    given: dict[str, Any] = {
        "name": "stale",
        "path": Path("stale.sql"),
        "title": "Stale tokens",
        "answers": "Which tokens has nobody used for a while?",
        "on_hit": "Ask the owner.",
        "parameters": (Parameter("days", "INTEGER", 90, "whole days without use"),),
        "text": "-- Stale tokens\nSELECT 1",
    }
    return Report(chart=chart, **(given | fields))


def facts(**fields: Any) -> RunFacts:
    """How a report was run."""
    given: dict[str, Any] = {
        "at": NOW,
        "account": "Ada (ada@example.com)",
        "api": "https://api.vercel.com",
        "parameters": {"days": 90},
        "requests": 3,
        "seconds": 1.25,
    }
    return RunFacts(**(given | fields))


def page(sql: str, chart: Chart | None = None, **fields: Any) -> str:
    """The page of a query."""
    out = io.StringIO()
    html.write_page(report(chart, **fields), result(sql), facts(), out)
    return out.getvalue()


class Parsed(HTMLParser):
    """What a page consists of.

    Attributes:
        elements: each element's tag and attributes.
        cells: the text of each cell below the header.
        texts: the text of the elements of a tag.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(source)
        self.cells = self.texts.get("td", [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "link"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]
