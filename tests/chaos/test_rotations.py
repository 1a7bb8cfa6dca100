"""Rotations of the token that makes the calls, under faults at every point, a third killed.

The rotations (500 in the long form) form a chain: each replaces what the one before has left, and
what else is left over is revoked in between, so that there is never another token to fall back on.
At each moment at which a token stops working, another one has to work whose secret is at hand: on
the disk.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vercel_sql
from vercel_sql.simulator import Simulator

from ..scale import scaled
from .conftest import Operator

ROTATIONS = scaled(150, 500)
LEAST = scaled(1, 5)
ROTATE = "EXEC vercel.authentication.user_tokens.rotate_token @tokenId = 'current'"

# The requests of a rotation, and what each may meet; the last one asks what became of a removal
# whose answer was lost.
STEPS: dict[str, dict[str, Any]] = {
    "find": {"method": "GET", "path": "*/current"},
    "make": {"method": "POST"},
    "prove": {"method": "GET", "path": "*/current", "after": 1},
    "revoke": {"method": "DELETE"},
    "look": {"method": "GET", "path": "*/current", "after": 2},
}
FAULTS: dict[str, dict[str, Any]] = {
    "dropped before": {"kind": "drop_before"},
    "dropped after": {"kind": "drop_after"},
    "cut": {"kind": "cut_body"},
    "garbage": {"kind": "garbage_body"},
    "500": {"kind": "status", "status": 500},
    "500, acts": {"kind": "status", "status": 500, "acts": True},
    "403": {"kind": "status", "status": 403},
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}},
    "acts late": {"kind": "latency", "ms": 150},
    "acts, answers late": {"kind": "latency", "ms": 150, "acts_first": True},
}
LATE = {"kind": "latency", "ms": 300}
KILLED: dict[str, dict[str, Any]] = {
    "killed before it makes": {},
    "killed while the server is about to make": {"method": "POST", **LATE},
    "killed after the server made": {"method": "POST", "acts_first": True, **LATE},
    "killed in the middle of that answer": {"method": "POST", "kind": "drip", "ms": 10},
    "killed once the secret is saved": {},
    "killed while it proves": {**STEPS["prove"], **LATE},
    "killed while the server is about to revoke": {"method": "DELETE", **LATE},
    "killed after the server revoked": {"method": "DELETE", "acts_first": True, **LATE},
    "killed after the answer": {},
}
POINTS = [f"{step}: {fault}" for step in STEPS for fault in FAULTS]


class Watch:
    """Sees which tokens work whose secrets are at hand, whenever one stops working.

    Attributes:
        without: the ids of tokens that were revoked when no other worked.
        revoked: how many were revoked by rotations.
    """

    def __init__(self, sim: Simulator, file: Path) -> None:
        self.without: list[str] = []
        self.revoked = 0
        self._sim = sim
        self._file = file
        self._first = sim.token
        self._lock = threading.Lock()
        self._remove = sim.state.remove_token
        # Between two revocations there are only ever more tokens and more secrets than before.
        sim.state.remove_token = self._removing  # type: ignore[method-assign]

    def secrets(self) -> list[str]:
        """The secrets at hand now, oldest first; a line that a kill cut in two is none."""
        found = [self._first]
        for line in self._file.read_text("utf-8").splitlines() if self._file.exists() else []:
            try:
                found.append(json.loads(line)["bearerToken"])
            except ValueError:
                continue
        return found

    def working(self) -> list[str]:
        """Those of them that work now."""
        alive = {token.bearer for token in self._sim.state.tokens()}
        return [secret for secret in self.secrets() if secret in alive]

    def tidy(self, kept: str) -> None:
        """Revokes all others, and begins a new file, so that nothing is left to fall back on."""
        with self._lock:
            self._first = kept
            self._file.unlink(missing_ok=True)
            for token in self._sim.state.tokens():
                if token.bearer != kept:
                    self._remove(token)

    def _removing(self, token: Any) -> None:
        with self._lock:
            self._remove(token)
            self.revoked += 1
            if not self.working():
                self.without.append(token.id)


class Account:
    """The account that is rotated in, and its one secret."""

    def __init__(self, sim: Simulator, operator: Operator, watch: Watch) -> None:
        self.sim = sim
        self.watch = watch
        self.secret = sim.token
        self._operator = operator
        self._connection = vercel_sql.connect(
            sim.token, api_url=sim.url, attempts=2, max_wait=0.5, request_timeout=0.1
        )

    def close(self) -> None:
        self._connection.close()

    def rotate(self, point: str, times: int) -> str:
        """Rotates under a fault; gives how it ended, and keeps what works."""
        step, _, fault = point.partition(": ")
        self._connection.adopt(self.secret)
        self.sim.faults(times=times, **STEPS[step], **FAULTS[fault])
        if step == "look":
            self.sim.faults(method="DELETE", **FAULTS["dropped before"])
        try:
            self._connection.execute(ROTATE).fetchall()
        except vercel_sql.OperationalError as error:
            ended = type(error).__name__
            if isinstance(error, vercel_sql.WaitTooLongError):
                time.sleep(error.wait)  # else all that follow are refused for that long, too
        else:
            ended = "done"
        # Whatever happened, the connection goes on.
        self.secret = str(self._connection.client.credential.token)
        return ended

    def rotate_killed(self, number: int, point: str) -> str:
        """Rotates with a command that is killed; gives how it ended, and keeps what works."""
        token_file = self._operator.folder / "token"
        token_file.write_text(self.secret)
        if KILLED[point]:
            self.sim.faults(**KILLED[point])
        arguments = ("--token-file", str(token_file), "-c", ROTATE)
        ended = self._operator.run(f"r{number}", *arguments, kill_when=self._moment(point))
        self.secret = self.watch.working()[-1]
        return "killed" if ended.code == -9 else "too late to kill"

    def _moment(self, point: str) -> Callable[[], bool]:
        """When a command is to be killed."""
        known = self.watch.secrets()

        def sent() -> str:
            return "".join(request.method[0] for request in self.sim.requests())

        def events() -> list[str]:
            return [event.event for event in self.sim.history()[self._begun :]]

        moments: dict[str, Callable[[], bool]] = {
            "killed before it makes": lambda: sent().startswith("G"),
            "killed while the server is about to make": lambda: "P" in sent(),
            "killed after the server made": lambda: "created" in events(),
            "killed in the middle of that answer": lambda: "created" in events(),
            "killed once the secret is saved": lambda: len(self.watch.secrets()) > len(known),
            "killed while it proves": lambda: "PG" in sent(),
            "killed while the server is about to revoke": lambda: "D" in sent(),
        }
        self._begun = len(self.sim.history())
        return moments.get(point, lambda: "removed" in events())

    def tidy(self) -> None:
        """Leaves one token and one secret."""
        self.sim.clear_faults()
        self.sim.clear_requests()
        assert self.sim.state.find_bearer(self.secret) is not None
        self.watch.tidy(self.secret)


def plan(seed: int) -> list[str]:
    """What befalls each rotation: a third is killed, and every point occurs about equally often."""
    killed = list(KILLED) * (ROTATIONS // 3 // len(KILLED) + 1)
    others = POINTS * (ROTATIONS // len(POINTS))
    points = killed[: ROTATIONS // 3] + others[: ROTATIONS - ROTATIONS // 3]
    points += ["make: 403"] * (ROTATIONS - len(points))
    random.Random(seed).shuffle(points)
    return points


@pytest.mark.timeout(1800)
def test_at_no_moment_is_there_no_working_token(
    operators: Callable[[Simulator], Operator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERCEL_SQL_STATE_DIR", str(tmp_path / "state"))
    points, hits, ends = plan(seed=20), Counter[str](), Counter[str]()
    with Simulator(0) as sim:
        watch = Watch(sim, tmp_path / "state" / "secrets.jsonl")
        account = Account(sim, operators(sim), watch)
        for number, point in enumerate(points):
            if point in KILLED:
                end = account.rotate_killed(number, point)
                hits[point] += end == "killed"
            else:
                end = account.rotate(point, times=1 + number % 2)
                hits[point] += sim.faults()[0]["fired"] > 0
            ends[end] += 1
            account.tidy()
        account.close()

    print(f"\n{ROTATIONS} rotations, {watch.revoked} revoked, {len(watch.without)} left without")
    for end, count in ends.most_common():
        print(f"{count:4} ended so: {end}")
    for point in [*POINTS, *KILLED]:
        print(f"{hits[point]:4} times: {point}")
    assert watch.without == []
    assert sum(ends.values()) == ROTATIONS
    assert watch.revoked > ROTATIONS / 8
    assert all(hits[point] >= LEAST for point in [*POINTS, *KILLED]), hits
