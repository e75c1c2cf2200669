"""Which target group gets a request, and which of its targets: the state that turns as requests come."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.dataplane.routing import Forward
from sandbox.model import Target, TargetGroup

HEALTHY = "healthy"
ROUTABLE = (HEALTHY, "unhealthy", "initial")
UNUSED = "unused"


def candidates(group: TargetGroup) -> tuple[Target, ...]:
    """Healthy targets; when there is none the ALB fails open to all registered ones that are not leaving.

    A group that no rule names any more was chosen by the rule just before: its targets are `unused`, and still there.
    """
    routable = ROUTABLE if group.load_balancers else (*ROUTABLE, UNUSED)
    registered = tuple(target for target in group.targets if target.state in routable)
    return tuple(target for target in registered if target.state == HEALTHY) or registered


@dataclass
class Balancer:
    """Round robin over targets; smooth weighted round robin over groups, so shares are exact, not a matter of luck."""

    _turns: dict[str, int] = field(default_factory=dict)
    _credits: dict[tuple[str, Forward], dict[str, int]] = field(default_factory=dict)

    def group(self, rule: str, forward: Forward) -> str | None:
        """The ARN whose turn it is among those with a weight; None when all weights are zero."""
        weighted = [(arn, weight) for arn, weight in forward.groups if weight > 0]
        if len(weighted) < 2:
            return weighted[0][0] if weighted else None
        shares = self._credits.setdefault((rule, forward), dict.fromkeys((arn for arn, _ in weighted), 0))
        for arn, weight in weighted:
            shares[arn] += weight
        chosen = max(shares, key=lambda arn: shares[arn])
        shares[chosen] -= sum(weight for _, weight in weighted)
        return chosen

    def target(self, group: TargetGroup) -> Target | None:
        """The next target of the group; None when it has none to offer."""
        among = candidates(group)
        if not among:
            return None
        turn = self._turns[group.arn] = self._turns.get(group.arn, -1) + 1
        return among[turn % len(among)]
