"""Listeners and load balancers: rules in priority order, AWS's default attributes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from moto.elbv2.models import FakeListener, FakeLoadBalancer
from moto.moto_api._internal import mock_random

_LISTENER_ATTRIBUTES = {
    "routing.http.response.access_control_allow_credentials.header_value": "",
    "routing.http.response.access_control_allow_headers.header_value": "",
    "routing.http.response.access_control_allow_methods.header_value": "",
    "routing.http.response.access_control_allow_origin.header_value": "",
    "routing.http.response.access_control_expose_headers.header_value": "",
    "routing.http.response.access_control_max_age.header_value": "",
    "routing.http.response.content_security_policy.header_value": "",
    "routing.http.response.server.enabled": "true",
    "routing.http.response.strict_transport_security.header_value": "",
    "routing.http.response.x_content_type_options.header_value": "",
    "routing.http.response.x_frame_options.header_value": "",
}
_HTTPS_LISTENER_ATTRIBUTES = {
    "routing.http.request.x_amzn_mtls_clientcert.header_name": "",
    "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name": "",
    "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name": "",
    "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name": "",
    "routing.http.request.x_amzn_mtls_clientcert_subject.header_name": "",
    "routing.http.request.x_amzn_mtls_clientcert_validity.header_name": "",
    "routing.http.request.x_amzn_tls_cipher_suite.header_name": "",
    "routing.http.request.x_amzn_tls_version.header_name": "",
}
_LOAD_BALANCER_ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}


class Listener(FakeListener):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A listener whose rules come by priority, the default rule last, all under their own ARN."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_rule.arn = f"{self.arn.replace(':listener/', ':listener-rule/')}/{mock_random.get_random_hex(16)}"
        self.default_rule.transforms = []
        self.attributes = dict(_LISTENER_ATTRIBUTES)
        if self.protocol == "HTTPS":
            self.attributes |= _HTTPS_LISTENER_ATTRIBUTES
        else:
            self.ssl_policy = None

    @property
    def default_rule(self) -> Any:
        return self._default_rule[0]

    @property
    def custom_rules(self) -> list[Any]:
        """All but the default rule, by priority."""
        return sorted(self._non_default_rules.values(), key=lambda rule: int(rule.priority))

    @property
    def rules(self) -> dict[str, Any]:
        return OrderedDict((rule.arn, rule) for rule in [*self.custom_rules, self.default_rule])


class LoadBalancer(FakeLoadBalancer):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """A load balancer with the attributes an ALB reports. `interfaces` are the ids of its ENIs, one per subnet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attrs = dict(_LOAD_BALANCER_ATTRIBUTES)
        self.interfaces: list[str] = []
        # The hosted zone of ALBs in us-east-1 (AWS general reference, ELB endpoints).
        self.canonical_hosted_zone_id = "Z35SXDOTRQ7X7K"

    @property
    def short_arn(self) -> str:
        """`app/name/id`, as in descriptions and CloudWatch dimensions."""
        return str(self.arn.split(":loadbalancer/")[1])
