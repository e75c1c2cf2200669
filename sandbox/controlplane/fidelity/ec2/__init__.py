"""Security groups as AWS keeps them: descriptions on every rule, changes all or nothing, no deletion while in use."""

from __future__ import annotations

from moto.ec2 import models
from moto.ec2.models import security_groups

from sandbox.controlplane.fidelity.ec2.backend import EC2Backend
from sandbox.controlplane.fidelity.ec2.responses import EC2Response
from sandbox.controlplane.fidelity.ec2.rules import SecurityGroupRule
from sandbox.controlplane.fidelity.replace import use_backend, use_response


def install() -> None:
    """Replace moto's ec2."""
    security_groups.SecurityGroupRule = SecurityGroupRule
    use_backend(models.ec2_backends, EC2Backend)
    use_response("moto.ec2", EC2Response)
