"""What holds secrets shows none: in its repr, to pickle and copy, and in tracebacks with locals."""

from __future__ import annotations

import copy
import pickle
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import vercel_sql
from vercel_sql.connection.translate import translated
from vercel_sql.errors import APIError, APIErrorDetail, NotFoundError, UnknownOutcomeError
from vercel_sql.http.requests import build_request
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.sql import Parameters
from vercel_sql.sql.plan import Outcome, Prepared
from vercel_sql.sql.queries import as_caller
from vercel_sql.writes.functions import Idempotency

from ..scale import SCALE

T = "vercel.authentication.user_tokens"
SECRET = "Zq7-Xw9-Kj4-Vb2-Ym6-Ht8"


def shown(value: Any, depth: int = 2) -> Iterator[str]:
    """What a tool shows that writes a variable down and looks into it: two levels deep."""
    yield repr(value)
    if depth == 0:
        return
    if isinstance(value, dict):
        inside = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inside = list(value)
    elif is_dataclass(value):
        inside = [getattr(value, each.name) for each in fields(value) if each.repr]
    else:
        inside = []
    for each in inside:
        yield from shown(each, depth - 1)


def frames_of(error: BaseException) -> Iterator[Any]:
    """The frames of an error and of all that led to it, below the test's own."""
    left, seen = [error], set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        left += [each.__cause__, each.__context__, getattr(each, "cause", None)]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if Path(frame.f_code.co_filename) != Path(__file__):
                yield frame


def written_down(error: BaseException) -> str:
    """All that a tool writes down of an error, local variables included."""
    texts = [str(error), repr(error), repr(error.args)]
    for frame in frames_of(error):
        for value in frame.f_locals.values():
            texts += shown(value)
    return "\n".join(texts)


STATEMENTS = [
    (f"EXEC {T}.verify_token @token = '{SECRET}'", None),
    (f"EXEC {T}.verify_token @token = $t", {"t": SECRET}),
    (f"EXEC {T}.verify_token @token = '{SECRET}', @nix = 1", None),
    (f"EXEC {T}.verify_token @token '{SECRET}'", None),
    (f"DELETE FROM vercel.oauth.tokens WHERE token = '{SECRET}' AND client_id = 'x'", None),
    (f"SELECT active FROM vercel.oauth.introspection WHERE token = '{SECRET}'", None),
    (f"INSERT INTO {T} (name) SELECT 'a' RETURNING bearerToken, error(bearerToken)", None),
]
FAULTS = [
    {"kind": "status", "status": 500},
    {"kind": "drop_after"},
    {"kind": "garbage_body"},
    {"kind": "body", "body": {"token": {"deep": SECRET}, "active": [SECRET]}},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["kind"])
@pytest.mark.parametrize(("statement", "parameters"), STATEMENTS)
def test_no_frame_of_an_error_shows_a_secret(db, sim, statement, parameters, fault):
    sim.faults(times=None, **fault)
    secrets = [sim.token, SECRET]
    for call in (db.execute, db.sql, db.cursor().execute):
        try:
            call(statement, parameters).fetchall()
        except vercel_sql.Error as error:
            text = written_down(error)
            made = [event.bearer for event in sim.history()]
            assert not [secret for secret in (*secrets, *made) if secret in text]
        else:
            assert fault["kind"] in ("garbage_body", "body")  # which may be an answer to some


def test_no_frame_of_executemany_shows_a_secret(db):
    statement = f"EXEC {T}.verify_token @token = $t, @teamPlan = 'gold'"
    for call in (db.executemany, db.cursor().executemany):
        with pytest.raises(vercel_sql.Error) as caught:
            call(statement, [{"t": SECRET}])
        assert SECRET not in written_down(caught.value)


interrupted = pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (f"SELECT active FROM vercel.oauth.introspection WHERE token = '{SECRET}'", None),
        (f"EXEC {T}.verify_token @token = $t", {"t": SECRET}),
        (f"INSERT INTO {T} (name) SELECT 'a'", None),
    ],
)


def stopped_after(seconds: float, run: Callable[[], Any]) -> BaseException | None:
    """What is raised where Ctrl-C comes after so long; None where it was over by then."""
    main = threading.main_thread().ident
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(main, signal.SIGINT))
    raised: BaseException | None = None
    try:
        timer.start()
        try:
            run()
        except (KeyboardInterrupt, vercel_sql.Error, RuntimeError) as error:
            raised = error
        timer.join()
        time.sleep(0.1)  # after a result it is raised a moment later
    except KeyboardInterrupt:
        timer.join()
    return raised


