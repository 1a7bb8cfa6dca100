"""What a plain DuckDB connection says of an error: its message, and nothing of Python's."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest


def _error(con: Any, query: str) -> str:
    with pytest.raises(duckdb.Error) as caught:
        con.sql(query).fetchall()
    return str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "FROM vercel.oauth.introspection",
        "SELECT count(*) FROM vercel.authentication.user_tokens",
        "FROM vercel.oauth.get_userinfo(access_token := 'no-such-token-at-all')",
    ],
)
def test_an_error_shows_no_traceback_and_no_path(attached: Any, sim: Any, query: str) -> None:
    con = attached(sim, token="vcp_notOfAnyAccountAtAll0001")
    text = _error(con, query)
    assert "vercel." in text
    for python in ("Traceback", ".py", "File ", "\n  "):
        assert python not in text


def test_a_failed_call_is_an_error_whatever_is_asked_of_it(con: Any) -> None:
    for asked in ("*", "count(*)", "1", "sub"):
        text = _error(con, f"SELECT {asked} FROM vercel.oauth.get_userinfo(access_token := 'no')")
        assert "401" in text


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("FROM vercel.user.user", "MissingTokenError"),
        ("SELECT created_at FROM vercel.audit.user_tokens", "MissingTokenError"),
        ("FROM vercel.oauth.introspection", "ProgrammingError"),
    ],
)
def test_what_arrow_adds_reads_well(attached: Any, sim: Any, query: str, kind: str) -> None:
    text = _error(attached(sim, token=None), query)
    assert text.endswith(f" Detail: Python exception: {kind}")
    assert ".." not in text
    assert "Unknown error" not in text
