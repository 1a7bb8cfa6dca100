"""Two machines and one account: neither ever revokes what the other made, and none loses its own.

Each history is made up at random: both make tokens of one name; answers are lost and commands
killed at every point; what was sent may arrive up to two hours later; ``recover --revoke`` runs
in between. Time is not waited for: the account's clock is moved on, and so is what both machines
noted about theirs.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from vercel_sql.ledger.journal_files import decode_record, encode_record
from vercel_sql.simulator import Simulator

from ..scale import scaled
from .conftest import Operator

HISTORIES = scaled(6, 500)
INSERT = "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('ci')"
LOST: dict[str, dict[str, Any]] = {
    "answered": {},
    "dropped before the server acts": {"kind": "drop_before"},
    "dropped after it acted": {"kind": "drop_after"},
    "500 and it acted": {"kind": "status", "status": 500, "acts": True},
    "500 and it did not": {"kind": "status", "status": 500},
    "the answer is cut": {"kind": "cut_body"},
    "kept by a proxy": {"kind": "drop_before"},
    "killed before sending": {},
    "killed before the server acts": {"kind": "latency", "ms": 300},
    "killed after it acted": {"kind": "latency", "ms": 300, "acts_first": True},
    "killed, and kept by a proxy": {"kind": "hang"},
}


@dataclass
class Machine:
    """One machine: its own state folder, and what its person has been told.

    Attributes:
        seen: all that its commands have printed, with the id of the newest token at that time.
        made: the ids of the tokens that its creates made.
        kept: requests of its that a proxy still has.
        used: the ids of those that somebody uses: their secrets were given.
    """

    operator: Operator
    marks: bool
    seen: str = ""
    made: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    kept: list[dict[str, Any]] = field(default_factory=list)


class World:
    """An account, and two machines that use it."""

    def __init__(self, sim: Simulator, machines: list[Machine], chance: random.Random) -> None:
        self.sim = sim
        self.machines = machines
        self.chance = chance
        self.outcomes: Counter[str] = Counter()
        self.commands = 0

    def create(self, machine: Machine, fault: str) -> None:
        """One INSERT, and what befalls it."""
        self.sim.clear_faults()
        if LOST[fault]:
            self.sim.faults(method="POST", **LOST[fault])
        before, asked = len(self.sim.history()), len(self._posts())
        options = ["--mark-names"] * machine.marks
        options += ["--on-orphan", self.chance.choice(["report", "revoke"])]
        if self.chance.random() < 0.3:
            options += ["--save-secrets", str(machine.operator.folder / "secrets")]
        kill = self._moment(fault, before, asked) if fault.startswith("killed") else None
        ended = self._run(machine, *options, "-o", "json", "-c", INSERT, kill=kill)
        self._settle(before, fault)
        made = [e.id for e in self.sim.history()[before:] if e.event == "created"]
        machine.made.update(made)
        if ended.code == 0:
            machine.used.update(made)
        machine.used.update(self._saved(machine) & set(made))
        if "kept" in fault:
            machine.kept += [post.body for post in self._posts()[asked:]]

    def _posts(self) -> list[Any]:
        return [r for r in self.sim.requests() if r.method == "POST"]

    def _moment(self, fault: str, before: int, asked: int) -> Callable[[], bool]:
        if fault == "killed before sending":
            return lambda: True
        if fault == "killed after it acted":
            return lambda: len(self.sim.history()) > before
        return lambda: len(self._posts()) > asked

    def _settle(self, before: int, fault: str) -> None:
        """What a killed command had sent is carried out before the next step."""
        if fault == "killed before the server acts":
            for _ in range(200):
                if len(self.sim.history()) > before:
                    return
                time.sleep(0.01)

    def _saved(self, machine: Machine) -> set[str]:
        try:
            text = (machine.operator.folder / "secrets").read_text(encoding="utf-8")
        except FileNotFoundError:
            return set()
        return set(re.findall(r'"id":"([0-9a-f]{64})"', text))

    def _run(self, machine: Machine, *arguments: str, kill: Any = None) -> Any:
        self.commands += 1
        name = f"command-{self.commands}"
        ended = machine.operator.run(name, *arguments, kill_when=kill)
        assert "Traceback" not in ended.err, ended.err
        machine.seen += ended.out + ended.err
        return ended

    def recover(self, machine: Machine) -> None:
        """What a nightly job runs; and sometimes the person names what nobody uses."""
        self.sim.clear_faults()
        before = len(self.sim.history())
        ended = self._run(machine, "recover", "-o", "json", "--revoke", "--yes")
        lines = json.loads(ended.out or "[]")
        self.outcomes.update(line["outcome"] for line in lines)
        self._check(machine, before)
        own = [line["id"] for line in lines if line["id"] in machine.made - machine.used]
        if own and self.chance.random() < 0.5:
            before = len(self.sim.history())
            self._run(machine, "recover", "-o", "json", "--revoke", own[0], "--yes")
            self._check(machine, before)

    def _check(self, machine: Machine, before: int) -> None:
        gone = {e.id for e in self.sim.history()[before:] if e.event == "removed"}
        assert gone <= machine.made - machine.used, "somebody else's, or one that is in use"

    def pass_time(self, seconds: float) -> None:
        """Moves on the account's clock, and what both machines noted about theirs."""
        self.sim.advance(seconds)
        for machine in self.machines:
            for file in (machine.operator.folder / "state" / "journal").glob("*.create"):
                _age(file, int(seconds * 1000))

    def arrive(self, machine: Machine) -> None:
        """A proxy passes on what it kept."""
        self.sim.clear_faults()
        body = machine.kept.pop(self.chance.randrange(len(machine.kept)))
        headers = {"Authorization": f"Bearer {self.sim.token}"}
        answer = httpx.post(f"{self.sim.url}/v3/user/tokens", json=body, headers=headers)
        machine.made.add(answer.json()["token"]["id"])


