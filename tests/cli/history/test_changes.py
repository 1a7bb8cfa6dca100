"""The report of changes: the differences between two snapshots, all of them and no others."""

import json

import duckdb
import pytest

from .conftest import CHANGES, altered, changes

DAY = 86_400_000
AT = 1_750_000_000_000  # 2025-06-15 15:06:40 UTC


def team(name, **more):
    return {"type": "team", "teamId": name, "origin": "github", "createdAt": AT, **more}


USER = {"type": "user", "origin": "manual", "createdAt": AT}
SUDO = {"origin": "totp", "verifiedAt": AT, "expiresAt": AT + DAY}


def token(name, **fields):
    return {
        "id": f"id-{name}",
        "name": name,
        "createdAt": AT,
        "activeAt": AT + DAY,
        "scopes": [USER, team("team_a")],
        **fields,
    }


@pytest.fixture
def account(simulate):
    """An account of hand-made tokens."""
    names = ["calm", "old", "renamed", "wider", "narrower", "sudo", "used", "never used", "leaky"]
    names += ["longer", "marked", "shuffled"]
    given = [token(name) for name in names]
    given[7]["activeAt"] = AT
    given.append(token("expired", expiresAt=AT + 2 * DAY))
    given.append(token("revoked before", revokedAt=AT))
    return simulate(given)


def found(sim, name):
    return sim.state.find_token(f"id-{name}")


def told(rows):
    return [(row["kind"], row["id"], row["before"], row["after"]) for row in rows]


def test_ten_known_differences_are_those_ten(account, snapshot, file):
    snapshot(account)
    state = account.state
    state.add_token(token("new", createdAt=AT + DAY, activeAt=AT + 2 * DAY, leakedAt=AT + 2 * DAY))
    state.remove_token(found(account, "old"))
    found(account, "marked").set("revokedAt", AT + 3 * DAY)
    found(account, "renamed").set("name", "Renamed; --")
    found(account, "wider").set("scopes", [team("team_b"), team("team_a"), USER])
    found(account, "narrower").set("scopes", [USER])
    found(account, "sudo").set("scopes", [{**USER, "sudo": SUDO}, team("team_a")])
    found(account, "used").set("activeAt", AT + 4 * DAY + 250)
    found(account, "never used").set("activeAt", AT + 4 * DAY)
    found(account, "leaky").set("leakedAt", AT + 5 * DAY)
    # No differences: another order, and what was revoked before is no longer listed.
    found(account, "shuffled").set("scopes", [team("team_a"), USER])
    state.remove_token(found(account, "revoked before"))
    account.advance(3600)  # the snapshot's own use of its token is later now
    snapshot(account)
    assert told(changes(file)) == [
        ("leaked", "id-leaky", None, "2025-06-20 15:06:40"),
        ("created", "id-new", None, "2025-06-16 15:06:40"),
        ("revoked", "id-marked", None, "2025-06-18 15:06:40"),
        ("revoked", "id-old", "listed", "gone"),
        (
            "scope changed",
            "id-narrower",
            "team team_a, from github, since 2025-06-15 15:06:40",
            None,
        ),
        (
            "scope changed",
            "id-sudo",
            "user, from manual, since 2025-06-15 15:06:40",
            "user, from manual, since 2025-06-15 15:06:40, sudo from totp, "
            "verified 2025-06-15 15:06:40, sudo until 2025-06-16 15:06:40",
        ),
        (
            "scope changed",
            "id-wider",
            None,
            "team team_b, from github, since 2025-06-15 15:06:40",
        ),
        ("renamed", "id-renamed", "renamed", "Renamed; --"),
        ("last used", "id-never used", "never", "2025-06-19 15:06:40"),
        ("last used", "id-used", "2025-06-16 15:06:40", "2025-06-19 15:06:40.25"),
    ]


def test_sessions_are_left_out_unless_they_leaked_or_are_asked_for(account, snapshot, file):
    session = {"type": "token", "activeAt": AT}
    account.state.add_token(token("Website, old", **session))
    account.state.add_token(token("Website, leaky", **session))
    snapshot(account)
    account.state.add_token(token("Website, new", **session))
    found(account, "Website, old").set("activeAt", AT + DAY)
    found(account, "Website, leaky").set("leakedAt", AT + DAY)
    snapshot(account)
    leaked = [("leaked", "id-Website, leaky")]
    assert [(row["kind"], row["id"]) for row in changes(file)] == leaked
    more = [("created", "id-Website, new"), ("last used", "id-Website, old")]
    everything = changes(file, sessions=True)
    assert [(row["kind"], row["id"]) for row in everything] == leaked + more


def test_each_row_says_which_runs_are_compared(account, snapshot, file):
    snapshot(account)
    found(account, "renamed").set("name", "Other")
    snapshot(account)
    [row] = changes(file)
    assert (row["name"], row["from_run"], row["to_run"]) == ("Other", 1, 2)
    assert row["from_time"] < row["to_time"]


def test_a_token_with_two_differences_has_two_rows(account, snapshot, file):
    snapshot(account)
    found(account, "used").set("name", "Used")
    found(account, "used").set("activeAt", AT + 2 * DAY)
    snapshot(account)
    assert [row["kind"] for row in changes(file)] == ["renamed", "last used"]


def test_expiry_and_expired_tokens(account, snapshot, file):
    snapshot(account)
    found(account, "longer").set("expiresAt", AT + DAY)
    account.state.remove_token(found(account, "expired"))
    snapshot(account)
    assert told(changes(file)) == [
        ("revoked", "id-expired", "listed", "gone, after it had expired"),
        ("expiry changed", "id-longer", "never", "2025-06-16 15:06:40"),
    ]


def test_the_same_account_twice_has_no_changes(account, snapshot, file):
    snapshot(account)
    account.advance(3600)
    snapshot(account)
    assert changes(file) == []


