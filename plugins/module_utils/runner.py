# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""observe -> plan -> apply, once for all resource modules.

Check mode, diff, `changed` and the steps all come from the one plan. After an apply the resource is observed and
planned again: what is then left to do is the next round (an id became known) or an error, never silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any, Generic, TypeVar

from ansible_collections.hokusai.platform.plugins.module_utils.approved_plan import PLAN_OPTION, NoPlan, plan_of
from ansible_collections.hokusai.platform.plugins.module_utils.aws import REREAD_DELAYS, Aws, look_until
from ansible_collections.hokusai.platform.plugins.module_utils.errors import (
    AwsError,
    BadInput,
    NotConverged,
    PlatformError,
    calling,
)
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.plan import (
    Later,
    Missing,
    Observed,
    Step,
    as_data,
    holds,
    overlay,
)
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RUN_OPTION, Outside, Write, in_run

T = TypeVar("T")
Response = tuple[Step, Mapping[str, Any]]
Settle = Callable[[Aws, Params, Sequence[Response]], "Iterable[str] | None"]

MAX_ROUNDS = 5
PARALLEL_WRITES = 16
LOOKED_TRIES = 5
"""How often a write is made that must not be made twice; before each further time it was looked for and not found."""


@dataclass(frozen=True)
class Resource(Generic[T]):
    """What a resource module is made of; the runner needs nothing else of it.

    `settle` waits for what the writes started (an operation, a deployment) and gets the responses of the steps
    just applied; it is also called once, with none, when there is nothing to write. What it returns is warned of.
    `prove` says what is known of a plan before its first step, in each round anew, or raises to refuse it: a value with
    `shown`, in which `safe` says whether no request goes astray, and `reason` why that is not known; the worst of
    several has the most `severity`.
    """

    service: str
    desire: Callable[[Params], T | None]
    observe: Callable[[Aws, Params], Observed[T]]
    plan: Callable[[Observed[T], T | None], Iterable[Step]]
    settle: Settle | None = None
    prove: Callable[[Observed[T], T | None, Sequence[Step]], Any] | None = None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The plan's two ends and its steps: predicted in check mode, applied otherwise."""

    before: T | None
    after: T | None
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    proof: Any = None

    def concerns(self) -> Iterator[str]:
        """What to warn of: what the plan takes for granted, what `settle` returned, `concerns` of state and proof."""
        yield from self.warnings
        for source in (self.after, self.proof):
            tell: Callable[[], Iterator[str]] | None = getattr(source, "concerns", None)
            if tell:
                yield from tell()

    def result(self) -> dict[str, Any]:
        return {
            "changed": bool(self.steps),
            "steps": [step.shown() for step in self.steps],
            "diff": {
                "before": as_data(self.before) or {},
                "after": as_data(self.after) or {},
                **({"after_header": str(self.proof)} if self.proof else {}),
            },
            "resource": as_data(self.after),
            **({"proof": as_data(self.proof)} if self.proof else {}),
        }


def run(
    *,
    service: str,
    spec: Mapping[str, Any],
    desire: Callable[[Params], T | None],
    observe: Callable[[Aws, Params], Observed[T]],
    plan: Callable[[Observed[T], T | None], Iterable[Step]],
    settle: Settle | None = None,
    prove: Callable[[Observed[T], T | None, Sequence[Step]], Any] | None = None,
    **module_arguments: Any,
) -> None:
    """Be the `main` of a resource module."""
    module = make_module({**RUN_OPTION, **PLAN_OPTION, **spec}, **module_arguments)
    resource = Resource(service, desire, observe, plan, settle, prove)
    with failing(module):
        aws = Aws(module.params)
        with in_run(aws, module.params, module._name, dry=module.check_mode) as transaction:
            approval = plan_of(aws, module.params, module._name, transaction.record)
            outcome = converge(
                resource, aws, module.params, dry=module.check_mode, transaction=transaction, approval=approval
            )
        for warning in outcome.concerns():
            module.warn(warning)
        module.exit_json(**outcome.result())


