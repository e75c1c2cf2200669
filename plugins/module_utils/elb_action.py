# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The actions of a listener rule or a listener, in one form: defaults filled, target groups by name.

A target group's ARN contains its name, and the name is unique in its region; so comparing names is comparing groups,
and what is live can be compared with what is asked for without a call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Missing

MAX_GROUPS = 5
MAX_WEIGHT = 999
MAX_STICKINESS = 604800
REDIRECT = {"protocol": "#{protocol}", "port": "#{port}", "host": "#{host}", "path": "/#{path}", "query": "#{query}"}
"""What AWS fills in for a redirect's omitted parts (ELB API reference: RedirectActionConfig)."""


@dataclass(frozen=True)
class Forward:
    """Weights by target group name. `stickiness` in seconds, 0 is disabled."""

    weights: tuple[tuple[str, int], ...]
    stickiness: int = 0

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(name for name, _weight in self.weights)

    def shown(self) -> dict[str, Any]:
        return {"type": "forward", "target_groups": dict(self.weights), "stickiness_seconds": self.stickiness}

    def __str__(self) -> str:
        shares = ", ".join(n if len(self.weights) == 1 else f"{n} {weight}" for n, weight in self.weights)
        return f"forward to {shares}" + (f", sticky for {self.stickiness} s" if self.stickiness else "")


@dataclass(frozen=True)
class Redirect:
    protocol: str
    port: str
    host: str
    path: str
    query: str
    status_code: str

    def shown(self) -> dict[str, Any]:
        return {"type": "redirect", **self.__dict__}

    def __str__(self) -> str:
        return f"redirect ({self.status_code}) to {self.protocol}://{self.host}:{self.port}{self.path}?{self.query}"


@dataclass(frozen=True)
class FixedResponse:
    status_code: int
    content_type: str = "text/plain"
    message_body: str = ""

    def shown(self) -> dict[str, Any]:
        return {"type": "fixed_response", **self.__dict__}

    def __str__(self) -> str:
        return f"fixed response {self.status_code}"


@dataclass(frozen=True)
class Foreign:
    """An action that this collection does not write, such as an authentication; it differs from all that it does."""

    type: str
    config: str

    def shown(self) -> dict[str, Any]:
        return {"type": self.type}

    def __str__(self) -> str:
        return self.type


Action: TypeAlias = "Forward | Redirect | FixedResponse | Foreign"
Actions = tuple[Action, ...]


def says(actions: Iterable[Action]) -> str:
    return " then ".join(map(str, actions))


def foreign(actions: Iterable[Action]) -> str:
    """The types of the actions that this collection does not write, if any: writing the others would drop them."""
    return " and ".join(each.type for each in actions if isinstance(each, Foreign))


def group_name(reference: str) -> str:
    """The name in a target group's ARN (`...:targetgroup/NAME/ID`); anything else is a name already."""
    return reference.split("/")[1] if reference.startswith("arn:") and reference.count("/") == 2 else reference


def forward(weights: Mapping[str, int], stickiness: int = 0) -> Forward:
    """A lone group takes all traffic whatever its weight, unless that is 0."""
    if len(weights) == 1:
        weights = {name: min(weight, 1) for name, weight in weights.items()}
    return Forward(tuple(sorted(weights.items())), stickiness)


# --- as AWS reads it back


def from_aws(actions: Iterable[Mapping[str, Any]]) -> Actions:
    return tuple(_from_aws(each) for each in sorted(actions, key=lambda each: each.get("Order", 0)))


def _from_aws(given: Mapping[str, Any]) -> Action:
    kinds: Mapping[str, Callable[[Mapping[str, Any]], Action]] = {
        "forward": _forward,
        "redirect": lambda action: redirect(
            {key.lower(): value for key, value in action["RedirectConfig"].items() if key != "StatusCode"},
            action["RedirectConfig"]["StatusCode"],
        ),
        "fixed-response": lambda action: fixed_response(
            int(action["FixedResponseConfig"]["StatusCode"]),
            action["FixedResponseConfig"].get("ContentType"),
            action["FixedResponseConfig"].get("MessageBody"),
        ),
    }
    return kinds.get(given["Type"], _foreign)(given)


def _forward(action: Mapping[str, Any]) -> Forward:
    """A bare TargetGroupArn is a ForwardConfig of one group; AWS reads back both."""
    config = action.get("ForwardConfig") or {}
    listed = config.get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
    sticky = config.get("TargetGroupStickinessConfig") or {}
    weights = {group_name(each["TargetGroupArn"]): int(each.get("Weight", 1)) for each in listed}
    return forward(weights, int(sticky.get("DurationSeconds") or 0) if sticky.get("Enabled") else 0)


def _foreign(action: Mapping[str, Any]) -> Foreign:
    return Foreign(str(action["Type"]), json.dumps(action, sort_keys=True, default=str))


def redirect(given: Mapping[str, Any], status_code: str) -> Redirect:
    filled = {key: str(given[key]) if given.get(key) is not None else text for key, text in REDIRECT.items()}
    return Redirect(**filled, status_code=status_code)


def fixed_response(status_code: int, content_type: str | None, message_body: str | None) -> FixedResponse:
    return FixedResponse(status_code, content_type or "text/plain", message_body or "")


