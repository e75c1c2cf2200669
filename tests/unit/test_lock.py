"""One run at a time writes: whoever comes second is told by whom, and whoever was away too long writes no more."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.errors import AwsError, LockHeld, LockLost
from ansible_collections.hokusai.platform.plugins.module_utils.lock import RECREATE_DELAYS, TRIES, Lock, View
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RENEWALS, keep
from moto.core.base_backend import BackendDict

from sandbox.controlplane import ControlPlane, Fault
from tests.reliability.counts import LOCK_SCHEDULES
from tests.unit.conftest import CountingAws
from tests.unit.lock_stage import TTL, Clock, claim, comes_in_a_pause, schedule


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch)


@pytest.fixture
def lock(aws: CountingAws, clock: Clock) -> Lock:
    return Lock(aws, "development")


def lag(lock: Lock, patch: pytest.MonkeyPatch, *, reads: int, remembers: View | None = None) -> None:
    """Have that many reads answer as the first one did, or as they are said to remember; then as it is."""
    look, left = Lock.look.__get__(lock), iter(range(reads))
    known = remembers or look()
    patch.setattr(lock, "look", lambda: look() if next(left, None) is None else known)


def test_a_lock_says_who_holds_it_since_when_and_until_when(lock: Lock) -> None:
    mine, before = lock.acquire(claim("first"))
    assert before.holder is None
    assert lock.look().as_data() == {
        "run_id": "first",
        "owner": "ada",
        "host": "desk",
        "ttl": TTL,
        "acquired": "2027-01-15T08:00:00Z",
        "counter": mine.counter,
        "until": "2027-01-15T08:01:00Z",
        "expired": False,
    }


def test_a_second_run_is_refused_and_writes_nothing(lock: Lock, aws: CountingAws) -> None:
    lock.acquire(claim("first"))
    aws.calls.clear()
    with pytest.raises(LockHeld) as refused:
        lock.acquire(claim("second"))
    assert not aws.writes
    assert "first of ada on desk since 2027-01-15T08:00:00Z, until 2027-01-15T08:01:00Z" in refused.value.message
    assert "hokusai_break_lock=first" in refused.value.remedy
    assert refused.value.details["holder"]["run_id"] == "first"


def test_a_released_lock_is_free_for_the_next_whose_token_is_newer(lock: Lock) -> None:
    first, _ = lock.acquire(claim("first"))
    assert lock.release(first)
    second, _ = lock.acquire(claim("second"))
    assert second.counter > first.counter
    with pytest.raises(LockLost, match="held by the run second of ada on desk"):
        lock.check(first)
    lock.check(second)


def test_a_lock_that_was_released_lets_nobody_write(lock: Lock) -> None:
    mine, _ = lock.acquire(claim("first"))
    lock.release(mine)
    with pytest.raises(LockLost, match="released or deleted"):
        lock.check(mine)


def test_a_lock_of_another_environment_does_not_matter(lock: Lock, aws: CountingAws) -> None:
    lock.acquire(claim("first"))
    Lock(aws, "production").acquire(claim("second"))


def test_the_lock_holds_to_its_last_second_and_is_then_taken_over_with_the_counter_raised(
    lock: Lock, clock: Clock
) -> None:
    first, _ = lock.acquire(claim("first"))
    clock.pass_(TTL)
    with pytest.raises(LockHeld):
        lock.acquire(claim("second"))
    clock.pass_(1)
    second, before = lock.acquire(claim("second"))
    assert before.holder == first
    assert second.counter > first.counter
    with pytest.raises(LockLost):
        lock.check(first)


def test_a_holder_stops_before_others_may_come(lock: Lock, clock: Clock) -> None:
    mine, _ = lock.acquire(claim("first"))
    clock.pass_(TTL - 1)
    with pytest.raises(LockLost, match="ran out at 2027-01-15T08:01:00Z"):
        lock.check(mine)
    with pytest.raises(LockLost):
        lock.renew(mine)


def test_a_renewed_lock_holds_on(lock: Lock, clock: Clock) -> None:
    mine, _ = lock.acquire(claim("first"))
    for _renewal in range(5):
        clock.pass_(TTL / 3)
        lock.renew(mine)
    lock.check(mine)
    with pytest.raises(LockHeld):
        lock.acquire(claim("second"))


def test_breaking_takes_the_lock_of_the_run_that_is_named_and_of_no_other(lock: Lock) -> None:
    first, _ = lock.acquire(claim("first"))
    with pytest.raises(LockHeld):
        lock.acquire(claim("second"), takes_over="zeroth")
    second, before = lock.acquire(claim("second"), takes_over="first")
    assert before.holder == first
    with pytest.raises(LockLost):
        lock.check(first)
    lock.check(second)


def test_releasing_a_lock_that_is_held_by_another_leaves_it(lock: Lock) -> None:
    first, _ = lock.acquire(claim("first"))
    second, _ = lock.acquire(claim("second"), takes_over="first")
    assert not lock.release(first)
    lock.check(second)


def test_a_late_renewal_of_an_earlier_holder_neither_helps_it_nor_harms_the_present_one(
    lock: Lock, clock: Clock
) -> None:
    first, _ = lock.acquire(claim("first"))
    clock.pass_(TTL + 1)
    second, _ = lock.acquire(claim("second"))
    lock.put(first)  # the call that it was about to make when it was stopped
    with pytest.raises(LockLost):
        lock.check(first)
    lock.check(second)
    assert lock.look().holder == second


def test_of_two_that_take_over_the_same_expired_lock_the_later_token_is_the_one(lock: Lock, clock: Clock) -> None:
    lock.acquire(claim("first"))
    clock.pass_(TTL + 1)
    earlier = lock.count(claim("second"))
    third, _ = lock.acquire(claim("third"))
    with pytest.raises(LockHeld, match="run third"):
        lock.confirmed(claim("second").__class__(**{**vars(claim("second")), "counter": earlier}))
    lock.check(third)


def test_a_lost_answer_to_the_creation_is_still_our_lock(lock: Lock, control_plane: ControlPlane) -> None:
    control_plane.faults.replace([Fault("ssm:PutParameter", code="InternalServerError", status=500, after=True)])
    mine, _ = lock.acquire(claim("first"))
    lock.check(mine)


def test_a_lock_whose_token_cannot_be_had_is_not_left_behind(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> int:
        raise AwsError("no", "AccessDenied")

    monkeypatch.setattr(lock, "count", refuse)
    with pytest.raises(AwsError):
        lock.acquire(claim("first"))
    assert lock.look().holder is None


def test_a_read_that_lags_keeps_nobody_from_the_lock_and_takes_it_from_nobody(
    lock: Lock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers as before the last write come for a while: after a first one, a taking over, and when it is let go."""
    lag(lock, monkeypatch, reads=3)
    first, _ = lock.acquire(claim("first"))
    clock.pass_(TTL + 1)
    lag(lock, monkeypatch, reads=3)
    second, _ = lock.acquire(claim("second"))
    assert second.counter > first.counter
    lag(lock, monkeypatch, reads=3, remembers=View(lock.look().now, first.counter))
    assert lock.check(second).holder == second
    lag(lock, monkeypatch, reads=3, remembers=View(lock.look().now, first.counter))
    assert lock.release(second)
    assert lock.look().holder is None