def converge(
    resource: Resource[T],
    aws: Aws,
    params: Params,
    *,
    dry: bool,
    transaction: Outside | None = None,
    approval: NoPlan | None = None,
) -> Outcome[T]:
    """Bring the resource to what is desired, or with `dry` only say how. Raises `PlatformError`."""
    desired = resource.desire(params)
    observed = look(resource, aws, params)
    steps = tuple(resource.plan(observed, desired))
    proof = proved(resource, observed, desired, steps)
    approval = approval or NoPlan()
    approval.accept(observed, desired, steps, proof, dry=dry)
    if dry:
        return Outcome(observed.resource, overlay(observed.resource, desired), steps, tuple(assumptions(steps)), proof)
    if not steps:
        warnings = settled(resource, aws, params, ())
        return Outcome(observed.resource, overlay(observed.resource, desired), steps, warnings, proof)
    apply = Apply(resource, aws, params, desired, transaction or Outside(), approval)
    applied, last = apply.all(steps)
    return Outcome(observed.resource, last.resource, applied, tuple(apply.warnings), worst(proof, *apply.proofs))


def look(resource: Resource[T], aws: Aws, params: Params) -> Observed[T]:
    with calling(f"observe ({resource.service})"):
        return resource.observe(aws, params)


def settled(resource: Resource[T], aws: Aws, params: Params, responses: Sequence[Response]) -> tuple[str, ...]:
    """What there is to warn of, after what was started has come to an end."""
    if resource.settle is None:
        return ()
    with calling(f"wait for what was started ({resource.service})"):
        return tuple(resource.settle(aws, params, responses) or ())


def proved(resource: Resource[T], observed: Observed[T], desired: T | None, steps: Sequence[Step]) -> Any:
    return resource.prove(observed, desired, steps) if resource.prove else None


def worst(*proofs: Any) -> Any:
    """Of the proofs there are the first that says the least good; None if there is none."""
    return max((proof for proof in proofs if proof is not None), key=lambda proof: proof.severity, default=None)


def assumptions(steps: Iterable[Step]) -> Iterator[str]:
    """What a shown plan takes for granted: references that an earlier task of the play would create."""
    for what in dict.fromkeys(missing.what for step in steps for missing in holds(step.args, Missing)):
        yield f"{what} does not exist yet: this plan assumes that an earlier task creates it"


def refuse_missing(steps: Iterable[Step]) -> None:
    for step in steps:
        for missing in holds(step.args, Missing):
            raise BadInput(f"Cannot {step.verb} ({step.why}): {missing.what} does not exist", missing.remedy)


