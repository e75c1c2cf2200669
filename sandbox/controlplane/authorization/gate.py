"""The gate that every call passes: open, until policies are enforced or what is asked for is to be recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from sandbox.controlplane.authorization.actions import ALWAYS, BEHALF, PASSING, ROLES, TAGGING, action_of
from sandbox.controlplane.authorization.arguments import arguments
from sandbox.controlplane.authorization.policy import Context, Policy, Request, refusal
from sandbox.controlplane.authorization.resources import Place, resources
from sandbox.controlplane.codes import Code, code_of
from sandbox.controlplane.request import Call

CALLER: Final = "arn:aws:iam::{}:user/sandbox"
OF_RECORDS: Final = {
    "route53:changeresourcerecordsetsnormalizedrecordnames": rb"<Name>([^<]+?)\.?</Name>",
    "route53:changeresourcerecordsetsrecordtypes": rb"<Type>([^<]+)</Type>",
    "route53:changeresourcerecordsetsactions": rb"<Action>([^<]+)</Action>",
}
"""Context keys of a batch of records, and where they stand in it; a name is normalized without its last dot.

Source: Route 53 developer guide, "Using IAM policy conditions for fine-grained access control"."""

Tags = Callable[[str], Mapping[str, str]]
Roles = Callable[[str], Collection[str]]
Asked = tuple[str, str, str, tuple[tuple[str, tuple[str, ...]], ...]]
"""Operation, action, resource and context."""


class Gate:
    """Use it under the control plane's lock; `account` is whose resources they are.

    `tags` has those of an ARN, and `roles` the ARNs of those that a revision of a task definition gives to its tasks.
    """

    def __init__(self, account: str, tags: Tags, roles: Roles) -> None:
        self._account, self._tags, self._roles = account, tags, roles
        self._policies: tuple[Policy, ...] | None = None
        self._records = False
        self._asked: dict[Asked, bool] = {}

    @property
    def is_open(self) -> bool:
        """Whether nobody has to look at a call."""
        return self._policies is None and not self._records

    def enforce(self, documents: list[Any]) -> None:
        """Allow what these policies allow together, and nothing else. Raises PolicyError."""
        self._policies = tuple(map(Policy.parse, documents))
        self._asked.clear()

    def record(self) -> None:
        """Allow everything, and note what is asked for."""
        self.open()
        self._records = True

    def open(self) -> None:
        """As at the beginning."""
        self._policies, self._records = None, False
        self._asked.clear()

    def as_dict(self) -> dict[str, Any]:
        """What was asked for since the last change: by which operation, which action, on what and in which context, and
        whether allowed."""
        asked = [
            {
                "operation": operation,
                "action": action,
                "resource": resource,
                "context": {key: list(values) for key, values in context},
                "allowed": allowed,
            }
            for (operation, action, resource, context), allowed in sorted(self._asked.items())
        ]
        return {"enforced": self._policies is not None, "recorded": self._records, "asked": asked}

    def refuses(self, call: Call, environ: dict[str, Any]) -> Code | None:
        """The answer to a call that is not allowed."""
        if self.is_open:
            return None
        for request in self._requests(call, arguments(call, environ)):
            why = "" if self._policies is None or request.action in ALWAYS else refusal(self._policies, request)
            self._asked[call.name, request.action, request.resource, tuple(sorted(request.context.items()))] = not why
            if why:
                return self._denied(call, request, why)
        return None

    def _denied(self, call: Call, request: Request, why: str) -> Code:
        user = CALLER.format(self._account)
        text = f"User: {user} is not authorized to perform: {request.action} on resource: {request.resource} {why}"
        code = code_of("denied", call)
        return code._replace(message=f"{code.message} {text}" if call.service == "ec2" else text)

    def _requests(self, call: Call, given: Mapping[str, Any]) -> Iterator[Request]:
        """What the call asks for: its own action, and those that come with it."""
        action = action_of(call.service, call.action)
        place = (call.region, self._account)
        yield from self._about(action, call, given, place)
        member, tagging = TAGGING.get(action, ("", ""))
        if given.get(member):
            creating = {f"{tagging.partition(':')[0]}:createaction": (call.action,)}
            yield from self._about(tagging, call, given, place, creating)
        if action in PASSING:
            named = {given[each] for each in ROLES if given.get(each)}
            for role in sorted(named.union(self._roles(given.get("taskDefinition", "")))):
                yield Request("iam:PassRole", role, {"iam:passedtoservice": (PASSING[action],)})
        for each, resource in BEHALF.get(action, ()):
            yield Request(each, resource)

    def _about(
        self, action: str, call: Call, given: Mapping[str, Any], place: Place, more: Context | None = None
    ) -> Iterator[Request]:
        context = {**_context(action, call, given, place), **_request_tags(given), **(more or {})}
        for resource in resources(action, given, call.path, place):
            known = self._tags(resource) if resource.startswith("arn:") else {}
            told = {f"aws:resourcetag/{name.lower()}": (value,) for name, value in known.items()}
            yield Request(action, resource, {**context, **told})


def _context(action: str, call: Call, given: Mapping[str, Any], place: Place) -> dict[str, tuple[str, ...]]:
    """The keys that services have of their own."""
    if call.service == "ecs" and given.get("cluster"):
        return dict(_of_service(given, place))
    if action == "cloudwatch:PutMetricData":
        return {"cloudwatch:namespace": (given.get("Namespace", ""),)}
    if action == "kms:GenerateMac" and given.get("KeyId", "").startswith("alias/"):
        return {"kms:requestalias": (given["KeyId"],)}
    if action == "route53:ChangeResourceRecordSets":
        return {key: tuple(each.decode() for each in re.findall(form, call.body)) for key, form in OF_RECORDS.items()}
    return {}


def _of_service(given: Mapping[str, Any], place: Place) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The cluster, and whether tasks get public addresses, where the call says so."""
    cluster = given["cluster"].rpartition("/")[2]
    yield "ecs:cluster", (f"arn:aws:ecs:{place[0]}:{place[1]}:cluster/{cluster}",)
    network = given.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    if "assignPublicIp" in network:
        yield "ecs:auto-assign-public-ip", (str(network["assignPublicIp"] == "ENABLED").lower(),)


def _request_tags(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The tags that the call gives to what it creates or tags, and the keys of those and of what it takes off."""
    specified = [tag for each in given.get("TagSpecifications", ()) for tag in each.get("Tags", ())]
    listed = given.get("Tags") or given.get("tags") or specified
    if isinstance(listed, Mapping):  # as CloudWatch Logs writes them
        pairs = dict(listed)
    else:
        lower = ({key.lower(): value for key, value in each.items()} for each in listed)
        pairs = {each["key"]: each.get("value", "") for each in lower}
    keys = (*pairs, *given.get("TagKeys", ()), *given.get("tagKeys", ()))
    told: dict[str, tuple[str, ...]] = {f"aws:requesttag/{name.lower()}": (value,) for name, value in pairs.items()}
    return {**told, "aws:tagkeys": keys} if keys else told
