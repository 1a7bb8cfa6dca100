"""Many clients at once, in processes of their own: every answer is right, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.simulator import Simulator

TOKENS = "vercel.authentication.user_tokens"
PROCESSES, THREADS, ROUNDS = 4, 4, 10
STATEMENTS = 50

Rows = list[list[Any]]
Check = Callable[[Rows], bool]


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def sent(query: str) -> str:
    return f"FROM vercel.query({literal(query)})"


def ran(statement: str, request_id: str | None = None, columns: str = "row") -> str:
    extra = f", request_id := {literal(request_id)}" if request_id else ""
    return sent(f"SELECT {columns} FROM run({literal(statement)}{extra})")


@dataclass
class Plan:
    """What one client runs, and what has to come of it.

    Attributes:
        name: the client.
        steps: its statements, for its process.
        checks: whether the rows of each are right.
        made: the names of the tokens that it makes; the value says whether it keeps them.
        emails: those that it logs in with.
    """

    name: str
    steps: list[dict[str, str]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    made: dict[str, bool] = field(default_factory=dict)
    emails: list[str] = field(default_factory=list)

    def add(self, sql: str, check: Check, **more: str) -> None:
        self.steps.append({"sql": sql, **more})
        self.checks.append(check)

    def create(self, number: int) -> None:
        name = f"{self.name}-{number}"
        identity = f"{name}-<attempt>"
        if number % 2:
            insert = f"INSERT INTO {TOKENS} (name) VALUES ({literal(name)})"
            columns = "row ->> '$.token.id', row ->> '$.bearerToken', row ->> '$.token.name'"
            sql = ran(insert, identity, columns)
        else:
            sql = sent(
                "SELECT token.id, bearerToken, token.name FROM authentication.create_auth_token("
                f"name := {literal(name)}, request_id := {literal(identity)})"
            )
        self.add(sql, lambda rows: len(rows) == 1 and rows[0][2] == name, keep=name)
        self.made[name] = True

    def delete(self, number: int) -> None:
        name = f"{self.name}-{number}"
        identity = f"{name}-gone-<attempt>"
        if number % 4:
            statement = f"DELETE FROM {TOKENS} WHERE id = '<{name}>' RETURNING tokenId"
            sql = ran(statement, identity, f"row ->> '$.tokenId' = '<{name}>'")
        else:
            sql = sent(
                f"SELECT tokenId = '<{name}>' FROM authentication.delete_auth_token("
                f"tokenId := '<{name}>', request_id := {literal(identity)})"
            )
        self.add(sql, lambda rows: rows == [[True]])
        self.made[name] = False

    def list_own(self) -> None:
        expected = sorted([name] for name, kept in self.made.items() if kept)
        sql = f"SELECT name FROM {TOKENS} WHERE name LIKE {literal(self.name + '-%')} ORDER BY name"
        self.add(sql, lambda rows: rows == expected)

    def log_in(self, number: int) -> None:
        email = f"{self.name}-{number}@example.com"
        statement = f"EXEC {TOKENS}.email_login @email = {literal(email)}"
        sql = ran(statement, f"{email}-<attempt>", "row ->> '$.securityCode' IS NOT NULL")
        self.add(sql, lambda rows: rows == [[True]])
        self.emails.append(email)


class Account:
    """What is known of the account before anybody changes it."""

    def __init__(self, sim: Simulator) -> None:
        calling = sim.state.calling_token
        self.tokens = [token for token in sim.state.tokens() if token is not calling]
        newest = max(token.created_at for token in self.tokens)
        self.filter = f"createdAt <= {newest} AND id <> '{calling.id}' AND origin IS NOT NULL"
        origins = (token.get("origin") for token in self.tokens)
        self.origins = Counter(origin for origin in origins if origin is not None)

    def read(self, plan: Plan, number: int) -> None:
        """A statement that reads what nobody changes."""
        token = self.tokens[(number + 31 * len(plan.steps)) % len(self.tokens)]
        one = [[token.id, token["name"]]]
        origin, count = self.origins.most_common(3)[number % 3]
        each = sorted([name, n] for name, n in self.origins.items())
        where = f"{self.filter} AND origin = {literal(origin)}"
        forms: list[tuple[str, Rows]] = [
            (
                f"SELECT origin, count(*) FROM {TOKENS} WHERE {self.filter} GROUP BY 1 ORDER BY 1",
                each,
            ),
            (sent(f"SELECT count(*) FROM {TOKENS} WHERE {where}"), [[count]]),
            (sent(f"SELECT id, name FROM {TOKENS} WHERE id = '{token.id}'"), one),
            (
                ran(
                    f"SELECT origin, count(*) AS n FROM {TOKENS} WHERE {where} GROUP BY 1",
                    columns="row ->> '$.origin', (row ->> '$.n')::INT",
                ),
                [[origin, count]],
            ),
            (
                sent(
                    f"SELECT id, name FROM authentication.get_auth_token(tokenId := '{token.id}')"
                ),
                one,
            ),
            (
                f"SELECT t.id, t.name FROM {TOKENS} AS t "
                f"JOIN (VALUES ('{token.id}'), ('no-such-token')) AS o(id) USING (id)",
                one,
            ),
        ]
        sql, expected = forms[number % len(forms)]
        plan.add(sql, lambda rows: rows == expected)

    def plan(self, name: str) -> Plan:
        """Mixed reads and writes."""
        plan = Plan(name)
        shift = int(name[1:])
        for number in range(ROUNDS):
            plan.create(number)
            self.read(plan, number + shift)
            plan.list_own()
            if number % 2:
                plan.delete(number - 1)
            else:
                self.read(plan, number + shift + 3)
            if number % 3 == 0:
                plan.log_in(number)
            elif number % 3 == 1:
                plan.add(
                    ran(f"SHOW METHODS IN {TOKENS}", columns="count(*)"), lambda r: r[0][0] >= 5
                )
            else:
                self.read(plan, number + shift + 1)
        assert len(plan.steps) == STATEMENTS
        return plan


def setup(server: Any, files: list[Path]) -> list[str]:
    return [*(f"LOAD '{file}'" for file in files), *server.pasted()[1:]]


@pytest.fixture
def together(
    quack_files: list[Path], tmp_path: Path
) -> Iterator[Callable[[Any, list[Plan]], dict[str, list[Any]]]]:
    """Runs the plans of many clients at once, and gives what came of each statement."""
    with ExitStack() as stack:

        def run(server: Any, plans: list[Plan]) -> dict[str, list[Any]]:
            processes = []
            for number in range(0, len(plans), THREADS):
                part = {plan.name: plan.steps for plan in plans[number : number + THREADS]}
                file = tmp_path / f"plan-{number}.json"
                file.write_text(json.dumps({"setup": setup(server, quack_files), "clients": part}))
                command = [sys.executable, str(Path(__file__).with_name("clients.py")), str(file)]
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
                )
                stack.callback(process.communicate)
                stack.callback(process.kill)
                processes.append(process)
            found: dict[str, list[Any]] = {plan.name: [] for plan in plans}
            for process in processes:
                out, _ = process.communicate(timeout=240)
                assert process.returncode == 0
                for result in json.loads(out):
                    assert result["step"] >= 0, result["errors"]
                    found[result["client"]].append(result)
            return found

        yield run


def assert_right(plans: list[Plan], found: dict[str, list[Any]]) -> Counter[str]:
    """Every statement of every client was answered, and rightly; gives the errors before that."""
    errors: Counter[str] = Counter()
    for plan in plans:
        results = found[plan.name]
        assert [result["step"] for result in results] == list(range(STATEMENTS))
        for step, check, result in zip(plan.steps, plan.checks, results, strict=True):
            errors.update(result["errors"])
            assert check(result["rows"]), (step["sql"], result)
    return errors


def assert_nothing_is_lost_or_doubled(sim: Simulator, server: Any, plans: list[Plan]) -> None:
    """The account has what the clients kept, and the secrets file has all that they ever made."""
    saved: dict[str, str] = {}
    lines = [json.loads(line) for line in server.secrets.read_text().splitlines()]
    for line in lines:
        if line["method"] == "create_auth_token":
            assert saved.setdefault(line["token"]["name"], line["bearerToken"])
    made = {name: kept for plan in plans for name, kept in plan.made.items()}
    assert saved.keys() == made.keys()
    here = {token["name"]: token for token in sim.state.tokens()}
    acted = [each for each in sim.requests() if each.acted and each.method != "GET"]
    creations = Counter(each.body["name"] for each in acted if each.path == "/v3/user/tokens")
    assert creations == dict.fromkeys(made, 1)
    deletions = Counter(each.path for each in acted if each.method == "DELETE")
    assert sum(deletions.values()) == len(deletions) == list(made.values()).count(False)
    for name, kept in made.items():
        token = sim.state.find_bearer(saved[name])
        assert (here.get(name) is not None) == kept
        assert token is here.get(name)
    logins = Counter(each.body["email"] for each in acted if "email" in (each.body or {}))
    assert logins == dict.fromkeys((email for plan in plans for email in plan.emails), 1)


@pytest.mark.timeout(300)
def test_16_clients_with_mixed_reads_and_writes(served: Any, together: Any, simulate: Any) -> None:
    sim = simulate(250)
    account = Account(sim)
    plans = [account.plan(f"c{number}") for number in range(PROCESSES * THREADS)]
    server = served("--allow-writes", account=sim)
    errors = assert_right(plans, together(server, plans))
    assert not errors
    assert_nothing_is_lost_or_doubled(sim, server, plans)
    assert len(sim.state.tokens()) == 251 + 16 * 5


@pytest.mark.timeout(300)
def test_the_same_while_the_api_answers_429_and_500_now_and_then(
    served: Any, together: Any, simulate: Any
) -> None:
    sim = simulate(250)
    account = Account(sim)
    plans = [account.plan(f"c{number}") for number in range(PROCESSES * THREADS)]
    limited = {"status": 429, "headers": {"Retry-After": "0"}}
    sim.faults(*({"kind": "status", "after": n, **limited} for n in range(20, 3_000, 20)))
    sim.faults(*({"kind": "status", "after": n, "status": 500} for n in range(7, 3_000, 33)))
    server = served("--allow-writes", account=sim)
    errors = assert_right(plans, together(server, plans))
    statuses = Counter(each.status for each in sim.requests())
    assert statuses[429] > 20
    assert statuses[500] > 20
    # Reads are sent again; of what changes something the client learns that it was not done.
    assert errors
    for error in errors:
        assert "500" in error, error
    assert_nothing_is_lost_or_doubled(sim, server, plans)


# Each session for itself


def test_an_explain_neither_hinders_nor_shows_what_others_do(
    served: Any, attached_to: Any, asking: Any, simulate: Any, until: Any
) -> None:
    account = simulate(250)
    server = served("--allow-writes", account=account)
    account.faults(kind="latency", method="GET", ms=300, times=None)
    delete = f"EXPLAIN DELETE FROM {TOKENS} WHERE name = 'nobody has this name'"
    explaining = asking(attached_to(server), ran(delete))
    other = attached_to(server)
    until(account.requests, "the EXPLAIN lists")
    # Writes of others, in both forms, while the EXPLAIN has a client that sends none.
    for number in range(2):
        insert = f"INSERT INTO {TOKENS} (name) VALUES ('other {number}')"
        assert other.execute(ran(insert, f"a{number}")).fetchall()
        function = f"FROM authentication.create_auth_token(name := 'o', request_id := 'b{number}')"
        assert other.execute(sent(function)).fetchall()
    rows = [json.loads(row) for (row,) in explaining.answered()]
    assert explaining.error is None
    assert rows
    assert {row["method"] for row in rows} == {"GET"}


def test_a_request_id_is_good_for_one_session(served: Any, attached_to: Any, sim: Any) -> None:
    server = served("--allow-writes")
    one, other = attached_to(server), attached_to(server)
    insert = ran(f"INSERT INTO {TOKENS} (name) VALUES ('mine')", "the same")
    (made,) = one.execute(insert).fetchall()
    assert one.execute(insert).fetchall() == [made]
    with pytest.raises(duckdb.Error, match="used in another session, so nothing was sent") as told:
        other.execute(insert)
    assert json.loads(made[0])["bearerToken"] not in str(told.value)
    # Not when the first has gone, either.
    one.close()
    with pytest.raises(duckdb.Error, match="used in another session"):
        other.execute(insert)
    assert len([each for each in sim.requests() if each.method == "POST"]) == 1


@pytest.mark.parametrize("form", ["function", "statement"])
def test_a_write_without_an_answer_is_unknown_and_not_sent_again(
    served: Any, attached_to: Any, sim: Any, form: str
) -> None:
    server = served("--allow-writes")
    con = attached_to(server)
    sim.faults(kind="drop_after", method="POST")
    create = {
        "function": sent(
            "FROM authentication.create_auth_token(name := 'unknown', request_id := '1')"
        ),
        "statement": ran(f"INSERT INTO {TOKENS} (name) VALUES ('unknown')", "1"),
    }[form]
    for _ in range(2):
        with pytest.raises(duckdb.Error, match="It may have been carried out all the same"):
            con.execute(create)
    assert [each.acted for each in sim.requests() if each.method == "POST"] == [True]
    found = con.execute(f"SELECT name FROM {TOKENS} WHERE name = 'unknown'").fetchall()
    assert found == [("unknown",)]
