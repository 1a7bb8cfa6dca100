"""Where requests go and where they never go: base URLs, proxies, certificates, headers."""

from __future__ import annotations

import ssl

import pytest
import trustme

from vercel_sql import __version__
from vercel_sql.auth import Credential
from vercel_sql.errors import ParameterError, TransportError
from vercel_sql.http.client import Client
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import vercel


def client(url: str | None = None) -> Client:
    urls = None if url is None else {"api": url}
    return Client(vercel().provider, Credential("vcp_abcdefgh", "test"), urls=urls, attempts=1)


# Base URLs


def test_without_anything_said_it_is_vercels():
    assert client().urls == {
        "api": "https://api.vercel.com",
        "oauth": "https://vercel.com",
        "marketplace": "https://marketplace.vercel.com",
    }


def test_the_argument_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("VERCEL_API_URL", "https://one.example")
    assert client().urls["api"] == "https://one.example"
    assert client("https://two.example/").urls["api"] == "https://two.example"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1",
        "http://127.0.0.1:1",
        "http://127.9.9.9",
        "http://[::1]:1",
        "https://h.example/prefix",
    ],
)
def test_urls_that_are_taken(url):
    assert client(url).urls["api"] == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.vercel.com", "the token would travel in the open"),
        ("http://192.168.0.1", "plain http"),
        ("http://0.0.0.0:80", "plain http"),
        ("http://localhost.example", "plain http"),
        ("http://127.0.0.1.example", "plain http"),
        ("https://user:hunter22@api.vercel.com", "may hold only"),
        ("https://token@api.vercel.com", "may hold only"),
        ("https://api.vercel.com?x=hunter22", "may hold only"),
        ("https://api.vercel.com#hunter22", "may hold only"),
        ("ftp://api.vercel.com", "is not an http"),
        ("file:///etc/passwd", "is not an http"),
        ("api.vercel.com", "is not an http"),
        ("https://", "is not an http"),
        ("https://a:port", "is not a valid URL"),
        ("https://a\nb", "is not a valid URL"),
    ],
)
@pytest.mark.parametrize("source", ["argument", "VERCEL_API_URL"])
def test_urls_that_are_refused(monkeypatch, url, words, source):
    if source == "VERCEL_API_URL":
        monkeypatch.setenv(source, url)
    with pytest.raises(ParameterError, match=words) as raised:
        client(url if source == "argument" else None)
    assert source in str(raised.value)
    assert "hunter22" not in str(raised.value)


def test_a_prefix_in_the_url_is_kept(sim, make_client, read):
    with pytest.raises(Exception, match="no such endpoint"):
        make_client(sim, urls={"api": sim.url + "/prefix"}).send(read)
    assert sim.requests()[0].path == "/prefix/v5/user/tokens/current"


# Headers


def test_requests_say_who_sends_them(sim, make_client, read, method):
    sender = make_client(sim)
    sender.send(read)
    sender.send(build_request(method("create_auth_token"), {"name": "é"}))
    first, second = (record.headers for record in sim.requests())
    assert first["user-agent"].startswith(f"vercel-sql/{__version__} ")
    assert first["authorization"] == f"Bearer {sim.token}"
    assert "content-type" not in first
    assert second["content-type"] == "application/json"
    assert sim.requests()[1].body == {"name": "é"}


def test_cookies_are_not_sent_back(sim, make_client, read):
    body = {"token": {"id": "t"}}
    sim.faults(kind="body", body=body, times=2, headers={"Set-Cookie": "session=1; Path=/"})
    sender = make_client(sim)
    sender.send(read)
    sender.send(read)
    assert all("cookie" not in record.headers for record in sim.requests())


# Proxies


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_used(listen, monkeypatch, make_client, read, name):
    proxy = listen("502 Bad Gateway")
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    sender = make_client(urls={"api": "https://api.vercel.invalid"}, attempts=1, request_timeout=5)
    with pytest.raises(TransportError, match="502 Bad Gateway"):
        sender.send(read)
    (head,) = proxy.heads
    assert head.startswith("CONNECT api.vercel.invalid:443 ")
    assert "authorization" not in head.lower()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_loopback_is_never_asked_through_a_proxy(
    sim, listen, monkeypatch, make_client, read, name, host
):
    proxy = listen("502 Bad Gateway")
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    sender = make_client(sim, urls={"api": f"http://{host}:{sim.port}"}, attempts=1)
    if host == "127.0.0.2":  # nobody listens there
        with pytest.raises(TransportError):
            sender.send(read)
    else:
        assert sender.send(read).status == 200
    assert proxy.heads == []


def test_no_proxy_is_honoured(listen, monkeypatch, make_client, read):
    proxy = listen("502 Bad Gateway")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "vercel.invalid")
    sender = make_client(urls={"api": "https://api.vercel.invalid"}, attempts=1, request_timeout=5)
    with pytest.raises(TransportError):
        sender.send(read)
    assert proxy.heads == []


# Certificates


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def secured(listen, authority):
    """A server with TLS whose certificate only our own authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return listen("200 OK", '{"token":{"id":"t"}}', context)


def test_an_unknown_certificate_is_refused(secured, make_client, read):
    sender = make_client(urls={"api": f"https://127.0.0.1:{secured.port}"}, attempts=1)
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        sender.send(read)
    assert secured.heads == []


def test_the_certificates_of_the_environment_are_trusted(
    secured, authority, make_client, read, tmp_path, monkeypatch
):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    sender = make_client(urls={"api": f"https://127.0.0.1:{secured.port}"}, attempts=1)
    assert sender.send(read).json() == {"token": {"id": "t"}}
    assert "Authorization: Bearer" in secured.heads[0]


def test_a_certificate_for_another_host_is_refused(
    listen, authority, make_client, read, tmp_path, monkeypatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.vercel.com").configure_cert(context)
    server = listen("200 OK", "{}", context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    sender = make_client(urls={"api": f"https://127.0.0.1:{server.port}"}, attempts=1)
    with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
        sender.send(read)
    assert server.heads == []