def _age(file: Path, milliseconds: int) -> None:
    records = [decode_record(line) for line in file.read_bytes().splitlines()]
    for number, record in enumerate(records):
        changes = {
            name: getattr(record, name) - milliseconds
            for name in ("at", "steady_at")
            if getattr(record, name, None) is not None
        }
        records[number] = msgspec.structs.replace(record, **changes)
    file.write_text("".join(encode_record(record) + "\n" for record in records))


def history(world: World) -> None:
    """One history, of some steps of either machine in any order."""
    chance, machines = world.chance, world.machines
    for _ in range(chance.randint(4, 8)):
        machine = chance.choice(machines)
        match chance.choices(["create", "recover", "wait", "arrive"], [5, 2, 3, 2])[0]:
            case "create":
                world.create(machine, chance.choice(list(LOST)))
            case "recover":
                world.recover(machine)
            case "wait":
                world.pass_time(chance.choice([0.5, 30, 600, 3600, 7000]))
            case "arrive" if machine.kept:
                world.arrive(machine)
    for machine in machines:
        while machine.kept:
            world.arrive(machine)
        world.recover(machine)
        lost = {id_ for id_ in machine.made - machine.used if id_ not in machine.seen}
        assert not lost, "nobody was told of it"


@pytest.mark.timeout(3600)
def test_nobody_elses_token(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    tokens = 0
    for seed in range(HISTORIES):
        chance = random.Random(seed)
        with Simulator(3, seed=seed) as sim:
            machines: list[Machine] = []
            try:
                for name in ("one", "other"):
                    operator = Operator(tmp_path / f"{seed}-{name}", sim)
                    machines.append(Machine(operator, marks=chance.random() < 0.5))
                world = World(sim, machines, chance)
                history(world)
            finally:
                for machine in machines:
                    machine.operator.close()
        outcomes += world.outcomes
        tokens += sum(len(machine.made) for machine in machines)
    certain = sum(outcomes[name] for name in outcomes if name.startswith("made"))
    print(
        f"\n{HISTORIES} histories, {tokens} tokens; told as certain: {certain}, as possible: "
        f"{outcomes['may have been made']}, as nothing (yet): "
        f"{outcomes['nothing was made'] + outcomes['nothing was made yet']}"
    )
    for outcome, count in outcomes.most_common():
        print(f"{count:5} {outcome}")
