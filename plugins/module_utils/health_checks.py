# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of the two health profiles, and the pure rules that decide them.

`legacy` is the list of the incident's script with its expectations as they were, the wrong ones included: it
reproduces old figures. `connectivity` is what a client needs, and what gates. In both, unknown is not passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.http_client import EXCERPT, Answer
from ansible_collections.hokusai.platform.plugins.module_utils.platform_state import (
    LEAVING,
    Discovery,
    EcsService,
    TargetGroup,
    Unknown,
)

Fact = Any
ALB = "awselb/"
ROUTING, DISCOVERY, GROUPS, CONFIG = "alb_routing", "service_discovery", "security_groups", "auth_config"
SIGHTS = (("resolve", DISCOVERY), ("dropped", GROUPS), ("no answer within", GROUPS), ("host header", CONFIG))
"""By a phrase in the API's own reason why it does not reach MLflow: the role that repairs it."""
CREATE = "no role creates it: create it with what made the others, or correct its name in the inventory"
MINT = "the auth service refuses the key: mint another one"
STALE = "no role removes an instance that no task stands behind: deregister it"
RESTARTED = "ECS starts the missing tasks itself: see the service's events if it does not"


@dataclass(frozen=True)
class Verdict:
    """`rule` says what decided; `role` is the one that repairs a check that did not pass; if none does, `remedy` may
    say what will."""

    passed: bool
    observed: str
    rule: str
    role: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""


Rule = Callable[[Fact], Verdict]


@dataclass(frozen=True)
class Check:
    """`subject` says where the fact comes from (see `health_score`); `rule` decides on that fact alone."""

    id: str
    name: str
    expected: str
    subject: tuple[str, ...]
    rule: Rule


@dataclass(frozen=True)
class Known:
    """What other checks found out and what tells who repairs this one: the services that run no task, by noun (`api`),
    those of which Cloud Map does not list a running task, and whether the auth service itself refuses the key."""

    down: Mapping[str, EcsService | None] = field(default_factory=dict)
    unlisted: frozenset[str] = frozenset()
    key_refused: bool = False


def decide(check: Check, fact: Fact, known: Known = Known()) -> dict[str, Any]:
    """The check's line in the result."""
    verdict = unknown(fact) if isinstance(fact, Unknown) else check.rule(fact)
    if not verdict.passed:
        verdict = blamed(check, fact, verdict, known)
    return {
        "id": check.id,
        "name": check.name,
        "expected": check.expected,
        "observed": verdict.observed,
        "passed": verdict.passed,
        "rule": verdict.rule,
        "role": "" if verdict.passed else verdict.role,
        "remedy": "" if verdict.passed else verdict.remedy,
        "evidence": dict(verdict.evidence),
    }