class Apply(Generic[T]):
    """Apply steps in rounds until planning again finds nothing, and remember what is done for the error's sake.

    Every write goes through the `transaction`, the run with its lock and its journal, or none; what comes up after the
    first writes is for the `approval` to allow. Others may have written meanwhile, so the steps of each round are
    proved before the first of them; `proofs` are those of all rounds but the first. `warnings` are what `settle`
    returned.
    """

    def __init__(
        self,
        resource: Resource[T],
        aws: Aws,
        params: Params,
        desired: T | None,
        transaction: Outside,
        approval: NoPlan,
    ) -> None:
        self.resource, self.aws, self.params, self.desired = resource, aws, params, desired
        self.transaction, self.approval = transaction, approval
        self.client = aws.client(resource.service)
        self.done: list[Response] = []
        self.coming: Sequence[Step] = ()
        """The steps of this round that are under way or still to come."""
        self.proofs: list[Any] = []
        self.warnings: list[str] = []

    def all(self, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], Observed[T]]:
        try:
            return self.rounds(steps)
        except PlatformError as error:
            error.details.setdefault("steps_done", [step.shown() for step, _response in self.done])
            raise

    def rounds(self, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], Observed[T]]:
        for _round in range(MAX_ROUNDS):
            refuse_missing(steps)
            ready = tuple(takewhile(lambda step: not any(holds(step.args, Later)), steps))
            if not ready:
                raise self.stuck(steps)
            responses: list[Response] = []
            for batch in batches(ready):
                self.coming = steps[len(responses) :]
                responses += self.batch(batch)
            self.warnings += settled(self.resource, self.aws, self.params, responses)
            observed, steps = self.reread(ready)
            self.approval.allow(steps)
            if not steps:
                return tuple(step for step, _response in self.done), observed
            self.proofs.append(proved(self.resource, observed, self.desired, steps))
        raise self.stuck(steps)

    def batch(self, steps: Sequence[Step]) -> list[Response]:
        """The responses of steps that may run at the same time; all have ended before the first error is raised.

        What is done is remembered in the order of the plan, whichever call came back first.
        """
        writes = self.transaction.intend(self.resource.service, steps)
        with ThreadPoolExecutor(min(len(steps), PARALLEL_WRITES)) as pool:
            futures = [pool.submit(self.one, write) for write in writes]
        self.done += [future.result() for future in futures if future.exception() is None]
        return [future.result() for future in futures]

    def one(self, write: Write) -> Response:
        """Make the call. An error does not prove that nothing happened: if all that is left comes after it, it landed.

        With anything else left the plan has become another one. What was to follow may then not be made: it was
        proved after this step.
        """
        step = write.step
        with write.recorded():
            for left in reversed(range(LOOKED_TRIES)):
                try:
                    with calling(f"{step.verb} ({step.why})"):
                        write.answered(getattr(self.client, step.verb)(**step.args))
                    break
                except AwsError as error:
                    error.details["step_failed"] = step.shown()
                    is_there = self.landed(write)
                    if is_there:
                        write.landed()
                        break
                    if is_there is None or not left or not write.repeats():
                        raise
        return step, write.response

    def landed(self, write: Write) -> bool | None:
        """Whether what a failed write was to do is there; None when that cannot be seen, or the plan is another now.

        Once an answer to it was lost it is looked for until reads have had the time to show it.
        """
        coming = [step.key for step in self.coming if step.key != write.step.key]

        def is_rest(seen: tuple[Observed[T], tuple[Step, ...]]) -> bool:
            left = [step.key for step in seen[1]]
            return left == [key for key in coming if key in left]

        delays = REREAD_DELAYS if write.is_open else REREAD_DELAYS[:1]
        try:
            seen = look_until(self.look_and_plan, is_rest, delays)
        except PlatformError:
            return None
        if is_rest(seen):
            return True
        return False if write.step.key in {step.key for step in seen[1]} else None

    def reread(self, applied: Iterable[Step]) -> tuple[Observed[T], tuple[Step, ...]]:
        """Observe and plan until none of the steps just applied is planned again; reads may be stale for a while."""
        keys = {step.key for step in applied}
        observed, left = self.watch(keys, REREAD_DELAYS)
        if not keys & {step.key for step in left}:
            return observed, left
        self.transaction.check()  # a run that lost its lock meanwhile finds what another one wrote
        raise self.stuck(left)

    def watch(self, keys: Set[Any], delays: Sequence[float]) -> tuple[Observed[T], tuple[Step, ...]]:
        """The last look and plan, one after each of the delays until no step of these keys is planned."""
        return look_until(self.look_and_plan, lambda seen: not keys & {step.key for step in seen[1]}, delays)

    def look_and_plan(self) -> tuple[Observed[T], tuple[Step, ...]]:
        observed = look(self.resource, self.aws, self.params)
        return observed, tuple(self.resource.plan(observed, self.desired))

    def stuck(self, left: Iterable[Step]) -> NotConverged:
        return NotConverged(
            "AWS accepted the writes, but planning again still finds: "
            + "; ".join(f"{s.verb} ({s.why})" for s in left),
            "look who else writes this resource (Terraform, a deploy job, the console), then run again",
        )


def batches(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    """Consecutive steps of the same non-empty batch together, every other step alone; order is kept."""
    for batch, group in groupby(steps, key=lambda step: step.batch):
        if batch:
            yield tuple(group)
        else:
            yield from ((step,) for step in group)
