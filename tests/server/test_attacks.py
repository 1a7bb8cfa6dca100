"""What no client of a read-only server may do, and what it does where the guards are off.

The statements are in attacks.toml, which also says what their effects are. Each run has all of them
against the judge alone, and one of each class against the other guards and against none;
`.ci/nightly` has all of them against each.
"""

from __future__ import annotations

import itertools
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.server.bounds import uri_of
from vercel_sql.server.server import ALL_GUARDS, Guards, Server
from vercel_sql.simulator import Simulator

from ..scale import SCALE

OPEN = Guards(client=False, judge=False, lock=False)
ONLY_JUDGE = Guards(client=False, lock=False)
ONLY_LOCK = Guards(client=False, judge=False)
ONLY_CLIENT = Guards(judge=False, lock=False)

MARKER = "marker-5e1f0c"
REFUSED = ("Authorization failed", "this server does not run that")

_numbers = itertools.count()


@dataclass(frozen=True)
class Attack:
    """One attack through one door; see attacks.toml."""

    name: str
    text: list[str]
    effect: str
    door: str
    expect: str = ""
    lock: bool = False
    client: bool = False
    tolerated: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.door})"


def read_attacks() -> list[Attack]:
    text = Path(__file__).with_name("attacks.toml").read_text("utf-8")
    found = []
    for entry in tomllib.loads(text)["attack"]:
        doors = entry.pop("doors", ["query", "run"])
        found += [Attack(**entry, door=door) for door in doors]
    return found


ATTACKS = read_attacks()


def every(attacks: list[Attack]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", attacks, ids=str)


def one_of_each_class(attacks: list[Attack]) -> pytest.MarkDecorator:
    """The first with each effect through each door; all of them in the long form."""
    first = {(attack.effect, attack.door): attack for attack in reversed(attacks)}
    return every(attacks if SCALE > 1 else list(first.values()))


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class OtherHost:
    """A web server that is not Vercel's, and what it was asked for."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        other = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                content = f"m_column\n{MARKER}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = answer

            def log_message(self, *_args: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            def get_request(self) -> Any:
                other.hits.append("a connection")  # where it speaks TLS, nothing more comes of it
                return super().get_request()

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> OtherHost:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Result:
    """What came back to the client: the values of all rows, and the errors."""

    values: list[Any] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return " ".join(map(str, self.values))


class Arena:
    """A server, and everything that an attack could reach from it.

    Args:
        server: the server.
        account: the simulated account that it serves.
        attach: attaches a client to it.
        folder: the folder with the files.
        other: a host that is not Vercel's.
        extension: an extension's file.
    """

    def __init__(
        self,
        server: Server,
        account: Simulator,
        attach: Callable[[Server], duckdb.DuckDBPyConnection],
        folder: Path,
        other: OtherHost,
        extension: Path,
    ) -> None:
        self.server = server
        self.account = account
        self.other = other
        self.folder = folder
        self.extension = extension
        self.attach = attach
        self.clients: list[duckdb.DuckDBPyConnection] = []
        self.before = self.state()

    def run(self, attack: Attack) -> Outcome:
        """Carries out an attack in a session of its own."""
        outcome = Outcome(self, attack)
        with self.session() as con:
            for step in attack.text:
                statement = self.sent(outcome.filled(step), attack.door)
                try:
                    rows = con.execute(statement).fetchall()
                    outcome.result.values += [value for row in rows for value in row]
                except duckdb.Error as error:
                    outcome.result.errors[step] = str(error)
        return outcome

    @contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A client's session. Where nothing is ever done in one, all attacks share a client."""
        if self.server._guards.judge:
            self.clients = self.clients or [self.attach(self.server)]
            yield self.clients[0]
            return
        con = self.attach(self.server)
        try:
            yield con
        finally:
            con.close()

    def close(self) -> None:
        self.server._serving = self.listens()  # one of the attacks stops it
        self.server.close()

    def sent(self, text: str, door: str) -> str:
        if door == "client":
            return text
        if door == "run":
            number = next(_numbers)
            text = f"FROM run({literal(text)}, request_id := 'door {number}')"
        return f"FROM quack_query_by_name('vercel', {literal(text)})"

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """What is there in the server's DuckDB."""
        con = self.server._con.cursor()
        mine = "NOT internal"
        queries = {
            "settings": "SELECT name, value FROM duckdb_settings()",
            "views": (
                f"SELECT schema_name, view_name, comment, sql FROM duckdb_views() WHERE {mine}"
            ),
            "functions": (
                "SELECT schema_name, function_name, macro_definition FROM duckdb_functions() "
                f"WHERE {mine}"
            ),
            "tables": f"SELECT schema_name, table_name FROM duckdb_tables() WHERE {mine}",
            "types": f"SELECT schema_name, type_name FROM duckdb_types() WHERE {mine}",
            "schemas": f"SELECT database_name, schema_name FROM duckdb_schemas() WHERE {mine}",
            "sequences": "SELECT schema_name, sequence_name FROM duckdb_sequences()",
            "databases": "SELECT database_name, path FROM duckdb_databases()",
        }
        if ("enable_external_access", "true") in con.execute(queries["settings"]).fetchall():
            queries["secrets"] = "SELECT name, secret_string FROM duckdb_secrets()"
            queries["extensions"] = "SELECT extension_name FROM duckdb_extensions() WHERE loaded"
        return {name: sorted(con.execute(q).fetchall(), key=str) for name, q in queries.items()}

    def listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("localhost", self.port), timeout=10):
            return True
        return False

    @property
    def port(self) -> int:
        return int(self.server.uri.rpartition(":")[2])


