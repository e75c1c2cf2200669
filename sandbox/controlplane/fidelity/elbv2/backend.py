"""The elbv2 backend with AWS's checks in front of moto's store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from moto.elbv2 import exceptions as errors
from moto.elbv2 import models
from moto.elbv2.ssl_policies import SSL_POLICIES

from sandbox.controlplane.fidelity.elbv2 import actions as action_forms
from sandbox.controlplane.fidelity.elbv2 import conditions as condition_forms
from sandbox.controlplane.fidelity.elbv2.target_groups import check_attributes, check_health_check
from sandbox.controlplane.fidelity.replace import Replacement

MAX_RULES_PER_LOAD_BALANCER = 100
MAX_TARGET_GROUPS_PER_LOAD_BALANCER = 100
MAX_PRIORITY = 50000
MAX_TAGS = 50
MAX_DESCRIBED_TAGS = 20

Json = dict[str, Any]


class ELBv2Backend(Replacement, models.ELBv2Backend):  # type: ignore[misc]  # moto is untyped here
    """Sources of the rules: ELB API reference 2015-12-01 and the ALB quotas page."""

    moto_package = "moto.elbv2"

    # load balancers

    def create_load_balancer(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Idempotent for the same settings; an ALB wants two zones, and gets an ENI in each."""
        wanted = _LoadBalancerSettings.of(kwargs)
        existing = next((lb for lb in self.load_balancers.values() if lb.name == name), None)
        if existing:
            if wanted == _LoadBalancerSettings.held_by(existing):
                return existing
            raise errors.DuplicateLoadBalancerName
        subnets = [self.ec2_backend.get_subnet(subnet) for subnet in wanted.subnets]
        if len({subnet.availability_zone for subnet in subnets}) < 2:
            raise errors.ValidationError("At least two subnets in two different Availability Zones must be specified")
        if not wanted.security_groups:
            default = self.ec2_backend.get_default_security_group(subnets[0].vpc_id)
            kwargs["security_groups"] = [default.id]
        for group in kwargs["security_groups"]:
            if self.ec2_backend.get_security_group_from_id(group) is None:
                raise errors.ELBClientError("InvalidSecurityGroup", f"Security group '{group}' does not exist")
        kwargs["scheme"] = wanted.scheme
        balancer = super().create_load_balancer(name, *args, **kwargs)
        self._attach_interfaces(balancer)
        return balancer

    def delete_load_balancer(self, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer and balancer.attrs["deletion_protection.enabled"] == "true":
            raise errors.ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        super().delete_load_balancer(arn)
        for interface in balancer.interfaces if balancer else []:
            self.ec2_backend.delete_network_interface(interface)

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        super().set_security_groups(arn, sec_groups)
        for interface in self.load_balancers[arn].interfaces:
            self.ec2_backend.modify_network_interface_attribute(interface, sec_groups)

    def describe_load_balancers(self, arns: list[str] | None, names: list[str] | None) -> list[Any]:
        known = {lb.arn for lb in self.load_balancers.values()} | {lb.name for lb in self.load_balancers.values()}
        missing = [wanted for wanted in [*(arns or []), *(names or [])] if wanted not in known]
        if missing:
            raise errors.LoadBalancerNotFoundError(f"Load balancers '[{', '.join(missing)}]' not found")
        found: list[Any] = super().describe_load_balancers(arns, names)
        return found

    def _attach_interfaces(self, balancer: Any) -> None:
        for subnet in balancer.subnets:
            interface = self.ec2_backend.create_network_interface(
                subnet, None, group_ids=balancer.security_groups, description=f"ELB {balancer.short_arn}"
            )
            interface.status = "in-use"
            balancer.interfaces.append(interface.id)

    # listeners

    def create_listener(
        self,
        load_balancer_arn: str,
        protocol: str,
        port: str,
        ssl_policy: str,
        certificate: str | None,
        actions: list[Json],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        balancer = self.load_balancers.get(load_balancer_arn)
        if balancer is None:
            raise errors.LoadBalancerNotFoundError(f"Load balancer '{load_balancer_arn}' not found")
        _check_port_is_free(balancer, int(port))
        if protocol == "HTTPS":
            self._check_tls(certificate, ssl_policy)
        checked = self._checked_actions(actions, balancer)
        return super().create_listener(
            load_balancer_arn, protocol, port, ssl_policy, certificate, checked, *args, **kwargs
        )

    def modify_listener(
        self,
        arn: str,
        port: str | None = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: list[Json] | None = None,
        actions: list[Json] | None = None,
    ) -> Any:
        listener = self._listener(arn)
        balancer = self.load_balancers[listener.load_balancer_arn]
        if port is not None and int(port) != int(listener.port):
            _check_port_is_free(balancer, int(port))
        if protocol == "HTTPS" and not certificates and not listener.certificates:
            self._check_tls(None, ssl_policy or "")
        checked = self._checked_actions(actions, balancer) if actions else []
        additional = listener.certificates[1:]
        changed = super().modify_listener(arn, port, protocol, ssl_policy, certificates or [], checked)
        if certificates:  # the default is replaced, the additional ones stay
            changed.certificates[1:] = [each for each in additional if each != changed.certificate]
        return changed

    def modify_listener_attributes(self, listener_arn: str, attrs: list[dict[str, str]]) -> dict[str, str]:
        known = self._listener(listener_arn).attributes
        for attribute in attrs:
            if attribute["Key"] not in known:
                raise errors.ValidationError(f"Listener attribute key '{attribute['Key']}' is not recognized")
        merged: dict[str, str] = super().modify_listener_attributes(listener_arn, attrs)
        return merged

    def _listener(self, arn: str) -> Any:
        for balancer in self.load_balancers.values():
            if arn in balancer.listeners:
                return balancer.listeners[arn]
        raise errors.ELBClientError("ListenerNotFound", f"One or more listeners not found: '{arn}'")

    def _check_tls(self, certificate: str | None, ssl_policy: str) -> None:
        if not certificate:
            raise errors.ValidationError("A certificate must be specified for HTTPS listeners")
        if not self._certificate_exists(certificate):
            raise errors.ELBClientError("CertificateNotFound", f"Certificate '{certificate}' not found")
        if ssl_policy not in SSL_POLICIES:
            raise errors.ELBClientError("SSLPolicyNotFound", f"SSL policy '{ssl_policy}' not found")

    # rules

    def create_rule(
        self,
        listener_arn: str,
        conditions: list[Json],
        priority: int,
        actions: list[Json],
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        listener = self._listener(listener_arn)
        balancer = self.load_balancers[listener.load_balancer_arn]
        _check_priority(priority)
        shown = condition_forms.read_back(conditions)
        condition_forms.check(shown)
        checked = self._checked_actions(actions, balancer)
        _check_tag_count({}, tags or [])
        if any(int(rule.priority) == priority for rule in listener.custom_rules):
            raise _priority_in_use(priority)
        if sum(len(each.custom_rules) for each in balancer.listeners.values()) >= MAX_RULES_PER_LOAD_BALANCER:
            raise errors.ELBClientError(
                "TooManyRules", f"The maximum number of rules on load balancer '{balancer.arn}' has been reached"
            )
        rule = super().create_rule(listener_arn, shown, priority, checked, tags)
        rule.transforms = []
        return rule

    def modify_rule(self, rule_arn: str, conditions: list[Json], actions: list[Json]) -> Any:
        rule = self._custom_rule(rule_arn, "modified")
        shown = condition_forms.read_back(conditions)
        if conditions:
            condition_forms.check(shown)
        listener = self._listener(rule.listener_arn)
        checked = self._checked_actions(actions, self.load_balancers[listener.load_balancer_arn]) if actions else []
        return super().modify_rule(rule_arn, shown, checked)

    def delete_rule(self, arn: str) -> None:
        rule = self._custom_rule(arn, "deleted")
        self._listener(rule.listener_arn).remove_rule(arn)
        self.tagging_service.delete_all_tags_for_resource(arn)

    def set_rule_priorities(self, rule_priorities: list[Json]) -> list[Any]:
        """The mapping is judged as a whole: a swap is one call ("no priority conflicts in the new order")."""
        wanted = {pair["RuleArn"]: int(pair["Priority"]) for pair in rule_priorities}
        for priority in wanted.values():
            _check_priority(priority)
        rules = {arn: self._custom_rule(arn, "modified") for arn in wanted}
        for listener_arn in {rule.listener_arn for rule in rules.values()}:
            _check_new_order(self._listener(listener_arn), wanted)
        for arn, rule in rules.items():
            rule.priority = wanted[arn]
        return list(rules.values())

    def _validate_conditions(self, conditions: list[Json]) -> None:
        """moto's own checks refuse what ELB takes; `conditions.check` has run."""

    def _custom_rule(self, arn: str, deed: str) -> Any:
        for rule in self._rules():
            if rule.arn != arn:
                continue
            if rule.is_default:
                raise errors.ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be {deed}")
            return rule
        raise errors.RuleNotFoundError(f"One or more rules not found: '{arn}'")

    def _rules(self) -> Iterator[Any]:
        for balancer in self.load_balancers.values():
            for listener in balancer.listeners.values():
                yield from listener.rules.values()

    def _checked_actions(self, actions: list[Json], balancer: Any) -> list[Json]:
        """Actions in read-back form, their target groups free to serve this load balancer."""
        shown = action_forms.read_back(actions)
        action_forms.check(shown)
        arns = action_forms.target_group_arns(shown)
        for arn in arns:
            if arn not in self.target_groups:
                raise errors.ActionTargetGroupNotFoundError(arn)
            if self.load_balancers_of(arn) - {balancer.arn}:
                raise errors.ELBClientError(
                    "TargetGroupAssociationLimit",
                    f"The following target groups cannot be associated with more than one load balancer: {arn}",
                )
        if len(self._target_groups_of(balancer) | set(arns)) > MAX_TARGET_GROUPS_PER_LOAD_BALANCER:
            raise errors.ELBClientError(
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                "You've reached the limit on the number of unique target groups per load balancer",
            )
        return shown

    # target groups

    def load_balancers_of(self, target_group_arn: str) -> set[str]:
        """ARNs of the load balancers with a rule that forwards to the group."""
        return {
            balancer.arn
            for balancer in self.load_balancers.values()
            if target_group_arn in self._target_groups_of(balancer)
        }

    def create_target_group(self, name: str, **kwargs: Any) -> Any:
        """Idempotent for the same settings (ELB API reference, CreateTargetGroup)."""
        existing = next((group for group in self.target_groups.values() if group.name == name), None)
        if existing:
            del self.target_groups[existing.arn]
        group = None
        try:
            group = super().create_target_group(name, **kwargs)
            group.elbv2_backend = self
            check_health_check(group)
        finally:
            if group is not None and existing:
                del self.target_groups[group.arn]
            if existing:
                self.target_groups[existing.arn] = existing
        if existing is None:
            return group
        if _settings(existing) != _settings(group):
            raise errors.DuplicateTargetGroupName
        return existing

    def modify_target_group(self, arn: str, *args: Any, **kwargs: Any) -> Any:
        group = self._target_group(arn)
        before = {**vars(group), "matcher": dict(group.matcher)}
        super().modify_target_group(arn, *args, **kwargs)
        try:
            check_health_check(group)
        except errors.ELBClientError:
            vars(group).update(before)
            raise
        return group

    def modify_target_group_attributes(self, target_group_arn: str, attributes: dict[str, str]) -> None:
        group = self._target_group(target_group_arn)
        check_attributes(group, attributes)
        delay = "deregistration_delay.timeout_seconds"
        super().modify_target_group_attributes(
            target_group_arn, {key: value for key, value in attributes.items() if key != delay}
        )
        if delay in attributes:  # moto refuses 3600
            group.attributes[delay] = attributes[delay]

    def describe_target_health(self, target_group_arn: str, targets: list[Json]) -> list[Any]:
        group = self._target_group(target_group_arn)
        return [group.health_for(target, self.ec2_backend) for target in targets or group.live_targets().values()]

    def _target_group(self, arn: str) -> Any:
        if arn not in self.target_groups:
            raise errors.TargetGroupNotFoundError
        return self.target_groups[arn]

    def _target_groups_of(self, balancer: Any) -> set[str]:
        return {
            arn
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for arn in action_forms.target_group_arns([action.data for action in rule.actions])
        }

    # tags

    def add_tags(self, resource_arns: list[str], tags: list[dict[str, str]]) -> None:
        for arn in resource_arns:
            self._get_resource_by_arn(arn)
            _check_tag_count(self.tagging_service.get_tag_dict_for_resource(arn), tags)
        for arn in resource_arns:
            self.tagging_service.tag_resource(arn, tags)

    def describe_tags(self, resource_arns: list[str]) -> dict[str, dict[str, str]]:
        if len(resource_arns) > MAX_DESCRIBED_TAGS:
            raise errors.ValidationError(f"Cannot have more than {MAX_DESCRIBED_TAGS} resources described")
        for arn in resource_arns:
            self._get_resource_by_arn(arn)
        found: dict[str, dict[str, str]] = super().describe_tags(resource_arns)
        return found


class _LoadBalancerSettings(tuple[Any, ...]):
    """What two CreateLoadBalancer requests must share to be the same request."""

    __slots__ = ()

    @classmethod
    def of(cls, request: Json) -> _LoadBalancerSettings:
        mapped = [mapping["SubnetId"] for mapping in request.get("subnet_mappings") or []]
        subnets = frozenset([*(request.get("subnet_ids") or []), *mapped])
        groups = frozenset(request.get("security_groups") or [])
        return cls((request.get("scheme") or "internet-facing", subnets, groups))

    @classmethod
    def held_by(cls, balancer: Any) -> _LoadBalancerSettings:
        subnets = frozenset(subnet.id for subnet in balancer.subnets)
        return cls((balancer.scheme, subnets, frozenset(balancer.security_groups)))

    @property
    def scheme(self) -> str:
        return str(self[0])

    @property
    def subnets(self) -> Iterable[str]:
        return sorted(self[1])

    @property
    def security_groups(self) -> Iterable[str]:
        return sorted(self[2])


def _settings(group: Any) -> Json:
    """A target group's settings without its identity and its targets."""
    apart = {"arn", "targets", "deregistered_targets", "terminated_targets", "attributes", "elbv2_backend"}
    return {key: str(value) for key, value in vars(group).items() if key not in apart}


def _check_port_is_free(balancer: Any, port: int) -> None:
    if any(int(listener.port) == port for listener in balancer.listeners.values()):
        raise errors.DuplicateListenerError


def _check_priority(priority: int) -> None:
    if not 1 <= priority <= MAX_PRIORITY:
        raise errors.ValidationError(
            f"1 validation error detected: Value '{priority}' at 'priority' failed to satisfy constraint: "
            f"Member must be between 1 and {MAX_PRIORITY}"
        )


def _check_new_order(listener: Any, wanted: dict[str, int]) -> None:
    order = [(wanted.get(rule.arn, int(rule.priority)), rule.arn) for rule in listener.custom_rules]
    taken: dict[int, str] = {}
    for priority, arn in order:
        if priority in taken:
            if arn in wanted and taken[priority] in wanted:
                raise errors.DuplicatePriorityError(str(priority))
            raise _priority_in_use(priority)
        taken[priority] = arn


def _priority_in_use(priority: int) -> Exception:
    error: Exception = errors.ELBClientError("PriorityInUse", f"Priority '{priority}' is currently in use")
    return error


def _check_tag_count(held: dict[str, str], tags: list[dict[str, str]]) -> None:
    if len(set(held) | {tag["Key"] for tag in tags}) > MAX_TAGS:
        raise errors.TooManyTagsError
