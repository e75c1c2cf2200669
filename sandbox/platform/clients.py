"""The AWS clients of the builder, all pointed at the sandbox's endpoint."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from sandbox.platform.description import REGION


class Clients:
    """One attribute per AWS service; made once each, for making one takes longer than a call."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, agent: str | None = None) -> None:
        """`agent` goes into the user agent of every call."""
        session: Any = boto3.session.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=REGION
        )
        config = Config(
            inject_host_prefix=False,
            proxies={},
            retries={"mode": "standard", "max_attempts": 2},
            user_agent_extra=agent,
        )

        def client(service: str) -> Any:
            return session.client(service, endpoint_url=endpoint, config=config)

        self.ec2, self.elbv2, self.ecs = client("ec2"), client("elbv2"), client("ecs")
        self.acm, self.route53, self.servicediscovery = client("acm"), client("route53"), client("servicediscovery")
        self.logs, self.ssm, self.iam = client("logs"), client("ssm"), client("iam")


def tags(name: str) -> list[dict[str, str]]:
    """The tags that Terraform puts on the real ones."""
    return [{"Key": "Name", "Value": name}, {"Key": "Environment", "Value": "development"}]
