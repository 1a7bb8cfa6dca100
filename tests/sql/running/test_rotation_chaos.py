"""500 rotations of the calling token under faults: at no moment is there no working token."""

import random
from collections import Counter

import pytest

import vercel_sql

from .operators import Operator

T = "vercel.authentication.user_tokens"
ROTATIONS = 500

# What can befall each request of a rotation of the calling token, in the order of the requests.
STEPS = {
    "find": {"method": "GET", "path": "*/current"},
    "make": {"method": "POST"},
    "prove": {"method": "GET", "path": "*/current", "after": 1},
    "revoke": {"method": "DELETE"},
    "look": {"method": "GET", "path": "*/current", "after": 2},
}
FAULTS = {
    "closed before": {"kind": "drop_before"},
    "closed after": {"kind": "drop_after"},
    "cut": {"kind": "cut_body"},
    "garbage": {"kind": "garbage_body"},
    "html": {"kind": "garbage_body", "html": True},
    "500": {"kind": "status", "status": 500},
    "500, acts": {"kind": "status", "status": 500, "acts": True},
    "403": {"kind": "status", "status": 403},
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "60"}},
    "late": {"kind": "latency", "ms": 150},
    "late answer": {"kind": "latency", "ms": 150, "acts_first": True},
}
POINTS = [(step, fault) for step in STEPS for fault in FAULTS]


def cases(seed):
    """What befalls each rotation, and how often: every point equally often, and in some nothing."""
    rounds = ROTATIONS // len(POINTS)
    found = [(point, 1 + number % 2) for number in range(rounds) for point in POINTS]
    found += [(None, 0)] * (ROTATIONS - len(found))
    random.Random(seed).shuffle(found)
    return found


def attempted(db):
    """The error of a rotation of the calling token, or None."""
    try:
        db.execute(f"EXEC {T}.rotate_token @tokenId = 'current'").fetchall()
    except vercel_sql.OperationalError as error:
        return error
    return None


@pytest.mark.timeout(300)
def test_500_rotations_under_faults(simulate, capsys):
    sim = simulate(0)
    operator, hits, ends = Operator(sim), Counter(), Counter()
    options = {"attempts": 2, "patience": 0.5, "request_timeout": 0.1}
    with vercel_sql.connect(sim.token, api_url=sim.url, **options) as db:
        for point, times in cases(seed=20):
            if point is not None:
                step, fault = point
                sim.faults(times=times, **STEPS[step], **FAULTS[fault])
                if step == "look":
                    sim.faults(method="DELETE", **FAULTS["closed before"])
            before = db.client.credential.token
            error = attempted(db)
            ends[type(error).__name__] += 1
            has_changed = db.client.credential.token != before
            if error is None:
                assert has_changed
            elif isinstance(error, vercel_sql.RotationError):
                (row,) = error.rows
                assert row[error.columns.index("bearerToken")] in operator.secrets()
            else:
                assert not has_changed
            if point is not None:
                hits[point] += sim.faults()[0]["fired"]
            sim.clear_faults()
            kept = db.client.credential.token
            assert kept in operator.secrets()
            assert sim.state.identify(f"Bearer {kept}").bearer == kept
            operator.tidy(kept)
    assert operator.lost == []
    assert sum(ends.values()) == ROTATIONS
    assert operator.revoked >= ends["NoneType"] > ROTATIONS / 5
    assert all(hits[point] >= ROTATIONS // len(POINTS) // 2 for point in POINTS)
    with capsys.disabled():
        told = ", ".join(f"{name} {count}" for name, count in ends.items())
        print(f"\n{ROTATIONS} rotations, {operator.revoked} revoked, nobody left without: {told}")
        for step in STEPS:
            counts = ", ".join(f"{fault} {hits[step, fault]}" for fault in FAULTS)
            print(f"  {step}: {counts}")
