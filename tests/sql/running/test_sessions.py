"""A deletion that would log people out says so, before anything is sent."""

import pytest

import vercel_sql
from vercel_sql.cli.terminal import question

T = "vercel.authentication.user_tokens"
NOTE = "browser session: revoking one logs a person out"
SESSION = {"type": "token", "name": "Website, Login with GitHub (Chrome on macOS)"}
OTHERS = [{"type": "token", "name": "ci"}, {"name": SESSION["name"]}, {"name": "deploy"}]


@pytest.fixture
def sim(simulate):
    return simulate([{"id": "s1", **SESSION}, {"id": "s2", **SESSION, "name": "Website, x"}])


@pytest.fixture
def others(sim):
    """Tokens that are no sessions, however alike they look."""
    return [sim.state.add_token({"id": f"t{n}", **each}).id for n, each in enumerate(OTHERS)]


WHERE = {
    "id = 's1'": ["s1"],
    "id = 's1' RETURNING name": ["s1"],
    "id IN ('s1', 't0', 't1', 'nobody')": ["s1"],
    "name <> '' AND NOT starts_with(name, 'simulated')": ["s1", "s2"],
    "id = 't2'": [],
}


def notes(cursor):
    """The notes of an EXPLAIN by the ids that it would delete."""
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    writes = [row for row in rows if row["effect"] == "write"]
    return {row["path"].rpartition("/")[2]: row.get("note") for row in writes}


@pytest.mark.parametrize("where", WHERE)
def test_explain_says_which_rows_are_sessions(db, others, where):
    told = notes(db.execute(f"EXPLAIN DELETE FROM {T} WHERE {where}"))
    assert {key for key, note in told.items() if note} == set(WHERE[where])
    assert all(note in (None, NOTE) for note in told.values())


@pytest.mark.parametrize("where", WHERE)
def test_the_question_says_how_many_are(db, sent, others, where):
    plans = []
    db.approve = lambda plan: bool(plans.append((plan, plan.caution(), question(plan, 200))))
    with pytest.raises(vercel_sql.NotApprovedError):
        db.execute(f"DELETE FROM {T} WHERE {where}")
    ((plan, caution, asked),) = plans
    count = len(WHERE[where])
    of = f"{count} of the {plan.count} rows "
    are = {0: "", 1: f"{of}is a " if plan.count > 1 else "The row is a ", 2: f"{of}are "}[count]
    assert caution.startswith(are)
    assert bool(count) is ("logs a person out." in asked)
    assert sent("DELETE") == []


def test_a_refusal_does_not_hide_it(db, connect):
    read_only = connect(read_only=True)
    told = notes(read_only.execute(f"EXPLAIN DELETE FROM {T} WHERE id = 's1'"))
    assert told == {"s1": f"refused: this connection is read-only; {NOTE}"}


@pytest.mark.parametrize("method", ["delete_auth_token", "rotate_token"])
def test_a_call_by_name_says_so_too(db, method):
    call = f"EXEC {T}.{method} @tokenId = 's1'"
    assert notes(db.execute(f"EXPLAIN {call}"))["s1"] == NOTE
    told = []
    db.approve = lambda plan: bool(told.append(plan.caution()))
    with pytest.raises(vercel_sql.NotApprovedError):
        db.execute(call)
    assert told == ["The row is a browser session: revoking one logs a person out"]


def test_what_nobody_is_asked_about_costs_no_request_more(db, sent, others):
    db.approve = lambda _plan: True
    db.execute(f"DELETE FROM {T} WHERE id = 't2'")
    assert [request.path for request in sent("GET")] == ["/v5/user/tokens/current"]
