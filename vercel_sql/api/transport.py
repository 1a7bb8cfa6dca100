"""Settings of the HTTP connection: base URLs, proxies, certificates, time-outs, the User-Agent."""

from __future__ import annotations

import ipaddress
import logging
import os
import platform
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from vercel_sql._version import __version__
from vercel_sql.errors import ParameterError
from vercel_sql.manifest import Server

USER_AGENT = f"vercel-sql/{__version__} (Python {platform.python_version()})"


def make_http_client(
    urls: Iterable[str], context: ssl.SSLContext, most: int, kept: int
) -> httpx.Client:
    """A pooled client.

    The environment's CA bundle applies (``SSL_CERT_FILE``, ``SSL_CERT_DIR``), and so do its
    proxies (``HTTPS_PROXY``, ``NO_PROXY``), but never to loopback.

    Args:
        urls: the base URLs that the client is for.
        context: the certificates that are trusted.
        most: how many connections there may be at a time.
        kept: how many of them may be used again.
    """
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=kept)
    return httpx.Client(
        verify=context,
        limits=limits,
        follow_redirects=False,
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            # What is unpacked here has a bound; see `exchange`.
            "Accept-Encoding": "gzip",
        },
        # A plain-text request to loopback must not go through a proxy with its token.
        mounts={
            f"{url.scheme}://{_in_url(url.host)}": httpx.HTTPTransport(
                verify=context, limits=limits
            )
            for url in map(httpx.URL, urls)
            if is_loopback(url.host)
        },
        # Nothing of one answer is sent back with the next request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


_ours: ContextVar[bool] = ContextVar("vercel_sql_request", default=False)


@contextmanager
def unlogged() -> Iterator[None]:
    """Keeps httpx from logging the request that is sent meanwhile: it logs whole URLs.

    A query may hold a secret. Our own log tells of the same request without it; what others send
    with httpx is logged as before.
    """
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


logging.getLogger("httpx").addFilter(lambda _record: not _ours.get())


def base_url(server: Server, given: str | None) -> str:
    """The base URL of a server: the argument, else its environment variable, else the manifest's.

    Raises:
        ParameterError: it is no URL, holds credentials, or is plain http to another host than
            loopback.
    """
    source = "the argument" if given else server.environment
    text = given or os.environ.get(server.environment, "").strip() or server.url
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ParameterError(f"the API URL from {source} is no URL") from None
    _check_url(url, source)
    return str(url).rstrip("/")


def _check_url(url: httpx.URL, source: str) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise ParameterError(
            f"the API URL from {source} is no http(s) URL; it looks like https://api.vercel.com"
        )
    if url.userinfo or url.query or url.fragment:
        raise ParameterError(
            f"the API URL from {source} may hold only a scheme, a host, a port and a path"
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise ParameterError(
            f"the API URL from {source} is plain http to {url.host}: the token would travel in "
            "the open. Use https (plain http is for loopback only)"
        )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
