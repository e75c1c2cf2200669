"""Which program stands for which container image.

A registry is no part of the sandbox: the repository part of an image's name decides the program, and the tag decides
between the API of the incident and the gateway. What is not here cannot be pulled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what a container's command binds, replaced by the task's own address
MISSING_TAG = "missing"
INCIDENT_TAG = "incident"
MLFLOW_COMMAND = ("mlflow", "server", "--host", ANY_ADDRESS, "--port", "5000", "--workers", "1", "--serve-artifacts")
EXECUTABLES = {"python": (sys.executable,), "python3": (sys.executable,), "mlflow": (sys.executable, "-m", "mlflow")}


class CannotPullContainerError(Exception):
    """The image does not exist; the text is the one ECS puts into `stoppedReason`."""

    def __init__(self, image: str) -> None:
        super().__init__(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): "
            f"failed to resolve ref {image}: {image}: not found"
        )


class CannotStartContainerError(Exception):
    """The command is not in the image's file system, or its process cannot be; the text is ECS's own."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"CannotStartContainerError: Error response from daemon: failed to create task for container: {reason}"
        )


@dataclass(frozen=True)
class Program:
    """A command, and the environment that the image declares and a task definition may override.

    `binding` goes over everything: a container may bind every address of its own network, a process here one only.
    """

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    binding: dict[str, str] = field(default_factory=dict)


def resolve(image: str, address: str, command: Sequence[str] = ()) -> Program:
    """Return the program of an image, bound to a task's private address instead of every address.

    `command` is the container definition's own and replaces the image's.
    Raises CannotPullContainerError and CannotStartContainerError as ECS would report them.
    """
    repository, _, tag = image.rpartition("/")[2].partition(":")
    if repository not in IMAGES or tag == MISSING_TAG:
        raise CannotPullContainerError(image)
    program = IMAGES[repository](tag or "latest", address)
    return replace(program, argv=localise(command, address)) if command else program


def localise(command: Sequence[str], address: str) -> tuple[str, ...]:
    """Make a container's command run on this machine: our interpreter, and the task's address for `0.0.0.0`."""
    executable, *arguments = command
    if executable not in EXECUTABLES:
        raise CannotStartContainerError(f'exec: "{executable}": executable file not found in $PATH: unknown')
    return (*EXECUTABLES[executable], *(argument.replace(ANY_ADDRESS, address) for argument in arguments))


def api(tag: str, address: str) -> Program:
    if tag == INCIDENT_TAG:
        return python("sandbox.images.incident_api", {"API_HOST": address})
    return python("gateway", {"GATEWAY_HOST": address})


def auth(_tag: str, address: str) -> Program:
    return python("sandbox.images.auth", {"AUTH_HOST": address})


def mlflow(_tag: str, address: str) -> Program:
    """One worker and no job consumers: 7 s to start and 0.5 GB, against 17 s and 2.2 GB as it comes."""
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return Program(localise(MLFLOW_COMMAND, address), {"PYTHONUNBUFFERED": "1", **quiet})


def python(module: str, binding: dict[str, str]) -> Program:
    return Program((sys.executable, "-m", module), {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}, binding)


IMAGES: dict[str, Callable[[str, str], Program]] = {"hokusai-api": api, "hokusai-mlflow": mlflow, "hokusai-auth": auth}