class Outcome:
    """What an attack did."""

    def __init__(self, arena: Arena, attack: Attack) -> None:
        self.arena = arena
        self.attack = attack
        self.result = Result()
        self.out = arena.folder / f"out-{next(_numbers)}"
        self.hits_before = len(arena.other.hits)
        tokens = arena.account.state.tokens()
        self.tokens_before = {token.id for token in tokens}
        own = arena.account.state.calling_token
        self.id = next(token.id for token in tokens if token is not own)
        self.requests_before = len(arena.account.requests())
        self.files_before = self.files()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.free = probe.getsockname()[1]

    def filled(self, text: str) -> str:
        """A text of attacks.toml with names in the place of `<…>`."""
        arena, data = self.arena, self.arena.folder / "data"
        values = {
            "csv": data / "data.csv",
            "json": data / "data.json",
            "txt": data / "data.txt",
            "parquet": data / "data.parquet",
            "db": data / "data.db",
            "dir": data,
            "out": self.out,
            "host": f"localhost:{arena.other.port}",
            "url": f"http://127.0.0.1:{arena.other.port}",
            "uri": uri_of(arena.server._port),
            "extension": arena.extension,
            "id": self.id,
            "free": self.free,
            "long": "x" * 100_000,
            "unique": f"attack {next(_numbers)}",
        }
        for name, value in values.items():
            text = text.replace(f"<{name}>", str(value))
        return text

    def files(self) -> set[Path]:
        return set(self.arena.folder.rglob("*"))

    def writes(self) -> list[Any]:
        requests = self.arena.account.requests()[self.requests_before :]
        return [each for each in requests if each.method != "GET"]

    def effects(self) -> set[str]:
        """Everything that it did, in the words of attacks.toml."""
        arena, attack, result = self.arena, self.attack, self.result
        tokens = {token.id for token in arena.account.state.tokens()}
        there = arena.listens()
        found = {
            "reads": MARKER in result.text,
            "shows": bool(attack.expect) and self.filled(attack.expect) in result.text,
            "writes": any(arena.folder.glob(f"{self.out.name}*")),
            "calls": len(arena.other.hits) > self.hits_before,
            "changes": there and arena.state() != arena.before,
            "creates": bool(tokens - self.tokens_before),
            "deletes": bool(self.tokens_before - tokens),
            "logs_in": any("registration" in each.path for each in self.writes()),
            "stops": not there,
            "works": attack.text[-1] not in result.errors,
        }
        return {name for name, happened in found.items() if happened}


