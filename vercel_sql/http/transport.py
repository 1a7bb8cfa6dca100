"""Settings of the HTTP connection: base URLs, proxies, certificates, time-outs, the User-Agent."""

from __future__ import annotations

import ipaddress
import logging
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vercel_sql._version import __version__
from vercel_sql.errors import ParameterError, TransportError
from vercel_sql.manifest import Server

if TYPE_CHECKING:
    import ssl

    import httpx

USER_AGENT = f"vercel-sql/{__version__} (Python {platform.python_version()})"


# What the environment may say of certificates; the last is where Python's ssl writes its keys.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def make_http_client(
    url: str, proxy: httpx.Proxy | None, context: ssl.SSLContext, most: int, kept: int
) -> httpx.Client:
    """A pooled client."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    limits = httpx.Limits(max_connections=most, max_keepalive_connections=kept)
    try:
        transport = httpx.HTTPTransport(verify=context, limits=limits, proxy=proxy)
    except ImportError:
        raise _unusable(
            f"{proxy_variable(url)} is a SOCKS proxy, which needs the package socksio: "
            "pip install 'httpx[socks]'"
        ) from None
    return httpx.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            # What is unpacked here has a bound; see `exchange`.
            "Accept-Encoding": "gzip",
        },
        # Nothing of one answer is sent back with the next request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def proxy_variable(base: str) -> str | None:
    """What names the proxy for a server, an environment variable as a rule; None without one."""
    found = _named_proxy(base)
    return found and found[0]


def _named_proxy(base: str) -> tuple[str, str] | None:
    """What names the proxy for a server, and what it names; None where none applies.

    Requests to loopback never go through one: a plain-text request would take its token there.
    """
    from urllib.request import getproxies, proxy_bypass

    import httpx

    url, proxies = httpx.URL(base), getproxies()
    if is_loopback(url.host) or proxy_bypass(url.netloc.decode("ascii")):
        return None
    for kind in (url.scheme, "all"):
        if text := proxies.get(kind, "").strip():
            spelt = (f"{kind}_proxy", f"{kind}_proxy".upper())
            return next(filter(os.environ.get, spelt), "the system's settings"), text
    return None


def proxy_for(base: str) -> httpx.Proxy | None:
    """The proxy that the environment names for a server (``HTTPS_PROXY``, ``NO_PROXY``)."""
    found = _named_proxy(base)
    if found is None:
        return None
    import httpx

    name, text = found
    try:
        proxy = httpx.Proxy(text if "://" in text else f"http://{text}")
        if proxy.url.host:
            return proxy
    except (ValueError, httpx.InvalidURL):
        pass
    shown = text.rpartition("@")[2]  # before that may be a password
    raise _unusable(f"{name} is {shown!r}, which is not the URL of a proxy")


def certificates() -> ssl.SSLContext:
    """Whose certificates are trusted: one context per process, while the files stay as they are.

    They are those of the environment (``SSL_CERT_FILE``, ``SSL_CERT_DIR``), together where both
    are set, else those that come with httpx.
    """
    import ssl

    named = {name: value for name in _CERTIFICATES if (value := os.environ.get(name, "").strip())}
    folders = named.get("SSL_CERT_DIR")
    said = ", ".join(f"{name} is {value}" for name, value in named.items())
    # OpenSSL takes a directory that is not there for an empty one.
    if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise _unusable(f"SSL_CERT_DIR is {folders}, which is not a directory")
    try:
        for name, path in named.items():
            if Path(path).is_fifo():  # OpenSSL would wait for whoever has its other end
                raise _unusable(f"{name} is {path}, which is a named pipe")
        files = [*(folders or "").split(os.pathsep), named.get("SSL_CERT_FILE", "")]
        return _context(tuple(named.items()), tuple(map(_changed_at, files)))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if isinstance(error, ssl.SSLError):
            reason = "there is no certificate in it"
        raise _unusable(f"the certificates can't be loaded: {reason} ({said})") from None


@lru_cache(maxsize=4)
def _context(named: tuple[tuple[str, str], ...], _changed: tuple[int, ...]) -> ssl.SSLContext:
    """The context for an environment: reading the CA bundle takes longer than many a request."""
    import ssl

    import httpx

    settings = dict(named)
    file, folders = settings.get("SSL_CERT_FILE"), settings.get("SSL_CERT_DIR")
    if file or folders:
        return ssl.create_default_context(cafile=file, capath=folders)
    return httpx.create_ssl_context(trust_env=False)


def _changed_at(path: str) -> int:
    """When a file or directory changed last; 0 where it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def no_certificates() -> ssl.SSLContext:
    """A context for plain http, which never uses it."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _unusable(reason: str) -> TransportError:
    error = TransportError(f"no request can be sent: {reason}")
    error.lasting = True
    return error


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


_PLAIN_URL = re.compile(
    r"https://(?:[a-z][a-z0-9]*\.)+[a-z]{2,}/?|http://127\.0\.0\.1:[1-9][0-9]{3,4}/?"
)
"""URLs that are fine as they are, which httpx need not be imported to find out."""


def base_url(server: Server, given: str | None) -> str:
    """A server's base URL: the argument, else the environment variable, else the manifest's."""
    source = "the argument" if given else server.environment
    text = given or os.environ.get(server.environment, "").strip() or server.url
    if _PLAIN_URL.fullmatch(text):
        return text.rstrip("/")
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ParameterError(f"the API URL from {source} is not a valid URL") from None
    _check_url(url, source)
    return str(url).rstrip("/")


def _check_url(url: httpx.URL, source: str) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise ParameterError(
            f"the API URL from {source} is not an http(s) URL, such as https://api.vercel.com"
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


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