@interrupted
def test_no_frame_of_an_interrupt_shows_a_secret(db, sim, statement, parameters):
    """Ctrl-C in the middle of a request: what is raised is no error of ours."""
    sim.faults(kind="hang", ms=2_000, times=None)
    raised = stopped_after(0.5, lambda: db.execute(statement, parameters).fetchall())
    assert raised is not None
    text = written_down(raised)
    assert not [secret for secret in (sim.token, SECRET) if secret in text]


# One that finds Python clearing something away is told of by Python.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@interrupted
def test_no_frame_shows_a_secret_whenever_the_interrupt_comes(db, sim, statement, parameters):
    """It finds us while we parse, ask DuckDB, or bind, and each of these has frames of its own."""
    for number in range(20 * SCALE):
        text = f"{statement} -- {number}"  # one that was not parsed before
        moment = random.Random(number).uniform(0, 0.02)
        raised = stopped_after(moment, lambda text=text: db.execute(text, parameters).fetchall())
        told = "" if raised is None else written_down(raised)
        assert not [secret for secret in (sim.token, SECRET) if secret in told], number


def test_no_frame_that_calls_duckdb_shows_a_secret():
    def interrupted_in_duckdb(_statement: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, translated([]):
        as_caller("SELECT 42", partial(interrupted_in_duckdb, SECRET))
    assert "<statement>" in {frame.f_code.co_filename for frame in frames_of(caught.value)}
    assert SECRET not in written_down(caught.value)


def test_no_frame_of_a_defect_shows_a_secret(db, sim, monkeypatch):
    """What we did not foresee keeps its frames, for whoever looks for the defect."""

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("vercel_sql.http.handlers.exchange", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        db.execute(f"EXEC {T}.verify_token @token = '{SECRET}'")
    names = [frame.f_code.co_name for frame in frames_of(caught.value)]
    assert {"_run", "send"} <= set(names)
    text = written_down(caught.value)
    assert not [secret for secret in (sim.token, SECRET) if secret in text]


@pytest.fixture
def things(db, sim, make_client, method, tmp_path):
    """What holds secrets, or leads to them."""
    client = make_client(sim)
    request = build_request(method("verify_token"), {"token": SECRET})
    cursor = db.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b')")
    answer = client.send(build_request(method("create_auth_token"), {"name": "c"}))
    table = db.execute(f"INSERT INTO {T} (name) VALUES ('d')").arrow()
    return [
        *(db, cursor, db.client, db.client.credential, db.client.redactor, *db._catalogs),
        *(client, request, answer, Parameters({"t": SECRET}), Outcome(table), Idempotency()),
    ]


def test_what_holds_secrets_shows_none(things, sim):
    secrets = [SECRET, *(event.bearer for event in sim.history()), sim.token]
    assert len(secrets) > 5
    for thing in things:
        text = "\n".join(shown(thing))
        assert not [secret for secret in secrets if secret in text], type(thing)


def test_a_write_that_is_ready_to_go_shows_none(db, monkeypatch):
    seen = []

    def run(prepared, _limits):
        seen.append(prepared)
        return Outcome(pa.table({"n": [1]}))

    monkeypatch.setattr(Prepared, "run", run)
    db.execute(f"EXEC {T}.verify_token @token = '{SECRET}'")
    (prepared,) = seen
    assert SECRET not in "\n".join(shown(prepared, depth=4))
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(prepared)


def test_what_holds_secrets_is_not_pickled_and_not_copied(things):
    for thing in things:
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                way(thing)


def test_what_knows_only_a_path_shows_the_path(tmp_path):
    assert repr(SecretsFile(tmp_path / "file")) == f"<SecretsFile {tmp_path / 'file'}>"


def test_rows_that_were_kept_are_in_no_repr_and_not_pickled(db, sim):
    sim.faults(kind="status", status=500, method="POST", after=1)
    with pytest.raises(vercel_sql.PartialWriteError) as caught:
        db.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b')")
    error = caught.value
    (row,) = error.rows
    assert row[0] not in f"{error} {error!r} {written_down(error)}"
    with pytest.raises(TypeError, match="secrets_file"):
        pickle.dumps(error)


def test_errors_without_rows_are_pickled_as_they_are():
    detail = APIErrorDetail(404, "not_found", "no such token", "GET", "/v5", {"a": [1]})
    for error in (
        vercel_sql.ParameterError("no"),
        NotFoundError("it failed", detail),
        UnknownOutcomeError("lost", cause=vercel_sql.ParameterError("no"), orphans=["tok_1"]),
        vercel_sql.TransportError("gone", method="GET", path="/v5", outcome_unknown=True),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
        if isinstance(error, APIError):
            assert again.detail == detail
