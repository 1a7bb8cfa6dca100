"""How many writes a statement may send: what would be too many is refused, and says how many."""

import json

import pytest

import vercel_sql
from vercel_sql.errors import TooManyWritesError

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(?) t(i)"


def writes(sent):
    return [request for request in sent() if request.method != "GET"]


# One statement


def test_a_hundred_may_be_sent_without_saying_so_and_no_more(connect, sent):
    db = connect()
    with pytest.raises(
        TooManyWritesError, match=r"101 writes, and max_writes allows 100"
    ) as caught:
        db.execute(INSERT, [101])
    assert (caught.value.writes, caught.value.limit) == (101, 100)
    assert "Nothing was sent" in str(caught.value)
    assert "raise max_writes to 101 or more" in str(caught.value)
    assert isinstance(caught.value, vercel_sql.ProgrammingError)
    assert writes(sent) == []
    assert db.execute(INSERT, [100]).rowcount == 100
    # Each statement counts by itself.
    assert db.execute(INSERT, [1]).rowcount == 1


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM {TABLE} WHERE id IN ($a, $b, $c)",
        f"DELETE FROM {TABLE} WHERE id IN (SELECT unnest([$a, $b, $c])) RETURNING id",
        f"INSERT INTO {TABLE} (name) VALUES ($a), ($b), ($c)",
    ],
)
def test_it_is_refused_before_the_first(connect, ids, sent, statement):
    db = connect(max_writes=2)
    db.approve = lambda plan: pytest.fail("what is refused is not asked about")
    parameters = dict(zip("abc", ids, strict=False))
    with pytest.raises(TooManyWritesError, match="it would send 3 writes, and max_writes allows 2"):
        db.execute(statement, parameters)
    assert writes(sent) == []
    db.max_writes, db.approve = 3, None
    assert db.execute(statement, parameters).rowcount == 3


def test_none_means_any_number_and_nought_means_none(connect, sent):
    assert connect(max_writes=None).execute(INSERT, [120]).rowcount == 120
    db = connect(max_writes=0)
    before = len(sent("POST"))
    for statement in (
        f"INSERT INTO {TABLE} (name) VALUES ('a')",
        f"EXEC {TABLE}.create_auth_token @name = 'a'",
    ):
        with pytest.raises(TooManyWritesError, match="1 write, and max_writes allows 0"):
            db.execute(statement)
    assert db.execute(f"DELETE FROM {TABLE} WHERE name = 'nobody has it'").rowcount == 0
    assert len(sent("POST")) == before


def test_another_number_of_rows_than_expected_is_said_first(connect):
    with pytest.raises(vercel_sql.RowCountError, match="101 rows would be changed"):
        connect(expect_rows=3).execute(INSERT, [101])


@pytest.mark.parametrize("wrong", [{"max_writes": -1}, {"parallel_deletes": 0}])
def test_what_is_no_such_number(connect, wrong):
    with pytest.raises(vercel_sql.ParameterError, match=next(iter(wrong))):
        connect(**wrong)
    with pytest.raises(vercel_sql.ParameterError, match="from 1 to 16"):
        connect(parallel_deletes=17)


def test_a_rotation_counts_as_the_two_that_it_sends(connect, ids, sent):
    rotate = f"EXEC {TABLE}.rotate_token @tokenId = ?, @name = 'new'"
    db = connect(max_writes=1)
    with pytest.raises(TooManyWritesError, match="it would send 2 writes, and max_writes allows 1"):
        db.execute(rotate, ids[:1])
    assert "2 writes" in db.execute(f"EXPLAIN {rotate}", ids[:1]).fetchall()[-1][-1]
    db.max_writes = 5
    with pytest.raises(TooManyWritesError, match="3 sets of parameters would send 6 writes"):
        db.executemany(rotate, [[id_] for id_ in ids[:3]])
    assert writes(sent) == []


# EXPLAIN


def test_explain_lists_it_all_and_notes_that_it_would_be_refused(connect, ids, sent):
    db = connect(max_writes=2)
    explain = f"EXPLAIN DELETE FROM {TABLE} WHERE id IN (?, ?, ?)"
    cursor = db.execute(explain, ids[:3])
    assert cursor.description[-1][0] == "note"
    rows = cursor.fetchall()
    notes = {row[5]: row[-1] for row in rows}
    assert notes["read"] is None
    assert notes["write"].startswith("refused: ")
    assert "3 writes, and max_writes allows 2" in notes["write"]
    assert [json.loads(row[7])["id"] for row in rows if row[5] == "write"] == ids[:3]
    # Where it would not be refused, there is nothing to note.
    assert db.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE id = ?", ids[:1]).description[-1][0] == (
        "row"
    )
    assert writes(sent) == []


