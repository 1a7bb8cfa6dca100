"""Servers of simulated accounts, and DuckDB clients that attach them.

They run where Quack can be had without a network: with DuckDB 1.5.5, from the PyPI packages. What
needs no Quack, such as the judge, is tested on every version.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

import vercel_sql
from vercel_sql.auth import given_credential
from vercel_sql.http.client import Client
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.manifest import vercel
from vercel_sql.render import render
from vercel_sql.server.bounds import MEBIBYTE, Settings, lines_to_paste, resident, uri_of
from vercel_sql.server.judge import Judge
from vercel_sql.server.server import ALL_GUARDS, Guards, Server
from vercel_sql.simulator import Simulator

from ..absent_tools import without_tools

SCALE = int(os.environ.get("VERCEL_SQL_TEST_SCALE", "1"))
SERVER_TOKEN = "a-token-for-tests-of-more-than-128-bits"


def extension_files() -> list[Path]:
    """The extension files of the PyPI packages, httpfs before quack; empty where they are not."""
    found = []
    for name in ("httpfs", "quack"):
        spec = importlib.util.find_spec(f"duckdb_extension_{name}")
        if spec is None or not spec.submodule_search_locations:
            return []
        folder = Path(spec.submodule_search_locations[0])
        found += folder.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    return found if len(found) == 2 else []


def stock_shell() -> str | None:
    """The stock DuckDB shell of the PyPI package, where it is installed."""
    return shutil.which("duckdb", path=str(Path(sys.executable).parent))


@pytest.fixture
def quack_files() -> list[Path]:
    """The extension files; the test is skipped where they are not."""
    files = extension_files()
    if not files:
        pytest.skip("Quack is on PyPI for DuckDB 1.5.5 only; 2.0 would download it")
    return files


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def loading() -> str:
    """The statements that load Quack into a client."""
    return " ".join(f"LOAD '{file}';" for file in extension_files())


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Waits until something is so, and gives it; fails where it does not come to be."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)
    return found


class OwnServer(Server):
    """A server on a TCP port of this process, without a front.

    Attributes:
        uri: what clients attach.
    """

    def __init__(self, client: Client, settings: Settings, port: int, **options: Any) -> None:
        listener = socket.create_server(("127.0.0.1", port))
        self.port = port
        self.uri = uri_of(port)
        try:
            super().__init__(client, settings, listener=listener, token=SERVER_TOKEN, **options)
        finally:
            listener.close()

    def pasted(self) -> list[str]:
        """The three lines for a DuckDB shell."""
        return lines_to_paste(self.port, self.token)

    def close(self, patience: float = 60.0) -> bool:
        """Also the database that Quack serves, which a process leaves to its end."""
        ended = super().close(patience)
        if ended:
            self._quack.close()
        return ended


def as_text(value: str) -> str:
    """A text as a literal."""
    return "'" + value.replace("'", "''") + "'"


def as_json(con: vercel_sql.Connection, statement: str) -> Any:
    """What our own shell gives for a statement in its JSON mode."""
    con.duckdb.execute("SET arrow_lossless_conversion = true")
    out = io.StringIO()
    render(con.execute(statement).arrow(), "json", out, width=None)
    return json.loads(out.getvalue())


def attach(server: OwnServer | Served) -> duckdb.DuckDBPyConnection:
    """A DuckDB client of this process, with the server attached as ``vercel``."""
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    _, secret, attachment = server.pasted()
    for statement in (loading(), secret, attachment):
        con.execute(statement)
    return con


def cpu_seconds(pid: int) -> float:
    """For how many seconds a process has computed; 0 where it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@dataclass
