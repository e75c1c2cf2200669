"""Runs that are started at the same time: whatever the order of their calls, a stale token never writes.

    python -m tests.reliability.schedules [--schedules N] [--seed N]

In each schedule 2 to 4 operators run modules towards states of their own, in an order of calls by chance, and one of
them stands still while it holds the lock, for longer than that lasts, and then goes on. Good is: every write was made
with the newest token, tokens never went back, everybody got through in the end, and AWS then describes what it does
when the same runs are made one after the other, in the order of their tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import snapshot
from ansible_collections.hokusai.platform.plugins.modules import alb_rules, alb_target_group, security_group_rules
from moto.core.base_backend import BackendDict

from sandbox.controlplane import ControlPlane
from tests.reliability.counts import RUN_SCHEDULES
from tests.reliability.operators import (
    AGAIN,
    DONE,
    ENVIRONMENT,
    SCOPE,
    TTL,
    OnStage,
    Operator,
    Stage,
    Task,
    alone,
    performing,
)
from tests.reliability.throttle import options
from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.conftest import CountingAws
from tests.unit.lock_stage import Clock

MOST = 4
CALLS_IN_A_TURN = 8
GROUPS = ("one", "two", "three")
PURGES = ("owned", "none")
RANDOM_PART = re.compile(r"[0-9a-f]{16,17}")


@dataclass
class Theatre:
    """The account in which all schedules are played, its clock, and everybody's clients."""

    plane: ControlPlane
    clock: Clock
    owner: CountingAws
    clients: list[OnStage]

    def furnish(self) -> None:
        """An empty account with a load balancer, target groups and a security group."""
        with self.plane.lock:
            BackendDict.reset()
            self.plane.touch()
        edge = Edge(self.owner).build()
        self.owner.ec2.create_security_group(GroupName="api", Description="api", VpcId=edge.vpc)

    def is_newest(self, token: int) -> bool:
        """Whether a token is the newest, and the lock still its own, by AWS's clock."""
        names = [f"/hokusai/{ENVIRONMENT}/lock", f"/hokusai/{ENVIRONMENT}/lock-counter"]
        found = {each["Name"]: each for each in self.owner.ssm.get_parameters(Names=names)["Parameters"]}
        lock, counter = (found.get(name) for name in names)
        if not lock or not counter or counter["Version"] != token:
            return False
        is_alive = self.clock.now <= lock["LastModifiedDate"].timestamp() + TTL
        return is_alive and bool(json.loads(lock["Value"])["counter"] == token)

    def described(self) -> str:
        """The state of the platform, without the parts of ids that are by chance."""
        resources = snapshot.read(self.owner, SCOPE)["resources"]
        return "\n".join(sorted(RANDOM_PART.sub("#", json.dumps(each, sort_keys=True)) for each in resources))


@contextmanager
def theatre() -> Iterator[Theatre]:
    plane = ControlPlane(pace=1000)
    plane.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            clock = Clock().install(patch)
            given = options(plane)
            yield Theatre(plane, clock, CountingAws(given), [OnStage(given) for _ in range(MOST)])
    finally:
        plane.stop()


def wishes(number: int, chance: random.Random) -> list[Task]:
    """What one operator wants: health checks, rules and group rules, some of them its own, in an order by chance."""
    check = {"path": f"/health/{number}", "interval": 10 + number, "timeout": 5}
    group = {"name": chance.choice(GROUPS), "health_check": check}
    priorities = [*chance.sample(range(1, 40), 3), 40 + number]
    names = ["r0", "r1", "r2", f"of-{number}"]
    rules = [
        {"name": name, "priority": priority, "paths": [f"/{name}/*"], "action": {"target_group": chance.choice(GROUPS)}}
        for name, priority in zip(names, priorities, strict=True)
    ]
    ports = [{"name": f"p{port}", "port": port, "cidr": "10.0.0.0/8"} for port in chance.sample(range(8000, 8010), 2)]
    tasks: list[Task] = [
        (alb_target_group, group),
        (
            alb_rules,
            {"load_balancer": BALANCER, "port": PORT, "rules": rules, "purge": chance.choice(["owned", "none"])},
        ),
        (security_group_rules, {"group": "api", "rules": ports, "purge": chance.choice(["owned", "none"])}),
    ]
    chance.shuffle(tasks)
    return tasks


