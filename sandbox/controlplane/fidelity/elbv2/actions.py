"""Rule and default actions: ELB's limits, and the form in which it reads them back."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from moto.elbv2.exceptions import ELBClientError, InvalidActionTypeError, ValidationError

MAX_TARGET_GROUPS_PER_ACTION = 5
_FINAL = frozenset({"forward", "redirect", "fixed-response"})
_AUTHENTICATING = {"authenticate-oidc": "AuthenticateOidcConfig", "authenticate-cognito": "AuthenticateCognitoConfig"}
_REDIRECT_DEFAULTS = {
    "Protocol": "#{protocol}",
    "Port": "#{port}",
    "Host": "#{host}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
_AUTHENTICATE_DEFAULTS = {
    "SessionCookieName": "AWSELBAuthSessionCookie",
    "Scope": "openid",
    "SessionTimeout": 604800,
    "OnUnauthenticatedRequest": "authenticate",
}


def read_back(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Actions as ELB returns them: defaults filled in, both forms of a one-group forward, Order when several."""
    shown = [_read_back(action, index) for index, action in enumerate(actions, start=1)]
    if len(shown) > 1:
        for position, action in enumerate(shown, start=1):
            action.setdefault("Order", position)
        shown.sort(key=lambda action: int(action["Order"]))
    return shown


def _read_back(action: dict[str, Any], index: int) -> dict[str, Any]:
    shown = deepcopy(action)
    kind = shown.get("Type")
    if kind == "forward":
        return _forward(shown)
    if kind == "redirect":
        shown["RedirectConfig"] = _REDIRECT_DEFAULTS | shown.get("RedirectConfig", {})
    elif kind in _AUTHENTICATING:
        config = _AUTHENTICATE_DEFAULTS | shown.get(_AUTHENTICATING[kind], {})
        config.pop("ClientSecret", None)
        shown[_AUTHENTICATING[kind]] = config
    elif kind not in _FINAL:
        raise InvalidActionTypeError(kind, index)
    return shown


def _forward(action: dict[str, Any]) -> dict[str, Any]:
    config = action.setdefault("ForwardConfig", {})
    groups = config.setdefault("TargetGroups", [])
    lone = action.pop("TargetGroupArn", None)
    if lone and not groups:
        groups.append({"TargetGroupArn": lone})
    if lone and [group["TargetGroupArn"] for group in groups] != [lone]:
        raise ValidationError("You cannot specify both a target group ARN and a ForwardConfig with other target groups")
    for group in groups:
        group.setdefault("Weight", 1)
    config.setdefault("TargetGroupStickinessConfig", {"Enabled": False})
    if len(groups) == 1:
        action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    return action


def check(actions: list[dict[str, Any]]) -> None:
    """Reject what ELB rejects; takes actions in read-back form (ELB API reference: Action and its configs)."""
    kinds = [action["Type"] for action in actions]
    if not kinds or kinds[-1] not in _FINAL or any(kind in _FINAL for kind in kinds[:-1]):
        raise ValidationError("The actions must end with exactly one of 'forward', 'redirect' or 'fixed-response'")
    orders = [action["Order"] for action in actions if "Order" in action]
    if len(set(orders)) != len(orders):
        raise ValidationError("Each action must have a unique order")
    final = actions[-1]
    if final["Type"] == "forward":
        _check_forward(final["ForwardConfig"])
    elif final["Type"] == "redirect":
        _check_redirect(final["RedirectConfig"])
    else:
        _check_fixed_response(final.get("FixedResponseConfig", {}))


def _check_forward(config: dict[str, Any]) -> None:
    groups = config["TargetGroups"]
    arns = [group["TargetGroupArn"] for group in groups]
    if not groups:
        raise ValidationError("A target group ARN must be specified")
    if len(groups) > MAX_TARGET_GROUPS_PER_ACTION:
        raise ValidationError(f"A forward action can have at most {MAX_TARGET_GROUPS_PER_ACTION} target groups")
    if len(set(arns)) != len(arns):
        raise ValidationError("A target group can be specified only once in a forward action")
    for group in groups:
        if not 0 <= int(group["Weight"]) <= 999:
            raise ValidationError(f"The weight '{group['Weight']}' must be between 0 and 999")
    stickiness = config["TargetGroupStickinessConfig"]
    if stickiness.get("Enabled") and not 1 <= int(stickiness.get("DurationSeconds", 0)) <= 604800:
        raise ValidationError("The stickiness duration must be between 1 and 604800 seconds")


def _check_redirect(config: dict[str, Any]) -> None:
    if config.get("StatusCode") not in {"HTTP_301", "HTTP_302"}:
        raise ValidationError("The redirect status code must be 'HTTP_301' or 'HTTP_302'")
    if not config["Path"].startswith("/"):
        raise ValidationError("The redirect path must start with '/'")
    if all(config[name] == value for name, value in _REDIRECT_DEFAULTS.items() if name != "Query"):
        raise ELBClientError("InvalidLoadBalancerAction", "The redirect configuration creates a redirect loop")


def _check_fixed_response(config: dict[str, Any]) -> None:
    if not re.fullmatch(r"[245]\d\d", config.get("StatusCode", "")):
        raise ValidationError("The fixed response status code must be 2XX, 4XX or 5XX")
    if len(config.get("MessageBody", "")) > 1024:
        raise ValidationError("The fixed response message body can have at most 1024 characters")


def target_group_arns(actions: list[dict[str, Any]]) -> list[str]:
    """Target groups that actions in read-back form forward to."""
    return [
        group["TargetGroupArn"]
        for action in actions
        if action["Type"] == "forward"
        for group in action["ForwardConfig"]["TargetGroups"]
    ]
