"""Creates under faults at every point, a third of them killed: no token is lost.

A thousand in the long form.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from vercel_sql.simulator import Simulator

from ..scale import scaled
from .conftest import Ended, Operator

CREATES = scaled(84, 1000)
AT_ONCE = 4
LEAST = scaled(1, 20)
# The answers of a create, and what the server's thread is busy with, both need a moment.
_PATIENCE = "1"

FAULTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "before the server acts: dropped": {"kind": "drop_before"},
    "before the server acts: 503": {"kind": "status", "status": 503},
    "before the server acts: 429": {
        "kind": "status",
        "status": 429,
        "code": "rate_limited",
        "headers": {"Retry-After": "0"},
    },
    "after it acted: dropped": {"kind": "drop_after"},
    "after it acted: 500": {"kind": "status", "status": 500, "acts": True},
    "after it acted: no answer in time": {"kind": "hang", "acts": True},
    "in the middle of the answer: cut": {"kind": "cut_body"},
    "in the middle of the answer: garbage": {"kind": "garbage_body"},
}
KILLED: dict[str, dict[str, Any]] = {
    "killed before sending": {},
    "killed while the server is about to act": {"kind": "latency", "ms": 400},
    "killed after the server acted": {"kind": "latency", "ms": 400, "acts_first": True},
    "killed in the middle of the answer": {"kind": "drip", "ms": 20, "bytes": 40},
    "killed after the answer": {},
}


@dataclass(frozen=True)
class Create:
    """One create: its name, what befalls it, and whether and when it is killed."""

    name: str
    point: str
    delay: float

    @property
    def fault(self) -> dict[str, Any]:
        return (FAULTS | KILLED)[self.point]

    @property
    def is_killed(self) -> bool:
        return self.point in KILLED


class Account:
    """The simulated account, and which creates of ours reached it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def befall(self, create: Create) -> None:
        if create.fault:
            self.sim.faults(method="POST", match=json.dumps(create.name), **create.fault)

    def received(self, name: str) -> bool:
        return any(
            r.method == "POST" and isinstance(r.body, dict) and r.body.get("name") == name
            for r in self.sim.requests()[-50:]
        )

    def made(self, name: str) -> bool:
        return any(event.name == name for event in self.sim.history()[-50:])

    def wait_for_late(self, creates: list[Create]) -> None:
        """Waits until the server has done what commands that were killed had sent."""
        late = {c.name for c in creates if c.point == "killed while the server is about to act"}
        received = [r.body for r in self.sim.requests() if r.method == "POST"]
        late &= {body.get("name") for body in received if isinstance(body, dict)}
        for _ in range(500):
            if late <= {event.name for event in self.sim.history()}:
                return
            time.sleep(0.01)

    def moment(self, create: Create) -> Callable[[], bool] | None:
        """When a create is to be killed."""
        if not create.is_killed:
            return None
        reached: list[float] = []

        def is_reached() -> bool:
            match create.point:
                case "killed before sending":
                    return True
                case "killed while the server is about to act":
                    return self.received(create.name)
            return self.made(create.name)

        def now() -> bool:
            if not reached and is_reached():
                reached.append(time.monotonic())
            return bool(reached) and time.monotonic() >= reached[0] + create.delay

        return now


def plan(seed: int) -> list[Create]:
    """The creates: a third of them is killed, and every point occurs often."""
    chance = random.Random(seed)
    creates = []
    for number in range(CREATES):
        points = list(KILLED if number % 3 == 0 else FAULTS)
        point = chance.choice(points)
        most = 0.06 if point == "killed before sending" else 0.15
        most = 0.01 if point == "killed after the answer" else most
        creates.append(Create(f"chaos-{number:04}", point, chance.uniform(0, most)))
    return creates


def carry_out(
    account: Account, operators: list[Operator], creates: list[Create]
) -> dict[str, Ended]:
    """Runs them all, several at once, and gives how each ended."""
    waiting: SimpleQueue[Create] = SimpleQueue()
    for create in creates:
        waiting.put(create)
    ended: dict[str, Ended] = {}

    def work(operator: Operator) -> None:
        while True:
            try:
                create = waiting.get_nowait()
            except Empty:
                return
            account.befall(create)
            ended[create.name] = operator.run(
                create.name,
                "-c",
                f"INSERT INTO vercel.authentication.user_tokens (name) VALUES ('{create.name}')",
                "--save-secrets",
                str(operator.folder / "secrets.jsonl"),
                "--request-timeout",
                _PATIENCE,
                "-o",
                "json",
                kill_when=account.moment(create),
            )

    with ThreadPoolExecutor(len(operators)) as pool:
        for future in [pool.submit(work, operator) for operator in operators]:
            future.result()
    return ended


def saved_bearers(path: Path) -> set[str]:
    """The secrets on disk; a line that a kill cut in two is none."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.add(json.loads(line)["bearerToken"])
        except ValueError:
            continue
    return found


@pytest.mark.timeout(1800)
def test_no_token_is_lost_or_doubled(
    operators: Callable[[Simulator], Operator], tmp_path: Path
) -> None:
    with Simulator(5) as sim:
        account = Account(sim)
        several = [operators(sim) for _ in range(AT_ONCE)]
        creates = plan(seed=20)
        ended = carry_out(account, several, creates)
        account.wait_for_late(creates)
        recovered = several[0].run("recover", "recover", "-o", "json")
        made = [e for e in sim.history() if e.event == "created" and e.request is not None]
        working = {token.bearer for token in sim.state.tokens()}

    by_name = Counter(event.name for event in made)
    doubled = [name for name, count in by_name.items() if count > 1]
    saved = saved_bearers(tmp_path / "secrets.jsonl")
    on_disk = [e for e in made if e.bearer in saved and e.bearer in working]
    others = [e for e in made if e.bearer not in saved]
    orphans = [e for e in others if e.id in ended[e.name].err or e.id in recovered.out]
    lost = [e for e in others if e not in orphans]
    points = Counter(create.point for create in creates if hit(create, ended, by_name))
    print(
        f"\n{len(made)} tokens: {len(on_disk)} on disk, {len(orphans)} named as orphans, "
        f"{len(doubled)} doubled"
    )
    for point in FAULTS | KILLED:
        print(f"{points[point]:4} times: {point}")

    assert not doubled
    assert not lost
    assert len(on_disk) + len(orphans) == len(made)
    assert all(points[point] >= LEAST for point in FAULTS | KILLED), points
    assert not [each for each in ended.values() if "Traceback" in each.err]


def hit(create: Create, ended: dict[str, Ended], made: Counter[str | None]) -> bool:
    """Whether what was planned for a create happened to it."""
    was_killed = ended[create.name].code == -9
    if not create.is_killed:
        return not was_killed
    if create.point == "killed while the server is about to act":
        return was_killed  # it acts all the same
    return was_killed and (create.name in made) != (create.point == "killed before sending")
