"""Several holders of one lock on the sandbox's SSM, a clock that is turned by hand, and an order of calls by chance."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import moto.ssm.models
import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import lock
from ansible_collections.hokusai.platform.plugins.module_utils.errors import LockHeld, LockLost
from ansible_collections.hokusai.platform.plugins.module_utils.lock import Claim, Lock

TTL = 60


class Clock:
    """The clock of AWS, in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def pass_(self, seconds: float) -> None:
        self.now += seconds

    def install(self, patch: pytest.MonkeyPatch) -> Clock:
        backend = moto.ssm.models.ssm_backends.backend
        put = backend.put_parameter

        def dated(store: Any, *args: Any, **kwargs: Any) -> Any:
            parameter = put(store, *args, **kwargs)
            parameter.last_modified_date = datetime.fromtimestamp(self.now, UTC).replace(tzinfo=None)
            return parameter

        patch.setattr(backend, "put_parameter", dated)
        patch.setattr(lock, "server_time", lambda _answer: datetime.fromtimestamp(int(self.now), UTC))
        patch.setattr(time, "sleep", lambda _seconds: None)
        return self


def claim(run_id: str, ttl: int = TTL) -> Claim:
    return Claim(run_id, owner="ada", host="desk", ttl=ttl)


@dataclass
class Gate:
    """A client that makes each call only when it is let through."""

    client: Any
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(**args: Any) -> Any:
            self.back.release()
            self.turn.acquire()
            return getattr(self.client, verb)(**args)

        return call


@dataclass
class Holder:
    """A run that takes the lock, writes a few times, and releases it; it ends when it must not write."""

    name: str
    gate: Gate
    writes: list[tuple[str, int]]
    shared: threading.Lock
    ended: str = ""

    def live(self, aws: Any, writes: int) -> None:
        try:
            held = Lock(aws, "development")
            held.ssm = self.gate
            mine, _before = held.acquire(claim(self.name))
            for number in range(writes):
                held.check(mine)
                with self.shared:
                    self.writes.append((self.name, mine.counter))
                if number % 2:
                    held.renew(mine)
            held.release(mine)
            self.ended = "done"
        except (LockHeld, LockLost) as error:
            self.ended = type(error).__name__
        finally:
            self.gate.back.release()


@contextmanager
def playing(aws: Any, count: int, writes: int) -> Iterator[tuple[list[Holder], list[tuple[str, int]]]]:
    written: list[tuple[str, int]] = []
    shared = threading.Lock()
    holders = [Holder(f"run-{number}", Gate(aws.ssm), written, shared) for number in range(count)]
    threads = [threading.Thread(target=each.live, args=(aws, writes)) for each in holders]
    for thread, holder in zip(threads, holders, strict=True):
        thread.start()
        holder.gate.back.acquire()
    yield holders, written
    for thread in threads:
        thread.join(10)


def schedule(aws: Any, clock: Clock, chance: random.Random) -> tuple[list[Holder], list[tuple[str, int]]]:
    """Let 2 to 4 holders call in an order by chance, one of them standing still for longer than the lock holds."""
    count, pauses_at, stands = chance.randint(2, 4), chance.randint(2, 12), chance.randint(5, 25)
    paused: Holder | None = None
    with playing(aws, count, writes=5) as (holders, written):
        step = 0
        while alive := [each for each in holders if not each.ended]:
            step += 1
            holding = [each for each in alive if written and written[-1][0] == each.name]
            if step >= pauses_at and paused is None and holding:
                paused = holding[0]
                clock.pass_(TTL + 2)
            ready = [each for each in alive if each is not paused or stands <= 0] or alive
            stands -= paused is not None
            clock.pass_(chance.choice([0, 0, 0.4, 3]))
            turn = chance.choice(ready)
            turn.gate.turn.release()
            turn.gate.back.acquire()
    return holders, written


def comes_in_a_pause(
    third: Lock, monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None
) -> list[Claim]:
    """Another run, which takes the lock when somebody first pauses between two tries; its claim, once it came."""
    came: list[Claim] = []
    paused: list[float] = []

    def wait(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 1:
            before()
            came.append(third.acquire(claim("third"))[0])

    monkeypatch.setattr(time, "sleep", wait)
    return came
