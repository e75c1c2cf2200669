"""elbv2 answers: pages, transforms, whole attribute sets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.elbv2 import exceptions as errors
from moto.elbv2 import responses

# Real pages may hold 400 items. Fifty, as moto has it, makes a client that does not paginate fail while tests are
# still small.
DEFAULT_PAGE = 50
MAX_PAGE = 400


def _default_certificate(arns: list[str]) -> list[dict[str, str]] | None:
    """DescribeListeners shows the default certificate alone; the others are DescribeListenerCertificates' to show."""
    return [{"CertificateArn": arns[0]}] if arns else None


class ELBV2Response(responses.ELBV2Response):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """moto's elbv2 responses, completed."""

    RESPONSE_KEY_PATH_TO_TRANSFORMER: ClassVar[dict[str, Callable[[Any], Any]]] = {
        **responses.ELBV2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
        "CreateListenerOutput.Listeners.Listener.Certificates": _default_certificate,
        "DescribeListenersOutput.Listeners.Listener.Certificates": _default_certificate,
        "ModifyListenerOutput.Listeners.Listener.Certificates": _default_certificate,
    }

    def create_rule(self) -> Any:
        transforms = _checked_transforms(self._get_param("Transforms", []))
        result = super().create_rule()
        result.result["Rules"][0].transforms = transforms
        return result

    def modify_rule(self) -> Any:
        """Transforms are kept when omitted, replaced when given, removed by ResetTransforms."""
        arn = self._get_param("RuleArn")
        transforms, reset = self._get_param("Transforms"), self._get_param("ResetTransforms", False)
        if transforms and reset:
            raise errors.ValidationError("You cannot specify both Transforms and ResetTransforms")
        checked = _checked_transforms(transforms or [])
        if self._get_param("Conditions") or self._get_param("Actions"):
            result = super().modify_rule()
        elif transforms or reset:
            result = ActionResult({"Rules": [self.elbv2_backend._custom_rule(arn, "modified")]})
        else:
            raise errors.InvalidModifyRuleArgumentsError
        if transforms or reset:
            result.result["Rules"][0].transforms = checked
        return result

    def describe_rules(self) -> Any:
        rules = self.elbv2_backend.describe_rules(self._get_param("ListenerArn"), self._get_param("RuleArns"))
        return self._page("Rules", rules, "arn")

    def describe_load_balancers(self) -> Any:
        balancers = self.elbv2_backend.describe_load_balancers(
            self._get_param("LoadBalancerArns", []), self._get_param("Names", [])
        )
        return self._page("LoadBalancers", balancers, "arn")

    def describe_target_groups(self) -> Any:
        result = super().describe_target_groups()
        return self._page("TargetGroups", result.result["TargetGroups"], "arn")

    def describe_listeners(self) -> Any:
        result = super().describe_listeners()
        return self._page("Listeners", result.result["Listeners"], "arn")

    def modify_target_group_attributes(self) -> Any:
        """All attributes come back, not only those that were sent."""
        super().modify_target_group_attributes()
        return self.describe_target_group_attributes()

    def delete_listener(self) -> Any:
        arn = self._get_param("ListenerArn")
        self.elbv2_backend.delete_listener(arn)
        self.elbv2_backend.tagging_service.delete_all_tags_for_resource(arn)
        return EmptyResult()

    def _page(self, key: str, items: Any, identity: str) -> Any:
        """One page of `items`, continued after the item whose identity the marker holds."""
        everything = list(items)
        size = self._get_int_param("PageSize", DEFAULT_PAGE)
        if not 1 <= size <= MAX_PAGE:
            raise errors.ValidationError(
                f"1 validation error detected: Value '{size}' at 'pageSize' failed to satisfy constraint: "
                f"Member must be between 1 and {MAX_PAGE}"
            )
        identities = [getattr(item, identity) for item in everything]
        start = _start(identities, self._get_param("Marker"))
        page = everything[start : start + size]
        following = _marker(identities[start + size - 1]) if start + size < len(everything) else None
        return ActionResult({key: page, "NextMarker": following})


def _marker(identity: str) -> str:
    return base64.urlsafe_b64encode(identity.encode()).decode()


def _start(identities: list[str], marker: str | None) -> int:
    if not marker:
        return 0
    try:
        return identities.index(base64.urlsafe_b64decode(marker).decode()) + 1
    except (ValueError, binascii.Error):
        raise errors.ValidationError(f"The marker '{marker}' is not valid") from None


def _checked_transforms(transforms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most one of each type, each with one rewrite (ELB API reference, RuleTransform)."""
    configs = {"host-header-rewrite": "HostHeaderRewriteConfig", "url-rewrite": "UrlRewriteConfig"}
    kinds = [transform["Type"] for transform in transforms]
    if len(set(kinds)) != len(kinds) or not set(kinds) <= set(configs):
        raise errors.ValidationError(
            "A rule can have at most one transform of each type, of [host-header-rewrite, url-rewrite]"
        )
    for transform in transforms:
        if len(transform.get(configs[transform["Type"]], {}).get("Rewrites", [])) != 1:
            raise errors.ValidationError("A transform must have exactly one rewrite")
    return transforms
