"""Namespaces, services and operations as Cloud Map shows them."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

from moto.core.utils import unix_time
from moto.servicediscovery import models
from moto.servicediscovery.models import random_id

Json = dict[str, Any]

OPERATION_SECONDS = 0.2
SOA_TTL = 15


class Operation(models.Operation):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """SUBMITTED, then PENDING, then SUCCESS or FAIL: the asynchrony a client must wait out."""

    def __init__(self, operation_type: str, targets: dict[str, str]) -> None:
        self._started = time.monotonic()
        self.error: tuple[str, str] | None = None
        super().__init__(operation_type, targets)

    @property
    def is_done(self) -> bool:
        return time.monotonic() - self._started >= OPERATION_SECONDS

    @property
    def status(self) -> str:
        if self.is_done:
            return "FAIL" if self.error else "SUCCESS"
        return "SUBMITTED" if time.monotonic() - self._started < OPERATION_SECONDS / 2 else "PENDING"

    @status.setter
    def status(self, value: str) -> None:
        """moto's constructor assigns SUCCESS; the clock decides here."""

    def to_json(self, short: bool = False) -> Json:
        shown: Json = super().to_json(short)
        if self.error and self.is_done and not short:
            shown["ErrorCode"], shown["ErrorMessage"] = self.error
        return shown


class Namespace(models.Namespace):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """`created_by` is the operation that makes it: until that is done the API does not show the namespace.

    `owner` is SELF, or OTHER_ACCOUNTS for one that is shared with this account.
    """

    created_by: Operation | None = None
    owner = "SELF"
    creator_request_id: str
    dns_properties: Json

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.creator_request_id = self.creator_request_id or random_id(32)
        self.http_properties = {"HttpName": self.name}
        if self.type != "HTTP":
            self.dns_properties = {"SOA": {"TTL": SOA_TTL}, **self.dns_properties}

    @property
    def is_visible(self) -> bool:
        return self.created_by is None or self.created_by.is_done

    def to_json(self) -> Json:
        return _without_nothing(super().to_json())


class Service(models.Service):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A service; while an update runs, the API still shows what was."""

    creator_request_id: str
    dns_config: Json | None
    health_check_config: Json | None
    health_check_custom_config: Json | None
    service_type: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.creator_request_id = self.creator_request_id or random_id(32)
        self._shown_before: Json = {}
        self._updated_by: Operation | None = None
        if self.dns_config is not None:
            self.dns_config = {"RoutingPolicy": "MULTIVALUE", **self.dns_config, "NamespaceId": self.namespace_id}
        if self.health_check_custom_config is not None:
            self.health_check_custom_config = {"FailureThreshold": 1}
        self.service_type = self.service_type or ("HTTP" if self.dns_config is None else "DNS_HTTP")

    def stage(self, details: Json) -> None:
        """Take an update: what it omits of DNS records and health check is deleted (UpdateService, API reference)."""
        self._shown_before = self.to_json()
        if "Description" in details:
            self.description = details["Description"]
        records = details.get("DnsConfig", {}).get("DnsRecords", [])
        self.dns_config = {**(self.dns_config or {}), "DnsRecords": deepcopy(records)} if records else None
        self.health_check_config = deepcopy(details.get("HealthCheckConfig"))

    def staged_by(self, operation: Operation) -> None:
        self._updated_by = operation

    def to_json(self) -> Json:
        if self._updated_by is not None and not self._updated_by.is_done:
            return self._shown_before
        return _without_nothing({**super().to_json(), "InstanceCount": len(self.instances)})


def _without_nothing(shown: Json) -> Json:
    """AWS leaves out what is not set; moto sends nulls."""
    kept = {key: value for key, value in shown.items() if value is not None}
    return {**kept, "CreateDate": kept.get("CreateDate", unix_time())}
