"""A row whose `revokedAt` is set counts as gone, though the API still lists it."""

import pytest

import vercel_sql
from vercel_sql.ledger.journal import journal
from vercel_sql.ledger.journal_files import unfinished

T = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {T} (name) VALUES ('ci')"
LOST = [
    {"kind": "drop_after"},
    {"kind": "garbage_body"},
    {"kind": "status", "status": 500, "acts": True},
    {"kind": "status", "status": 403, "acts": True},
]


@pytest.fixture(autouse=True)
def lists_revoked(sim):
    """Revoked tokens stay in the listing from now on."""
    sim.state.lists_revoked = True


@pytest.fixture
def old(sim):
    return sim.state.add_token({"name": "deploys"})


def rotation(id_):
    return f"EXEC {T}.rotate_token @tokenId = '{id_}'"


@pytest.mark.parametrize("fault", LOST[:3], ids=str)
def test_a_deletion_whose_answer_was_lost_is_done(db, sim, sent, old, fault):
    sim.faults(method="DELETE", **fault)
    assert db.execute(f"DELETE FROM {T} WHERE name = 'deploys'").rowcount == 1
    assert sim.state.find_token(old.id)["revokedAt"]
    assert len(sent("DELETE")) == 1


def test_a_refusal_is_believed_of_a_token_that_was_revoked_before(db, sim, old):
    sim.state.remove_token(old)
    sim.faults(kind="status", status=403, method="DELETE")
    with pytest.raises(vercel_sql.APIError, match="403"):
        db.execute(f"DELETE FROM {T} WHERE name = 'deploys'")


def test_a_token_that_is_gone_already_is_not_counted(db, sim, old):
    sim.state.remove_token(old)
    assert db.execute(f"DELETE FROM {T} WHERE id = '{old.id}'").rowcount == 0


@pytest.mark.parametrize("is_own", [False, True])
@pytest.mark.parametrize("fault", LOST, ids=str)
def test_a_rotation_whose_end_was_lost_is_done(db, sim, old, authenticates, fault, is_own):
    replaced = sim.state.calling_token if is_own else old
    sim.faults(method="DELETE", **fault)
    db.execute(rotation(replaced.id))
    assert not authenticates(replaced.bearer)


def test_a_rotation_whose_old_token_is_revoked_meanwhile_is_done(db, sim, old):
    with db.observed(lambda event: event.method == "POST" and sim.state.remove_token(old)):
        db.execute(rotation(old.id))


def test_a_rotation_to_a_token_that_is_revoked_keeps_the_old_one(db, sim, old, authenticates):
    sim.faults(kind="patch", path="*/current", after=1, patch={"token": {"revokedAt": 1}})
    with pytest.raises(vercel_sql.errors.RotationError, match="has been revoked already"):
        db.execute(rotation(old.id))
    assert authenticates(old.bearer)


@pytest.mark.parametrize("mark_names", [False, True])
def test_a_create_that_was_lost_and_revoked_since_is_not_named(connect, sim, mark_names):
    db = connect(mark_names=mark_names)
    sim.faults(kind="drop_after", method="POST")

    def revoke(event):
        if event.method == "POST":
            sim.state.remove_token(sim.state.tokens()[0])

    with (
        db.observed(revoke),
        pytest.raises(vercel_sql.UnknownOutcomeError, match="nothing new") as caught,
    ):
        db.execute(INSERT)
    assert caught.value.orphans == ()


def test_an_orphan_is_revoked_where_that_was_asked_for(connect, sim):
    db = connect(mark_names=True, on_orphan="revoke")
    sim.faults(kind="drop_after", method="POST")
    with pytest.raises(vercel_sql.UnknownOutcomeError) as caught:
        db.execute(INSERT)
    assert sim.state.find_token(caught.value.revoked)["revokedAt"]
    assert unfinished(journal().folder) == []


def test_a_refused_create_is_believed_where_its_like_is_revoked(db, sim):
    made = sim.state.add_token({"name": "ci"})
    sim.state.remove_token(made)
    sim.faults(kind="status", status=400, method="POST")
    with pytest.raises(vercel_sql.APIError) as caught:
        db.execute(INSERT)
    assert not isinstance(caught.value, vercel_sql.UnknownOutcomeError)
