"""The AWS clients of the builder, all pointed at the sandbox's endpoint."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from sandbox.platform.description import REGION

SERVICES = frozenset(
    {
        "acm",
        "application-autoscaling",
        "ec2",
        "ecs",
        "elbv2",
        "iam",
        "logs",
        "route53",
        "servicediscovery",
        "sns",
        "ssm",
    }
)


class Clients:
    """One attribute per AWS service; made once each and when first used, for making one takes longer than a call."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, agent: str | None = None) -> None:
        """`agent` goes into the user agent of every call."""
        self._endpoint = endpoint
        self._session: Any = boto3.session.Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=REGION
        )
        self._config = Config(
            inject_host_prefix=False,
            proxies={},
            retries={"mode": "standard", "max_attempts": 2},
            user_agent_extra=agent,
        )

    def __getattr__(self, service: str) -> Any:
        if service not in SERVICES:
            raise AttributeError(service)
        made = self._session.client(service, endpoint_url=self._endpoint, config=self._config)
        setattr(self, service, made)
        return made


def tags(name: str) -> list[dict[str, str]]:
    """The tags that Terraform puts on the real ones."""
    return [{"Key": "Name", "Value": name}, {"Key": "Environment", "Value": "development"}]
