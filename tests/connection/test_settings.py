"""Every setting of DuckDB's sessions, set otherwise: values don't shift, or a clear error says why.

The settings are those of `duckdb_settings()`, so that a new version brings its own along. Each is
set to something else, and then our tables, views and statements run. What differs then from a
session where nothing was set is in one of the lists below, with the reason.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache

import duckdb
import pytest

import vercel_sql
from vercel_sql.simulator import Simulator

from ..scale import scaled

T = "vercel.authentication.user_tokens"
AUDIT = "vercel.audit.user_tokens"
READS = {
    "view": f"SELECT * EXCLUDE (active_at, idle_days) FROM {AUDIT} "
    "WHERE NOT is_current ORDER BY id ASC",
    "table": f"SELECT * EXCLUDE (activeAt, token) FROM {T} "
    "WHERE name NOT LIKE 'simulated%' ORDER BY id ASC",
    "flags": f"SELECT id, is_current, is_expired, idle_days FROM {AUDIT} "
    "WHERE idle_days > 3 ORDER BY id ASC",
    "teams": "SELECT id, slug, name FROM vercel.teams.teams ORDER BY id ASC",
    "user": "SELECT id, username FROM vercel.user.user",
    "join": f"SELECT u.name, t.slug FROM {AUDIT} AS u, unnest(u.scopes) AS s(scope) "
    "LEFT JOIN vercel.teams.teams AS t ON t.id = s.scope.teamId "
    "ORDER BY u.id ASC, t.slug ASC NULLS LAST",
    "get": f"SELECT id, name FROM {T} WHERE tokenId = 'current'",
}
STATEMENTS = {
    **READS,
    "show": f"SHOW METHODS IN {T}",
    "explain": f"EXPLAIN INSERT INTO {T} (name, expiresAt) SELECT 'x', TIMESTAMP '2099-01-01'",
    "insert": f"INSERT INTO {T} (name, expiresAt) SELECT 'x', TIMESTAMP '2099-01-01' "
    "RETURNING name, expiresAt",
    "explain delete": f"EXPLAIN DELETE FROM {T} WHERE name = 'nothing has it'",
    "delete": f"DELETE FROM {T} WHERE name = 'x' RETURNING name",
    "parameters": f"SELECT count(*) FROM {AUDIT} WHERE created_at < now() AND age_days >= 0",
}
OTHERS = {
    "Calendar": ["'japanese'", "'buddhist'"],
    "TimeZone": ["'America/New_York'", "'Asia/Kathmandu'"],
    "default_collation": ["'nocase'", "'noaccent'", "'nocase.noaccent'", "'de'", "'icu_noaccent'"],
    "default_null_order": ["'nulls_first'", "'nulls_last_on_asc_first_on_desc'"],
    "default_order": ["'desc'"],
    "dialect_compatibility_mode": ["'SPARK'"],
    "disabled_filesystems": ["'LocalFileSystem'"],
    "disabled_optimizers": ["'filter_pushdown,statistics_propagation'", "'join_filter_pushdown'"],
    "enable_profiling": ["'json'", "'query_tree'", "'no_output'"],
    "explain_output": ["'all'", "'optimized_only'"],
    "home_directory": ["'/nowhere'"],
    "max_memory": ["'60MB'"],
    "memory_limit": ["'60MB'"],
    "operator_memory_limit": ["'20MB'"],
    "null_order": ["'nulls_first'"],
    "preserve_identifier_case": ["'lowercase'", "'uppercase'"],
    "schema": ["'information_schema'"],
    "search_path": ["'information_schema'"],
    "temp_directory": ["''"],
    "threads": ["1", "8"],
    "lambda_syntax": ["'ENABLE_SINGLE_ARROW'", "'DISABLE_SINGLE_ARROW'"],
    "allow_parser_override_extension": ["'FALLBACK'", "'STRICT'"],
    "arrow_output_version": ["'1.4'"],
    "default_transaction_invalidation_policy": ["'STANDARD_POLICY'"],
}
SERVICES = ["authentication"]
# These are about the process: what they do stays when the session is over.
PROCESS = {"allocator_background_threads", "log_query_path"}
PROCESS |= {"max_execution_time"}  # a limit, which statements that take longer run into


def others(name: str, value: str | None, kind: str) -> list[str]:
    """What a setting is set to; its own value where nothing else is known of it."""
    if name in OTHERS:
        return OTHERS[name]
    if kind == "BOOLEAN":
        return ["false" if str(value).lower() in ("true", "1") else "true"]
    if kind in ("UBIGINT", "BIGINT", "DOUBLE"):
        return ["0", "1"]
    return [f"'{value}'"] if value else ["'x'", "''"]


def accepted(name: str, value: str) -> bool:
    """Whether plain DuckDB takes the value while it runs."""
    with duckdb.connect() as con:
        try:
            con.execute(f"SET {name} = {value}")
            con.execute(f"RESET {name}")
        except duckdb.Error:
            return False
    return True


@cache
def settings() -> list[tuple[str, str]]:
    with duckdb.connect() as con:
        query = "SELECT name, value, input_type FROM duckdb_settings() ORDER BY 1"
        found = con.execute(query).fetchall()
    each = [(name, o) for name, v, k in found if name not in PROCESS for o in others(name, v, k)]
    return [setting for setting in each if accepted(*setting)]


def together(size: int) -> list[list[tuple[str, str]]]:
    """The settings in groups that are set at once, each setting at most once in a group.

    Those that decide whether we may ask at all stand alone: they refuse what others would show.
    """
    groups: list[list[tuple[str, str]]] = []
    for setting in settings():
        alone = setting[0] in NO_PUSHDOWN
        fits = (
            group
            for group in groups
            if not alone
            and len(group) < size
            and group[0][0] not in NO_PUSHDOWN
            and setting[0] not in (name for name, _ in group)
        )
        group = next(fits, None)
        if group is None:
            groups.append([setting])
        else:
            group.append(setting)
    return groups


@pytest.fixture(scope="module")
def account():
    with Simulator(12) as sim:
        yield sim


def answers(con, statements):
    """What each statement gives, or its error."""
    found = {}
    for name, sql in statements.items():
        try:
            found[name] = con.execute(sql).fetchall()
        except (duckdb.Error, vercel_sql.Error) as error:
            found[name] = error
    return found


@pytest.fixture(scope="module")
def session(account, tmp_path_factory):
    """One session, in which each setting is set and reset: the tables are there already."""
    urls = {"api_url": account.url, "oauth_url": account.url}
    saved = tmp_path_factory.mktemp("saved") / "secrets"
    with vercel_sql.connect(account.token, secrets_file=saved, **urls) as con:
        yield con


@pytest.fixture(scope="module")
def usual(session):
    return answers(session, STATEMENTS)


def shown(value):
    """An answer, the moments of which are the same in every zone."""
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    return value.timestamp() if isinstance(value, datetime) else value


# Where DuckDB keeps filters to itself, the calling token can't be looked up, and an error says so.
NO_PUSHDOWN = ("disabled_optimizers", "enable_optimizer")
REFUSED = r"a query of vercel\.\S+ that reads \w+ needs DuckDB's optimizers .* RESET disabled_optim"


def differing(group, found, usual):
    """What differs where some settings are set, for a person to read."""
    pushed = group[0][0] not in NO_PUSHDOWN
    for name, value in found.items():
        if not pushed and name == "explain delete":
            continue  # it tells of one request more, which there is then
        if not pushed and isinstance(value, Exception):
            assert re.search(REFUSED, str(value)), (group, name, value)
        elif isinstance(value, Exception):
            yield group, name, type(value), str(value)[:300]
        elif shown(value) != shown(usual[name]):
            yield group, name, str(value)[:200], str(usual[name])[:200]


def test_a_setting_of_our_own_session_s(session, usual):
    wrong = []
    for group in together(scaled(8, 1)):
        for setting in group:
            session.execute("SET {} = {}".format(*setting))
        wrong += differing(group, answers(session, STATEMENTS), usual)
        for name, _ in group:
            session.execute(f"RESET {name}")
        session.execute(STATEMENTS["delete"])  # where it was refused
    assert not list(differing([("none", "")], answers(session, STATEMENTS), usual))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("before", [True, False])
def test_a_setting_of_a_session_that_is_attached_to(account, usual, before):
    """Set before the views are made, and after."""
    wrong = []
    for group in together(scaled(8, 1)):
        with duckdb.connect() as con:
            for sets in (before, not before):
                if sets:
                    for setting in group:
                        con.execute("SET {} = {}".format(*setting))
                else:
                    vercel_sql.attach(con, account.token, api_url=account.url, services=SERVICES)
            wrong += differing(group, answers(con, {n: READS[n] for n in ("view", "get")}), usual)
            vercel_sql.detach(con)
    assert not wrong, "\n".join(map(str, wrong))


# What has to be asked for, since no listing has it; a view and a macro of the user's hide it.
ASKED = {
    "literal": f"SELECT name FROM {T} WHERE tokenId = 'current'",
    "all columns": f"SELECT * EXCLUDE (activeAt, token) FROM {T} WHERE tokenId = 'current'",
    "with another": f"SELECT name FROM {T} WHERE name > '' AND tokenId = 'current' LIMIT 1",
    "folded": f"SELECT name FROM {T} WHERE tokenId = 'cur' || 'rent'",
    "parameter": "EXECUTE of_token('current')",
    "user's view": "SELECT name FROM my_token",
    "user's macro": "SELECT name FROM token_of('current')",
    "function": "SELECT name FROM vercel.authentication.get_auth_token('current')",
    "join": f"SELECT b.name FROM {T} AS a JOIN {T} AS b USING (id) WHERE a.tokenId = 'current'",
    "subquery": f"SELECT name FROM {T} WHERE id IN (SELECT id FROM {T} WHERE tokenId = 'current')",
    "count": f"SELECT count(*) FROM {T} WHERE tokenId = 'current'",
    "get only": "SELECT active FROM vercel.oauth.introspection WHERE token = 'x'",
}
UNASKED = {
    "column": f"SELECT name FROM {T} ORDER BY ALL",
    "key": f"SELECT name FROM {T} WHERE id > 'a' AND name LIKE '%e%' ORDER BY ALL",
    "view": f"SELECT name, is_current FROM {AUDIT} WHERE NOT is_leaked ORDER BY ALL",
    "other": "SELECT slug FROM vercel.teams.teams ORDER BY ALL",
}
OWN = f"""CREATE VIEW my_token AS SELECT * FROM {T} WHERE tokenId = 'current';
CREATE MACRO token_of(x) AS TABLE SELECT * FROM {T} WHERE tokenId = x;
PREPARE of_token AS SELECT name FROM {T} WHERE tokenId = $1"""


@pytest.mark.parametrize("door", ["connect", "attach"])
def test_no_optimizer_that_is_off_makes_an_answer_wrong(account, door):
    urls = {"api_url": account.url, "oauth_url": account.url}
    con = duckdb.connect() if door == "attach" else vercel_sql.connect(account.token, **urls)
    with con:
        if door == "attach":
            vercel_sql.attach(con, account.token, **urls)
        for statement in OWN.split(";"):
            con.execute(statement)
        names = [name for (name,) in con.execute("FROM duckdb_optimizers()").fetchall()]
        usual = answers(con, ASKED | UNASKED)
        assert all(usual.values())
        refused = set()
        for off in ["FILTER_PUSHDOWN, statistics_propagation", ",".join(names), *names]:
            con.execute(f"SET disabled_optimizers = '{off}'")
            found = answers(con, ASKED | UNASKED)
            refused |= {(off, name) for name, each in found.items() if isinstance(each, Exception)}
            assert not list(differing([("disabled_optimizers", off)], found, usual))
        con.execute("RESET disabled_optimizers; PRAGMA disable_optimizer")
        found = answers(con, ASKED | UNASKED)
        assert not list(differing([("enable_optimizer", "false")], found, usual))
        assert all(isinstance(found[name], Exception) for name in ASKED)
        con.execute("PRAGMA enable_optimizer")
        assert not list(differing([("none", "none")], answers(con, ASKED | UNASKED), usual))
        kept = {name for off, name in refused if off == "filter_pushdown"}
        assert kept == set(ASKED)
        assert {off for off, _ in refused} <= {
            "FILTER_PUSHDOWN, statistics_propagation",
            ",".join(names),
            "filter_pushdown",
            "expression_rewriter",
            "unused_columns",
        }


def test_a_value_of_the_user_s_own_that_reads_like_our_word(session):
    session.execute("SET default_collation = 'nocase'")
    try:
        rows = session.execute("SELECT 1 FROM (VALUES ('Current')) t(s) WHERE s = 'current'")
        assert rows.fetchall() == [(1,)]
    finally:
        session.execute("RESET default_collation")


@pytest.mark.parametrize("collation", ["nocase", "de"])
def test_what_has_to_be_asked_for_is_asked_for_in_any_collation(account, tmp_path, collation):
    """Keys that are no column of a listing, and which of a database's connections asks."""
    file, urls = tmp_path / "db.duckdb", {"api_url": account.url, "oauth_url": account.url}
    with (
        vercel_sql.connect(account.token, database=file, **urls) as first,
        vercel_sql.connect(account.token, database=file, **urls) as second,
    ):
        for con in (first, second):
            con.execute(f"SET default_collation = '{collation}'")
            account.clear_requests()
            rows = con.execute(f"SELECT name FROM {T} WHERE tokenId = 'current'").fetchall()
            assert rows == [("simulated calling token",)]
            assert len(account.requests()) == 1
            assert con.execute(f"SELECT id FROM {T} WHERE tokenId = 'Current'").fetchall() == []
            active = "SELECT active FROM vercel.oauth.introspection WHERE token = 'x'"
            assert con.execute(active).fetchall() == [(False,)]
            get = "SELECT name FROM vercel.authentication.get_auth_token('current')"
            assert con.execute(get).fetchall() == rows


@pytest.mark.parametrize("path", ["information_schema", "information_schema,main", "s,other.t"])
def test_attaching_leaves_any_search_path(account, path):
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA s; ATTACH ':memory:' AS other; CREATE SCHEMA other.t")
        for move in (f"SET search_path = '{path}'", "USE other.t; SET search_path = 't,main'"):
            con.execute(move)
            where = "SELECT current_setting('search_path'), current_database(), current_schema()"
            before = con.execute(where).fetchall()
            vercel_sql.attach(con, account.token, api_url=account.url, services=SERVICES)
            assert con.execute(where).fetchall() == before
            assert con.execute(READS["get"]).fetchall()
            vercel_sql.detach(con)
            assert con.execute(where).fetchall() == before
            con.execute("RESET search_path")
