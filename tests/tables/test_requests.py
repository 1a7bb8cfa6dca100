"""How many requests a query makes, counted at the server."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import duckdb
import pytest

from vercel_sql.catalog.dataset import LiveTable
from vercel_sql.catalog.sources import Failures, Sources
from vercel_sql.manifest import vercel

LIVE = "vercel.authentication.user_tokens"
LIST = "/v6/user/tokens"


def sent(sim) -> list[str]:
    """What the server received since the last time: method and path as on the wire."""
    records = sim.requests()
    sim.clear_requests()
    return [f"{record.method} {record.path}" for record in records]


def get(token_id: str) -> str:
    return f"GET /v5/user/tokens/{token_id}"


def ids_of(sim) -> list[str]:
    return [token.id for token in sim.state.tokens()]


# Listings


@pytest.mark.parametrize("inclusive", [True, False])
def test_a_long_listing_gives_every_token_once(simulate, attached, inclusive):
    sim = simulate(1049, until_inclusive=inclusive)
    con = attached(sim)
    rows = con.execute(f"SELECT id FROM {LIVE}").fetchall()
    assert len(rows) == len(set(rows)) == 1050
    assert {row[0] for row in rows} == set(ids_of(sim))
    # Whether a cursor includes its own moment is found out once, by asking for a page again.
    assert sent(sim) == [f"GET {LIST}"] * (11 if inclusive else 12)


@pytest.mark.parametrize("inclusive", [True, False])
def test_tokens_that_share_a_millisecond_are_neither_lost_nor_doubled(
    simulate, attached, inclusive
):
    sharing = [{"id": f"t{n}", "createdAt": 1_700_000_000_000 + n // 250} for n in range(700)]
    sim = simulate(sharing, until_inclusive=inclusive)
    rows = attached(sim).execute(f"SELECT id, name FROM {LIVE}").fetchall()
    assert sorted(row[0] for row in rows) == sorted(ids_of(sim))


def test_a_limit_reads_one_page(simulate, attached):
    sim = simulate(1049)
    con = attached(sim)
    assert len(con.execute(f"SELECT * FROM {LIVE} LIMIT 5").fetchall()) == 5
    assert sent(sim) == [f"GET {LIST}"]


def test_the_next_page_is_fetched_early_only_from_the_second_on(simulate, make_client):
    sim = simulate(600)
    resource = vercel().service("authentication").resources["user_tokens"]
    sources = Sources()
    source = SimpleNamespace(client=make_client(sim), failures=Failures())
    sources.add(source)
    table = LiveTable(resource, sources)
    batches = iter(table.scanner(["authentication.user_tokens.id"]).to_reader())
    assert sent(sim) == []
    next(batches)
    threading.Event().wait(0.05)
    assert sent(sim) == [f"GET {LIST}"], "the second page waits until it is asked for"
    next(batches)
    wait_for(lambda: len(sim.requests()) == 2)
    assert sent(sim) == [f"GET {LIST}"] * 2, "the third is fetched with the second"


def wait_for(condition) -> None:
    for _ in range(200):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("it did not happen within two seconds")


@pytest.mark.parametrize(
    "look", ["EXPLAIN SELECT * FROM {}", "DESCRIBE {}", "DESCRIBE SELECT * FROM {}"]
)
def test_looking_at_a_table_asks_nothing(con, sim, look):
    assert con.execute(look.format(LIVE)).fetchall()
    con.execute(f"PREPARE p AS SELECT * FROM {LIVE} WHERE id = $1")
    assert sent(sim) == []


def test_a_self_join_scans_twice(con, sim):
    query = f"SELECT count(*) FROM {LIVE} a JOIN {LIVE} b ON a.name = b.name AND a.id < b.id"
    con.execute(query).fetchall()
    assert sent(sim) == [f"GET {LIST}"] * 2


# Single tokens


@pytest.mark.parametrize("column", ["id", "tokenId", "token.id"])
def test_one_id_is_one_request(con, sim, column):
    wanted = ids_of(sim)[3]
    rows = con.execute(f"SELECT id, tokenId FROM {LIVE} WHERE {column} = ?", [wanted]).fetchall()
    assert rows == [(wanted, wanted)]
    expected = [f"GET {LIST}"] if column == "token.id" else [get(wanted)]
    assert sent(sim) == expected


def test_an_id_that_nothing_has_is_no_row_and_no_error(con, sim):
    assert con.execute(f"SELECT * FROM {LIVE} WHERE id = 'nobody'").fetchall() == []
    assert sent(sim) == [get("nobody")] * 2, "nothing in a 404 shows which request it answers"


def test_a_few_ids_are_asked_for_side_by_side(simulate, attached):
    sim = simulate(30, latency_ms=2000)
    con = attached(sim)
    wanted = sorted(ids_of(sim)[:3])
    rows = con.execute(f"SELECT id FROM {LIVE} WHERE id IN (?, ?, ?)", wanted).fetchall()
    assert sorted(row[0] for row in rows) == wanted
    times = [record.time_ms for record in sim.requests()]
    assert sorted(sent(sim)) == list(map(get, wanted))
    # One after the other they would come 2 s apart at least, however slow the machine is.
    assert max(times) - min(times) < 2000


def test_many_ids_are_cheaper_to_list(con, sim):
    wanted = ids_of(sim)[:21]
    marks = ", ".join("?" for _ in wanted)
    rows = con.execute(f"SELECT id FROM {LIVE} WHERE id IN ({marks})", wanted).fetchall()
    assert len(rows) == 21
    assert sent(sim) == [f"GET {LIST}"]


def test_ids_that_contradict_each_other_ask_nothing(con, sim):
    query = f"SELECT * FROM {LIVE} WHERE id = 'a' AND tokenId = 'b'"
    assert con.execute(query).fetchall() == []
    assert con.execute(f"SELECT * FROM {LIVE} WHERE id = 'a' AND id = 'b'").fetchall() == []
    assert sent(sim) == []


def test_a_get_that_fails_is_an_error_and_never_an_empty_table(con, sim):
    sim.faults(kind="status", status=403, times=None)
    with pytest.raises(duckdb.Error, match=r", 403\)"):
        con.execute(f"SELECT * FROM {LIVE} WHERE id = 'x'").fetchall()
    with pytest.raises(duckdb.Error, match=r", 403\)"):
        con.execute(f"SELECT * FROM {LIVE}").fetchall()


# The calling token


@pytest.mark.parametrize("value", ["'current'", "?"])
def test_current_is_the_calling_token(con, sim, value):
    query = f"SELECT id, tokenId, token.id FROM {LIVE} WHERE tokenId = {value}"
    own = sim.state.calling_token.id
    rows = con.execute(query, ["current"] if value == "?" else None).fetchall()
    assert rows == [(own, "current", own)]
    assert sent(sim) == [get("current")]


@pytest.mark.parametrize(
    "where",
    [
        "id = 'current'",
        "tokenId = 'current' AND id = 'nobody'",
        "tokenId = 'current' AND id = tokenId",
        "lower(tokenId) = 'current'",
        "concat(tokenId, '!') = 'current!'",
        "id IN ('current', 'nobody')",
    ],
)
def test_other_ways_to_say_current_match_nothing(con, sim, where):
    assert con.execute(f"SELECT * FROM {LIVE} WHERE {where}").fetchall() == []


def test_current_among_other_ids_is_no_word(con, sim):
    wanted = ids_of(sim)[2]
    query = f"SELECT id FROM {LIVE} WHERE tokenId IN ('current', ?)"
    assert con.execute(query, [wanted]).fetchall() == [(wanted,)]


def test_a_token_whose_id_is_the_word_current_is_found_in_the_listing(simulate, attached):
    sim = simulate([{"id": "current", "name": "odd"}])
    con = attached(sim)
    assert con.execute(f"SELECT name FROM {LIVE} WHERE id = 'current'").fetchall() == [("odd",)]
    assert sent(sim) == [f"GET {LIST}"]


# Ids that try to be something else


TRICKS = {
    "../../v2/user": "..%2F..%2Fv2%2Fuser",
    "/v2/user": "%2Fv2%2Fuser",
    "%2e%2e": "%252e%252e",
    "..%2f..": "..%252f..",
    "a/b": "a%2Fb",
    "a?limit=1": "a%3Flimit%3D1",
    "a#b": "a%23b",
    "a;b=c": "a%3Bb%3Dc",
    "a b": "a%20b",
    "a\r\nHost: evil": "a%0D%0AHost%3A%20evil",
    "a\x00b": "a%00b",
    "日本": "%E6%97%A5%E6%9C%AC",
    "a\\..\\b": "a%5C..%5Cb",
    "...": "...",
    "Current": "Current",
}


@pytest.mark.parametrize("token_id", [*TRICKS, ".", "..", "", "current"])
def test_no_id_leaves_its_place_in_the_path(simulate, attached, token_id):
    sim = simulate([{"id": "other"}])
    con = attached(sim)
    query = f"SELECT id FROM {LIVE} WHERE id = ?"
    assert con.execute(query, [token_id]).fetchall() == []
    wire = TRICKS.get(token_id)
    assert sent(sim) == [f"GET {LIST}"] if wire is None else [get(wire)] * 2


@pytest.mark.parametrize("token_id", [*TRICKS, ".", ".."])
def test_a_token_with_such_an_id_is_found(simulate, attached, token_id):
    sim = simulate([{"id": token_id, "name": "found"}, {"id": "other"}])
    con = attached(sim)
    rows = con.execute(f"SELECT id, name FROM {LIVE} WHERE id = ?", [token_id]).fetchall()
    assert rows == [(token_id, "found")]


def test_an_answer_about_another_token_is_an_error(con, sim):
    sim.faults(kind="patch", patch={"token": {"id": "another"}}, times=None)
    with pytest.raises(duckdb.Error, match="another request: its tokenId is another"):
        con.execute(f"SELECT * FROM {LIVE} WHERE id = ?", [ids_of(sim)[1]]).fetchall()