@pytest.mark.parametrize("is_expired", [False, True])
def test_a_lock_that_is_never_to_be_seen_is_not_left_behind(
    is_expired: bool, lock: Lock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_expired:
        lock.acquire(claim("first"))
        clock.pass_(TTL + 1)
    with monkeypatch.context() as lagging:
        lag(lock, lagging, reads=1000)
        with pytest.raises(AwsError, match="goes on answering as before") as failed:
            lock.acquire(claim("second"))
    assert failed.value.remedy == "run again"
    assert lock.look().holder is None
    lock.acquire(claim("third"))


def test_a_run_whose_token_is_not_to_be_seen_in_time_writes_nothing(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = lock.acquire(claim("first"))
    lag(lock, monkeypatch, reads=1000, remembers=View(lock.look().now, mine.counter - 1))
    with pytest.raises(LockLost, match="not to be seen"):
        lock.check(mine)


def test_a_read_that_shows_the_token_and_not_the_lock_takes_it_from_nobody(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSM answers about each of the two parameters as of another moment."""
    mine, _ = lock.acquire(claim("first"))
    for act in (lock.check, lock.renew, lock.release):
        with monkeypatch.context() as lagging:
            lag(lock, lagging, reads=3, remembers=View(lock.look().now, mine.counter))
            act(mine)
    assert lock.look().holder is None


def already_there(control_plane: ControlPlane, times: int) -> None:
    """Have SSM refuse so many times to create what was deleted just before."""
    control_plane.faults.replace([Fault("ssm:PutParameter", code="ParameterAlreadyExists", times=times)])


def test_a_name_that_was_just_deleted_is_had_after_a_while(lock: Lock, control_plane: ControlPlane) -> None:
    first, _ = lock.acquire(claim("first"))
    lock.release(first)
    already_there(control_plane, len(RECREATE_DELAYS) - 1)
    second, _ = lock.acquire(claim("second"))
    assert lock.check(second).holder == second
    assert second.counter == first.counter + 1


def test_a_name_that_is_refused_though_nobody_holds_the_lock_is_given_up(
    lock: Lock, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    already_there(control_plane, -1)
    with pytest.raises(LockHeld, match="shows nobody who holds it") as refused:
        lock.acquire(claim("first"))
    assert 30 < sum(waited) < 40
    assert "run again in a minute" in refused.value.remedy
    control_plane.faults.replace([])
    seen = lock.look()
    assert (seen.holder, seen.counter) == (None, 0)


def test_who_did_not_see_the_holder_at_first_is_refused_as_soon_as_it_does(
    lock: Lock, aws: CountingAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    nobody = lock.look()
    first, _ = lock.acquire(claim("first"))
    second = Lock(aws, "development")
    lag(second, monkeypatch, reads=2, remembers=nobody)
    monkeypatch.setattr(time, "sleep", lambda seconds: waited.append(seconds) if seconds else None)
    with pytest.raises(LockHeld, match="locked by the run first"):
        second.acquire(claim("second"))
    assert waited == [RECREATE_DELAYS[1]]
    assert lock.check(first).holder == first


def test_who_waits_for_a_name_does_not_forget_what_was_taken_over_meanwhile(
    lock: Lock, aws: CountingAws, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, came = Lock(aws, "development"), []

    def wait(_seconds: float) -> None:
        if not came:
            came.append("third")
            control_plane.faults.replace([])
            other.acquire(claim("second"))
            third, _ = other.acquire(claim("third"), takes_over="second")
            other.release(third)

    monkeypatch.setattr(time, "sleep", wait)
    control_plane.faults.replace([Fault("ssm:PutParameter", code="ParameterAlreadyExists")])
    mine, _ = lock.acquire(claim("first"))
    takeover = lock.check(mine).takeover
    assert (takeover and takeover.run_id, mine.counter) == ("third", 3)


@pytest.mark.parametrize("skip", [0, 1, 2], ids=["the lock", "the token", "the renewal"])
def test_a_parameter_of_the_lock_that_is_written_too_often_is_written_all_the_same(
    skip: int, lock: Lock, control_plane: ControlPlane
) -> None:
    control_plane.faults.replace([Fault("ssm:PutParameter", code="TooManyUpdates", times=3, skip=skip)])
    mine, _ = lock.acquire(claim("first"))
    lock.renew(mine)
    lock.check(mine)


def test_of_many_that_need_the_lock_for_longer_one_renews_it(
    lock: Lock, aws: CountingAws, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = lock.acquire(claim("first"))
    clock.pass_(TTL / 2)
    check, together, been = lock.check, threading.Barrier(16), threading.local()

    def at_once(held: Any) -> View:
        """All see that there is too little time left before the first does something about it."""
        seen = check(held)
        if not hasattr(been, "here"):
            been.here = together.wait(10)
        return seen

    monkeypatch.setattr(lock, "check", at_once)
    aws.calls.clear()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _writer: keep(lock, mine, RENEWALS - 1), range(16)))
    assert aws.writes == {"ssm:PutParameter": 1}
    assert check(mine).left == timedelta(seconds=TTL - 1)


def test_a_lost_answer_to_the_creation_is_still_our_lock_where_reads_lag(
    lock: Lock, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane.faults.replace([Fault("ssm:PutParameter", code="InternalServerError", status=500, after=True)])
    lag(lock, monkeypatch, reads=3)
    mine, _ = lock.acquire(claim("first"))
    lock.check(mine)


def test_a_parameter_of_somebody_else_under_that_name_is_left_alone(lock: Lock, aws: CountingAws) -> None:
    aws.ssm.put_parameter(Name="/hokusai/development/lock", Value="do not touch", Type="String")
    with pytest.raises(LockHeld, match="no lock of this collection"):
        lock.acquire(claim("first"))
    assert aws.ssm.get_parameter(Name="/hokusai/development/lock")["Parameter"]["Value"] == "do not touch"


def test_nothing_but_names_is_in_the_lock(lock: Lock, aws: CountingAws) -> None:
    lock.acquire(claim("first"))
    value = json.loads(aws.ssm.get_parameter(Name="/hokusai/development/lock")["Parameter"]["Value"])
    assert value.keys() == {"run_id", "owner", "host", "ttl", "acquired", "counter"}


def test_who_took_a_lock_from_whom_is_said_until_somebody_does_so_again(lock: Lock, clock: Clock) -> None:
    lock.acquire(claim("first"))
    assert lock.look().takeover is None
    second, _ = lock.acquire(claim("second"), takes_over="first")
    broke = "2027-01-15T08:00:00Z second of ada on desk broke the lock of first of ada on desk"
    assert str(lock.look().takeover) == broke
    lock.release(second)
    lock.acquire(claim("third"))
    assert str(lock.look().takeover) == broke
    clock.pass_(TTL + 1)
    lock.acquire(claim("fourth"))
    assert str(lock.look().takeover).endswith("fourth of ada on desk took the expired lock of third of ada on desk")


@pytest.mark.parametrize("is_free", [False, True])
def test_who_is_throttled_while_it_takes_a_token_leaves_alone_who_came_meanwhile(
    is_free: bool,
    lock: Lock,
    aws: CountingAws,
    clock: Clock,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its second try comes when another run has taken the lock over and holds it."""
    if not is_free:
        lock.acquire(claim("first"))
        clock.pass_(TTL + 1)
    third = Lock(aws, "development")
    came = comes_in_a_pause(third, monkeypatch, before=lambda: clock.pass_(TTL + 1))
    control_plane.faults.add(Fault("ssm:PutParameter", code="ThrottlingException", skip=int(is_free)))
    with pytest.raises(LockHeld, match="run third"):
        lock.acquire(claim("second"))
    assert third.check(came[0]).takeover.of_run_id == ("second" if is_free else "first")


def test_who_is_throttled_while_it_takes_a_token_takes_it_where_nobody_came(
    lock: Lock, clock: Clock, control_plane: ControlPlane
) -> None:
    """Neither the expired holder nor a try of its own that landed is somebody else."""
    for number, after in enumerate((False, True)):
        lock.acquire(claim(f"old-{number}"))
        clock.pass_(TTL + 1)
        control_plane.faults.replace([Fault("ssm:PutParameter", code="InternalServerError", status=500, after=after)])
        mine, _ = lock.acquire(claim(f"new-{number}"))
        lock.check(mine)
        clock.pass_(TTL + 1)


def lose(control_plane: ControlPlane, *, times: int = 1, after: bool = True, skip: int = 0) -> None:
    """Have AWS fail at answering that many of the calls that write."""
    fault = Fault("ssm:PutParameter", code="InternalServerError", status=500, after=after, times=times, skip=skip)
    control_plane.faults.replace([fault])


@pytest.mark.parametrize("reads", [0, 3])
@pytest.mark.parametrize("is_free", [True, False])
def test_a_token_whose_answer_was_lost_is_the_run_s_own_and_no_second_one_is_taken(
    reads: int,
    is_free: bool,
    lock: Lock,
    clock: Clock,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token of nobody would look as if another run had come since the one that is to be taken back."""
    first, _ = lock.acquire(claim("first"))
    if is_free:
        lock.release(first)
    clock.pass_(TTL + 1)
    lose(control_plane, skip=int(is_free))
    lag(lock, monkeypatch, reads=reads)
    mine, _ = lock.acquire(claim("second"))
    assert mine.counter == lock.check(mine).counter == first.counter + 1


def test_a_token_is_asked_for_again_where_none_of_the_run_s_own_is_seen(
    lock: Lock, control_plane: ControlPlane
) -> None:
    """Though the counter holds the same value, from an earlier claim under that name."""
    earlier, _ = lock.acquire(claim("by-hand"))
    lock.release(earlier)
    lose(control_plane, after=False, skip=1)
    mine, _ = lock.acquire(claim("by-hand"))
    assert mine.counter == lock.check(mine).counter == earlier.counter + 1


def test_a_token_for_which_no_answer_ever_comes_is_given_up(lock: Lock, control_plane: ControlPlane) -> None:
    lose(control_plane, times=-1, after=False, skip=1)
    with pytest.raises(AwsError, match="InternalServerError"):
        lock.acquire(claim("first"))
    assert lock.look().holder is None
    assert control_plane.calls.count("ssm:PutParameter") == 1 + TRIES


def test_who_waited_for_a_lost_answer_leaves_alone_who_came_meanwhile(
    lock: Lock, aws: CountingAws, clock: Clock, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.acquire(claim("first"))
    clock.pass_(TTL + 1)
    third = Lock(aws, "development")
    came = comes_in_a_pause(third, monkeypatch)
    lose(control_plane, after=False)
    with pytest.raises(LockHeld, match="run third"):
        lock.acquire(claim("second"))
    third.check(came[0])


def test_a_broken_lock_is_said_by_the_very_call_that_breaks_it(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever breaks a lock and dies at once has left a stale holder, and who made it stale."""

    def killed(_claim: object) -> None:
        raise KeyboardInterrupt

    first, _ = lock.acquire(claim("first"))
    monkeypatch.setattr(lock, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        lock.acquire(claim("second"), takes_over="first")
    seen = lock.look()
    assert (seen.holder, seen.takeover and seen.takeover.run_id) == (first, "second")


@pytest.mark.parametrize("value", ["first", "{}", "[]", '{"takeover": {"by": "me"}}'])
def test_a_counter_that_somebody_else_wrote_says_nothing(lock: Lock, aws: CountingAws, value: str) -> None:
    aws.ssm.put_parameter(Name="/hokusai/development/lock-counter", Value=value, Type="String")
    lock.acquire(claim("first"))
    assert lock.look().takeover is None


def test_whatever_the_order_of_calls_a_stale_token_never_writes(
    aws: CountingAws, clock: Clock, control_plane: ControlPlane
) -> None:
    seed = int(os.environ.get("HOKUSAI_SEED", "4"))
    ends: dict[str, int] = {}
    for number in range(LOCK_SCHEDULES):
        with control_plane.lock:
            BackendDict.reset()
        holders, written = schedule(aws, clock, random.Random(seed + number))
        tokens = [token for _name, token in written]
        assert tokens == sorted(tokens), f"schedule {seed + number}: {written}"
        assert len({(name, token) for name, token in written}) == len({name for name, _token in written})
        for holder in holders:
            ends[holder.ended] = ends.get(holder.ended, 0) + 1
    assert ends.keys() == {"done", "LockHeld", "LockLost"}