# Many sets of parameters


def test_executemany_counts_all_sets_before_the_first(connect, ids, sent):
    db = connect(max_writes=5)
    with pytest.raises(
        TooManyWritesError, match="6 sets of parameters would send 6 writes"
    ) as caught:
        db.executemany(f"DELETE FROM {TABLE} WHERE id = ?", [[id_] for id_ in ids[:6]])
    assert (caught.value.writes, caught.value.limit) == (6, 5)
    assert writes(sent) == []
    cursor = db.executemany(f"DELETE FROM {TABLE} WHERE id = ?", [[id_] for id_ in ids[:5]])
    assert cursor.rowcount == 5


def test_two_statements_a_set_count_twice(connect, ids, sent, tmp_path):
    db = connect(max_writes=5, secrets_file=tmp_path / "secrets")
    script = f"DELETE FROM {TABLE} WHERE id = $id; INSERT INTO {TABLE} (name) VALUES ($id)"
    with pytest.raises(TooManyWritesError, match="3 sets of parameters would send 6 writes"):
        db.executemany(script, [{"id": id_} for id_ in ids[:3]])
    assert writes(sent) == []


def test_executemany_of_local_tables_is_not_limited(connect):
    db = connect(max_writes=5)
    db.execute("CREATE TABLE user_tokens (i INT)")
    db.executemany("INSERT INTO user_tokens VALUES (?)", [[i] for i in range(20)])
    assert db.execute("SELECT count(*) FROM user_tokens").fetchall() == [(20,)]
    db.executemany(f"EXPLAIN DELETE FROM {TABLE} WHERE id = ?", [["x"]] * 6)


def test_sets_that_come_one_by_one_stop_at_the_limit_and_keep_what_was_done(connect, ids, sent):
    db = connect(max_writes=5)
    with pytest.raises(vercel_sql.PartialWriteError, match="set 6 of the parameters") as caught:
        db.executemany(f"DELETE FROM {TABLE} WHERE id = ?", ([id_] for id_ in ids[:8]))
    error = caught.value
    assert isinstance(error.cause, TooManyWritesError)
    assert "5 writes were sent, and max_writes allows 5: one more was not sent" in str(error)
    assert list(error.done) == [row[0] for row in error.rows] == ids[:5]
    assert error.columns == ("id",)
    assert len(sent("DELETE")) == 5


def test_each_set_counts_by_what_it_matches(connect, ids, sent):
    db = connect(max_writes=5)
    with pytest.raises(vercel_sql.PartialWriteError, match=r"4 writes were sent.*2 more") as caught:
        db.executemany(
            f"DELETE FROM {TABLE} WHERE id IN (SELECT unnest(?))",
            [[ids[:2]], [ids[2:4]], [ids[4:6]]],
        )
    assert sorted(caught.value.done) == sorted(ids[:4])
    assert len(sent("DELETE")) == 4


def test_a_set_that_fails_keeps_the_rows_of_those_before(connect, sim, tmp_path, authenticates):
    db = connect(secrets_file=tmp_path / "secrets")
    sim.faults(kind="status", status=403, method="POST", after=2, message="No more.")
    with pytest.raises(vercel_sql.PartialWriteError, match=r"set 3 .*No more") as caught:
        db.executemany(f"INSERT INTO {TABLE} (name) VALUES (?)", [["a"], ["b"], ["c"], ["d"]])
    error = caught.value
    assert error.cause.status == 403
    secrets = [row[error.columns.index("bearerToken")] for row in error.rows]
    assert len(secrets) == 2
    assert all(map(authenticates, secrets))
    assert not [secret for secret in secrets if secret in f"{error!r}{error}"]


def test_the_first_set_that_fails_is_an_error_of_its_own(connect, sim, ids):
    sim.faults(kind="status", status=403, method="DELETE")
    with pytest.raises(vercel_sql.APIError):
        connect().executemany(f"DELETE FROM {TABLE} WHERE id = ?", [[id_] for id_ in ids[:3]])
