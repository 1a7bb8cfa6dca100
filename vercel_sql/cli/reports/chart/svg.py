"""SVG elements as escaped markup, and text that is measured without a browser."""

from __future__ import annotations

from markupsafe import Markup, escape

from vercel_sql.render.terminal import display_width

SIZE = 13
"""The font size of all text in a chart, in the page's pixels."""

_NARROW = frozenset("ijl.,:;'|!()[]{}ftr I-`")
_WIDE = frozenset("mwMW@%\N{HORIZONTAL ELLIPSIS}\N{EN DASH}\N{EM DASH}")


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """An element; `class_` is its class, `stroke_width` its stroke-width; None is left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(map(escape, children))
    return Markup(f"<{tag}{written}>{inside}</{tag}>")  # noqa: S704


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def text_width(text: str) -> float:
    """The pixels that a text takes at most, or nearly so: fonts differ, and none is asked."""
    return SIZE * sum(map(_ems, text))


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.41
    if character in _WIDE:
        return 1.0
    if character.isascii():
        return 0.76 if character.isupper() else 0.64
    return 0.7 * max(display_width(character), 0)


def fitted(text: str, width: float) -> str:
    """The text, or as much of its start as fits into so many pixels, and `…`."""
    if text_width(text) <= width:
        return text
    while text and text_width(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def label(text: str, x: float, y: float, width: float, anchor: str = "start") -> Markup:
    """A line of text that never leaves its place, `…` standing for what does not fit.

    Args:
        text: what it says.
        x: the left end of its place.
        y: the base line.
        width: how wide its place is.
        anchor: at which end of its place it stands: `start`, `middle` or `end`.
    """
    shift = {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    shown = fitted(text, width)
    whole = [element("title", text)] if shown != text else []
    inner = element("text", shown, *whole, x=shift, y=float(SIZE), text_anchor=anchor)
    # An inner <svg> cuts off what is outside: a font wider than any that we know overlaps nothing.
    return element(
        "svg", inner, x=x, y=y - SIZE, width=max(width, 1.0), height=SIZE * 1.5, class_="label"
    )
