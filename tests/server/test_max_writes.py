"""How many writes a client's statement may send, by ``run`` and by the functions that write."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

TABLE = "vercel.authentication.user_tokens"


def _sent(query: str) -> str:
    return f"FROM vercel.query($outer${query}$outer$)"


def _run(statement: str, request_id: str = "") -> str:
    given = f", request_id := '{request_id}'" if request_id else ""
    return _sent(f"FROM run($inner${statement}$inner${given})")


def test_a_statement_is_refused_before_its_first(
    serve: Any, attached_to: Any, sent: Any, ids: list[str]
) -> None:
    con = attached_to(serve(writes=True, max_writes=3))
    four = f"DELETE FROM {TABLE} WHERE id IN ({', '.join(map(repr, ids[:4]))})"
    with pytest.raises(duckdb.Error, match="it would send 4 writes") as caught:
        con.execute(_run(four, "a")).fetchall()
    assert "the server's --max-writes allows 3" in str(caught.value)
    assert "refused: " in con.execute(_run(f"EXPLAIN {four}")).fetchall()[-1][0]
    assert sent("DELETE") == []
    # What was refused was not used up.
    three = f"DELETE FROM {TABLE} WHERE id IN ({', '.join(map(repr, ids[:3]))})"
    for _ in range(2):
        assert con.execute(_run(three, "b")).fetchall() == [('{"Count":3}',)]
    assert len(sent("DELETE")) == 3
    assert con.execute(_run(three.replace(ids[0], ids[5]), "c")).fetchall()


def test_what_waits_longer_than_a_statement_may_run_is_refused_before_its_first(
    serve: Any, attached_to: Any, sent: Any
) -> None:
    con = attached_to(serve(writes=True))
    insert = f"INSERT INTO {TABLE} (name) SELECT ''n'' || i FROM range(40) t(i)"
    with pytest.raises(duckdb.Error, match="Vercel allows 32 every hour") as caught:
        con.execute(_run(insert.replace("''", "'"), "a")).fetchall()
    assert "max_wait allows 300 s. Nothing was sent" in str(caught.value)
    assert sent("POST") == []


def test_the_functions_stop_at_the_limit_and_so_does_run_within_one_statement(
    serve: Any, attached_to: Any, sent: Any
) -> None:
    con = attached_to(serve(writes=True, max_writes=3))
    made = "authentication.create_auth_token('x' || i, request_id := '{0}' || i)"
    many = f"SELECT count(*) FROM range(5) r(i), LATERAL (FROM {made})"
    with pytest.raises(duckdb.Error, match="3 writes were sent") as caught:
        con.execute(_sent(many.format("a"))).fetchall()
    assert "one more was not sent" in str(caught.value)
    assert len(sent("POST")) == 3
    insert = f"INSERT INTO {TABLE} (name) VALUES (''n'')"
    many = f"FROM range(5) r(i), LATERAL (FROM run('{insert}', request_id := 'b' || i))"
    with pytest.raises(duckdb.Error, match="3 writes were sent"):
        con.execute(_sent(many)).fetchall()
    assert len(sent("POST")) == 6
    # Each statement counts by itself.
    for number in range(4):
        assert con.execute(_run(insert.replace("''", "'"), f"c{number}")).fetchall()


def test_a_deletion_that_fails_in_the_middle_says_how_far_it_came(
    serve: Any, attached_to: Any, sim: Any, ids: list[str], exists: Any
) -> None:
    con = attached_to(serve(writes=True))
    sim.faults(kind="status", status=403, method="DELETE", after=10)
    others = f"DELETE FROM {TABLE} WHERE id <> '{sim.state.calling_token.id}'"
    with pytest.raises(duckdb.Error, match=r", 403\)") as caught:
        con.execute(_run(others, "a")).fetchall()
    gone = sum(not exists(id_) for id_ in ids)
    assert f"{gone} of 30 were carried out" in str(caught.value)
    assert f"Not started: {29 - gone} (" in str(caught.value)
    assert "kept in this error" not in str(caught.value)
    assert "secrets file" not in str(caught.value)
