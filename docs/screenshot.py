"""Draws docs/screenshot.svg from the demo: ``python docs/screenshot.py``.

What it shows is what `vercel-sql demo` prints: its third and fourth steps.
"""

from __future__ import annotations

import contextlib
import io
import re
from html import escape
from pathlib import Path

from vercel_sql.cli.main import main

FILE = Path(__file__).with_name("screenshot.svg")
STEPS = ("3", "4")
WIDTH, LINE, MARGIN = 8.43, 17, 24
"""Of a character and of a line, and what is left around them, in pixels."""
_KEYWORDS = re.compile(
    r"\b(SELECT|FROM|WHERE|AND|NOT|AS|LEFT JOIN|ON|ORDER BY|FILTER|count|coalesce|unnest)\b"
)


def demo() -> str:
    """What the demo prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["demo"])
    return out.getvalue()


def steps(text: str) -> list[str]:
    """The lines of the steps that are shown, with the command before them."""
    parts = re.split(r"^(?=\d+\. )", text, flags=re.MULTILINE)
    chosen = [part.rstrip().splitlines() for part in parts if part.partition(".")[0] in STEPS]
    return ["$ uvx vercel-sql demo", *(line for part in chosen for line in ["", *part])]


def styled(line: str) -> str:
    """A line as SVG text: SQL in colours, headings in bold, the frames of tables dimmed."""
    text = escape(line, quote=False)
    if line.startswith("    "):
        return _KEYWORDS.sub(r'<tspan class="k">\1</tspan>', text)
    if re.match(r"\$ |\d+\. ", line):
        return f'<tspan class="h">{text}</tspan>'
    return re.sub(r"([┌┐└┘├┤┬┴┼─│]+)", r'<tspan class="f">\1</tspan>', text)


def drawing(lines: list[str]) -> str:
    """The lines as a picture of a terminal."""
    width = round(max(map(len, lines)) * WIDTH) + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    texts = [
        f'<text x="{MARGIN}" y="{MARGIN + LINE * number + 12}">{styled(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    style = (
        "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "fill:#e6edf3;white-space:pre}.k{fill:#79c0ff}.h{fill:#fff;font-weight:700}.f{fill:#6e7681}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" role="img" aria-label="vercel-sql in a terminal">',
            f"<style>{style}</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
            *texts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    FILE.write_text(drawing(steps(demo())), encoding="utf-8")
