"""A write is asked about before it is sent: refused, accepted, turned off, and never by EXPLAIN."""

import pytest

import vercel_sql
from vercel_sql.cli.terminal import question
from vercel_sql.sql.plan import Plan

TABLE = "vercel.authentication.user_tokens"
GO_ON = "Go on? [y/N]"


def asked(shell, sql):
    """Enters a statement, and waits for the question."""
    shell.type(sql)
    shell.press("\r")
    return shell.wait_for(GO_ON)


def test_a_delete_that_is_refused(shell, ids, received):
    screen = asked(shell, f"DELETE FROM {TABLE} WHERE id IN ('{ids[0]}', '{ids[1]}');")
    assert "DELETE FROM vercel.authentication.user_tokens: 2 requests, 2 rows." in screen
    assert f"DELETE /v3/user/tokens/{ids[0]}" in screen
    assert f"DELETE /v3/user/tokens/{ids[1]}" in screen
    shell.press("n\r")
    assert "not approved. Nothing was changed" in shell.wait_for_prompt()
    assert received("DELETE") == []


@pytest.mark.parametrize("answer", ["\r", "\x03", "\x04", "yes please\r"])
def test_only_yes_is_yes(shell, ids, received, answer):
    asked(shell, f"DELETE FROM {TABLE} WHERE id = '{ids[0]}';")
    shell.press(answer)
    assert "Nothing was changed" in shell.wait_for_prompt()
    assert received("DELETE") == []
    assert "42" in shell.enter("SELECT 42 AS n;")


def test_a_delete_that_is_accepted(shell, ids, received, exists):
    screen = asked(shell, f"DELETE FROM {TABLE} WHERE name IS NOT NULL AND id = '{ids[0]}';")
    assert "1 request, 1 row." in screen
    assert received("DELETE") == []
    shell.press("y\r")
    shell.wait_for_prompt()
    assert len(received("DELETE")) == 1
    assert not exists(ids[0])


def test_a_refusal_stops_what_follows(shell, received):
    statement = f"INSERT INTO {TABLE} (name) SELECT 'x' || i FROM range(12) r(i);"
    screen = asked(shell, f"{statement} SELECT 'after' AS word;")
    assert "12 requests, 12 rows." in screen
    assert 'POST /v3/user/tokens with {"name": "x0"}' in screen
    assert "… 9 more" in screen
    shell.press("n\r")
    assert "│ after" not in shell.wait_for_prompt()
    assert received("POST") == []


def test_the_question_says_how_long_it_takes(shell, received):
    screen = asked(shell, f"INSERT INTO {TABLE} (name) SELECT 'x' || i FROM range(40) r(i);")
    assert "40 creations, about 1 hour 15 minutes: Vercel allows 32 every hour." in screen
    shell.press("n\r")
    shell.wait_for_prompt()
    assert received("POST") == []


def test_confirm_off_and_on(shell, received, ids):
    shell.enter(".confirm off", f"DELETE FROM {TABLE} WHERE id = '{ids[0]}';")
    assert GO_ON not in shell.screen
    assert len(received("DELETE")) == 1
    shell.enter(".confirm on")
    asked(shell, f"EXEC {TABLE}.email_login @email = 'a@example.com';")
    shell.press("n\r")
    shell.wait_for_prompt()
    assert received("POST") == []


def test_yes_asks_nothing(open_terminal, sim, received, ids):
    shell = open_terminal("shell", "--yes", sim=sim)
    shell.wait_for("simulated ada-example>")
    shell.wait_for_prompt()
    shell.enter(f"DELETE FROM {TABLE} WHERE id = '{ids[0]}';")
    assert GO_ON not in shell.screen
    assert len(received("DELETE")) == 1


def test_a_script_that_is_read_is_asked_about_too(shell, ids, received, tmp_path):
    script = tmp_path / "clean.sql"
    script.write_text(f"DELETE FROM {TABLE} WHERE id = '{ids[0]}';\nSELECT 'after' AS word;\n")
    asked(shell, f".read {script}")
    shell.press("n\r")
    assert "│ after" not in shell.wait_for_prompt()
    assert received("DELETE") == []


def test_nothing_to_send_and_explain_ask_nothing(shell, ids, received):
    screen = shell.enter(
        f"EXPLAIN DELETE FROM {TABLE} WHERE id = '{ids[0]}';",
        f"DELETE FROM {TABLE} WHERE name = 'nobody has it';",
        "CREATE TABLE t AS SELECT 1 AS a;",
        "DELETE FROM t;",
    )
    assert GO_ON not in screen
    assert received("DELETE") == []


def test_what_was_typed_ahead_is_no_answer(open_terminal, sim, received, ids):
    shell = open_terminal(sim=sim, TERM="dumb")
    shell.wait_for_prompt()
    sim.faults(kind="latency", ms=1500, times=None, method="GET")
    shell.type(f"DELETE FROM {TABLE} WHERE name IS NOT NULL AND lower(id) = '{ids[0]}';")
    shell.press("\ry\r")
    shell.wait_for(GO_ON)
    shell.press("\r")
    assert "Nothing was changed" in shell.wait_for_prompt()
    assert received("DELETE") == []


# The hook itself


def test_a_connection_asks_before_the_first_request(db, sent, ids):
    plans = []

    def refuse(plan):
        plans.append(plan)
        return False

    db.approve = refuse
    with pytest.raises(vercel_sql.NotApprovedError, match="Nothing was changed"):
        db.execute(f"DELETE FROM {TABLE} WHERE id = '{ids[0]}'")
    assert plans == [Plan(f"DELETE FROM {TABLE}", 1, (f"DELETE /v3/user/tokens/{ids[0]}",))]
    assert sent("DELETE") == []
    db.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE id = '{ids[0]}'")
    assert len(plans) == 1
    assert not sent("DELETE")


def test_a_plan_shows_no_secret(db):
    plans = []
    db.approve = lambda plan: bool(plans.append(plan))
    with pytest.raises(vercel_sql.NotApprovedError) as raised:
        db.execute(
            "DELETE FROM vercel.oauth.tokens WHERE token = 'geheimnis1' AND client_id = 'cl_1' "
            "AND client_secret = 'geheimnis2'"
        )
    shown = f"{plans}{raised.value}"
    assert "[secret]" in shown
    assert "geheimnis" not in shown


def test_a_question_fits_the_terminal_and_can_not_steer_it():
    plan = Plan("INSERT INTO t", 5, ("POST /x with " + "\x1b[31m" * 30,))
    text = question(plan, 40)
    assert "5 requests, 5 rows" in text
    assert "… 4 more" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 40
