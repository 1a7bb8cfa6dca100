"""What the tests share: simulated accounts, connections and clients that end with the test."""

from __future__ import annotations

import re
import signal
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, settings

import vercel_sql
from vercel_sql.auth import Credential
from vercel_sql.catalog.dataset import LiveTable
from vercel_sql.http.client import Client
from vercel_sql.manifest import vercel
from vercel_sql.simulator import ReceivedRequest, Simulator

from .scale import scaled

settings.register_profile(
    "suite",
    max_examples=scaled(25, 500),
    derandomize=True,  # the same examples everywhere, so that a failure is everybody's
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells have what they begin in the background ignore Ctrl-C, and all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TABLE = "vercel.authentication.user_tokens"
_OURS = ("VERCEL_TOKEN", "VERCEL_API_URL", "VERCEL_OAUTH_URL", "VERCEL_MARKETPLACE_URL")
_OURS += ("VERCEL_SQL_AUDIT_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


EVERYWHERE = re.compile(
    r"tests/(tables|server|sqllogic|sql/test_|test_)"
    r"|tests/connection/test_(native|pep249|plans|settings)"
)
"""The tests about DuckDB itself, which run on each of its versions even where there are parts."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part", default="0-100", help="as 60-100: this part of the tests, in percent"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests of the other parts; each test always is in the same part."""
    first, last = map(int, config.getoption("--part").split("-"))
    here: list[pytest.Item] = []
    elsewhere: list[pytest.Item] = []
    for each in items:
        (here if _is_in(each, range(first, last)) else elsewhere).append(each)
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = here


def _is_in(item: pytest.Item, part: range) -> bool:
    if EVERYWHERE.match(item.nodeid) or _asks_for_a_version(item.path):
        return True
    return zlib.crc32(item.nodeid.encode()) % 100 in part


@cache
def _asks_for_a_version(file: Path) -> bool:
    """Whether a file's tests ask which DuckDB this is: they may run on one version only."""
    return re.search(r"duckdb\.__version__|quack", file.read_text("utf-8"), re.I) is not None


@pytest.fixture(autouse=True)
def plain_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test depends on the tokens, logins, proxies and certificates of who runs it."""
    logins = tmp_path_factory.mktemp("logins")
    monkeypatch.setenv("VERCEL_SQL_CONFIG_DIR", str(logins / "ours"))
    monkeypatch.setenv("VERCEL_SQL_STATE_DIR", str(logins / "state"))
    monkeypatch.setenv("VERCEL_SQL_KEYRING", "off")
    monkeypatch.setenv("XDG_DATA_HOME", str(logins / "theirs"))
    for name in (*_OURS, *_PROXIES, *map(str.upper, _PROXIES)):
        monkeypatch.delenv(name, raising=False)


# A port that the system gives out again brings along what clients of an earlier test, not yet
# collected, know of that server: that it takes no more requests for a minute, say.
_recent_urls: deque[str] = deque(maxlen=1000)


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Starts simulated accounts, at addresses that no recent test used."""
    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Simulator:
            for _ in range(100):
                started = stack.enter_context(Simulator(*args, **options))
                if options.get("port") or started.url not in _recent_urls:
                    break
            _recent_urls.append(started.url)
            return started

        yield start


@pytest.fixture
def sim(simulate: Callable[..., Simulator]) -> Simulator:
    """A small account: the calling token and 30 others, all on one page."""
    return simulate(30)


def urls_of(sim: Simulator) -> dict[str, str]:
    """The servers of a simulated account, as `connect` and `attach` take them."""
    return {"api_url": sim.url, "oauth_url": sim.url, "marketplace_url": sim.marketplace_url}


class Connections:
    """Makes plain DuckDB connections with the live tables attached, and closes them."""

    def __init__(self) -> None:
        self._attached: list[tuple[duckdb.DuckDBPyConnection, str]] = []
        self._open: list[duckdb.DuckDBPyConnection] = []

    def plain(self) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect()
        self._open.append(con)
        return con

    def __call__(self, sim: Simulator, con: Any = None, **options: Any) -> Any:
        con = con or self.plain()
        options = {"token": sim.token, **urls_of(sim), **options}
        vercel_sql.attach(con, options.pop("token"), **options)
        self._attached.append((con, options.get("name", "vercel")))
        return con

    def close(self) -> None:
        for con, name in self._attached:
            # Tests may have closed or detached it themselves.
            with suppress(duckdb.Error, vercel_sql.errors.InterfaceError):
                con.execute("USE memory")
                vercel_sql.detach(con, name)
        for con in self._open:
            con.close()


@pytest.fixture
def attached() -> Iterator[Connections]:
    """Attaches the live tables: ``con = attached(sim)``."""
    connections = Connections()
    yield connections
    connections.close()


@pytest.fixture
def con(attached: Connections, sim: Simulator) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the small account attached as ``vercel``."""
    return attached(sim)


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes HTTP clients: ``make_client(sim, read_only=True)``."""
    with ExitStack() as stack:

        def make(sim: Simulator | None = None, *, token: Any = ..., **options: Any) -> Client:
            if sim is not None:
                options.setdefault("urls", {"api": sim.url, "oauth": sim.url})
            if token is ...:
                token = sim.token if sim is not None else "vcp_notOfAnyAccountAtAll0001"
            client = Client(vercel().provider, Credential(token, "the test"), **options)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def method() -> Callable[[str], Any]:
    """Finds a method of user_tokens by its name."""
    return vercel().service("authentication").resources["user_tokens"].methods.__getitem__


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The predicate of each scan of a live table, as DuckDB pushed it; None where it did not."""
    seen: list[Any] = []
    scanner = LiveTable.scanner

    def recording(self: LiveTable, columns: Any = None, **options: Any) -> Any:
        seen.append(options.get("filter"))
        return scanner(self, columns, **options)

    monkeypatch.setattr(LiveTable, "scanner", recording)
    return seen


@pytest.fixture
def connect(sim: Simulator) -> Iterator[Callable[..., vercel_sql.Connection]]:
    """Opens connections to the account: ``connect(expect_rows=1)``."""
    with ExitStack() as stack:

        def make(**options: Any) -> vercel_sql.Connection:
            options = {"token": sim.token, "attempts": 2, **urls_of(sim), **options}
            return stack.enter_context(vercel_sql.connect(**options))

        yield make


@pytest.fixture
def db(connect: Callable[..., vercel_sql.Connection]) -> vercel_sql.Connection:
    """A connection to the account, with nothing special about it."""
    return connect()


@pytest.fixture
def sent(sim: Simulator) -> Callable[..., list[ReceivedRequest]]:
    """What the server received so far, or only the requests of one HTTP method."""

    def received(method: str | None = None) -> list[ReceivedRequest]:
        return [each for each in sim.requests() if method in (None, each.method)]

    return received


@pytest.fixture
def newly_sent(sim: Simulator) -> Callable[[], list[ReceivedRequest]]:
    """What the server received since it was asked last."""

    def received() -> list[ReceivedRequest]:
        found = sim.requests()
        sim.clear_requests()
        return found

    return received


@pytest.fixture
def ids(sim: Simulator) -> list[str]:
    """The ids of all tokens but the calling one, newest first."""
    return [token.id for token in sim.state.tokens() if token is not sim.state.calling_token]


@pytest.fixture
def exists(sim: Simulator) -> Callable[[str], bool]:
    """Whether the account still has a token of that id."""
    return lambda id_: sim.state.find_token(id_) is not None


@pytest.fixture
def authenticates(sim: Simulator) -> Callable[[str], bool]:
    """Whether a bearer token is good for calls."""

    def ask(bearer: str) -> bool:
        with vercel_sql.connect(bearer, api_url=sim.url) as other:
            try:
                other.execute("SELECT id FROM vercel.user.user").fetchall()
            except vercel_sql.OperationalError:
                return False
            return True

    return ask


@pytest.fixture
def team(sim: Simulator) -> Any:
    """A team that the caller may make tokens for."""
    return next(team for team in sim.state.teams if not team.limited_by)
