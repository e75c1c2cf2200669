"""Application load balancers as AWS runs them (gaps of moto: rule order, swaps, limits, targets, read-backs)."""

from __future__ import annotations

from moto.elb import urls
from moto.elbv2 import models

from sandbox.controlplane.fidelity.elbv2.backend import ELBv2Backend
from sandbox.controlplane.fidelity.elbv2.listeners import Listener, LoadBalancer
from sandbox.controlplane.fidelity.elbv2.responses import ELBV2Response
from sandbox.controlplane.fidelity.elbv2.target_groups import TargetGroup
from sandbox.controlplane.fidelity.replace import use_backend


def install(pace: float) -> None:
    """Replace moto's elbv2; `pace` divides the deregistration delay."""
    TargetGroup.pace = pace
    models.FakeTargetGroup = TargetGroup
    models.FakeListener = Listener
    models.FakeLoadBalancer = LoadBalancer
    urls.ELBV2Response = ELBV2Response
    use_backend(models.elbv2_backends, ELBv2Backend)
