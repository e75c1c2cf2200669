"""The two ends of a module: the libraries it needs, and what of its options may be seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.hokusai.platform.plugins.doc_fragments.aws import ModuleDocFragment
from ansible_collections.hokusai.platform.plugins.module_utils import module as ends
from ansible_collections.hokusai.platform.plugins.module_utils import redaction
from ansible_collections.hokusai.platform.plugins.modules import cloudmap_namespace, ecs_service, http_probe

from tests.unit.ecs_model import CLUSTER, CONTAINER, NAME

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("installed", "old"),
    [
        ({"boto3": "1.40.53", "botocore": "1.40.53"}, []),
        ({"boto3": "1.40.52", "botocore": "1.40.53"}, ["boto3"]),
        ({"boto3": "1.9.253", "botocore": "1.9.9"}, ["boto3", "botocore"]),
        ({"boto3": "1.100.0", "botocore": "2.0.0"}, []),
        ({}, []),
    ],
)
def test_versions_are_compared_as_numbers(installed: dict[str, str], old: list[str]) -> None:
    assert ends.outdated(installed) == old


def test_a_library_that_is_too_old_is_refused_with_the_command_that_renews_it(
    run_module: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "INSTALLED", {"boto3": "1.40.52", "botocore": "1.40.53"})
    result = run_module(cloudmap_namespace.main, name="example.local", vpc="vpc")
    assert result["failed"]
    assert result["msg"].startswith("boto3 1.40.52 is installed, 1.40.53 or newer is needed")
    assert result["remedy"] == f"{sys.executable} -m pip install --upgrade 'boto3>=1.40.53'"


def test_a_module_that_needs_no_boto3_does_not_care_how_old_it_is(
    run_module: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "INSTALLED", {"boto3": "1.0.0", "botocore": "1.0.0"})
    result = run_module(http_probe.main, requests=[{"name": "none", "url": "ftp://example"}])
    assert "The url of the request none" in result["msg"]


def test_the_declared_minimum_is_the_one_that_is_enforced() -> None:
    stated = (ROOT / "requirements.txt").read_text().split()
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["requirements"]
    for library in ("boto3", "botocore"):
        assert f"{library}>={ends.OLDEST}" in stated
        assert f"{library} >= {ends.OLDEST}" in documented


SECRETS = {"DB_PASSWORD": "hk-correct-horse", "DATABASE_URL": "postgresql://joe:hunter22@db/x", "PORT": "8001"}


def test_a_secret_among_the_options_is_hidden_in_the_report_of_the_invocation(
    aws_options: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Ansible prints it, for no fixture stands between; the cluster does not exist, so this is a failure."""
    container = {"name": CONTAINER, "environment": SECRETS, "command": ["serve", "--password=let-me-in", "--port=8001"]}
    options = {**aws_options, "cluster": CLUSTER, "service": NAME, "containers": [container]}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        ecs_service.main()
    shown = capsys.readouterr().out
    (given,) = json.loads(shown)["invocation"]["module_args"]["containers"]
    assert given["environment"]["PORT"] == "8001"
    assert given["command"][::2] == ["serve", "--port=8001"]
    assert not [text for text in ("correct-horse", "hunter22", "let-me-in") if text in shown]


def test_a_text_that_any_output_may_hold_by_chance_is_not_hidden_everywhere() -> None:
    assert list(redaction.secrets({"TOKEN_TTL": "5", "USE_TOKEN": "true", "A_TOKEN": "sesame"}, [])) == ["sesame"]
