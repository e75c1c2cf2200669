from __future__ import annotations

import sys

import pytest

from sandbox.images.catalogue import CannotPullContainerError, CannotStartContainerError, resolve

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ADDRESS = "127.70.1.2"


def test_the_incident_tag_of_the_api_is_the_old_program_and_any_other_the_gateway() -> None:
    assert resolve(f"{REGISTRY}/hokusai-api:incident", ADDRESS).argv[-1] == "sandbox.images.incident_api"
    assert resolve(f"{REGISTRY}/hokusai-api:2026.11.0", ADDRESS).argv[-1] == "gateway"
    assert resolve("hokusai-api", ADDRESS).argv[-1] == "gateway"


def test_every_program_binds_the_tasks_own_address_whatever_the_revision_says() -> None:
    assert resolve("hokusai-api:1", ADDRESS).binding == {"GATEWAY_HOST": ADDRESS}
    assert resolve("hokusai-auth:1", ADDRESS).binding == {"AUTH_HOST": ADDRESS}
    assert ADDRESS in resolve("hokusai-mlflow:1", ADDRESS).argv


def test_a_revisions_command_replaces_the_images_and_is_kept_off_other_addresses() -> None:
    command = ["mlflow", "server", "--host", "0.0.0.0", "--port", "5001"]
    program = resolve("hokusai-mlflow:1", ADDRESS, command)
    assert program.argv == (sys.executable, "-m", "mlflow", "server", "--host", ADDRESS, "--port", "5001")


@pytest.mark.parametrize("image", [f"{REGISTRY}/hokusai-api:missing", f"{REGISTRY}/nobody:1", "nginx"])
def test_what_is_not_in_the_catalogue_cannot_be_pulled(image: str) -> None:
    with pytest.raises(CannotPullContainerError, match=image):
        resolve(image, ADDRESS)


def test_an_unknown_executable_cannot_be_started() -> None:
    with pytest.raises(CannotStartContainerError, match="executable file not found"):
        resolve("hokusai-api:1", ADDRESS, ["bash", "-c", "true"])