@dataclass(frozen=True)
class Played:
    """What became of a schedule: how the runs ended, how many writes were made, and what was wrong."""

    ends: Counter[str]
    writes: int
    stood_still: bool
    wrong: tuple[str, ...]


def play(theatre: Theatre, seed: int, directory: Path) -> Played:
    """One schedule, and then its runs once more, one after the other."""
    chance = random.Random(seed)
    theatre.furnish()
    stage = Stage()
    operators = [
        Operator(f"run-{number}", theatre.clients[number], wishes(number, chance), stage, directory, theatre.is_newest)
        for number in range(chance.randint(2, MOST))
    ]
    with performing(operators):
        stood_still = direct(theatre, stage, chance, [each.name for each in operators])
    found = theatre.described()
    through = sorted(operators, key=lambda each: stage.completed.get(each.name, 0))
    serial = one_by_one(theatre, through, directory / "serial")
    ends = Counter(end for each in operators for end in each.ends)
    wrong = [*(end for end in ends if end not in {*AGAIN, DONE}), *problems(stage, len(operators), found, serial)]
    return Played(ends, len(stage.written), stood_still, tuple(wrong))


def direct(theatre: Theatre, stage: Stage, chance: random.Random, names: list[str]) -> bool:
    """Give turns by chance until all have ended; whether somebody stood still while it held the lock."""
    clock = theatre.clock
    writes_before, turns_away = chance.randint(1, 8), chance.randint(10, 80)
    paused = ""
    while alive := [name for name in names if name not in stage.ended]:
        last = stage.written[-1] if len(stage.written) >= writes_before else None
        if last and not paused and theatre.is_newest(last.token):
            paused = last.operator
            clock.pass_(TTL + 2)
        turns_away -= bool(paused)
        ready = [name for name in alive if name != paused or turns_away <= 0] or alive
        clock.pass_(chance.choice([0, 0, 0.4, 2]))
        stage.give(chance.choice(ready), chance.randint(1, CALLS_IN_A_TURN))
    return bool(paused)


def one_by_one(theatre: Theatre, operators: list[Operator], directory: Path) -> str:
    theatre.furnish()
    for operator in operators:
        stage = Stage()
        single = alone(operator, stage, directory)
        with performing([single]):
            while operator.name not in stage.ended:
                stage.give(operator.name, 1000)
    return theatre.described()


def problems(stage: Stage, count: int, found: str, serial: str) -> Iterator[str]:
    stale = [each for each in stage.written if not each.is_allowed]
    if stale:
        yield f"written with a stale token: {stale}"
    tokens = [each.token for each in stage.written]
    if tokens != sorted(tokens):
        yield f"an older token wrote after a newer one: {tokens}"
    if len(stage.completed) != count:
        yield f"only {sorted(stage.completed)} of {count} got through"
    elif found != serial:
        differing = unified_diff(serial.splitlines(), found.splitlines(), "one by one", "at the same time", n=0)
        yield "\n".join(["no serial outcome:", *differing])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=RUN_SCHEDULES)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began, played = time.monotonic(), []
    with theatre() as here, tempfile.TemporaryDirectory() as place:
        for seed in range(given.seed, given.seed + given.schedules):
            played.append(play(here, seed, Path(place) / str(seed)))
            for wrong in played[-1].wrong:
                print(f"BAD  schedule {seed}: {wrong}", flush=True)
    good, still = sum(not each.wrong for each in played), sum(each.stood_still for each in played)
    ends: Counter[str] = sum((each.ends for each in played), Counter())
    print(f"{good} of {len(played)} schedules good, in {still} of them a run stood still while it held the lock")
    print(
        f"{ends[DONE]} runs completed, {ends['LockHeld']} refused and {ends['LockLost']} stopped before they were; "
        f"{sum(each.writes for each in played)} writes, {(time.monotonic() - began) / len(played):.1f} s a schedule"
    )
    return 0 if good == still == len(played) and ends["LockLost"] else 1


if __name__ == "__main__":
    sys.exit(main())