def test_one_run_has_nothing_to_compare(account, snapshot, file):
    snapshot(account)
    assert changes(file) == []


def test_a_token_that_took_any_snapshot_in_between_is_not_news(account, simulate, here, file):
    other = account.state.add_token(token("other"), bearer="vcp_theOtherCallingToken0001")

    def take(bearer):
        account.advance(3600)
        arguments = ("--api-url", account.url, "--to", str(file), "--token-file", str(secret))
        secret.write_text(bearer)
        assert here("snapshot", *arguments).code == 0

    secret = file.with_name("token")
    for bearer in (account.token, other.bearer, account.token):
        take(bearer)
    assert changes(file, from_run=1, to_run=3) == []
    assert changes(file) == []


def test_any_two_runs_can_be_compared(account, snapshot, file):
    for name in ("one", "two", "three"):
        found(account, "renamed").set("name", name)
        snapshot(account)
    assert told(changes(file)) == [("renamed", "id-renamed", "two", "three")]
    assert told(changes(file, from_run="1")) == [("renamed", "id-renamed", "one", "three")]
    assert told(changes(file, to_run=2)) == [("renamed", "id-renamed", "one", "two")]
    assert told(changes(file, from_run=3, to_run=1)) == [("renamed", "id-renamed", "three", "one")]


def test_accounts_in_one_history_are_kept_apart(account, simulate, snapshot, file):
    second = simulate([token("theirs")], seed=8)
    second.state.user.update(id="grace-id", username="grace")
    snapshot(account)
    snapshot(second)
    found(account, "renamed").set("name", "Other")
    snapshot(account)
    assert told(changes(file)) == [("renamed", "id-renamed", "renamed", "Other")]
    assert changes(file, account="grace") == []
    found(second, "theirs").set("name", "Theirs")
    snapshot(second)
    assert [row["id"] for row in changes(file)] == ["id-theirs"]
    assert [row["id"] for row in changes(file, account="grace-id")] == ["id-theirs"]
    name = account.state.user["username"]
    assert [row["id"] for row in changes(file, account=name)] == ["id-renamed"]
    assert [row["id"] for row in changes(file, from_run=1)] == ["id-renamed"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"from_run": 9}, "no run 9"),
        ({"to_run": 9}, "no run 9"),
        ({"account": "nobody"}, "nobody"),
        ({"from_run": 1, "to_run": 3}, "no run 3"),
        ({"from_run": 1, "account": "grace"}, "no run 1 of that account"),
    ],
)
def test_a_run_that_is_not_there_is_an_error(account, simulate, snapshot, file, asked, said):
    second = simulate(0, seed=8)
    second.state.user.update(id="grace-id", username="grace")
    for sim in (account, account, second):
        snapshot(sim)
    with pytest.raises(duckdb.Error, match=said):
        changes(file, **asked)


def test_what_an_older_version_did_not_keep_is_no_change(account, snapshot, file):
    found(account, "leaky").set("leakedUrl", "https://example.com/leak")
    snapshot(account)
    altered(
        file,
        "ALTER TABLE history.tokens DROP COLUMN leakedUrl",
        """UPDATE history.runs SET column_names = replace(column_names, '"leakedUrl", ', '')""",
    )
    found(account, "renamed").set("name", "Other")
    snapshot(account)
    assert [row["kind"] for row in changes(file)] == ["renamed"]
    found(account, "calm").set("leakedUrl", "https://example.com/leak")
    snapshot(account)
    assert told(changes(file)) == [("leaked", "id-calm", None, "https://example.com/leak")]


def test_it_runs_as_a_report_without_a_request_of_its_own(account, snapshot, here, file):
    def run(*options):
        return here("run", str(CHANGES), "--history", str(file), "-o", "ndjson", *options)

    snapshot(account)
    assert (run().code, run().out) == (0, "")
    found(account, "renamed").set("name", "Other")
    snapshot(account)
    requests = len(account.requests())
    ended = run("--param", "from_run=1", "--param", "to_run=2")
    [row] = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, row["kind"], row["after"]) == (0, "renamed", "Other")
    ended = run("--param", "from_run=9")
    assert (ended.code, ended.out) == (1, "")
    assert "no run 9" in ended.err
    assert len(account.requests()) == requests


def test_many_tokens(simulate, snapshot, file):
    sim = simulate(5000)
    snapshot(sim)
    gone = sim.state.tokens()[2500]
    sim.state.remove_token(gone)
    snapshot(sim)
    assert [(row["kind"], row["id"]) for row in changes(file)] == [("revoked", gone.id)]


@pytest.mark.parametrize("moment", [10**18, -(2**63), 253402300800000, -9223372036854775])
def test_an_absurd_moment_ends_no_report(account, snapshot, file, here, moment):
    account.state.add_token(token("odd", expiresAt=moment))
    snapshot(account)
    account.state.add_token(token("new", createdAt=moment))
    fields = ("revokedAt", "leakedAt", "expiresAt", "activeAt")
    for name, field in zip(("calm", "old", "wider", "used"), fields, strict=True):
        found(account, name).set(field, moment)
    scope = {**USER, "createdAt": moment, "sudo": {**SUDO, "expiresAt": moment}}
    found(account, "sudo").set("scopes", [scope])
    found(account, "odd").set("expiresAt", None)
    snapshot(account)
    ended = here("run", str(CHANGES), "--history", str(file), "-o", "ndjson")
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert {(row["kind"], row["name"]) for row in rows} == {
        ("created", "new"),
        ("revoked", "calm"),
        ("leaked", "old"),
        ("expiry changed", "wider"),
        ("expiry changed", "odd"),
        ("last used", "used"),
        ("scope changed", "sudo"),
    }
