# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Task-definition revisions: a new one is the old one with its containers changed, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import redaction, tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput

READ_ONLY = frozenset(
    {
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
    }
)
"""What DescribeTaskDefinition answers and RegisterTaskDefinition does not take; everything else is kept."""
RESERVED_TAG = "aws:"
"""Tags that only AWS writes (CloudFormation and CDK have it do so); RegisterTaskDefinition refuses them."""


@dataclass(frozen=True)
class Container:
    """What can be changed of a container. `secrets` are SSM or Secrets Manager ARNs or names, never values."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Container:
        return cls(
            definition.get("image", ""),
            tuple(definition.get("command") or ()),
            {each["name"]: each["value"] for each in definition.get("environment") or ()},
            {each["name"]: each["valueFrom"] for each in definition.get("secrets") or ()},
        )

    def differences(self, other: Container) -> Iterator[str]:
        """What differs, in names without values: "image", "environment AUTH_SERVICE_ID"."""
        for part in ("image", "command"):
            if getattr(self, part) != getattr(other, part):
                yield part
        for part in ("environment", "secrets"):
            mine, others = getattr(self, part), getattr(other, part)
            names = sorted(name for name in {*mine, *others} if mine.get(name) != others.get(name))
            if names:
                yield f"{part} {', '.join(names)}"

    def shown(self, named: Collection[str] = ()) -> dict[str, Any]:
        """What a result may show; `named` are the variables that the task names itself, the only ones with values."""
        return {
            "image": self.image,
            "command": list(redaction.command(self.command)),
            "environment": redaction.environment(self.environment, named),
            "secrets": self.secrets,
        }


@dataclass(frozen=True)
class ContainerChange:
    """What shall be different in a container; None is unmanaged. `environment` is merged, or with `replace` all."""

    image: str | None = None
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] | None = None
    replace: bool = False
    remove_environment: frozenset[str] = frozenset()
    secrets: Mapping[str, str] | None = None
    remove_secrets: frozenset[str] = frozenset()

    def applied_to(self, name: str, current: Container) -> Container:
        """The container after the change. Raises `BadInput` for a name that would be both a variable and a secret."""
        kept = (
            {}
            if self.replace and self.environment is not None
            else without(current.environment, self.remove_environment)
        )
        environment = {**kept, **(self.environment or {})}
        secrets = {**without(current.secrets, self.remove_secrets), **(self.secrets or {})}
        both = sorted({*environment} & {*secrets})
        if both:
            raise BadInput(
                f"Container {name}: {', '.join(both)} would be both an environment variable and a secret",
                "keep the secret and drop it from environment (remove_environment), or list it in remove_secrets",
            )
        return Container(
            current.image if self.image is None else self.image,
            current.command if self.command is None else self.command,
            environment,
            secrets,
        )


@dataclass(frozen=True)
class Revision:
    """A registered revision; `content` and `tags` are what RegisterTaskDefinition would take to make it again.

    One that is not `is_active` was deregistered: what runs it runs on, and nothing else starts it.
    """

    arn: str
    content: Mapping[str, Any]
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_active: bool = dataclasses.field(default=True, compare=False)

    @classmethod
    def described(cls, answer: Mapping[str, Any]) -> Revision:
        """From DescribeTaskDefinition's answer with include=TAGS."""
        definition = answer["taskDefinition"]
        content = {key: value for key, value in definition.items() if key not in READ_ONLY}
        tagged = tags.from_aws(answer.get("tags"))
        takeable = {name: text for name, text in tagged.items() if not name.lower().startswith(RESERVED_TAG)}
        return cls(definition["taskDefinitionArn"], content, takeable, definition["status"] == "ACTIVE")

    @property
    def family(self) -> str:
        return str(self.content["family"])

    @property
    def label(self) -> str:
        """FAMILY:NUMBER, the readable end of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def containers(self) -> dict[str, Container]:
        return {each["name"]: Container.of(each) for each in self.content["containerDefinitions"]}

    def with_containers(self, wanted: Mapping[str, Container]) -> Revision:
        """The revision to register: this one with these containers, tagged as ours beside the tags it has.

        What marks this one as a canary's says nothing of another.
        """
        definitions = [_rewritten(each, wanted[each["name"]]) for each in self.content["containerDefinitions"]]
        kept = without(self.tags, frozenset({tags.CANARY}))
        return Revision("", {**self.content, "containerDefinitions": definitions}, tags.owned(kept))

    def same_as(self, other: Revision) -> bool:
        """Whether registering this one would only repeat the other; order of variables and tags is no difference."""
        return _comparable(self.content) == _comparable(other.content) and not tags.missing(other.tags, self.tags)

    @property
    def arguments(self) -> dict[str, Any]:
        return {**self.content, **({"tags": tags.to_aws(self.tags, lower=True)} if self.tags else {})}


def changed(current: Mapping[str, Container], changes: Mapping[str, ContainerChange]) -> dict[str, Container]:
    """All containers after the changes. Raises `BadInput` for a container that the revision does not have."""
    for name in changes:
        if name not in current:
            raise BadInput(
                f"There is no container {name} in the task definition", f"it has {', '.join(sorted(current))}"
            )
    return {name: changes[name].applied_to(name, each) if name in changes else each for name, each in current.items()}


def without(values: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: text for name, text in values.items() if name not in names}


def _rewritten(definition: Mapping[str, Any], wanted: Container) -> dict[str, Any]:
    """A container definition with only those keys written anew whose content changes."""
    current = Container.of(definition)
    rewritten = dict(definition)
    if wanted.image != current.image:
        rewritten["image"] = wanted.image
    if wanted.command != current.command:
        rewritten["command"] = list(wanted.command)
    if wanted.environment != current.environment:
        rewritten["environment"] = [{"name": name, "value": text} for name, text in wanted.environment.items()]
    if wanted.secrets != current.secrets:
        rewritten["secrets"] = [{"name": name, "valueFrom": text} for name, text in wanted.secrets.items()]
    return rewritten


def _comparable(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "containerDefinitions": [_sorted(each) for each in content["containerDefinitions"]]}


def _sorted(definition: Mapping[str, Any]) -> dict[str, Any]:
    lists = {
        key: sorted(definition.get(key) or (), key=lambda each: each["name"]) for key in ("environment", "secrets")
    }
    return {**definition, "command": definition.get("command") or [], **lists}