def total(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Score in percent, unweighted, one decimal; nothing checked is 0."""
    lines = list(lines)
    passed = sum(bool(line["passed"]) for line in lines)
    return {
        "score": round(100 * passed / len(lines), 1) if lines else 0.0,
        "passed": passed,
        "total": len(lines),
        "failing": [line["id"] for line in lines if not line["passed"]],
        "problems": [problem(line) for line in lines if not line["passed"]],
        "checks": lines,
    }


def problem(line: Mapping[str, Any]) -> str:
    """What a person needs to read of a check that did not pass."""
    repair = f"repaired by the role {line['role']}" if line["role"] else line["remedy"]
    return f"{line['name']}: expected {line['expected']}, observed {line['observed']}" + (repair and f" ({repair})")


def blamed(check: Check, fact: Fact, verdict: Verdict, known: Known) -> Verdict:
    """The verdict, put down to what is known of its cause."""
    noun = failing_hop(check, fact)
    if noun in known.down:
        role, remedy = repair_of(known.down[noun])
        return replace(verdict, role=role, remedy=remedy)
    if noun in known.unlisted and isinstance(fact, Answer) and not is_from_alb(fact):
        return replace(verdict, role=DISCOVERY)
    if known.key_refused and is_refusal(check, fact):
        return replace(verdict, role="", remedy=MINT)
    return verdict


def is_refusal(check: Check, fact: Fact) -> bool:
    """Whether the fact is that the given key was refused."""
    return isinstance(fact, Answer) and fact.status == 401 and check.subject[-1] == "key"


def failing_hop(check: Check, fact: Fact) -> str:
    """The service it is about: that of the name, or the one that did not answer: as the API says, or where the load
    balancer speaks, the one behind it."""
    if isinstance(fact, Discovery):
        return check.subject[-1]
    if not isinstance(fact, Answer):
        return ""
    if is_from_alb(fact):
        behind = "auth" if "auth" in check.subject else "api"
        return behind if fact.status in {502, 503, 504} else ""
    return str(fact.json.get("hop", "")) if isinstance(fact.json, dict) else ""


def is_from_alb(answer: Answer) -> bool:
    return answer.headers.get("server", "").startswith(ALB)


def repair_of(service: EcsService | None) -> tuple[str, str]:
    """The role that brings a service to its tasks, and what else does if none."""
    if service is None:
        return "", CREATE
    if service.desired == 0:
        return DISCOVERY, ""  # its minimum_count
    if service.rollout in {"", "COMPLETED"}:
        return "", RESTARTED
    return CONFIG, ""  # what a deployment fails for, the image and the settings, is its to set, and to wait for


def unknown(fact: Unknown) -> Verdict:
    return Verdict(False, f"unknown: {fact.reason}", "what is unknown has not passed")


def status_is(code: int) -> Rule:
    def rule(answer: Answer) -> Verdict:
        return _answered(answer, answer.status == code, f"the status is {code}")

    return rule


def reaches_mlflow(answer: Answer) -> Verdict:
    """What the API says of MLflow: every hop between them ends in the same 503, but its reason tells them apart."""
    verdict = _answered(answer, answer.status == 200, "the status is 200")
    reason = answer.json.get("reason") if isinstance(answer.json, dict) else None
    if verdict.passed or not reason:
        return verdict
    text = str(reason)[:EXCERPT]
    role = next((role for phrase, role in SIGHTS if phrase in text.lower()), "")
    return replace(verdict, observed=f"{verdict.observed}: {text}", role=role)


def refused_by_the_api(answer: Answer) -> Verdict:
    """A refusal is the API's only when it is in MLflow's JSON shape: MLflow and the ALB answer in other ways."""
    body = answer.json
    shaped = isinstance(body, dict) and {"error_code", "message"} <= body.keys()
    return _answered(answer, answer.status == 401 and shaped, "the status is 401, with error_code and message in JSON")


def lists_experiments(answer: Answer) -> Verdict:
    body = answer.json
    listed = isinstance(body, dict) and isinstance(body.get("experiments"), list)
    return _answered(answer, answer.status == 200 and listed, "the status is 200, with a JSON list of experiments")


def is_running(service: EcsService | None) -> Verdict:
    return _serving(service, service is not None and service.running > 0, "at least one task runs")


def is_settled(service: EcsService | None) -> Verdict:
    settled = service is not None and service.running == service.desired > 0 and service.rollout == "COMPLETED"
    return _serving(service, settled, "as many tasks run as desired, and the PRIMARY deployment is COMPLETED")


def is_registered(name: str) -> Rule:
    def rule(found: Discovery | None) -> Verdict:
        text = f"{name} has the addresses of exactly the running tasks"
        if found is None:
            return Verdict(False, "there is no such service", text, remedy=CREATE)
        evidence = {"names": list(found.names), "registered": sorted(found.registered), "tasks": sorted(found.tasks)}
        if name not in found.names:
            observed = f"the service is registered as {', '.join(found.names) or 'nothing'}"
            return Verdict(False, observed, text, DISCOVERY, evidence)
        observed = f"{_listed(found.registered)} registered, {_listed(found.tasks)} running"
        passed = bool(found.tasks) and found.registered == found.tasks
        if found.tasks and found.tasks < found.registered:
            return Verdict(passed, observed, text, "", evidence, STALE)
        return Verdict(passed, observed, text, DISCOVERY, evidence)

    return rule


def has_healthy_targets(group: TargetGroup | None) -> Verdict:
    text = "a load balancer forwards to it, and it has a target, and all but those that leave it are healthy"
    if group is None:
        return Verdict(False, "there is no such target group", text, ROUTING)
    staying = [target for target in group.targets if target.state != LEAVING]
    sick = [target for target in staying if target.state != "healthy"]
    evidence = {
        "attached": group.attached,
        "used_by": list(group.used_by),
        "targets": [vars(target) for target in group.targets],
    }
    if not group.attached:
        return Verdict(False, "no load balancer forwards to it", text, ROUTING, evidence)
    if sick or not staying:
        observed = "; ".join(f"{each.address} is {each.state} {each.reason}".strip() for each in sick) or "no target"
        return Verdict(False, observed, text, ROUTING if sick else DISCOVERY, evidence)
    return Verdict(True, f"{len(staying)} of {len(staying)} healthy", text, "", evidence)


def repairing_role(answer: Answer) -> str:
    """The role behind the hop that gave this answer."""
    if answer.error or answer.status is None:
        return ROUTING
    if is_from_alb(answer):
        return {502: CONFIG, 503: DISCOVERY, 504: GROUPS}.get(answer.status, ROUTING)
    return {401: CONFIG, 403: CONFIG, 502: DISCOVERY, 503: CONFIG, 504: GROUPS}.get(answer.status, ROUTING)


def _answered(answer: Answer, passed: bool, text: str) -> Verdict:
    observed = answer.outcome + (f": {answer.detail}" if answer.error else "")
    return Verdict(passed, observed, text, repairing_role(answer), answer.evidence())


def _serving(service: EcsService | None, passed: bool, text: str) -> Verdict:
    role, remedy = repair_of(service)
    if service is None:
        return Verdict(False, "there is no such service", text, role, remedy=remedy)
    rollout = f", PRIMARY {service.rollout}" if service.rollout else ""
    observed = f"{service.running} of {service.desired} running{rollout}"
    return Verdict(passed, observed, text, role, {"running": service.running, "desired": service.desired}, remedy)


def _listed(addresses: Iterable[str]) -> str:
    return ", ".join(sorted(addresses)) or "none"


SEARCH = "/api/mlflow/api/2.0/mlflow/experiments/search"
NOUNS = ("api", "mlflow", "auth")


def legacy() -> Iterator[Check]:
    """The eleven checks of the old script, verbatim: GET, no key, 10 s, redirects not followed (platform.md)."""
    yield _get("auth", "/", 404)
    yield _get("auth", "/health", 200)
    yield _get("registry", "/", 404)
    yield _get("registry", "/health", 503)
    yield _get("api", "/health", 200)
    for noun in NOUNS:
        yield Check(f"ecs_{noun}", f"ECS service {noun}", "running tasks > 0", ("service", noun), is_running)
    yield _get("registry", "/api/mlflow/health", 404)
    yield _get("registry", "/api/mlflow/version", 404)
    yield _get("registry", SEARCH, 401)


def connectivity(namespace: str, groups: Iterable[str] | Unknown) -> Iterator[Check]:
    """What a client needs, from the edge to MLflow, and the same seen from AWS."""
    for host in ("auth", "registry", "api"):
        yield _get(host, "/health", 200, f"{host}_health")
    yield replace(_get("registry", "/api/health/mlflow", 200, "api_to_mlflow"), rule=reaches_mlflow)
    for path in ("health", "version"):
        subject = ("http", "registry", "GET", f"/api/mlflow/{path}", "key")
        yield Check(f"proxy_{path}", f"GET /api/mlflow/{path} with the key", "200", subject, status_is(200))
    yield _search("search_without_key", "registry", "no key", refused_by_the_api)
    yield _search("search_with_refused_key", "registry", "refused key", refused_by_the_api)
    yield _search("search", "registry", "key", lists_experiments)
    yield _search("search_by_api_host", "api", "key", lists_experiments)
    for noun in NOUNS:
        expected = "running = desired > 0, PRIMARY COMPLETED"
        yield Check(f"ecs_{noun}", f"ECS service {noun}", expected, ("service", noun), is_settled)
    for noun in NOUNS:
        name = f"{noun}.{namespace}"
        rule = is_registered(name)
        yield Check(
            f"discovery_{noun}", f"Cloud Map {name}", "its instances = running tasks", ("discovery", noun), rule
        )
    if isinstance(groups, Unknown):
        yield Check("targets", "Target groups", "all targets healthy", ("unknown", groups.reason), has_healthy_targets)
        return
    for group in groups:
        expected = "attached, at least one target, all healthy"
        yield Check(f"targets_{group}", f"Target group {group}", expected, ("group", group), has_healthy_targets)


def _get(host: str, path: str, code: int, check_id: str = "") -> Check:
    """A request without key. Without an id of its own the check is known by host and path, as the old ones are."""
    name = f"GET {host}{path}"
    return Check(
        check_id or name.removeprefix("GET "), name, str(code), ("http", host, "GET", path, "no key"), status_is(code)
    )


def _search(check_id: str, host: str, key: str, rule: Rule) -> Check:
    expected = "200, JSON experiments" if rule is lists_experiments else "401, JSON in MLflow's shape"
    name = f"Search experiments at {host} with {key}"
    return Check(check_id, name, expected, ("http", host, "POST", SEARCH, key), rule)