def group_arns(actions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Every target group ARN in actions as AWS reads them back."""
    for action in actions:
        if action.get("TargetGroupArn"):
            yield action["TargetGroupArn"]
        for group in (action.get("ForwardConfig") or {}).get("TargetGroups", ()):
            yield group["TargetGroupArn"]


# --- as it is written


def to_aws(action: Action, arn: Callable[[str], str | Missing]) -> dict[str, Any]:
    """The action as the API's writing calls want it; `arn` finds a target group's ARN by its name."""
    if isinstance(action, Forward):
        return {"Type": "forward", "ForwardConfig": _forward_config(action, arn)}
    if isinstance(action, Redirect):
        parts = {key.title(): getattr(action, key) for key in REDIRECT}
        return {"Type": "redirect", "RedirectConfig": {**parts, "StatusCode": action.status_code}}
    if isinstance(action, FixedResponse):
        config = {"StatusCode": str(action.status_code), "ContentType": action.content_type}
        return {"Type": "fixed-response", "FixedResponseConfig": {**config, "MessageBody": action.message_body}}
    raise TypeError(f"{action.type} actions are never written")


def _forward_config(action: Forward, arn: Callable[[str], str | Missing]) -> dict[str, Any]:
    sticky: dict[str, Any] = {"Enabled": bool(action.stickiness)}
    if action.stickiness:
        sticky["DurationSeconds"] = action.stickiness
    groups = [{"TargetGroupArn": arn(name), "Weight": weight} for name, weight in action.weights]
    return {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}


def keep_weights(wanted: Actions, live: Actions) -> Actions:
    """The wanted actions with the live weights, where both forward to the same groups: a canary owns those."""
    weights = {each.groups: each.weights for each in live if isinstance(each, Forward)}
    return tuple(
        replace(each, weights=weights.get(each.groups, each.weights)) if isinstance(each, Forward) else each
        for each in wanted
    )


def is_share(wanted: Actions, live: Actions) -> bool:
    """Whether the live actions are the wanted ones, but for a canary that takes part in what is forwarded."""
    pairs = list(zip(wanted, live, strict=False))
    return len(wanted) == len(live) and all(
        want == is_ or (isinstance(want, Forward) and isinstance(is_, Forward) and want.groups < is_.groups)
        for want, is_ in pairs
    )


# --- as it is asked for


def references(option: Mapping[str, Any] | None) -> Iterator[str]:
    """The target groups an option names, by name or by ARN."""
    option = option or {}
    if option.get("target_group"):
        yield str(option["target_group"])
    for each in option.get("target_groups") or ():
        yield str(each["name"])


ACTION_OPTIONS: dict[str, Any] = {
    "type": {"type": "str", "choices": ["forward", "redirect", "fixed_response"], "default": "forward"},
    "target_group": {"type": "str"},
    "target_groups": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, "weight": {"type": "int", "default": 1}},
    },
    "stickiness_seconds": {"type": "int", "default": 0},
    "redirect": {
        "type": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["HTTP", "HTTPS", "#{protocol}"]},
            "port": {"type": "str"},
            "host": {"type": "str"},
            "path": {"type": "str"},
            "query": {"type": "str"},
            "status_code": {"type": "str", "choices": ["HTTP_301", "HTTP_302"], "default": "HTTP_301"},
        },
    },
    "fixed_response": {
        "type": "dict",
        "options": {
            "status_code": {"type": "int", "required": True},
            "content_type": {"type": "str"},
            "message_body": {"type": "str"},
        },
    },
}
ACTION_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": ACTION_OPTIONS,
    "mutually_exclusive": [("target_group", "target_groups")],
    "required_if": [
        ("type", "forward", ("target_group", "target_groups"), True),
        ("type", "redirect", ("redirect",)),
        ("type", "fixed_response", ("fixed_response",)),
    ],
}
"""The option `action` of a rule and `default_action` of a listener."""


def desired(option: Mapping[str, Any], where: str) -> Action:
    """The action an option states; `where` ("rule api of X:443") opens the message of a `BadInput`."""
    if option["type"] == "redirect":
        wanted = redirect(option["redirect"], option["redirect"]["status_code"])
        if all(getattr(wanted, key) == REDIRECT[key] for key in ("protocol", "port", "host", "path")):
            raise BadInput(f"{where}: the redirect leads to itself", "change its protocol, port, host or path")
        return wanted
    if option["type"] == "fixed_response":
        return _desired_response(option["fixed_response"], where)
    lone = [{"name": option["target_group"], "weight": 1}] if option.get("target_group") else []
    return _desired_forward(option.get("target_groups") or lone, option.get("stickiness_seconds") or 0, where)


def _desired_response(option: Mapping[str, Any], where: str) -> FixedResponse:
    wanted = fixed_response(option["status_code"], option.get("content_type"), option.get("message_body"))
    if not 200 <= wanted.status_code < 600 or 300 <= wanted.status_code < 400:
        raise BadInput(f"{where}: {wanted.status_code} is no status of a fixed response", "use a 2xx, 4xx or 5xx")
    if len(wanted.message_body) > 1024:
        raise BadInput(f"{where}: the message body has {len(wanted.message_body)} characters", "use 1024 at most")
    return wanted


def _desired_forward(listed: Sequence[Mapping[str, Any]], stickiness: int, where: str) -> Forward:
    weights = {group_name(each["name"]): int(each["weight"]) for each in listed}
    if not weights:
        raise BadInput(f"{where}: it forwards to nothing", "name a target group")
    if len(weights) < len(listed):
        raise BadInput(f"{where}: a target group is listed twice", "list each once, with the sum of its weights")
    if len(weights) > MAX_GROUPS:
        raise BadInput(
            f"{where}: {len(weights)} target groups in one action", f"AWS allows {MAX_GROUPS}: leave some out"
        )
    if not all(0 <= weight <= MAX_WEIGHT for weight in weights.values()):
        raise BadInput(f"{where}: a weight is out of range", f"use 0 to {MAX_WEIGHT}")
    if not 0 <= stickiness <= MAX_STICKINESS:
        raise BadInput(
            f"{where}: stickiness of {stickiness} s is out of range", f"use 1 to {MAX_STICKINESS}, 0 for none"
        )
    return forward(weights, stickiness)
