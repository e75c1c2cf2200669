# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a record may say of a write: names and ids, and never a secret or the value of an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.module import Params
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step

RECORDED = frozenset({"elbv2", "ec2", "servicediscovery", "ecs", "cloudwatch", "logs", "route53", "acm"})
"""The services whose arguments are recorded. Of any other only verb and reason are."""
PARTS = {("ecs", "register_task_definition"): frozenset({"family"})}
"""Writes of which these arguments alone are recorded: the others hold the environment of containers."""
ANSWERS = {("ecs", "register_task_definition"): {"taskDefinition": frozenset({"taskDefinitionArn", "revision"})}}
HIDDEN = frozenset(
    {
        *("ClientSecret", "PrivateKey", "Passphrase", "Password"),
        *("environment", "overrides", "secrets", "logConfiguration"),
    }
)
"""Arguments that are never recorded, at any depth.

An OIDC action of a listener rule has a client secret, and the log driver of a Service Connect proxy may have a token.
"""
NAMES = ("cluster", "namespace", "load_balancer", "group", "service", "name", "port", "key_id")


def resource_name(params: Params) -> str:
    """The resource a task is about, by the options that name it: `registry:443`."""
    named = (params.get(name) for name in NAMES)
    return ":".join(str(value) for value in named if isinstance(value, (str, int)) and value != "")


def intent(service: str, step: Step) -> dict[str, Any]:
    """What a journal says of a write before it is made."""
    told = arguments(service, step.verb, step.args)
    return {
        "kind": "intent",
        "service": service,
        "verb": step.verb,
        "why": step.why,
        **({"over": True} if step.over else {}),
        **({} if told is None else {"args": told}),
    }


def arguments(service: str, verb: str, args: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of a write as far as they may be recorded; None for a service whose are not."""
    if service not in RECORDED:
        return None
    kept = PARTS.get((service, verb), frozenset(args))
    return {str(name): plain(value) for name, value in args.items() if name in kept - HIDDEN}


def plain(value: Any) -> Any:
    """A value as JSON has it, without what is hidden; bytes are content and never recorded."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items() if name not in HIDDEN}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(inner) for inner in value)
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return "(bytes)"
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def answer(service: str, verb: str, response: Mapping[str, Any]) -> dict[str, Any]:
    """The ids in an answer of AWS, at their places: `*Arn` and `*Id`."""
    if service not in RECORDED:
        return {}
    wanted = ANSWERS.get((service, verb))
    if wanted is not None:
        return {
            name: {key: response[name][key] for key in keys if key in response.get(name, {})}
            for name, keys in wanted.items()
        }
    told = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    found: dict[str, Any] = ids(told) or {}
    return found


def ids(value: Any) -> Any:
    """What is left of a value when all but its ids are taken away; None when nothing is."""
    if isinstance(value, Mapping):
        kept = {}
        for name, inner in value.items():
            left = inner if isinstance(inner, str) and name.endswith(("Arn", "ARN", "Id")) else ids(inner)
            if left is not None:
                kept[str(name)] = left
        return kept or None
    if isinstance(value, (list, tuple)):
        return [left for inner in value if (left := ids(inner)) is not None] or None
    return None
