"""Text in terminal columns: how wide it is, and how it is cut, wrapped and padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vercel_sql.escapes import JOINERS

# wcwidth is imported where text is not ASCII: a script that pipes JSON should start fast.


def display_width(text: str) -> int:
    """The terminal columns that harmless text takes."""
    if text.isascii():
        return len(text)
    import wcwidth

    return max(wcwidth.wcswidth(text), 0)


def cut(text: str, columns: int) -> str:
    """As much of the start of the text as fits."""
    if text.isascii():
        return text[:columns]
    return _first_line(_clusters(text), columns).rstrip(JOINERS)


def shortened(text: str, columns: int) -> str:
    """The text, with `…` for its end if it does not fit."""
    return text if display_width(text) <= columns else cut(text, columns - 1) + "…"


def wrapped(text: str, columns: int, lines: int) -> list[str]:
    """The text in at most so many lines, the last one shortened if there are not enough.

    Args:
        text: without line ends.
        columns: how wide a line is, at least two, which any character fits into.
        lines: at least one.
    """
    done: list[str] = []
    while len(done) < lines - 1 and (line := cut(text, columns)) != text:
        done.append(line)
        text = text[len(line) :].lstrip(JOINERS)
    return [*done, shortened(text, columns)]


def _first_line(clusters: Iterable[str], columns: int) -> str:
    line = ""
    for cluster in clusters:
        if display_width(line + cluster) > columns:
            break
        line += cluster
    return line


def _clusters(text: str) -> Iterator[str]:
    import wcwidth

    return wcwidth.iter_graphemes(text)


def padded(text: str, columns: int, side: str) -> str:
    """The text in so many terminal columns, shortened if it is longer.

    Args:
        text: what to pad.
        columns: at least one.
        side: where it stands: `<`, `>` or `^` as in format strings.
    """
    text = shortened(text, columns)
    spare = columns - display_width(text)
    left = {"<": 0, "^": spare // 2, ">": spare}[side]
    return " " * left + text + " " * (spare - left)
