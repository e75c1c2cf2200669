# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One listener of a load balancer: its state, and the steps from one state to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import elb_action
from ansible_collections.hokusai.platform.plugins.module_utils import tags as tagging
from ansible_collections.hokusai.platform.plugins.module_utils.elb import GROUP_REMEDY
from ansible_collections.hokusai.platform.plugins.module_utils.elb_action import Actions
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Later, Observed, Step, filled

BALANCER = "the load balancer"
LISTENER = "the listener"
NEW_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""AWS's default for API calls, ELBSecurityPolicy-2016-08, still speaks TLS 1.0 (ELB user guide: security policies)."""


@dataclass(frozen=True)
class Listener:
    """A listener as this collection manages it; what is None is unmanaged, or in an observed one was not read.

    `certificates` are references (see `acm.py`), the default one first and the others sorted. `attributes` and `tags`
    hold what was asked for, by AWS's names. One that `keeps_default` has a default action for a new listener alone.
    """

    name: str
    port: int
    protocol: str | None = None
    certificates: tuple[str, ...] | None = None
    ssl_policy: str | None = None
    default_action: Actions | None = None
    attributes: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    keeps_default: bool = False

    def shown(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "keeps_default"}

    def beside(self) -> Listener:
        """What is wanted of a listener that exists."""
        return replace(self, default_action=None, keeps_default=False) if self.keeps_default else self

    def over(self, current: Listener) -> Listener:
        return filled(current, self.beside())


def plan(observed: Observed[Listener], desired: Listener | None) -> Iterator[Step]:
    """Raises `BadInput` for a listener that cannot be had as asked for, or is not ours to delete."""
    current = observed.resource
    if desired is None:
        yield from deletion(observed)
    elif current is None:
        yield from creation(observed, with_tls_policy(desired))
    else:
        desired = desired.beside()
        refuse_dropping(current, desired)
        secured = desired if current.protocol == "HTTPS" else with_tls_policy(desired)
        yield from changes(observed, current, secured)


def with_tls_policy(desired: Listener) -> Listener:
    """For a listener that had none to leave alone: a policy that was not asked for is chosen here, not by AWS."""
    if desired.protocol != "HTTPS" or desired.ssl_policy:
        return desired
    return replace(desired, ssl_policy=NEW_TLS_POLICY)


def refuse_dropping(current: Listener, desired: Listener) -> None:
    """An authentication is a lock that somebody put there; this collection cannot have written it."""
    types = elb_action.foreign(current.default_action or ())
    if types and desired.default_action:
        raise BadInput(
            f"Default action of {desired.name}: the live one has the action {types}, which would be dropped",
            "omit default_action to leave it alone, or take that action off first with what made it",
        )


def deletion(observed: Observed[Listener]) -> Iterator[Step]:
    current = observed.resource
    if current is None:
        return
    if not tagging.is_owned(current.tags or {}):
        raise BadInput(
            f"Listener {current.name} was not made by this collection (no tag {tagging.MANAGED_BY})",
            "delete it with what made it, or tag it first",
        )
    why = f"listener {current.name} is no longer wanted"
    yield Step("delete_listener", {"ListenerArn": observed.ids[LISTENER]}, why)


def creation(observed: Observed[Listener], desired: Listener) -> Iterator[Step]:
    refuse_incomplete(desired)
    name = f"listener {desired.name}"
    arguments = {
        "LoadBalancerArn": observed.ids[BALANCER],
        "Port": desired.port,
        **settings(observed, desired),
        "Tags": tagging.to_aws(tagging.owned(desired.tags)),
    }
    yield Step("create_listener", arguments, f"{name} is absent")
    arn = {"ListenerArn": Later(name)}
    if desired.certificates and desired.certificates[1:]:
        yield add_certificates(observed, arn, desired.name, desired.certificates[1:])
    yield from attribute_changes(arn, name, desired.attributes or {})


def refuse_incomplete(desired: Listener) -> None:
    needed: dict[str, Any] = {"protocol": desired.protocol, "default_action": desired.default_action}
    if desired.protocol == "HTTPS":
        needed["certificates"] = desired.certificates
    for option, value in needed.items():
        if not value:
            raise BadInput(f"Listener {desired.name} does not exist yet, and {option} is not set", f"set {option}")