class Served:
    """The command ``vercel-sql serve``, in a process of its own.

    Attributes:
        process: the process; its streams go to files.
        port: where it listens.
        folder: where it has its temporary files.
    """

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def pasted(self) -> list[str]:
        """The three lines that it printed."""
        return (self.folder / "stdout").read_text().splitlines()[:3]

    def said(self) -> str:
        """What it wrote to standard error so far."""
        return (self.folder / "stderr").read_text()

    @property
    def secrets(self) -> Path:
        """The secrets file, where it may write."""
        return self.folder / "secrets"

    def is_listening(self) -> bool:
        """Whether somebody listens on its port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def databases(self) -> list[int]:
        """The numbers of the processes that DuckDB runs in: more than one while it is replaced."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(each) for path in children for each in path.read_text().split()]

    def database(self) -> int:
        """The number of the process that DuckDB runs in."""
        return int(wait_until(self.databases, "the database process")[0])

    def memory(self) -> float:
        """Mebibytes that they take together; what they share counts once."""
        return resident(*self.databases()) / MEBIBYTE

    def cpu(self) -> float:
        """Seconds that they have computed together."""
        return sum(map(cpu_seconds, self.databases()))

    def temporary(self) -> list[Path]:
        """What it has left in its temporary folder."""
        return list((self.folder / "temporary").iterdir())

    def end(self, number: int) -> None:
        """Sends a signal, and returns when the process is about to stop."""
        self.process.send_signal(number)
        wait_until(lambda: "stopping" in self.said(), "the signal is obeyed")

    def ended(self) -> int:
        """Waits for the end of the process, and gives its exit code."""
        return self.process.wait(60)


class Asking:
    """A statement that a client runs in a thread of its own: what came of it, or the error."""

    def __init__(self, con: duckdb.DuckDBPyConnection, statement: str) -> None:
        self._con = con
        self._statement = statement
        self._rows: list[Any] = []
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            # Not con.sql, which sends the statement twice.
            self._rows = self._con.execute(self._statement).fetchall()
        except duckdb.Error as error:
            self.error = str(error)

    def answered(self) -> list[Any]:
        """The rows; empty where it failed."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "no answer came"
        return self._rows

    def failed(self) -> str:
        """The error."""
        rows = self.answered()
        assert self.error is not None, f"it gave {rows}"
        return self.error


@contextmanager
def serving(
    account: Simulator, folder: Path, files: list[Path]
) -> Iterator[Callable[..., OwnServer]]:
    """What starts servers of an account, and ends them all."""
    default = account
    with ExitStack() as stack:

        def start(
            account: Simulator | None = None,
            *,
            writes: bool = False,
            guards: Guards = ALL_GUARDS,
            max_writes: int = 100,
            **options: Any,
        ) -> OwnServer:
            account = account or default
            can_write = writes or not guards.client
            urls = {"api": account.url, "oauth": account.url}
            client = Client(
                vercel().provider,
                given_credential(account.token),
                urls=urls,
                read_only=not can_write,
                **options,
            )
            secrets = SecretsFile(folder / "secrets.jsonl") if can_write else None
            settings = Settings(
                writes=writes,
                secrets_file=secrets,
                max_writes=max_writes,
                extensions=tuple(files),
            )
            server = OwnServer(client, settings, free_port(), guards=guards)
            return stack.enter_context(server)

        yield start


@contextmanager
def attaching() -> Iterator[Callable[[OwnServer], duckdb.DuckDBPyConnection]]:
    """What attaches clients to servers, and closes them all."""
    with ExitStack() as stack:

        def make(server: OwnServer) -> duckdb.DuckDBPyConnection:
            con = attach(server)
            stack.callback(con.close)
            return con

        yield make


@pytest.fixture
def serve(
    sim: Simulator, tmp_path: Path, quack_files: list[Path]
) -> Iterator[Callable[..., OwnServer]]:
    """Starts servers of the small account: ``serve(writes=True)``, ``serve(guards=Guards(…))``."""
    with serving(sim, tmp_path, quack_files) as start:
        yield start


@contextmanager
def commands(account: Simulator, base: Path, files: list[Path]) -> Iterator[Callable[..., Served]]:
    """What starts the command for an account, and ends all that it started."""
    default = account
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *options: str, account: Simulator | None = None, port: int | None = None, wait: bool = True
    ) -> Served:
        account, port = account or default, port or free_port()
        folder = base / f"served-{len(started)}"
        (folder / "temporary").mkdir(parents=True)
        if "--allow-writes" in options:
            options = (*options, "--save-secrets", str(folder / "secrets"))
        for file in files:
            options = (*options, "--extension", str(file))
        code = "from vercel_sql.cli.main import entry_point; entry_point()"
        command = [sys.executable, "-c", code, "serve", "--port", str(port), *options]
        told = {"TOKEN": account.token, "API_URL": account.url, "OAUTH_URL": account.url}
        environment = {f"VERCEL_{name}": value for name, value in told.items()}
        environment |= {"TMPDIR": str(folder / "temporary")}
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **without_tools(), **environment},
            )
        started.append(process)
        server = Served(process, port, folder)
        if wait:
            wait_until(lambda: "Serving" in server.said() or process.poll() is not None, "serving")
            assert process.poll() is None, server.said()
        return server

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait(60)


@pytest.fixture
def served(
    sim: Simulator, tmp_path: Path, quack_files: list[Path]
) -> Iterator[Callable[..., Served]]:
    """Starts the command for an account: ``served("--allow-writes")``."""
    with commands(sim, tmp_path, quack_files) as start:
        yield start


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The command, read-only, for all tests of a module that leave it as it was."""
    files = extension_files()
    if not files:
        pytest.skip("Quack is on PyPI for DuckDB 1.5.5 only; 2.0 would download it")
    with (
        Simulator(60) as account,
        commands(account, tmp_path_factory.mktemp("front"), files) as start,
    ):
        yield start()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits for a condition: ``until(sim.requests, "it asks")``."""
    return wait_until


@pytest.fixture
def asking() -> type[Asking]:
    """Runs a statement in a thread: ``asking(con, statement)``."""
    return Asking


@pytest.fixture
def attached_to() -> Iterator[Callable[[OwnServer], duckdb.DuckDBPyConnection]]:
    """Attaches DuckDB clients to servers: ``attached_to(serve())``."""
    with attaching() as make:
        yield make


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Simulator, Callable[..., OwnServer], Callable[[OwnServer], Any], Path]]:
    """An account, what serves and attaches it, and Quack's file, for all tests of a module."""
    files = extension_files()
    if not files:
        pytest.skip("Quack is on PyPI for DuckDB 1.5.5 only; 2.0 would download it")
    folder = tmp_path_factory.mktemp("shared")
    with (
        Simulator(60) as account,
        serving(account, folder, files) as start,
        attaching() as make,
    ):
        yield account, start, make, files[-1]


