"""Cloud Map answers: filters and pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from moto.servicediscovery import responses

from sandbox.controlplane.fidelity.servicediscovery.errors import invalid

MAX_PAGE = 100
Fields = Callable[[Any], dict[str, str]]


class ServiceDiscoveryResponse(responses.ServiceDiscoveryResponse):  # type: ignore[misc]  # moto is untyped here
    """moto's Cloud Map responses, completed."""

    def list_namespaces(self) -> str:
        def fields(namespace: Any) -> dict[str, str]:
            name = namespace.name
            return {"TYPE": namespace.type, "NAME": name, "HTTP_NAME": name, "RESOURCE_OWNER": namespace.owner}

        found = self._filtered(self.servicediscovery_backend.visible_namespaces(), fields)
        return self._page("Namespaces", [namespace.to_json() for namespace in found])

    def list_services(self) -> str:
        def fields(service: Any) -> dict[str, str]:
            return {"NAMESPACE_ID": service.namespace_id, "RESOURCE_OWNER": "SELF"}

        found = self._filtered(self.servicediscovery_backend.list_services(), fields)
        shown = [service.to_json() for service in found]
        for summary in shown:
            summary.pop("NamespaceId", None)
            summary.pop("CreatorRequestId", None)
        return self._page("Services", shown)

    def list_operations(self) -> str:
        def fields(operation: Any) -> dict[str, str]:
            targets = operation.targets
            return {
                "NAMESPACE_ID": targets.get("NAMESPACE", ""),
                "SERVICE_ID": targets.get("SERVICE", ""),
                "STATUS": operation.status,
                "TYPE": operation.operation_type,
            }

        found = self._filtered(self.servicediscovery_backend.list_operations(), fields)
        return self._page("Operations", [operation.to_json(short=True) for operation in found])

    def list_instances(self) -> str:
        service_id = self._request.get("ServiceId", "")
        instances = self.servicediscovery_backend.list_instances(service_id=service_id)
        return self._page("Instances", [instance.to_json() for instance in instances])

    @property
    def _request(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body or "{}")
        return parsed

    def _filtered(self, items: Iterable[Any], fields: Fields) -> list[Any]:
        filters = self._request.get("Filters") or []
        return [item for item in items if all(_matches(each, fields(item)) for each in filters)]

    def _page(self, key: str, items: list[Any]) -> str:
        """One page; the token is the index of the next item."""
        size, token = self._request.get("MaxResults", MAX_PAGE), self._request.get("NextToken") or "0"
        if not 1 <= size <= MAX_PAGE or not token.isdigit():
            raise invalid("MaxResults must be between 1 and 100, and NextToken one that was returned.")
        start = int(token)
        answer: dict[str, Any] = {key: items[start : start + size]}
        if start + size < len(items):
            answer["NextToken"] = str(start + size)
        return json.dumps(answer)


def _matches(condition: dict[str, Any], fields: dict[str, str]) -> bool:
    name: str = condition["Name"]
    values: list[str] = condition["Values"]
    if name not in fields:
        raise invalid(f"Filter '{name}' must be one of {sorted(fields)}.")
    comparison = condition.get("Condition", "EQ")
    if comparison == "IN":
        return fields[name] in values
    if comparison == "BEGINS_WITH":
        return fields[name].startswith(values[0])
    if comparison != "EQ" or len(values) != 1:
        raise invalid(f"Filter '{name}' takes EQ with one value, IN, or BEGINS_WITH.")
    return fields[name] == values[0]
