"""A client's connections, one exchange on them, and what the environment says about them."""

from __future__ import annotations

import ipaddress
import logging
import os
import platform
import re
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vercel_sql._version import __version__
from vercel_sql.errors import InterfaceError, ParameterError, TransportError
from vercel_sql.manifest import Server
from vercel_sql.redaction.known import NotPicklable

if TYPE_CHECKING:
    import ssl

    import httpx

MOST_CONNECTIONS = 16
# The largest page of the API is some hundred kilobytes.
MOST_BYTES = 32 * 2**20
# How many times as long as one wait for bytes an answer may take that keeps trickling in.
_TRICKLE = 10
# How long to wait for a connection at most, in seconds.
CONNECT_SECONDS = 10.0


class _Pool:
    """A pool, how many requests are under way on it, and whether it closes with the last."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url, self.http = url, http
        self.users, self.is_over = 0, False


class Line:
    """What requests that belong together go out on, one after the other: one connection.

    Whatever arrives unasked on a connection is taken for the next answer. A line is for answers
    that prove which request they belong to, such as the pages of one listing; every other request
    goes out on a connection of its own.
    """

    def __init__(self, most: int = 1, kept: int = 1) -> None:
        self.most, self.kept = most, kept
        self.pool: _Pool | None = None
        self.is_over = False


class Connections:
    """The connections of a client; threads share it.

    A request that nobody waits for any more goes on until the server or its time-out ends it, and
    holds its connection so long. `renew` leaves such requests to themselves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Any number of requests, none of which goes out on a connection that was used before.
        self._single: defaultdict[str, Line] = defaultdict(partial(Line, MOST_CONNECTIONS, 0))
        self._open: set[_Pool] = set()
        self.closed = False

    @contextmanager
    def lent(self, url: str, line: Line | None = None) -> Iterator[httpx.Client]:
        """What to send one request with; made at the first one."""
        with self._lock:
            line = line or self._single[url]
            if self.closed or line.is_over:
                raise InterfaceError("the connection is closed")
            if line.pool is None:
                line.pool = _Pool(url, make_http_client(url, line.most, line.kept))
                self._open.add(line.pool)
            pool = line.pool
            pool.users += 1
        try:
            yield pool.http
        finally:
            with self._lock:
                pool.users -= 1
            self._close_unused(pool)

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A line, for as long as the context lasts; nothing goes out on it afterwards."""
        line = Line()
        try:
            yield line
        finally:
            line.is_over = True
            self.drop(line)

    def prepare(self, url: str) -> None:
        """Finds out before the first request whether the environment's settings can be used."""
        with self.lent(url):
            pass

    def renew(self) -> None:
        """Gives all requests from now on a pool of their own, if some are still under way."""
        for line in list(self._single.values()):
            if line.pool is not None and line.pool.users:
                self.drop(line)

    def drop(self, line: Line | None) -> None:
        """Has the next request of a line, if there is one, go out on a new connection.

        The old one is closed, once nothing is under way on it.
        """
        if line is None:
            return
        with self._lock:
            pool, line.pool = line.pool, None
            if pool is not None:
                pool.is_over = True
        if pool is not None:
            self._close_unused(pool)

    @property
    def waits_for(self) -> str | None:
        """The base URL of a server that a request is under way to; None where there is none."""
        with self._lock:
            return next((pool.url for pool in self._open if pool.users), None)

    def close(self) -> None:
        """Closes all connections, whatever is under way on them."""
        with self._lock:
            self.closed = True
            pools = list(self._open)
        for pool in pools:
            pool.http.close()

    def _close_unused(self, pool: _Pool) -> None:
        """Closes a pool that is over and that nothing is under way on."""
        with self._lock:
            if pool.users or not pool.is_over:
                return
            self._open.discard(pool)
        pool.http.close()


def close_when_dropped(owner: object, connections: Connections) -> None:
    """Closes connections when their owner is collected and nobody has closed them."""

    def close(pid: int) -> None:
        if os.getpid() == pid:  # after a fork, they are the parent's
            connections.close()

    weakref.finalize(owner, close, os.getpid()).atexit = False


@dataclass(frozen=True)
class Received(NotPicklable):
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: the headers.
        body: the decoded body, empty where it can't be used.
        problem: why the body can't be used, or None.
        is_spent: whether its connection must not be used again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    problem: str | None = None
    is_spent: bool = True


