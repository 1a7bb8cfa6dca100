"""What is left when a write fails midway: the rows that were made, with their secrets."""

import _thread
import threading
import time
import traceback
from pathlib import Path

import duckdb
import pytest

import vercel_sql
from vercel_sql.errors import BadRequestError

TABLE = "vercel.authentication.user_tokens"
TEN = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(1, 11) t(i)"


def secrets_of(error):
    return [row[error.columns.index("bearerToken")] for row in error.rows]


def words_of(error):
    """All that a program may print of an error, local variables included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join([str(error), repr(error), repr(error.args), *told.format()])


def test_the_seventh_of_ten_fails_and_six_are_kept(db, sim, sent, authenticates):
    sim.faults(kind="status", status=500, method="POST", after=6)
    with pytest.raises(vercel_sql.PartialWriteError, match="row 7 of 10 failed") as caught:
        db.execute(TEN)
    error = caught.value
    assert [r.body["name"] for r in sent("POST")] == [f"n{i}" for i in range(1, 8)]
    assert len(error.rows) == error.table.num_rows == 6
    assert error.table.column("name").to_pylist() == [f"n{i}" for i in range(1, 7)]
    assert len(set(secrets_of(error))) == 6
    assert all(map(authenticates, secrets_of(error)))
    assert (error.cause.cause.status, error.cause.cause.method) == (500, "POST")
    assert TABLE in str(error)


def test_the_secrets_are_in_no_text_of_the_error(db, sim):
    sim.faults(kind="status", status=500, method="POST", after=6)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN)
    words = words_of(caught.value)
    assert "PartialWriteError" in words
    assert not [secret for secret in secrets_of(caught.value) if secret in words]
    assert sim.token not in words


def test_the_first_that_fails_is_an_error_of_its_own(db, sim):
    sim.faults(kind="status", status=500, method="POST")
    with pytest.raises(vercel_sql.UnknownOutcomeError) as caught:
        db.execute(TEN)
    assert caught.value.cause.status == 500
    assert str(caught.value).startswith(f"INSERT INTO {TABLE}: row 1 of 10 failed: ")
    assert ". Not started: 9 (row 2 of 10, row 3 of 10, row 4 of 10 and 6 more)" in str(
        caught.value
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_a_first_row_that_is_refused_stays_what_it_is(db, sim, sent, rows):
    sim.faults(kind="status", status=400, method="POST", times=None)
    with pytest.raises(BadRequestError) as caught:
        db.execute(f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range({rows}) t(i)")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
    assert len(sent("POST")) == 1
    assert ("row 1 of 3 failed: " in str(caught.value)) == (rows == 3)
    assert str(caught.value).endswith(". Not started: 2 (row 2 of 3, row 3 of 3)") == (rows == 3)


# What RETURNING asked for


def test_the_rows_so_far_have_the_columns_that_returning_asked_for(db, sim):
    sim.faults(kind="status", status=400, method="POST", after=2)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN + " RETURNING bearerToken AS secret, upper(name) AS name")
    made = {token.bearer: token["name"].upper() for token in sim.state.tokens()}
    assert caught.value.columns == ("secret", "name")
    assert caught.value.rows == [(secret, made[secret]) for secret, _ in caught.value.rows]
    assert [name for _, name in caught.value.rows] == ["N1", "N2"]


def test_all_columns_where_returning_can_not_be_computed(db, sim, authenticates):
    sim.faults(kind="status", status=400, method="POST", after=2)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN + " RETURNING bearerToken, name::INTEGER")
    assert len(caught.value.rows) == 2
    assert all(map(authenticates, secrets_of(caught.value)))


def test_a_secret_in_no_file_is_in_the_error_whatever_returning_asked_for(
    connect, sent, authenticates, tmp_path
):
    db = connect(secrets_file=tmp_path / "secrets")
    (tmp_path / "secrets").unlink()
    (tmp_path / "secrets").symlink_to(Path("/dev/full"))
    with pytest.raises(vercel_sql.PartialWriteError, match="secrets file") as caught:
        db.execute(TEN + " RETURNING name")
    assert len(sent("POST")) == len(caught.value.rows) == 1
    assert authenticates(secrets_of(caught.value)[0])


def test_a_returning_that_fails_on_a_value_keeps_the_rows(db, authenticates):
    with pytest.raises(vercel_sql.PartialWriteError, match="result could not be made") as caught:
        db.execute(TEN + " RETURNING bearerToken, name::INTEGER")
    assert len(caught.value.rows) == 10
    assert authenticates(secrets_of(caught.value)[9])


def test_and_does_not_say_which_secret_it_failed_on(db):
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN + " RETURNING bearerToken, bearerToken::INTEGER")
    words = words_of(caught.value) + words_of(caught.value.cause)
    assert "Could not convert" in words
    assert not [secret for secret in secrets_of(caught.value) if secret in words]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "patch", "patch": {"token": {"createdAt": "yesterday"}}},
        {"kind": "patch", "patch": {"token": {"name": 5}}},
        {"kind": "patch", "patch": {"token": "none"}},
        {"kind": "patch", "patch": {"token": None}},
        {"kind": "patch", "replace_text": ['"token":', '"Token":']},
        {"kind": "patch", "replace_text": ['"bearerToken":', '"name":1,"name":2,"bearerToken":']},
    ],
    ids=str,
)
def test_an_answer_that_is_wrong_elsewhere_keeps_the_secret(db, sim, fault, authenticates):
    sim.faults(method="POST", after=1, **fault)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN)
    assert len(caught.value.rows) == 2
    assert all(map(authenticates, secrets_of(caught.value)))


def test_an_answer_without_the_secret_is_an_error_and_no_null(db, sim):
    sim.faults(kind="patch", method="POST", replace_text=["bearerToken", "bearer_token"])
    with pytest.raises(vercel_sql.PartialWriteError, match="no bearerToken") as caught:
        db.execute(f"INSERT INTO {TABLE} (name) VALUES ('a')")
    assert caught.value.table.column("name").to_pylist() == ["a"]


@pytest.mark.parametrize("kind", ["drop_after", "cut_body", "garbage_body"])
def test_an_answer_that_never_came_is_not_asked_for_again(db, sim, sent, kind):
    sim.faults(kind=kind, method="POST")
    with pytest.raises(vercel_sql.OperationalError) as caught:
        db.execute(f"INSERT INTO {TABLE} (name) VALUES ('a')")
    assert caught.value.outcome_unknown
    assert len(sent("POST")) == 1


def test_ctrl_c_keeps_the_rows_so_far(db, authenticates):
    def interrupt(event):
        if event.method == "POST" and (event.body or {}).get("name") == "n4":
            raise KeyboardInterrupt

    with db.observed(interrupt), pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(TEN)
    assert isinstance(caught.value.cause, KeyboardInterrupt)
    assert len(caught.value.rows) == 3
    assert all(map(authenticates, secrets_of(caught.value)))


@pytest.mark.parametrize("failure", [duckdb.Error("no room"), KeyboardInterrupt()])
def test_rows_that_duckdb_does_not_take_are_kept(db, authenticates, failure, monkeypatch):
    class Full:
        """A DuckDB connection that takes no more tables once the result is to be given."""

        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            return getattr(self.real, name)

        def register(self, *_arguments):
            raise failure

    monkeypatch.setattr(db._view, "_native", Full(db.native))
    with pytest.raises(vercel_sql.PartialWriteError, match="rows are kept") as caught:
        db.execute(TEN)
    assert len(caught.value.rows) == 10
    assert authenticates(secrets_of(caught.value)[9])


def test_ctrl_c_before_the_first_is_just_that(db):
    def interrupt(_event):
        raise KeyboardInterrupt

    with db.observed(interrupt), pytest.raises(KeyboardInterrupt):
        db.execute(TEN)


def test_a_secrets_file_that_is_full_keeps_the_secret(connect, sent, authenticates, tmp_path):
    db = connect(secrets_file=tmp_path / "secrets")
    (tmp_path / "secrets").unlink()
    (tmp_path / "secrets").symlink_to(Path("/dev/full"))
    with pytest.raises(vercel_sql.PartialWriteError, match="secrets file") as caught:
        db.execute(TEN)
    assert len(sent("POST")) == len(caught.value.rows) == 1
    assert authenticates(secrets_of(caught.value)[0])


def test_the_secrets_file_has_what_was_made_before_the_failure(connect, sim, tmp_path):
    sim.faults(kind="status", status=500, method="POST", after=6)
    with pytest.raises(vercel_sql.PartialWriteError):
        connect(secrets_file=tmp_path / "secrets").execute(TEN)
    assert len((tmp_path / "secrets").read_text().splitlines()) == 6


def test_exec_keeps_the_secret_of_an_answer_that_is_wrong_elsewhere(db, sim, authenticates):
    sim.faults(kind="patch", method="POST", patch={"token": {"createdAt": "yesterday"}})
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(f"EXEC {TABLE}.create_auth_token @name = 'a'")
    assert authenticates(secrets_of(caught.value)[0])


def test_a_request_that_is_under_way_at_ctrl_c_is_waited_for(db, sim, sent, authenticates):
    sim.faults(kind="latency", ms=300, method="POST", times=None)

    def interrupt_first() -> None:
        for _ in range(1000):
            if sent("POST"):
                _thread.interrupt_main()
                return
            time.sleep(0.01)

    interrupt = threading.Thread(target=interrupt_first)
    interrupt.start()
    with pytest.raises(vercel_sql.PartialWriteError, match="interrupted") as caught:
        db.execute(TEN)
    interrupt.join()
    # What was sent is answered, and nothing was sent after it.
    assert len(caught.value.rows) == len(sent("POST")) < 10
    assert all(map(authenticates, secrets_of(caught.value)))


def test_another_count_than_expected_keeps_the_rows_that_returning_asked_for(connect, sim):
    db = connect(expect_rows=2)
    first, second = [t.id for t in sim.state.tokens() if t.id != sim.state.calling_token.id][:2]
    gone = {"kind": "status", "status": 404, "code": "not_found", "acts": True}
    sim.faults(method="DELETE", path=f"*{second}", **gone)
    with pytest.raises(vercel_sql.PartialWriteError, match="1 row was changed") as caught:
        db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?) RETURNING id", [first, second])
    assert isinstance(caught.value.cause, vercel_sql.RowCountError)
    assert caught.value.rows == [(first,)]
