"""A rotation: a new token is made, saved and proven, and only then is the old one revoked."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.auth.credentials import Successor, given_credential

T = "vercel.authentication.user_tokens"
EXEC = f"EXEC {T}.rotate_token"
BY_ID = f"{EXEC} @tokenId = $id"
SELF = f"{EXEC} @tokenId = 'current'"
LATER = 4_000_000_000_000


@pytest.fixture
def rotate(db):
    """Runs a rotation and gives its row."""

    def run(statement, parameters=None, connection=None):
        cursor = (connection or db).execute(statement, parameters)
        (row,) = cursor.fetchall()
        return dict(zip([column[0] for column in cursor.description], row, strict=True))

    return run


@pytest.fixture
def add(sim):
    """Puts a token into the account: ``add(expiresAt=…)``."""
    return lambda **fields: sim.state.add_token({"name": "deploys", **fields})


@pytest.fixture
def default_file():
    """Where secrets go when no file was asked for."""
    return Path(os.environ["VERCEL_SQL_STATE_DIR"]) / "secrets.jsonl"


def saved(path):
    return [json.loads(line)["bearerToken"] for line in path.read_text().splitlines()]


def bearer_of(request):
    return request.headers["authorization"].removeprefix("Bearer ")


def writes(requests):
    return [f"{r.method} {r.path}" for r in requests if r.method != "GET"]


# Another token than the calling one


def test_a_token_is_replaced(rotate, add, sim, authenticates, default_file):
    old = add()
    row = rotate(BY_ID, {"id": old.id})
    assert (row["token"]["id"], row["revokedTokenId"]) == (row["tokenId"], old.id)
    assert row["token"]["name"] == "deploys"
    assert sim.state.find_token(row["tokenId"]).bearer == row["bearerToken"]
    assert authenticates(row["bearerToken"])
    assert not authenticates(old.bearer)
    assert (row["savedTo"], row["notice"]) == (str(default_file), None)
    assert saved(default_file) == [row["bearerToken"]]


def test_in_this_order_and_with_these_bearers(rotate, add, sent, sim):
    old = add()
    row = rotate(BY_ID, {"id": old.id})
    assert [(r.method, r.path, bearer_of(r)) for r in sent()] == [
        ("GET", f"/v5/user/tokens/{old.id}", sim.token),
        ("GET", "/v5/user/tokens/current", sim.token),
        ("POST", "/v3/user/tokens", sim.token),
        ("GET", "/v5/user/tokens/current", row["bearerToken"]),
        ("DELETE", f"/v3/user/tokens/{old.id}", sim.token),
    ]


def test_the_file_is_its_owners_alone(rotate, add, default_file):
    rotate(BY_ID, {"id": add().id})
    assert stat.S_IMODE(default_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(default_file.parent.stat().st_mode) & 0o077 == 0 or (
        default_file.parent.stat().st_uid == os.getuid()
    )


def test_the_secrets_file_that_was_asked_for_is_used(rotate, connect, add, tmp_path, default_file):
    row = rotate(BY_ID, {"id": add().id}, connect(secrets_file=tmp_path / "mine"))
    assert row["savedTo"] == str(tmp_path / "mine")
    assert saved(tmp_path / "mine") == [row["bearerToken"]]
    assert not default_file.exists()


def test_it_takes_a_name_and_an_expiry(rotate, add, sent):
    moment = int(time.time() * 1000) + 90 * 86_400_000
    row = rotate(
        f"{EXEC} @tokenId = $id, @name = 'deploys 2', @expiresAt = $at",
        {"id": add().id, "at": moment},
    )
    assert sent("POST")[0].body == {"name": "deploys 2", "expiresAt": moment}
    assert (row["token"]["name"], row["token"]["expiresAt"]) == ("deploys 2", moment)


PROJECT = "@expiresAt = TIMESTAMP '2100-01-01', @projectId = 'prj_1', @teamId = $team"


def test_a_timestamp_will_do_and_so_does_a_project(rotate, add, sent, sim, team):
    old = add()
    row = rotate(f"{EXEC} @tokenId = $id, {PROJECT}", {"id": old.id, "team": team.id})
    body = {"name": "deploys", "expiresAt": 4_102_444_800_000, "projectId": "prj_1"}
    requests = sent()
    (made,) = [request for request in requests if request.method == "POST"]
    assert (made.body, dict(made.query)) == (body, {"teamId": team.id})
    # Such a token may not ask about itself. That it is refused twice, and not as dead, proves it.
    bearer = f"Bearer {row['bearerToken']}"
    proofs = [r for r in requests if r.headers["authorization"] == bearer]
    assert [(r.path, r.status) for r in proofs] == [("/v5/user/tokens/current", 403)] * 2
    assert sim.state.find_token(old.id) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403, "message": "Not authorized", "extra": {"invalidToken": True}},
        {"status": 403, "code": "another_code"},
        {"status": 401},
    ],
)
@pytest.mark.parametrize("after", [1, 2])
def test_a_secret_of_a_project_that_is_refused_otherwise_is_not_proven(
    db, add, sim, team, fault, after
):
    old = add()
    # The first of these requests asks which token makes the calls.
    path = "/v5/user/tokens/current"
    sim.faults(kind="status", method="GET", path=path, after=after, times=None, **fault)
    with pytest.raises(vercel_sql.errors.RotationError, match="was not proven to work"):
        db.execute(f"{EXEC} @tokenId = $id, {PROJECT}", {"id": old.id, "team": team.id})
    assert sim.state.find_token(old.id) is not None


def test_executemany_drops_the_rows_and_the_secrets_are_in_the_file(db, add, default_file):
    old = [add() for _ in range(3)]
    db.executemany(BY_ID, [{"id": token.id} for token in old])
    assert len(saved(default_file)) == 3


def test_an_expired_token_is_replaced_too(rotate, add, authenticates, sim):
    old = add(expiresAt=1_600_000_000_000)
    row = rotate(f"{BY_ID}, @expiresAt = NULL", {"id": old.id})
    assert authenticates(row["bearerToken"])
    assert sim.state.find_token(old.id) is None


def test_a_revoked_token_is_gone_and_not_replaced(rotate, add, sent):
    old = add(revokedAt=1_600_000_000_000)
    with pytest.raises(vercel_sql.OperationalError, match=r"revoked before; INSERT.*was changed"):
        rotate(BY_ID, {"id": old.id})
    assert sent("POST") == sent("DELETE") == []


# The calling token


@pytest.mark.parametrize("by_id", [False, True])
def test_the_calling_token_is_replaced_and_the_connection_goes_on(
    db, rotate, sim, sent, authenticates, by_id
):
    old, before = sim.state.calling_token, db.cursor()
    before.execute(f"SELECT id FROM {T} LIMIT 3")
    row = rotate(BY_ID, {"id": old.id}) if by_id else rotate(SELF)
    assert row["revokedTokenId"] == old.id
    assert not authenticates(old.bearer)
    assert len(before.fetchall()) == 3
    mine = f"SELECT id FROM {T} WHERE tokenId = 'current'"
    assert db.execute(mine).fetchall() == [(row["tokenId"],)]
    assert before.execute(mine).fetchall() == [(row["tokenId"],)]
    (removal,) = sent("DELETE")
    assert bearer_of(removal) == row["bearerToken"]
    assert bearer_of(sent("POST")[0]) == old.bearer


def test_it_says_where_the_old_secret_still_stands(sim, connect, rotate, monkeypatch, tmp_path):
    assert "(argument)" in rotate(SELF)["notice"]
    (tmp_path / "token").write_text(rotate(SELF)["bearerToken"])
    from_file = connect(token=None, token_file=tmp_path / "token")
    row = rotate(SELF, None, from_file)
    assert "(token file)" in row["notice"]
    monkeypatch.setenv("VERCEL_TOKEN", row["bearerToken"])
    assert "(VERCEL_TOKEN)" in rotate(SELF, None, connect(token=None))["notice"]


def test_again_and_again(db, rotate, sim):
    first = sim.state.calling_token.id
    rows = [rotate(SELF) for _ in range(5)]
    assert [row["revokedTokenId"] for row in rows] == [first, *(r["tokenId"] for r in rows[:-1])]


def test_the_team_of_an_adopted_token_stays(sim, team):
    credential = given_credential(sim.token, "adopted token", team.id)
    assert credential.replaced(Successor("new", "id")).team_id == team.id


def test_neither_secret_is_in_any_text(db, rotate, sim):
    row = rotate(SELF)
    words = repr(db) + repr(db.client) + repr(db.client.credential) + str(db.client.credential)
    assert row["bearerToken"] not in words
    assert sim.token not in words
    assert sim.token not in str(row)


def test_what_was_begun_with_the_old_one_goes_on_with_the_new(rotate, db):
    """Another thread may have sent a request with the old bearer just before it was revoked."""
    old = db.client.credential.token
    row = rotate(SELF)
    assert db.client.credential.renew(old) == row["bearerToken"]
    assert db.client.credential.renew("vcp_another") is None
    assert db.client.credential.renew(row["bearerToken"]) is None


# What the new one may do


def test_an_end_is_never_lost_in_silence(db, add, sent, sim):
    old = add(expiresAt=LATER, scopes=[{"type": "user", "origin": "manual", "expiresAt": LATER}])
    with pytest.raises(vercel_sql.ParameterError, match="@expiresAt = NULL") as caught:
        db.execute(BY_ID, {"id": old.id})
    assert "Nothing was changed" in str(caught.value)
    assert f"2096-10-02 07:06:40 UTC ({LATER})" in str(caught.value)
    assert writes(sent()) == []
    assert sim.state.find_token(old.id) is old


def test_what_the_error_says_to_add_can_be_added(db, rotate, add):
    old = add(expiresAt=LATER)
    with pytest.raises(vercel_sql.ParameterError) as caught:
        db.execute(BY_ID, {"id": old.id})
    _, _, more = str(caught.value).partition(". Add ")
    given, _, null = more.partition(" …, or ")
    assert rotate(f"{BY_ID}, {given} {LATER}", {"id": old.id})["token"]["expiresAt"] == LATER
    null = null.removesuffix(" for one without an end")
    row = rotate(f"{BY_ID}, {null}", {"id": add(expiresAt=LATER).id})
    assert row["token"]["expiresAt"] is None


@pytest.mark.parametrize(
    ("argument", "parameters"),
    [("NULL", {}), ("null", {}), ("$at", {"at": None}), ("{{ at }}", {"at": None})],
)
def test_never_is_said_by_null(rotate, add, sent, argument, parameters):
    row = rotate(f"{BY_ID}, @expiresAt = {argument}", {"id": add(expiresAt=LATER).id, **parameters})
    assert row["token"]["expiresAt"] is None
    assert sent("POST")[0].body == {"name": "deploys"}


def test_null_in_json_is_never_too(rotate, add):
    old = add(expiresAt=LATER)
    row = rotate(f"""{EXEC} @@json = '{{"tokenId": "{old.id}", "expiresAt": null}}'""")
    assert row["token"]["expiresAt"] is None


def test_a_placeholder_without_a_value_is_not(db, add):
    with pytest.raises(vercel_sql.ParameterError, match="no end was given"):
        db.execute(f"{BY_ID}, @expiresAt = '{{{{ at }}}}'", {"id": add(expiresAt=LATER).id})


USER = {"type": "user", "origin": "manual", "createdAt": 1_600_000_000_000}


def of_team(team, **more):
    return {"type": "team", "teamId": team.id, "origin": "saml", "createdAt": 1, **more}


def test_what_reaches_everything_still_does(rotate, add, sent, team):
    for scopes in ([USER], [USER, of_team(team)], [of_team(team, expiresAt=LATER), USER]):
        rotate(BY_ID, {"id": add(scopes=scopes).id})
    assert [dict(r.query) for r in sent("POST")] == [{}, {}, {}]


def test_what_reaches_one_team_reaches_that_team_alone(rotate, add, sent, team):
    row = rotate(BY_ID, {"id": add(scopes=[of_team(team)]).id})
    assert dict(sent("POST")[0].query) == {"teamId": team.id}
    (scope,) = row["token"]["scopes"]
    assert (scope["type"], scope["teamId"]) == ("team", team.id)


def scopes_that_cannot_be_asked_for(team):
    return {
        "two teams": [of_team(team), {**of_team(team), "teamId": "team_other"}],
        "a user scope that ends before the token": [{**USER, "expiresAt": 1_700_000_000_000}],
        "a team scope that ends before the token": [of_team(team, expiresAt=1_700_000_000_000)],
        "a kind that is not known": [{"type": "project", "origin": "manual", "createdAt": 1}],
        "a limit that is not known": [{**USER, "projectIds": ["prj_1"]}],
        "a team without an id": [{"type": "team", "origin": "manual", "createdAt": 1}],
        "nothing": [],
        "something else than a list": "all",
        "something else than objects": ["all"],
    }


@pytest.mark.parametrize("case", scopes_that_cannot_be_asked_for(type("Team", (), {"id": "t"})))
def test_what_can_not_be_asked_for_has_to_be_said(db, rotate, add, sent, team, case):
    scopes = scopes_that_cannot_be_asked_for(team)[case]
    old = add(scopes=scopes)
    with pytest.raises(vercel_sql.ParameterError, match="@teamId = '…' or @slug = '…'") as caught:
        db.execute(BY_ID, {"id": old.id})
    assert "Nothing was changed" in str(caught.value)
    assert writes(sent()) == []
    # Said, it is done.
    rotate(f"{BY_ID}, @teamId = $team", {"id": old.id, "team": team.id})
    rotate(f"{BY_ID}, @slug = $slug", {"id": add(scopes=scopes).id, "slug": team.slug})
    rotate(f"{BY_ID}, @teamId = NULL", {"id": add(scopes=scopes).id})
    assert [dict(r.query) for r in sent("POST")] == [{"teamId": team.id}, {"slug": team.slug}, {}]


def test_a_token_from_before_there_were_scopes_has_to_be_said_too(db, sim, sent):
    old = sim.state.add_token({"name": "old"}, without=["scopes"])
    with pytest.raises(vercel_sql.ParameterError, match="teamId = NULL"):
        db.execute(BY_ID, {"id": old.id})
    assert writes(sent()) == []


def test_a_name_that_can_not_be_taken_over_has_to_be_given(db, rotate, sim, sent):
    nameless = sim.state.add_token(without=["name"])
    strange = sim.state.add_token({"name": ["a"]})
    for old, words in ((nameless, "name is missing"), (strange, "name takes text")):
        with pytest.raises(vercel_sql.DatabaseError, match=words):
            db.execute(BY_ID, {"id": old.id})
    assert writes(sent()) == []
    assert rotate(f"{BY_ID}, @name = 'b'", {"id": nameless.id})["token"]["name"] == "b"


# Before the first write


def test_a_token_that_is_not_there(db, sent):
    with pytest.raises(vercel_sql.APIError, match=r"no tokenId 'nobody'\. Nothing was") as caught:
        db.execute(BY_ID, {"id": "nobody"})
    assert caught.value.status == 404
    assert writes(sent()) == []


def test_an_answer_about_another_token_is_not_taken(db, sim, sent, ids):
    sim.faults(kind="patch", path=f"*{ids[0]}", patch={"token": {"id": ids[1]}}, times=None)
    with pytest.raises(vercel_sql.AnswerMismatchError, match="the answer to another request"):
        db.execute(BY_ID, {"id": ids[0]})
    assert writes(sent()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("@name = 'a'", "tokenId is missing"),
        ("@tokenId = ''", "tokenId is empty"),
        ("@tokenId = '..'", "can't stand in a path"),
        ("@tokenId = 'x', @expiresAt = 5", "lies in the past|looks like seconds"),
        ("@tokenId = 'x', @expireAt = 5", "did you mean 'expiresAt'"),
        ("@tokenId = NULL", "tokenId is missing"),
    ],
)
def test_wrong_arguments(db, sent, arguments, words):
    with pytest.raises(vercel_sql.DatabaseError, match=words):
        db.execute(f"{EXEC} {arguments}")
    assert sent() == []


def test_a_read_only_connection_sends_nothing(connect, sent):
    with pytest.raises(vercel_sql.ReadOnlyError):
        connect(read_only=True).execute(SELF)
    assert sent() == []


def test_a_transaction_is_refused(db, sent):
    db.execute("BEGIN")
    with pytest.raises(vercel_sql.NotSupportedError, match="inside BEGIN"):
        db.execute(SELF)
    assert sent() == []


@pytest.mark.parametrize("asked_for", [False, True])
def test_a_file_that_can_not_be_written_is_found_out_first(
    connect, monkeypatch, tmp_path, sent, asked_for
):
    (tmp_path / "file").touch(mode=0o600)
    if asked_for:
        db = connect(secrets_file=tmp_path / "file")
        (tmp_path / "file").chmod(0o644)
    else:
        db = connect()
        monkeypatch.setenv("VERCEL_SQL_STATE_DIR", str(tmp_path / "file" / "state"))
    with pytest.raises(vercel_sql.OperationalError, match=r"others may read|can't be made"):
        db.execute(SELF)
    assert writes(sent()) == []


@pytest.mark.parametrize("expected", [0, 2])
def test_one_row_is_changed(connect, sent, expected):
    with pytest.raises(vercel_sql.RowCountError, match="1 row would be changed"):
        connect(expect_rows=expected).execute(SELF)
    assert writes(sent()) == []


def test_one_row_is_expected(connect, rotate):
    assert rotate(SELF, None, connect(expect_rows=1))["tokenId"]


def test_whoever_has_to_approve_sees_the_three_requests(db, add, sent):
    old, plans = add(), []
    db.approve = lambda plan: plans.append(plan) or False
    with pytest.raises(vercel_sql.NotApprovedError, match="Nothing was changed"):
        db.execute(BY_ID, {"id": old.id})
    (plan,) = plans
    assert (plan.count, plan.rows, plan.writes) == (3, 1, 2)
    assert plan.first == (
        'POST /v3/user/tokens with {"name": "deploys"}',
        "GET /v5/user/tokens/current (with the new secret, to see that it works)",
        f"DELETE /v3/user/tokens/{old.id}",
    )
    assert writes(sent()) == []


# EXPLAIN


@pytest.mark.parametrize(
    "statement",
    [
        SELF,
        BY_ID,
        f"{BY_ID}, @expiresAt = TIMESTAMP '2100-01-01'",
        f"{BY_ID}, @name = 'x', @teamId = $team",
    ],
)
def test_what_is_explained_is_what_is_sent(db, sim, add, sent, team, default_file, statement):
    known = {"id": add().id, "team": team.id}
    parameters = {name: value for name, value in known.items() if f"${name}" in statement}
    rows = db.execute(f"EXPLAIN {statement}", parameters).fetchall()
    assert writes(sent()) == []
    assert not default_file.exists()
    sim.clear_requests()
    db.execute(statement, parameters)
    assert [
        (method, path, json.loads(query or "{}"), json.loads(body) if body else None)
        for _, method, path, query, body, *_ in rows
    ] == [(r.method, r.path, dict(r.query), r.body) for r in sent()]
    assert [row[6] for row in rows[-3:]] == [
        *("create_auth_token", "get_auth_token", "delete_auth_token")
    ]


def test_explain_shows_the_row_that_will_go(db, add):
    old = add()
    *_, removal = db.execute(f"EXPLAIN {BY_ID}", {"id": old.id}).fetchall()
    assert json.loads(removal[-2])["name"] == "deploys"


def test_explain_tells_the_proof_from_the_question_before(db):
    cursor = db.execute(f"EXPLAIN {SELF}")
    assert cursor.description[-1][0] == "note"
    assert [(row[1], row[-1]) for row in cursor.fetchall()] == [
        ("GET", None),
        ("POST", None),
        ("GET", "with the new secret, to see that it works"),
        ("DELETE", None),
    ]
