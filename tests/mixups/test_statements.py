"""Through a proxy that mixes answers up: no wrong row, no short list, no false all-clear.

``VERCEL_SQL_TEST_SCALE=9 pytest tests/mixups`` runs 2,000 statements and more.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vercel_sql.cli.main import main
from vercel_sql.manifest import vercel
from vercel_sql.simulator import Simulator

from ..scale import SCALE
from .people import TABLE, Person
from .proxy import MixingProxy

STATEMENTS = 70 * SCALE
METHODS = {
    f"{resource.full_name}.{method}"
    for service in map(vercel().service, vercel().service_names)
    for resource in service.resources.values()
    for method in resource.methods
}
# What does no harm, since the true answer comes first, and on a new connection.
HARMLESS = [
    "twice",
    "twice_late",
    "twice_on_next",
    "in_gzip_chunks_and_twice",
    "closed_after",
    "late",
]
# What can be found out though answers have no ids.
SHOWN_BY_CONTENT = [
    *HARMLESS,
    "another_endpoint",
    "cut",
    "cut_in_gzip_chunks",
    "length_too_short",
]
SHOWN_BY_IDS = [*SHOWN_BY_CONTENT, "another_of_the_endpoint", "the_same_again"]


@pytest.fixture
def account(behind: Callable[[int], Simulator], monkeypatch: pytest.MonkeyPatch) -> Simulator:
    sim = behind(230)  # three pages
    monkeypatch.setenv("VERCEL_TOKEN", sim.token)
    return sim


def work(people: list[Person], statements: int) -> None:
    """All of them at the same time; the first that finds something wrong fails the test."""
    wrong: list[BaseException] = []

    def one(person: Person) -> None:
        try:
            person.work(statements)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_does_no_harm_befalls_every_answer(account, proxied, tmp_path, kind, has_ids):
    proxy = proxied(account.port, 3, [kind], 100, has_ids=has_ids)
    person = Person(account, proxy.url, tmp_path, 1, 3)
    try:
        person.do_each_twice()
    finally:
        person.close()
    assert person.failed == []
    assert METHODS - person.called == set(), "a method of the manifest that nothing here calls"


@pytest.mark.parametrize("kind", ["twice", "closed_after"])
def test_the_command_line_and_stock_duckdb(account, proxied, attached, capsys, kind):
    proxy = proxied(account.port, 3, [kind], 100)
    insert = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(40) AS r(i)"
    statement = f"{insert} RETURNING name, bearerToken"
    assert main(["-c", statement, "--api-url", proxy.url, "-o", "ndjson"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == [f"n{n}" for n in range(40)]
    for row in rows:
        assert account.state.find_bearer(row["bearerToken"])["name"] == row["name"]
    con = attached(account, api_url=proxy.url)
    assert con.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (len(account.state.tokens()),)
    query = "SELECT * FROM vercel.authentication._list_auth_tokens()"
    assert con.execute(query).fetchone()[0].count('"id"') == len(account.state.tokens())


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize(("has_ids", "kinds"), [(True, SHOWN_BY_IDS), (False, SHOWN_BY_CONTENT)])
def test_one_person(account, proxied, tmp_path, has_ids, kinds):
    proxy = proxied(account.port, 7, kinds, 20, has_ids=has_ids)
    person = Person(account, proxy.url, tmp_path, 1, 7)
    try:
        work([person], STATEMENTS)
    finally:
        person.close()
    check(account, proxy, [person], tmp_path, kinds)


@pytest.mark.timeout(120 * SCALE)
def test_people_whose_answers_change_places(account, proxied, tmp_path):
    """Lists pages of 100 of three; whoever gets another's page would skip some.

    A 404 shows nothing of its request, and has to come twice.
    """
    kinds = ["swapped", "late"]
    proxy = proxied(account.port, 11, kinds, 20, has_ids=False)
    people = [
        Person(account, proxy.url, tmp_path, number, 11, is_alone=False) for number in range(1, 4)
    ]
    try:
        work(people, STATEMENTS // 2)
    finally:
        for person in people:
            person.close()
    check(account, proxy, people, tmp_path, kinds)


def check(
    sim: Simulator, proxy: MixingProxy, people: list[Person], folder: Path, kinds: list[str]
) -> None:
    """The faults were there, most statements went well, and no token is unaccounted for."""
    failed, done = sum(len(person.failed) for person in people), sum(p.done for p in people)
    statements = sum(person.statements for person in people)
    mismatches = sum("another request" in text for person in people for text in person.failed)
    told = f"{failed} acts failed, {mismatches} of them since answers were mixed up"
    print(f"{statements} statements in {done} acts: {told}; {dict(proxy.counts)}")
    assert set(proxy.counts) <= set(kinds)
    assert sum(proxy.counts.values()) > done / 5
    assert SCALE == 1 or set(proxy.counts) == set(kinds)
    assert failed < done / 2
    proxy.is_on = False
    told = recovered(proxy)
    file = folder / "secrets.jsonl"
    saved = file.read_text(encoding="utf-8") if file.exists() else ""
    given = set().union(*(person.given for person in people))
    clients = sim.oauth.clients
    apps = {each.name for each in (clients.public, clients.integration, clients.sso)}
    lost = 0
    for event in sim.history():
        if event.event == "created" and event.request is not None and event.name != "l":
            is_known = event.id in given or event.bearer in saved or event.id in told
            is_known = is_known or sim.state.find_token(event.id) is None
            # A lost exchange can't be looked up: its statement has failed, and said so.
            lost += not is_known and event.name in apps
            assert is_known or event.name in apps, event.name
    assert lost <= sum(person.lost for person in people)


def recovered(proxy: MixingProxy) -> str:
    """What ``vercel-sql recover`` says."""
    out, before = io.StringIO(), sys.stdout
    sys.stdout = out
    try:
        main(["recover", "--api-url", proxy.url, "-o", "json"])
    finally:
        sys.stdout = before
    return out.getvalue()
