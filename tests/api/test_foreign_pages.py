"""Pages of proxies, gateways and captive portals are told apart from what the API says."""

from __future__ import annotations

import pytest

from vercel_sql import errors
from vercel_sql.http.requests import build_request

LOGIN = "<!DOCTYPE html><html><head><title>\n Hotel  Wi-Fi &amp; more</title></head></html>"


@pytest.fixture
def client(sim, make_client):
    return make_client(sim, attempts=2)


@pytest.fixture
def listing(method):
    return build_request(method("list_auth_tokens"), {})


def refusal(client, request):
    """The error of one request, whatever came back."""
    with pytest.raises((errors.APIError, errors.AnswerError)) as raised:
        client.send(request).json()
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) < 1200
    return raised.value


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 413, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "text/plain"])
def test_a_page_with_any_status_is_called_a_page(sim, make_client, listing, status, content_type):
    sim.faults(kind="body", status=status, body=LOGIN, content_type=content_type, times=None)
    error = refusal(make_client(sim, attempts=1, max_wait=0), listing)
    assert (error.status, error.code) == (status, "unknown_error")
    assert f", {status})" in str(error)
    assert "an HTML page called “Hotel Wi-Fi & more”, not one of Vercel's errors" in str(error)
    host = f"127.0.0.1:{sim.port}"
    assert f"That is not {host}'s answer: a proxy or gateway on the way gave it" in str(error)
    assert "token" not in str(error).rpartition("user_tokens")[2], "nothing about the token"


def test_a_page_with_a_good_status(sim, client, listing):
    sim.faults(kind="body", body=LOGIN, content_type="text/html")
    error = refusal(client, listing)
    assert isinstance(error, errors.AnswerError)
    assert "can't be used: it is an HTML page called “Hotel Wi-Fi & more” (GET /" in str(error)
    assert "the login page of a network (captive portal) took its place" in str(error)
    assert "Log in to the network with a browser" in str(error)


def test_a_page_in_place_of_the_answer_to_a_write(sim, client, write):
    sim.faults(kind="body", body=LOGIN, content_type="text/html")
    error = refusal(client, write)
    assert error.outcome_unknown
    assert "an HTML page" in str(error)


def test_the_network_says_that_it_wants_a_login(sim, client, listing):
    sim.faults(kind="body", status=511, body=LOGIN, content_type="text/html", times=None)
    error = refusal(client, listing)
    assert "Log in to the network with a browser, then try again" in str(error)
    assert len(sim.requests()) == 1, "nobody logs in between two attempts"


def test_the_network_says_so_without_a_page(sim, client, listing):
    sim.faults(kind="body", status=511, body="", content_type="text/plain")
    assert "a captive-portal response (HTTP 511)" in str(refusal(client, listing))


@pytest.mark.parametrize(
    "location",
    [
        "https://login.hotel.example/?id=5&secret=hunter22",
        "//login.hotel.example/x",
        "http://login.hotel.example",
    ],
)
@pytest.mark.parametrize("status", [302, 303, 307, 308])
def test_a_redirect_to_another_host(sim, client, listing, location, status):
    sim.faults(kind="redirect", location=location, status=status)
    error = refusal(client, listing)
    assert isinstance(error, errors.RedirectError)
    assert f"It redirects to login.hotel.example, which is not 127.0.0.1:{sim.port}" in str(error)
    assert "captive portal" in str(error)
    assert "hunter22" not in str(error)


@pytest.mark.parametrize("location", ["/elsewhere", "", "http://[", "\x1b"])
def test_a_redirect_to_the_same_host_or_nowhere(serve, make_client, method, location):
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    server = serve(head.replace("\x1b", "%1b").encode())
    client = make_client(urls={"api": server.url}, token="vcp_notOfAnyAccountAtAll0001")
    error = refusal(client, build_request(method("list_auth_tokens"), {}))
    assert "Redirects are not followed" in str(error)
    assert "captive portal" not in str(error)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("", "an HTML page,"),
        ("\x1b]0;owned\x07\x1b[2Jhello", "“]0;owned [2Jhello”"),
        ("a\u202eb\u200bc", "“a b c”"),
        ("&#27;[31mred", "“[31mred”"),
        ("x" * 500, "x" * 79 + "…”"),
        ("caf\udce9".encode("utf-8", "surrogateescape").decode("latin-1"), "“caf"),
    ],
)
def test_a_title_is_cited_in_one_short_line_that_steers_no_terminal(
    sim, client, listing, title, shown
):
    page = f"<html><title>{title}</title>"
    sim.faults(kind="body", status=400, body=page, content_type="text/html")
    assert shown in str(refusal(client, listing))


