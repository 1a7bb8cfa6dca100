"""Answers that are not the API's: the pages of proxies, gateways and captive portals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

_TITLE = re.compile(rb"<title[^>]{0,200}>(.{0,2000}?)</title", re.IGNORECASE | re.DOTALL)
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,200}<(?:!doctype html|html)", re.IGNORECASE)
_HOST = re.compile(r"[\w.:-]+")
# How far a title is looked for, and how much of it is cited.
_HEAD = 65_536
_LONGEST_TITLE = 80


def page_of_others(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """What an answer is, in words, where it is a page for people; None where it is none."""
    is_html = "html" in headers.get("content-type", "").lower() or _BEGINNING.match(body)
    if not is_html:
        return "the word of the network that it wants a login first" if status == 511 else None
    title = _title(body)
    return f"an HTML page called “{title}”" if title else "an HTML page"


def advice_about(status: int, headers: Mapping[str, str], host: str) -> str:
    """What to do about an answer that is not the API's."""
    elsewhere = leads_elsewhere(status, headers, host)
    if elsewhere is not None:
        return (
            f"It redirects to {elsewhere}, which is not {host}: the login page of a network "
            "(captive portal) or a proxy does that. Log in to the network with a browser"
        )
    if status == 511:
        return "Log in to the network with a browser, then try again"
    if 200 <= status < 300:
        return (
            f"That is not {host}'s answer: a proxy or the login page of a network (captive portal) "
            "took its place. Log in to the network with a browser, or check HTTPS_PROXY"
        )
    return f"That is not {host}'s answer: a proxy or gateway on the way gave it"


def leads_elsewhere(status: int, headers: Mapping[str, str], host: str) -> str | None:
    """The other host that a redirect leads to; the rest of the address may hold secrets."""
    if not 300 <= status < 400:
        return None
    import httpx

    try:
        location = httpx.URL(headers.get("location", ""))
    except httpx.InvalidURL:
        return None
    other = f"{location.host}:{location.port}" if location.port else location.host
    return other[:_LONGEST_TITLE] if other != host and _HOST.fullmatch(other) else None


def _title(body: bytes) -> str:
    """A page's title on one line, without anything that could steer a terminal."""
    found = _TITLE.search(body[:_HEAD])
    if found is None:
        return ""
    text = unescape(found[1].decode("utf-8", errors="replace"))
    shown = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(shown.split())
    return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 1]}…"
