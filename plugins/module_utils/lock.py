# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lock of an environment: two SSM parameters, and the rule that the newest token is the only one that may write.

`/hokusai/<environment>/lock` says who holds it (created with `Overwrite=false`, deleted when released); its time of
writing and its `ttl` say until when, by the clock of AWS. `/hokusai/<environment>/lock-counter` is never deleted: the
version that writing it returns is the fencing token, which grows atomically. Only who sees the lock absent or expired,
or breaks it, takes a new token; and a token older than the counter passes no check, whatever the lock says (SSM API
reference: PutParameter, GetParameters). The counter's value says who took over whose lock last: the very call that
takes a lock away from its holder records that.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.aws import REREAD_DELAYS, Aws, guarded, look_until
from ansible_collections.hokusai.platform.plugins.module_utils.clock import server_time
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    BadInput,
    LockHeld,
    LockLost,
    PlatformError,
    calling,
)

SETTLE = 1.0
"""Seconds between taking a lock over and looking whether somebody did so at the same time."""
COARSE = timedelta(seconds=1)
"""How much later it may be than an HTTP date says. So a holder stops before others may come."""
UNSEEN = "StaleRead"
"""Code of the error when SSM goes on answering as before the lock was taken."""
TRIES = 5
"""How often at most a token is asked for, when no answer comes and none of ours is seen."""
RECREATE_DELAYS = (*REREAD_DELAYS, 5.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds before each try to create the lock (36 s in all): a name that was deleted can be had again after 30 s, says
the SSM API reference under DeleteParameter."""
SHORTEST_TTL = 10
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Claim:
    """What the lock says of its holder. `acquired` is UTC, `ttl` in seconds, `counter` the fencing token."""

    run_id: str
    owner: str
    host: str
    ttl: int
    acquired: str = ""
    counter: int = 0


@dataclass(frozen=True)
class Takeover:
    """Who took a lock from whom, and when (UTC): it was `broken` if it had not expired."""

    at: str
    broken: bool
    run_id: str
    owner: str
    host: str
    of_run_id: str
    of_owner: str
    of_host: str

    def __str__(self) -> str:
        did = "broke the lock" if self.broken else "took the expired lock"
        of = f"{self.of_run_id} of {self.of_owner} on {self.of_host}"
        return f"{self.at} {self.run_id} of {self.owner} on {self.host} {did} of {of}"


@dataclass(frozen=True)
class View:
    """The lock at one moment of AWS's clock. `written` is when the holder took or renewed it last.

    `takeover` is the last time that a lock was taken from its holder, `counted` the value that took the newest token.
    """

    now: datetime
    counter: int
    holder: Claim | None = None
    written: datetime | None = None
    takeover: Takeover | None = None
    counted: str = ""

    @property
    def until(self) -> datetime | None:
        return self.written + timedelta(seconds=self.holder.ttl) if self.holder and self.written else None

    @property
    def expired(self) -> bool:
        """Whether others may take it over."""
        return self.until is not None and self.now > self.until

    @property
    def left(self) -> timedelta:
        """How long its holder may still write."""
        return self.until - self.now - COARSE if self.until else timedelta(0)

    def as_data(self) -> dict[str, Any] | None:
        """Who holds it, as results show it; None when nobody does."""
        if self.holder is None or self.until is None:
            return None
        return {**asdict(self.holder), "until": self.until.strftime(FORMAT), "expired": self.expired}


@dataclass
class Taking:
    """Guards the call that takes a token: the try before a further one may have been waited for until others came.

    A token makes every older one stale, so it is not taken from a live holder that came since the claim was made.
    `is_lost` once no answer came to a try, which may have taken a token.
    """

    lock: Lock
    claim: Claim
    value: str
    is_lost: bool = False

    def lost(self, _verb: str) -> bool:
        """A second token would make the first look like that of another run: the caller looks for it."""
        self.is_lost = True
        return False

    def again(self, _verb: str) -> None:
        with guarded(None):
            self.refuse(self.lock.look())

    def took(self, seen: View) -> bool:
        """Whether the newest token is that of a try. An older one of the same value is from an earlier claim."""
        return seen.counted == self.value and seen.counter >= self.claim.counter

    def refuse(self, seen: View) -> None:
        holder = seen.holder
        if holder and not seen.expired and holder.run_id != self.claim.run_id and holder.counter >= self.claim.counter:
            raise self.lock.held(seen)


class Lock:
    """The lock of one environment."""

    def __init__(self, aws: Aws, environment: str) -> None:
        self.ssm = aws.client("ssm")
        self.environment = environment
        self.name = f"/hokusai/{environment}/lock"
        self.counter_name = f"{self.name}-counter"
        self.renewing = threading.Lock()

    def look(self) -> View:
        """Who holds the lock and which token is the newest; one call."""
        with calling(f"look at the lock {self.name}"):
            answer = self.ssm.get_parameters(Names=[self.name, self.counter_name])
        found = {each["Name"]: each for each in answer["Parameters"]}
        counter = int(found[self.counter_name]["Version"]) if self.counter_name in found else 0
        counted = found[self.counter_name]["Value"] if self.counter_name in found else ""
        seen = View(server_time(answer), counter, takeover=last_takeover(counted), counted=counted)
        if self.name not in found:
            return seen
        holder, written = self.claim(found[self.name]["Value"]), aware(found[self.name]["LastModifiedDate"])
        return replace(seen, holder=holder, written=written)

    def look_for(self, mine: Claim) -> View:
        """What is there since the claim's token was taken. Who sees a smaller one all the same saw an old answer.

        So may have who sees no lock: the answers about the two parameters need not be of the same moment.
        """

        def shows(seen: View) -> bool:
            return seen.counter > mine.counter or (seen.counter == mine.counter and seen.holder is not None)

        return look_until(self.look, shows)

    def claim(self, value: str) -> Claim:
        try:
            return Claim(**json.loads(value))
        except (ValueError, TypeError) as error:
            told = f"The SSM parameter {self.name} holds something that is no lock of this collection"
            raise LockHeld(told, "find out who wrote it; delete the parameter when nobody needs it") from error

    def acquire(self, wanted: Claim, takes_over: str = "") -> tuple[Claim, View]:
        """Take the lock; the claim with its token, and what was there before.

        Raises `LockHeld` while another run holds it, unless that is the run `takes_over`.
        """
        seen = self.look()
        if seen.holder and not seen.expired and seen.holder.run_id != takes_over:
            raise self.held(seen)
        claim = replace(wanted, acquired=seen.now.strftime(FORMAT), counter=seen.counter + 1)
        mine = self.take_over(claim, taken(claim, seen)) if seen.holder else self.take_first(claim, seen)
        return mine, seen

    def take_first(self, claim: Claim, seen: View) -> Claim:
        """Only who creates the parameter takes a token, so of two that come at the same time one leaves no trace."""
        seen = self.create(claim, seen)
        try:
            mine = replace(claim, counter=self.count(replace(claim, counter=seen.counter + 1), seen.takeover))
            if mine != claim:
                self.put(mine)
            return self.confirmed(mine)
        except AwsError:
            with contextlib.suppress(PlatformError):
                self.delete()
            raise

    def take_over(self, claim: Claim, takeover: Takeover | None) -> Claim:
        mine = replace(claim, counter=self.count(claim, takeover))
        self.put(mine)
        time.sleep(SETTLE)
        try:
            return self.confirmed(mine)
        except AwsError as error:
            if error.code == UNSEEN:
                with contextlib.suppress(PlatformError):
                    self.delete()
            raise

    def confirmed(self, mine: Claim) -> Claim:
        """The claim if its token is the newest. Two may have seen the same expired lock: the later token is the one.

        Only a larger one means that. Where ours is not to be seen in time, it is an `AwsError` with the code `UNSEEN`.
        """
        seen = self.look_for(mine)
        if seen.counter > mine.counter or (seen.holder and seen.holder.counter > mine.counter):
            raise self.held(seen)
        if seen.counter < mine.counter:
            told = f"The lock of {self.environment} was taken, but SSM goes on answering as before that"
            raise AwsError(f"{told}: it is let go again", UNSEEN, "run again")
        if seen.holder != mine:
            self.put(mine)
        return mine

    def check(self, mine: Claim) -> View:
        """Raise `LockLost` unless this claim may write now; one call, more if a late write or read hid the claim."""
        seen = self.look_for(mine)
        if seen.counter != mine.counter or seen.holder is None or seen.holder.counter > mine.counter:
            raise self.lost(mine, seen)
        if seen.holder.counter < mine.counter:
            self.put(mine)  # an earlier holder, paused while it renewed, wrote over it: its own token is stale
        elif seen.left <= timedelta(0):
            raise self.lost(mine, seen)
        return seen

    def renew(self, mine: Claim, needed: timedelta | None = None) -> None:
        """Hold the lock anew; with `needed`, only where less time than that is left.

        One thread at a time, so that of many which need it one renews and the others see it done.
        """
        with self.renewing:
            seen = self.check(mine)
            if needed is None or seen.left < needed:
                self.put(mine)

    def release(self, mine: Claim) -> bool:
        """Delete the lock if it is still this claim's; whether it was."""
        seen = self.look_for(mine)
        if seen.counter > mine.counter or seen.holder is None or seen.holder.run_id != mine.run_id:
            return False
        self.delete()
        return True

    def held(self, seen: View) -> LockHeld:
        holder = seen.holder
        if holder is None or seen.until is None:
            return LockHeld(f"The lock of {self.environment} changed hands just now", "run again", holder=None)
        return LockHeld(
            f"{self.environment} is locked by the run {holder.run_id} of {holder.owner} on {holder.host} since "
            f"{holder.acquired}, until {seen.until.strftime(FORMAT)} unless it is renewed",
            f"wait for it; if it is dead, wait until then, or break its lock: -e hokusai_break_lock={holder.run_id}",
            holder=seen.as_data(),
        )

    def lost(self, mine: Claim, seen: View) -> LockLost:
        holder = seen.holder
        if seen.counter < mine.counter:
            how = f"is not to be seen: {self.counter_name} was deleted, or SSM answers as before the lock was taken"
        elif holder is None:
            how = "was released or deleted"
        elif holder.run_id != mine.run_id:
            how = f"is held by the run {holder.run_id} of {holder.owner} on {holder.host} since {holder.acquired}"
        elif seen.counter > mine.counter:
            how = "is being taken over by another run"
        else:
            how = f"ran out at {seen.until and seen.until.strftime(FORMAT)}, for it was not renewed in time"
        return LockLost(
            f"The lock of {self.environment}, which the run {mine.run_id} took, {how}: nothing more is written",
            "look what the other run does and let it end, then run again: what is done stays done",
            holder=seen.as_data(),
        )

    def create(self, claim: Claim, seen: View) -> View:
        """Create the parameter, be it by a try whose answer was lost; what was seen last.

        Raises `LockHeld` once another holder is seen, and where SSM goes on refusing the name though none is.
        """
        for delay in RECREATE_DELAYS:
            if delay:
                time.sleep(delay)
            if self.created(claim):
                return seen
            seen = self.look()
            if seen.holder == claim:
                return seen
            if seen.holder:
                raise self.held(seen)
        told = f"SSM goes on refusing to create the lock {self.name}, and shows nobody who holds it"
        remedy = f"run again in a minute; if it stays so, delete the SSM parameter {self.name} while no run is at work"
        raise LockHeld(told, remedy, holder=None)

    def created(self, claim: Claim) -> bool:
        """Whether there was no parameter of the name until now."""
        try:
            self.put(claim, overwrite=False)
        except AwsError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            return False
        return True

    def put(self, claim: Claim, *, overwrite: bool = True) -> None:
        value = json.dumps(asdict(claim), sort_keys=True)
        with calling(f"write the lock {self.name}"):
            self.ssm.put_parameter(Name=self.name, Value=value, Type="String", Overwrite=overwrite)

    def count(self, claim: Claim, takeover: Takeover | None = None) -> int:
        """A token newer than all before it. The last takeover stays in the counter until there is another one.

        Where no answer comes, the token that was taken all the same is ours; another is taken only if none is seen.
        """
        told = asdict(takeover) if takeover else None
        value = json.dumps({"run_id": claim.run_id, "takeover": told}, sort_keys=True)
        for _try in range(TRIES):
            taking = Taking(self, claim, value)
            try:
                return self.raise_counter(taking)
            except AwsError as error:
                if not taking.is_lost:
                    raise
                failed = error
            seen = look_until(self.look, taking.took)
            if taking.took(seen):
                return seen.counter
            taking.refuse(seen)
        raise failed

    def raise_counter(self, taking: Taking) -> int:
        with guarded(taking), calling(f"take a token from {self.counter_name}"):
            answer = self.ssm.put_parameter(Name=self.counter_name, Value=taking.value, Type="String", Overwrite=True)
        return int(answer["Version"])

    def delete(self) -> None:
        try:
            with calling(f"delete the lock {self.name}"):
                self.ssm.delete_parameter(Name=self.name)
        except AwsError as error:
            if error.code != "ParameterNotFound":
                raise


def taken(claim: Claim, seen: View) -> Takeover | None:
    """The takeover that a claim to what was seen is; where nobody holds the lock, the last one there was."""
    of = seen.holder
    if of is None:
        return seen.takeover
    by = (claim.run_id, claim.owner, claim.host)
    return Takeover(claim.acquired, not seen.expired, *by, of.run_id, of.owner, of.host)


def last_takeover(counted: str) -> Takeover | None:
    """What the counter's value says of it; one that somebody else wrote says nothing."""
    try:
        return Takeover(**json.loads(counted)["takeover"])
    except (ValueError, TypeError, KeyError):
        return None


def claimed_by(run_id: str, owner: str | None, ttl: int) -> Claim:
    """A claim of this machine and, when no owner is named, of the user that it works for."""
    if ttl < SHORTEST_TTL:
        raise BadInput(f"The lock would hold for {ttl} s", f"let ttl be {SHORTEST_TTL} or more")
    return Claim(run_id, owner or user(), socket.gethostname(), ttl)


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