def test_a_secret_in_a_title_is_masked(sim, client, listing):
    page = f"<html><title>Bearer {sim.token}</title>"
    for status in (400, 200):
        sim.faults(kind="body", status=status, body=page, content_type="text/html")
        text = str(refusal(client, listing))
        assert sim.token not in text
        assert "[secret]" in text


@pytest.mark.parametrize(
    "page",
    [
        b"<html>" + b"<title" * 300_000,
        b"<title>" + b"x" * 2_000_000,
        b" " * 2_000_000 + b"<html>",
        b"<html><title" + b"a" * 2_000_000 + b">x</title>",
    ],
    ids=["many", "no end", "blanks", "a long tag"],
)
def test_a_page_that_is_made_to_be_slow_is_not(page):
    import time

    from vercel_sql.http.answers import page_of_others

    began = time.monotonic()
    assert page_of_others(200, {"content-type": "text/html"}, page) == "an HTML page"
    assert page_of_others(200, {}, page) in (None, "an HTML page")
    assert time.monotonic() - began < 5


def test_json_that_speaks_of_html_is_the_apis(sim, client, listing):
    sim.faults(kind="status", status=400, message="<html> is no name")
    error = refusal(client, listing)
    assert error.code == "bad_request"
    assert "an HTML page" not in str(error)


# Wrong clocks


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (7384, "This machine's clock is 2 hours 3 minutes behind: at 127.0.0.1"),
        (-7384, "This machine's clock is 2 hours 3 minutes ahead: at 127.0.0.1"),
        (90_061, "1 day 1 hour behind"),
        (42, "s behind"),
    ],
)
def test_an_expiry_that_the_api_refuses_while_the_clock_is_wrong(
    sim, client, method, seconds, words
):
    sim.faults(kind="clock_skew", seconds=seconds, times=None)
    sim.faults(kind="status", status=400, message="expiresAt is in the past", method="POST")
    request = build_request(method("create_auth_token"), {"name": "x", "expiresAt": 1})
    error = refusal(client, request)
    assert words in str(error)
    assert "UTC" in str(error)


def test_a_dead_token_while_the_clock_is_wrong(sim, make_client, listing):
    sim.faults(kind="clock_skew", seconds=3630, times=None)
    error = refusal(make_client(sim, token="vcp_unknownToAllTheWorld"), listing)
    assert "The token is dead" in str(error)
    assert "This machine's clock is 1 hour behind" in str(error)


def test_where_the_clock_is_right_or_has_nothing_to_do_with_it_nothing_is_said(
    sim, client, method, listing
):
    request = build_request(method("create_auth_token"), {"name": "x"})
    sim.faults(kind="status", status=400)
    assert "clock" not in str(refusal(client, request))
    sim.faults(kind="clock_skew", seconds=3600, times=None)
    sim.faults(kind="status", status=404)
    assert "clock" not in str(refusal(client, listing))


def test_waits_go_by_the_servers_clock(sim, client, listing, monkeypatch):
    import time
    from email.utils import formatdate

    from vercel_sql.runtime.scope import CancelScope

    naps = []
    monkeypatch.setattr(
        CancelScope, "sleep", lambda _s, seconds, *_box, **_what: naps.append(seconds)
    )
    there = time.time() - 3600
    sim.faults(kind="clock_skew", seconds=-3600, times=None)
    headers = {"Retry-After": formatdate(there + 30, usegmt=True)}
    sim.faults(kind="status", status=503, headers=headers)
    client.send(listing)
    assert 25 < naps[0] < 32
