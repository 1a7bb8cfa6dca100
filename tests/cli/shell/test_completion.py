"""Completion: what is offered where, and that asking for it disturbs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.document import Document

import vercel_sql
from vercel_sql.cli.shell.completion import ShellCompleter, read_context
from vercel_sql.manifest import vercel

TOKENS = "vercel.authentication.user_tokens"


@dataclass(frozen=True)
class Command:
    name: str
    usage: str = ""
    help: str = ""
    choices: Sequence[str] = ()


COMMANDS = [
    Command(".maxrows", "[COUNT]", "how many rows a box shows"),
    Command(".mode", "[MODE]", "how results look", ("csv", "duckbox", "json", "jsonlines")),
]

Complete = Callable[[str], list[Completion]]
Texts = Callable[[str], list[str]]


@pytest.fixture
def completer(db: vercel_sql.Connection) -> ShellCompleter:
    db.execute('CREATE TABLE events (id INTEGER, "user name" VARCHAR, "order" INTEGER)')
    db.execute("CREATE SCHEMA logs; CREATE TABLE logs.calls (moment TIMESTAMP, path VARCHAR)")
    db.execute("CREATE MACRO twice(x) AS x + x")
    return ShellCompleter(db, COMMANDS)


@pytest.fixture
def complete(completer: ShellCompleter) -> Complete:
    """Completes at the ``|`` of a text, or at its end."""

    def ask(text: str) -> list[Completion]:
        before, _, after = text.partition("|")
        return list(completer.get_completions(Document(before + after, len(before)), EVENT))

    return ask


EVENT = CompleteEvent(completion_requested=True)


@pytest.fixture
def texts(complete: Complete) -> Texts:
    return lambda text: [each.text for each in complete(text)]


def test_keywords_follow_the_case_of_what_is_typed(texts: Texts) -> None:
    assert texts("se") == ["select", "set"]
    assert texts("SE") == ["SELECT", "SET"]
    assert texts("exe") == ["exec", "execute"]
    assert "where" in texts("SELECT * FROM events wh")
    assert "ORDER BY" in texts("SELECT * FROM events ORD")
    assert texts("SELECT 1; ins") == ["insert into", "install"]
    assert texts("EXPLAIN exe") == ["exec", "execute"]


def test_names_are_completed_step_by_step(texts: Texts) -> None:
    assert {"events", "main", "logs", "memory", "vercel"} == set(texts("SELECT * FROM "))
    services = {*vercel().service_names, "audit"}
    assert set(texts("SELECT * FROM vercel.")) == services
    assert texts("SELECT * FROM vercel.auth") == ["authentication"]
    found = texts("SELECT * FROM vercel.authentication.")
    assert found == ["get_auth_token", "list_auth_tokens", "user_tokens", "_list_auth_tokens"]
    assert texts("SELECT * FROM vercel.audit.") == ["user_tokens"]
    assert texts("SELECT * FROM logs.") == ["calls"]
    assert texts("SELECT * FROM memory.logs.c") == ["calls"]
    assert texts("SELECT * FROM events JOIN lo") == ["logs"]
    assert texts("SELECT * FROM events e, ev") == ["events"]
    assert texts("DELETE FROM vercel.authentication.") == ["user_tokens"]
    assert texts("INSERT INTO vercel.oauth.tok") == ["tokens"]
    assert texts("UPDATE ev") == ["events"]
    assert "read_csv" in texts("SELECT * FROM read_c")
    assert texts("WITH recent AS (SELECT 1) SELECT * FROM rec") == ["recent"]


def test_columns_of_the_tables_of_the_statement(texts: Texts) -> None:
    columns = ["id", '"user name"', '"order"']
    assert texts("SELECT | FROM events")[:3] == columns
    assert texts("SELECT * FROM events WHERE ")[:3] == columns
    assert texts("SELECT e.| FROM events AS e JOIN logs.calls c ON true") == columns
    assert texts("SELECT * FROM events e JOIN logs.calls c ON c.") == ["moment", "path"]
    assert texts("SELECT * FROM events WHERE events.u") == ['"user name"']
    assert texts('SELECT "us| FROM events') == ['"user name"']
    assert texts("UPDATE events SET ")[:3] == columns
    assert texts("INSERT INTO events (id, ") == columns[1:]
    assert {"moment", "path"} <= set(texts("SELECT * FROM logs.calls ORDER BY "))
    assert "idle_days" in texts("SELECT id FROM vercel.audit.user_tokens WHERE idl")
    assert "active" in texts("SELECT act| FROM vercel.oauth.introspection")
    assert "sub" in texts("SELECT s| FROM vercel.oauth.get_userinfo(access_token := $token)")
    assert texts(f"SELECT t.tokenI| FROM {TOKENS} t") == ["tokenId"]


def test_functions_and_types(texts: Texts) -> None:
    assert "epoch_ms" in texts("SELECT epoch_")
    assert "twice" in texts("SELECT twi")
    assert texts("SELECT 1::bigi") == ["bigint"]
    assert "list_filter" in texts("SELECT * FROM events WHERE list_f")


def test_methods_after_exec(texts: Texts) -> None:
    found = texts("EXEC ")
    assert f"{TOKENS}.email_login" in found
    assert "vercel.oauth.tokens.revoke_token" in found
    assert texts(f"exec {TOKENS}.e") == ["email_login"]
    assert texts("EXEC vercel.user.") == ["user.get_auth_user"]
    assert texts("EXPLAIN EXEC vercel.user.") == ["user.get_auth_user"]


def test_arguments_of_exec_required_ones_first(complete: Complete, texts: Texts) -> None:
    call = f"EXEC {TOKENS}.verify_token"
    found = complete(f"{call} @")
    assert [each.text for each in found][:2] == ["token", "email"]
    assert found[0].display_meta_text == (
        "required VARCHAR: The verification token that email_login gave."
    )
    assert texts(f"{call} ")[:2] == ["@token", "@email"]
    assert texts(f"{call} @token = 'x', @team") == ["teamName", "teamSlug", "teamPlan"]
    assert texts(f"{call} @EMAIL = 'x',\n  @e") == []
    assert "token" not in texts(f"{call} @|, @token = 'x'")
    assert texts(f"{call} @teamPlan = ") == ["'pro'", "'hobby'"]
    assert texts(f"{call} @@") == ["json"]
    assert "upper" in texts(f"{call} @token = upp")
    assert texts("EXEC vercel.no.such.method @") == []


def test_parameters_of_insert(complete: Complete, texts: Texts) -> None:
    found = complete(f"INSERT INTO {TOKENS} (")
    assert [each.text for each in found] == ["name", "expiresAt", "projectId", "teamId", "slug"]
    assert found[0].display_meta_text == "required VARCHAR: The name of the new token."
    assert texts(f"INSERT INTO {TOKENS} (data__name, t") == ["teamId"]
    assert "refresh_token" in texts("INSERT INTO vercel.oauth.tokens (client_id, ref")
    assert texts(f"INSERT INTO {TOKENS} (name) SELECT 'a' RETURNING b")[0] == "bearerToken"
    assert "client_secret" in texts("DELETE FROM vercel.oauth.tokens WHERE client_s")


def test_looking_around(texts: Texts) -> None:
    assert texts("SHOW m") == ["methods in"]
    assert texts("SHOW SERVICES IN ") == ["vercel"]
    assert texts("SHOW RESOURCES IN vercel.u") == ["user"]
    assert texts("SHOW METHODS IN vercel.authentication.") == ["user_tokens"]
    assert texts("SHOW INSERT INTO vercel.auth") == ["authentication.user_tokens"]
    assert texts("DESCRIBE METHOD vercel.user.") == ["user.get_auth_user"]
    assert texts("DESCRIBE ext") == ["extended"]
    assert texts("DESCRIBE EXTENDED vercel.teams.") == ["teams"]
    assert texts("SUMMARIZE ev") == ["events"]


def test_use_and_settings(texts: Texts) -> None:
    assert set(texts("USE ")) == {"memory", "vercel", "main", "logs"}
    assert texts("USE vercel.aud") == ["audit"]
    assert texts("SET threa") == ["threads"]
    assert "threads" in texts("RESET th")
    assert "table_info" in texts("PRAGMA table_")
    assert texts("SET var")[0] == "variable"
    assert texts("SET VARIABLE th") == []


def test_dot_commands(complete: Complete, texts: Texts) -> None:
    assert texts(".m") == [".maxrows", ".mode"]
    assert complete(".mo")[0].display_meta_text == "how results look"
    assert texts(".mode js") == ["json", "jsonlines"]
    assert texts(".maxrows ") == []
    assert texts("SELECT 1;\n.mo") == [".mode"]
    assert texts("SELECT *\n.mo") == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'sel",
        "SELECT 'it''s sel",
        "SELECT e'it\\'s sel",
        "SELECT $$ sel",
        "SELECT 1 -- sel",
        "SELECT 1 /* sel",
        "SELECT $sel",
        "SELECT {{ sel",
        "SELECT '{{ sel",
        "SELECT 'a'sel",
        "SELECT 1",
    ],
)
def test_nothing_is_offered_where_no_name_can_stand(texts: Texts, text: str) -> None:
    assert texts(text) == []


def test_a_comment_that_is_over_is_no_obstacle(texts: Texts) -> None:
    assert texts("-- what\nSELECT * FROM logs.") == ["calls"]
    assert texts("SELECT * /* it's */ FROM logs.") == ["calls"]


def test_it_replaces_what_is_typed(complete: Complete) -> None:
    (found,) = complete("SELECT * FROM vercel.authen")
    assert (found.text, found.start_position) == ("authentication", -6)
    (quoted,) = complete('SELECT * FROM events WHERE "us')
    assert (quoted.text, quoted.start_position) == ('"user name"', -3)


def test_new_tables_are_found(db: vercel_sql.Connection, completer: ShellCompleter) -> None:
    assert not list(completer.get_completions(Document("SELECT * FROM arriv"), EVENT))
    db.execute("CREATE TABLE arrivals (x INTEGER)")
    completer.refresh()

    assert offered(completer, "SELECT * FROM arriv") == ["arrivals"]


def test_what_only_the_session_sees(db: vercel_sql.Connection, completer: ShellCompleter) -> None:
    db.execute("CREATE TEMP TABLE scratch (x INTEGER)")
    db.execute("USE vercel.authentication")
    completer.refresh()

    assert offered(completer, "SELECT * FROM scr") == ["scratch"]
    assert offered(completer, "SELECT * FROM user_") == ["user_tokens"]
    assert "tokenId" in offered(completer, "SELECT tok| FROM user_tokens")
    assert offered(completer, "EXEC user_tokens.em") == ["email_login"]
    assert offered(completer, "EXEC user_tokens.email_login @") == ["email", "tokenName"]
    assert "email_login" in {t.split(".")[-1] for t in offered(completer, "EXEC authentication.")}


def test_an_open_transaction_is_left_alone(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    db.execute("BEGIN")
    db.execute("CREATE TABLE pending (x INTEGER)")
    completer.refresh()
    assert offered(completer, "SELECT * FROM pend") == ["pending"]
    db.execute("ROLLBACK")
    completer.refresh()

    assert offered(completer, "SELECT * FROM pend") == []


def test_a_transaction_that_failed_is_no_error(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    db.execute("BEGIN")
    with pytest.raises(vercel_sql.Error):
        db.execute("SELECT error('no')").fetchall()
    completer.refresh()

    assert offered(completer, "SELECT * FROM eve") == ["events"]
    db.execute("ROLLBACK")


def test_an_unread_result_is_left_alone(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    cursor = db.execute("SELECT * FROM range(100000)")
    assert cursor.fetchone() == (0,)

    assert offered(completer, "SELECT * FROM eve") == ["events"]

    assert cursor.fetchone() == (1,)
    assert len(cursor.fetchall()) == 99_998


def test_nothing_is_requested_and_no_table_is_made(
    db: vercel_sql.Connection, completer: ShellCompleter, sent: Callable[..., list[object]]
) -> None:
    views = "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"
    before, made = len(sent()), db.duckdb.execute(views).fetchall()
    for text in ("SELECT * FROM vercel.oauth.", f"SELECT | FROM {TOKENS}", "EXEC ", "SHOW "):
        completer.refresh()
        assert offered(completer, text)

    assert len(sent()) == before
    assert db.duckdb.execute(views).fetchall() == made


def test_a_table_that_was_made_is_the_same_as_before(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    questions = [f"SELECT | FROM {TOKENS}", "SELECT * FROM vercel.authentication.", "FROM vercel."]
    before = [offered(completer, each) for each in questions]
    db.execute(f"SELECT * FROM {TOKENS} LIMIT 0").fetchall()
    completer.refresh()

    assert [offered(completer, each) for each in questions] == before


def test_a_closed_connection_is_no_error(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    db.close()
    completer.refresh()

    assert offered(completer, "se") == ["select", "set"]


def test_threads_may_ask_while_statements_run(
    db: vercel_sql.Connection, completer: ShellCompleter
) -> None:
    answers: list[list[str]] = []
    threads = [
        threading.Thread(
            target=lambda: answers.extend(
                offered(completer, "SELECT * FROM eve") for _ in range(20)
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(20):
        assert db.execute(f"SELECT {number} FROM events").fetchall() == []
        completer.refresh()
    for thread in threads:
        thread.join(timeout=100)

    assert answers == [["events"]] * 80


@given(st.text(alphabet="SELECTfrom.,;()@'\"$-/*=: \n{}x1é`", max_size=30), st.integers(0, 30))
def test_any_text_has_a_place_or_none(text: str, position: int) -> None:
    context = read_context(text, min(position, len(text)))

    if context is not None:
        context.mentions()
        context.insert_target()
        context.names_table()


def offered(completer: ShellCompleter, text: str) -> list[str]:
    """The texts that are offered at the ``|`` of a text, or at its end."""
    before, _, after = text.partition("|")
    document = Document(before + after, len(before))
    return [each.text for each in completer.get_completions(document, EVENT)]
