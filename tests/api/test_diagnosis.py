"""Where no answer comes, the error says what failed, where, and what to do."""

from __future__ import annotations

import datetime
import errno
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress

import pytest
import trustme

from vercel_sql.errors import TransportError

TOKEN = "vcp_notOfAnyAccountAtAll0001"


@pytest.fixture
def failure(make_client, read):
    """The error of one request to a URL."""

    def fail(url, request=read, **options):
        options = {"attempts": 1, "request_timeout": 20, **options}
        client = make_client(urls={"api": url}, token=TOKEN, **options)
        with pytest.raises(TransportError) as raised:
            client.send(request)
        text = str(raised.value)
        assert TOKEN not in text
        assert text.isprintable()
        assert len(text) < 1000
        assert f" ({request.method.http} {url}{request.path} got no answer)" in text
        return raised.value

    return fail


@pytest.fixture
def unresolved(monkeypatch):
    def fail(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


def test_a_name_that_nobody_knows(failure, unresolved):
    text = str(failure("https://api.vercel.invalid"))
    assert "the name api.vercel.invalid can't be resolved" in text
    assert "Check the network, its DNS and --api-url" in text


def test_a_name_behind_a_proxy_that_nobody_knows(failure, unresolved, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter22@proxy.invalid:3128")
    text = str(failure("https://api.vercel.invalid"))
    assert "HTTPS_PROXY is set: it may be the proxy that can't be reached" in text
    assert "hunter22" not in text


def test_nobody_listens(failure, simulate):
    gone = simulate(1)
    gone.stop()
    text = str(failure(gone.url))
    assert text.startswith(f"127.0.0.1:{gone.port} refused the connection: nothing listens there (")
    assert "Check --api-url" in text


def test_there_is_no_network(failure, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    text = str(failure("https://api.vercel.invalid"))
    assert "api.vercel.invalid is unreachable" in text
    assert "Is this machine online?" in text


@pytest.fixture
def full():
    """A port whose queue of connections is full, so that none comes about."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect(listener.getsockname())
        waiting.append(one)
    time.sleep(0.05)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for each in (listener, *waiting):
        each.close()


def test_a_connection_that_does_not_come_about(failure, full, write):
    found = failure(full, request_timeout=0.4)
    assert "took longer than 0.4 s" in str(found)
    assert "Check the network and its firewall" in str(found)
    assert not failure(full, write, request_timeout=0.4).outcome_unknown


# TLS


@pytest.fixture
def authority(monkeypatch, tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def secured(listen):
    """A server with TLS and a certificate: ``secured(certificate)``."""

    def start(certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return listen("200 OK", "{}", context)

    return start


def moment(days):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


@pytest.mark.parametrize(
    ("make", "words", "advice"),
    [
        (
            lambda _ours: trustme.CA().issue_cert("127.0.0.1"),
            "is not signed by an authority that this machine trusts",
            "SSL_CERT_FILE",
        ),
        (
            lambda ours: ours.issue_cert("127.0.0.1", not_before=moment(-9), not_after=moment(-1)),
            "has expired",
            "this machine's clock; it may be ahead",
        ),
        (
            lambda ours: ours.issue_cert("127.0.0.1", not_before=moment(2), not_after=moment(9)),
            "is not valid yet",
            "it may be behind",
        ),
        (
            lambda ours: ours.issue_cert("api.vercel.com"),
            "is for another address",
            "something is between this machine and the server",
        ),
    ],
    ids=["unknown", "expired", "not yet valid", "another host"],
)
def test_certificates_that_are_not_trusted(failure, secured, authority, make, words, advice):
    server = secured(make(authority))
    found = failure(f"https://127.0.0.1:{server.port}", attempts=3)
    assert f"the certificate of 127.0.0.1:{server.port} {words}" in str(found)
    assert advice in str(found)
    assert "CERTIFICATE_VERIFY_FAILED" in str(found)
    assert server.heads == []
    assert found.lasting, "it was not tried again"


def test_a_port_that_does_not_speak_tls(failure, serve):
    server = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n", after=b"")
    text = str(failure(server.url.replace("http:", "https:")))
    assert "could not agree on TLS" in text
    assert "does that port speak https?" in text


# Proxies


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("407 Proxy Authentication Required", "It wants credentials: HTTPS_PROXY takes them as"),
        ("403 Forbidden", "Check HTTPS_PROXY"),
        ("502 Bad Gateway", "Check HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_refuses(failure, listen, monkeypatch, write, status, advice):
    proxy = listen(status)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter22@127.0.0.1:{proxy.port}")
    found = failure("https://api.vercel.invalid", write)
    assert f"the proxy refused to connect: {status}" in str(found)
    assert advice in str(found)
    assert "hunter22" not in str(found)
    assert not found.outcome_unknown, "it never left for the server"


def test_a_proxy_that_is_not_there(failure, simulate, monkeypatch):
    gone = simulate(1)
    gone.stop()
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter22@127.0.0.1:{gone.port}")
    text = str(failure("https://api.vercel.invalid"))
    assert "HTTPS_PROXY is set: it may be the proxy that can't be reached" in text
    assert "hunter22" not in text


# In the middle


def silent(connection):
    while connection.recv(65536):  # until the other end has had enough
        pass


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
MIDDLES = [
    (silent, "was silent for 0.4 s", "--request-timeout"),
    (reset, "broke", ""),
    (b"", "broke", ""),
    (CUT, "broke", ""),
    (
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "sent an invalid HTTP response",
        "Check the API URL and the proxy",
    ),
    (b"\x1b[2J\x1b]0;owned\x07 200\r\n\r\n", "sent an invalid HTTP response", ""),
    (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000, "broke", ""),
]


@pytest.mark.parametrize(
    ("said", "words", "advice"),
    MIDDLES,
    ids=["silent", "reset", "closed", "cut", "ssh", "escapes", "endless header"],
)
def test_what_breaks_in_the_middle(failure, serve, read, write, said, words, advice):
    server = serve(said)
    for request in (read, write):
        found = failure(server.url, request, request_timeout=0.4 if said is silent else 20)
        assert words in str(found)
        assert advice in str(found)
        assert found.outcome_unknown is not request.method.reads
        assert ("It may have been carried out all the same" in str(found)) is found.outcome_unknown


def test_a_header_that_never_ends_is_given_up(failure, serve):
    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            for number in range(10_000_000):
                connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))

    assert "broke" in str(failure(serve(endless).url))


@pytest.fixture
def impatient(monkeypatch):
    """An answer may take twice as long as each wait for a part of it."""
    monkeypatch.setattr("vercel_sql.http.connections._TRICKLE", 2)


def test_an_answer_that_drips_is_given_up(failure, serve, write, impatient):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with suppress(OSError):
            for _ in range(600):
                connection.sendall(b" ")
                time.sleep(0.05)

    began = time.monotonic()
    for request in (None, write):
        given = () if request is None else (request,)
        text = str(failure(serve(drip).url, *given, request_timeout=1))
        assert "the answer was not whole after 2 s" in text
    assert time.monotonic() - began < 20


def test_headers_that_drip_are_given_up(failure, serve, write, impatient):
    ended = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n"[:1])

    began = time.monotonic()
    try:
        for request in (None, write):
            given = () if request is None else (request,)
            text = str(failure(serve(drip).url, *given, request_timeout=1))
            assert "the answer was not whole after 2 s" in text
        assert time.monotonic() - began < 20
    finally:
        ended.set()


def test_more_requests_than_connections(make_client, serve, read):
    import httpx

    from vercel_sql.http import diagnosis

    found = diagnosis.diagnose(httpx.PoolTimeout("x"), "https://api.vercel.com", 30, "--api-url")
    assert "all 16 connections were in use for 30 s" in found.reason
