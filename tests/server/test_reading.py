"""A client that has attached the server reads the account's tables."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest


def test_the_attached_tables_have_the_names_of_the_documents(
    serve: Any, attached_to: Any, sim: Any
) -> None:
    con = attached_to(serve())
    rows = con.sql("SELECT id FROM vercel.authentication.user_tokens").fetchall()
    assert {id_ for (id_,) in rows} == {token.id for token in sim.state.tokens()}


def test_a_query_that_is_sent_as_text_is_pushed_down(
    serve: Any, attached_to: Any, sent: Any, ids: list[str]
) -> None:
    con = attached_to(serve())
    query = f"SELECT name FROM vercel.authentication.user_tokens WHERE id = ''{ids[3]}''"
    assert len(con.execute(f"FROM vercel.query('{query}')").fetchall()) == 1
    assert [each.path for each in sent()] == [f"/v5/user/tokens/{ids[3]}"]


def test_a_row_of_run_is_one_json_object_whatever_is_in_it(
    serve: Any, attached_to: Any, simulate: Any
) -> None:
    names = ["line\u2028separator", "next\x85line", "feed\n\f\x1e", "'quoted' \"twice\""]
    account = simulate([{"id": f"t{number}", "name": name} for number, name in enumerate(names)])
    con = attached_to(serve(account))
    for number, name in enumerate(names):
        statement = f"EXEC vercel.authentication.user_tokens.get_auth_token @tokenId = 't{number}'"
        query = f"FROM vercel.query($text$FROM run($statement${statement}$statement$)$text$)"
        ((row,),) = con.execute(query).fetchall()
        assert json.loads(row)["name"] == name


def test_bad_rows_are_rows_and_no_write_goes_by_them(
    serve: Any, attached_to: Any, sim: Any, sent: Any
) -> None:
    token = sim.state.tokens()[3]
    token.plant("expiresAt", b'"someday"')
    con = attached_to(serve(writes=True))
    table = "vercel.authentication.user_tokens"
    query = f"SELECT count(*), count(additional_fields) FROM {table}"
    assert con.execute(f"FROM vercel.query('{query}')").fetchall() == [(31, 1)]
    delete = f"DELETE FROM {table} WHERE expiresAt IS NULL"
    with pytest.raises(duckdb.Error, match=f"id {token.id}: expiresAt is text"):
        con.execute(f"FROM vercel.query('FROM run(''{delete}'', request_id := ''a'')')").fetchall()
    assert sent("DELETE") == []


def test_what_the_servers_token_may_not_do_is_explained(
    serve: Any, attached_to: Any, sim: Any
) -> None:
    sim.state.calling_token = sim.state.find_bearer(sim.bearer("team"))
    con = attached_to(serve())
    table = "vercel.authentication.user_tokens"
    for query in (f"FROM {table}", f"FROM vercel.query('FROM {table}')"):
        with pytest.raises(duckdb.Error, match="It may be limited to another team") as caught:
            con.execute(query).fetchall()
        assert "https://vercel.com/account/tokens" in str(caught.value)