def exchange(
    connections: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: httpx.Headers,
    timeout: float,
    wanted: Callable[[], bool] = lambda: True,
) -> Received:
    """Sends one request and reads its answer, as long as somebody wants it.

    `timeout` is in seconds for each wait for bytes. Raises `httpx.HTTPError` where no whole
    answer came.
    """
    import httpx

    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    end = time.monotonic() + longest(timeout)

    def go_on() -> None:
        if time.monotonic() > end or not wanted():
            raise not_whole(longest(timeout))

    with (
        unlogged(),
        connections.stream(method, url, content=content, headers=headers, timeout=limits) as answer,
    ):
        try:
            body = _body(answer, go_on)
        except _Unusable as error:
            # What is left of it is not read.
            return Received(answer.status_code, answer.headers, b"", str(error))
    return Received(answer.status_code, answer.headers, body, is_spent=_has_left_over(answer))


class _Unusable(Exception):  # noqa: N818 - it is not an error of its own, only the reason for one
    """A body that can't be read."""


def _body(answer: httpx.Response, go_on: Callable[[], None]) -> bytes:
    """The body; httpx would unpack any size of gzip, and take a part of it for the whole."""
    import gzip
    import io
    import zlib

    encoding = answer.headers.get("content-encoding", "").strip().lower().removeprefix("x-")
    if encoding not in ("", "identity", "gzip"):
        raise _Unusable("its Content-Encoding was not asked for")
    body = bytearray()
    for piece in answer.iter_raw():
        go_on()
        body += piece
        if len(body) > MOST_BYTES:
            break
    try:
        if encoding == "gzip" and 0 < len(body) <= MOST_BYTES:
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
                body = bytearray(file.read(MOST_BYTES + 1))
    except EOFError:
        raise _Unusable("its compression ends in the middle") from None
    except (OSError, zlib.error):
        raise _Unusable("its compression is broken") from None
    if len(body) > MOST_BYTES:
        raise _Unusable(f"it is longer than {MOST_BYTES // 2**20} MiB")
    return bytes(body)


def _has_left_over(answer: httpx.Response) -> bool:
    """Whether more bytes came than the answer has: they would be taken for the next one.

    h11 keeps them, where httpcore's look at the socket does not find them, and neither offers a
    public way to ask. Where their insides change, no connection is used twice, which is only slow.
    """
    stream: Any = answer.stream
    try:
        connection = stream._stream._httpcore_stream._stream._connection
        left_over, _ = connection._h11_state.trailing_data
    except AttributeError:
        return True
    return bool(left_over)


def longest(timeout: float) -> float:
    """How many seconds a request may take altogether, where each wait may take so many."""
    return timeout * _TRICKLE


def not_whole(seconds: float) -> httpx.ReadTimeout:
    """The error for an answer that trickles in, when it has taken so long altogether."""
    import httpx

    return httpx.ReadTimeout(f"the answer was not whole after {seconds:.3g} s")


# What the environment may say of certificates; the last is where Python's ssl writes its keys.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def make_http_client(url: str, most: int, kept: int) -> httpx.Client:
    """A pooled client, as the environment says."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    proxy = proxy_for(url)
    context = certificates() if url.startswith("https:") else no_certificates()
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
            "User-Agent": f"vercel-sql/{__version__} (Python {platform.python_version()})",
            "Accept": "application/json",
            # What is unpacked here has a bound; see `exchange`.
            "Accept-Encoding": "gzip",
        },
        # Nothing of one answer is sent back with the next request.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def proxy_variable(base: str) -> str | None:
    """What names the proxy for a server, an environment variable as a rule; None without one."""
    return (_named_proxy(base) or (None, ""))[0]


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
    with suppress(OSError):
        return os.stat(path).st_mtime_ns
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
    problem = ""
    if url.scheme not in ("http", "https") or not url.host:
        problem = "is not an http(s) URL, such as https://api.vercel.com"
    elif url.userinfo or url.query or url.fragment:
        problem = "may hold only a scheme, a host, a port and a path"
    elif url.scheme == "http" and not is_loopback(url.host):
        problem = (
            f"is plain http to {url.host}: the token would travel in "
            "the open. Use https (plain http is for loopback only)"
        )
    if problem:
        raise ParameterError(f"the API URL from {source} {problem}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    with suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False