def nothing_was_done(outcome: Outcome) -> None:
    attack, result = outcome.attack, outcome.result
    allowed = {"works"} if attack.tolerated == attack.text[-1] else set()
    assert outcome.effects() <= allowed
    assert outcome.writes() == []
    assert outcome.files() == outcome.files_before
    if not attack.tolerated:
        assert result.values == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that have the marker in them."""
    top = tmp_path_factory.mktemp("attacked")
    data = top / "data"
    data.mkdir()
    for name in ("data.csv", "k.csv", "ss.csv"):
        (data / name).write_text(f"m_column\n{MARKER}\n")
    (data / "data.json").write_text(f'{{"m_column": "{MARKER}"}}\n')
    (data / "data.txt").write_text(MARKER)
    with duckdb.connect(str(data / "data.db")) as con:
        con.execute("CREATE TABLE t AS SELECT $1::VARCHAR AS m_column", [MARKER])
        con.execute(
            f"COPY t TO '{data}/data.parquet' (FORMAT parquet, KV_METADATA {{m: '{MARKER}'}})"
        )
        con.execute(f"EXPORT DATABASE '{data}/exported'")
    return top


@pytest.fixture(scope="module")
def other_host() -> Iterator[OtherHost]:
    with OtherHost() as other:
        yield other


@pytest.fixture(scope="module")
def arenas(shared: Any, folder: Path, other_host: OtherHost) -> Iterator[Callable[[Guards], Arena]]:
    """A server with these guards, which the attacks share until one of them has changed it."""
    account, serve, attach, extension = shared
    made: dict[Guards, Arena] = {}

    def get(guards: Guards) -> Arena:
        arena = made.get(guards)
        if arena is None or not arena.listens() or arena.state() != arena.before:
            if arena is not None:
                # A hundred threads each: they are not left to the end of the module.
                arena.server.close()
                arena.close()
            server = serve(guards=guards)
            arena = made[guards] = Arena(server, account, attach, folder, other_host, extension)
        return arena

    yield get
    for arena in made.values():
        arena.close()


@one_of_each_class(ATTACKS)
def test_an_attack_is_refused_and_nothing_is_done(
    arenas: Callable[[Guards], Arena], attack: Attack
) -> None:
    outcome = arenas(ALL_GUARDS).run(attack)
    for step in attack.text:
        if step != attack.tolerated:
            error = outcome.result.errors.get(step, "it was not refused")
            assert any(words in error for words in REFUSED), error
    nothing_was_done(outcome)


@one_of_each_class(ATTACKS)
def test_an_attack_works_where_the_guards_are_off(
    arenas: Callable[[Guards], Arena], attack: Attack
) -> None:
    outcome = arenas(OPEN).run(attack)
    assert attack.effect in outcome.effects(), outcome.result


@every(ATTACKS)
def test_the_judge_alone_refuses_it(arenas: Callable[[Guards], Arena], attack: Attack) -> None:
    nothing_was_done(arenas(ONLY_JUDGE).run(attack))


@one_of_each_class([attack for attack in ATTACKS if attack.lock])
def test_the_lock_alone_stops_it(arenas: Callable[[Guards], Arena], attack: Attack) -> None:
    outcome = arenas(ONLY_LOCK).run(attack)
    assert attack.effect not in outcome.effects()


@one_of_each_class([attack for attack in ATTACKS if attack.client])
def test_the_read_only_http_client_alone_sends_nothing(
    arenas: Callable[[Guards], Arena], attack: Attack
) -> None:
    outcome = arenas(ONLY_CLIENT).run(attack)
    assert outcome.writes() == []
    assert not outcome.effects() & {"creates", "deletes", "logs_in"}


def test_there_are_many_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) > 150