@pytest.fixture(scope="module")
def reading(shared: Any) -> OwnServer:
    """A read-only server, for all tests of a module that leave it as it was."""
    _, start, _, _ = shared
    server: OwnServer = start()
    return server


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """The judge of a server that is for reading only."""
    manifest = vercel()
    services = [manifest.service(name) for name in manifest.service_names]
    tables = [(s.name, r) for s in services for r in s.resources]
    tables += [
        (schema, view) for s in services for schema, views in s.views.items() for view in views
    ]
    functions = [
        (s.name, method.name)
        for s in services
        for resource in s.resources.values()
        for method in resource.methods.values()
        if method.reads
    ]
    found = Judge("vercel", tables, functions, [("", "run"), ("main", "run")])
    yield found
    found.close()


@pytest.fixture
def shell(quack_files: list[Path]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the stock shell on a script, attached to a server: ``shell(server, sql, "-json")``."""
    program = stock_shell()
    if program is None:
        pytest.skip("the stock shell is installed for DuckDB 1.5.5 only")

    def run(
        server: OwnServer, script: str, *options: str, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        _, secret, attachment = server.pasted()
        # What is loaded gives rows of its own, which no test wants to see.
        quiet = f".output /dev/null\n{loading()}\n{secret}\n{attachment}\n.output\n"
        return subprocess.run(
            [program, "-unsigned", "-no-init", *options],
            input=quiet + script,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
