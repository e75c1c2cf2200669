"""Secrets of a task definition, resolved as ECS resolves them before a container starts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sandbox.agent.seam import REFUSED, ControlPlane

MISSING = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
    "unable to retrieve secret from {source}: {reason}"
)


class ResourceInitializationError(Exception):
    """The text is the one ECS puts into `stoppedReason`."""


def resolve(control_plane: ControlPlane, secrets: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return variable -> value; the caller holds the control plane's lock.

    `valueFrom` is a parameter's name or ARN, or a secret's ARN, the latter optionally with `:json-key::`.
    """
    return {name: value_of(control_plane, reference) for name, reference in secrets}


def value_of(control_plane: ControlPlane, reference: str) -> str:
    if ":secretsmanager:" in reference:
        return secret(control_plane.backend("secretsmanager"), reference)
    return parameter(control_plane.backend("ssm"), reference)


def parameter(ssm: Any, reference: str) -> str:
    found = ssm.get_parameter(reference)
    if found is None:
        reason = f"invalid parameters: {reference.partition(':parameter')[2] or reference}"
        raise ResourceInitializationError(MISSING.format(source="ssm", reason=reason))
    return str(found.decrypt(found.value))


def secret(backend: Any, reference: str) -> str:
    parts = reference.split(":")
    arn, key = ":".join(parts[:7]), parts[7] if len(parts) > 7 else ""
    try:
        text = str(backend.get_secret_value(arn, None, None)["SecretString"])
        return str(json.loads(text)[key]) if key else text
    except (*REFUSED, KeyError, ValueError) as error:
        reason = f"failed to fetch secret {arn}: {error}"
        raise ResourceInitializationError(MISSING.format(source="asm", reason=reason)) from error
