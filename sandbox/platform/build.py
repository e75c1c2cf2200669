"""Builds a described platform in an empty account."""

from __future__ import annotations

from sandbox.platform import compute, edge, network
from sandbox.platform.clients import Clients
from sandbox.platform.description import Platform


def build(aws: Clients, platform: Platform, certificate: edge.Certificate) -> dict[str, str]:
    """Create everything and start the services; return the target groups' ARNs by name.

    The services are starting when this returns. Health paths and rules are still those of the roll-out: call
    `edge.drift` once the services are steady.
    """
    built = network.build(aws, platform)
    groups = edge.build(aws, platform, built, certificate)
    compute.build(aws, platform, built, groups)
    return groups