def changes(observed: Observed[Listener], current: Listener, desired: Listener) -> Iterator[Step]:
    """A certificate is added before the default one changes and removed after: no name goes without one meanwhile.

    Only an HTTPS listener takes certificates besides the default one; what is to become one gets them after.
    """
    arn = {"ListenerArn": observed.ids[LISTENER]}
    live, want = current.certificates or (), desired.certificates
    added = [each for each in (want or ())[1:] if each not in live[1:]]
    removed = [each for each in live[1:] if want is not None and each not in want]
    adding = [add_certificates(observed, arn, desired.name, added)] if added else []
    modifying = list(modification(observed, arn, current, desired))
    yield from (*adding, *modifying) if current.protocol == "HTTPS" else (*modifying, *adding)
    if removed:
        why = f"listener {desired.name} no longer needs the certificates {', '.join(removed)}"
        yield Step("remove_listener_certificates", {**arn, **certificates(observed, removed)}, why)
    name = f"listener {desired.name}"
    yield from attribute_changes(arn, name, tagging.missing(current.attributes or {}, desired.attributes or {}))
    tags = tagging.missing(current.tags or {}, desired.tags or {})
    if tags:
        arguments = {"ResourceArns": list(arn.values()), "Tags": tagging.to_aws(tags)}
        yield Step("add_tags", arguments, f"tags of {name}: {', '.join(sorted(tags))}")


def modification(
    observed: Observed[Any], arn: Mapping[str, str], current: Listener, desired: Listener
) -> Iterator[Step]:
    """One ModifyListener with what differs, if anything does."""
    differs = {
        option: (getattr(current, option), getattr(desired, option))
        for option in ("protocol", "ssl_policy", "default_action")
        if getattr(desired, option) not in (None, getattr(current, option))
    }
    arguments = settings(
        observed, Listener(desired.name, desired.port, **{option: new for option, (old, new) in differs.items()})
    )
    reasons = [f"{option} {says(old)} becomes {says(new)}" for option, (old, new) in differs.items()]
    if desired.certificates and (current.certificates or ())[:1] != desired.certificates[:1]:
        arguments.update(certificates(observed, desired.certificates[:1]))
        reasons.append(f"default certificate becomes {desired.certificates[0]}")
    if reasons:
        yield Step("modify_listener", {**arn, **arguments}, f"listener {desired.name}: {'; '.join(reasons)}")


def says(value: Any) -> str:
    return elb_action.says(value) if isinstance(value, tuple) else str(value)


def settings(observed: Observed[Any], desired: Listener) -> dict[str, Any]:
    """What CreateListener and ModifyListener have in common, without what is unmanaged."""

    def arn(name: str) -> Any:
        return observed.id(name, f"{GROUP_REMEDY} (listener {desired.name} forwards to it)")

    arguments: dict[str, Any] = {}
    if desired.protocol:
        arguments["Protocol"] = desired.protocol
    if desired.ssl_policy:
        arguments["SslPolicy"] = desired.ssl_policy
    if desired.default_action:
        arguments["DefaultActions"] = [elb_action.to_aws(action, arn) for action in desired.default_action]
    if desired.certificates:
        arguments.update(certificates(observed, desired.certificates[:1]))
    return arguments


def add_certificates(
    observed: Observed[Listener], arn: Mapping[str, str | Later], name: str, added: list[str] | tuple[str, ...]
) -> Step:
    why = f"listener {name} also needs the certificates {', '.join(added)}"
    return Step("add_listener_certificates", {**arn, **certificates(observed, added)}, why)


def certificates(observed: Observed[Any], listed: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return {"Certificates": [{"CertificateArn": observed.ids[each]} for each in listed]}


def attribute_changes(arn: Mapping[str, str | Later], name: str, changed: Mapping[str, str]) -> Iterator[Step]:
    if changed:
        arguments = {**arn, "Attributes": tagging.to_aws(changed)}
        yield Step("modify_listener_attributes", arguments, f"attributes of {name}: {', '.join(sorted(changed))}")
