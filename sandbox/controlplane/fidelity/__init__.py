"""What moto forgives and AWS does not: one package or module per service, installed as moto's own classes.

Each replaces moto's backend and response classes by subclasses, so every deviation from moto is a method here.
"""

from __future__ import annotations

from sandbox.controlplane.fidelity import acm, cloudwatch, ec2, ecs, elbv2, kms, logs, route53, servicediscovery, ssm


def install(pace: float) -> None:
    """Make moto's services strict, for the whole process; doing it twice changes nothing but the pace."""
    acm.install()
    cloudwatch.install(pace)
    elbv2.install(pace)
    ec2.install()
    ecs.install()
    kms.install()
    logs.install()
    route53.install()
    servicediscovery.install()
    ssm.install()
