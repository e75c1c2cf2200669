"""What a module documents of its results is all that it can answer with, each with a sample."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
OTHERS = {
    "alb_route",
    "api_key",
    "canary_gate",
    "canary_state",
    "health_score",
    "http_probe",
    "platform_history",
    "platform_lock",
    "platform_plan",
    "public_endpoint_info",
    "platform_snapshot",
}
"""They do something else than bring a resource to a state in steps."""


def loaded(module: str) -> ModuleType:
    return importlib.import_module(f"ansible_collections.hokusai.platform.plugins.modules.{module}")


def returned(module: str) -> dict[str, Any]:
    documented: dict[str, Any] = yaml.safe_load(loaded(module).RETURN)
    return documented


@pytest.mark.parametrize(("group", "fragment"), [("aws", "group"), ("writes", "writes")])
def test_an_action_group_has_the_modules_that_take_its_options(group: str, fragment: str) -> None:
    """One that is missing in `writes` would write with no lock and no journal."""
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]
    fragments = {name: yaml.safe_load(loaded(name).DOCUMENTATION)["extends_documentation_fragment"] for name in MODULES}
    assert groups[group] == [name for name in MODULES if f"hokusai.platform.aws.{fragment}" in fragments[name]]


def without_sample(values: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """The values that have no sample of their own, nor one of what they are part of, nor of all their parts."""
    for key, value in values.items():
        if "sample" not in value:
            if "contains" in value:
                yield from without_sample(value["contains"], f"{name}{key}.")
            else:
                yield f"{name}{key}"


@pytest.mark.parametrize("module", MODULES)
def test_every_result_has_a_sample(module: str) -> None:
    assert not list(without_sample(returned(module)))


@pytest.mark.parametrize("module", MODULES)
def test_a_sample_has_the_parts_that_are_documented(module: str) -> None:
    for value in returned(module).values():
        samples = value["sample"] if value["type"] == "list" else [value["sample"]]
        for sample in samples if "contains" in value else ():
            assert sample.keys() == value["contains"].keys()


@pytest.mark.parametrize("module", MODULES)
def test_what_a_failure_says_is_documented(module: str) -> None:
    wanted = {"remedy", "error"} | (set() if module in OTHERS else {"steps_done", "step_failed"})
    assert not wanted - returned(module).keys()


def test_the_readme_names_the_modules_that_change_nothing() -> None:
    sources = {name: (ROOT / "plugins" / "modules" / f"{name}.py").read_text() for name in MODULES}
    never = {name for name in MODULES if re.findall(r"exit_json\(\s*changed=(\w+)", sources[name]) == ["False"]}
    told = re.search(
        r"^(\w+) modules change nothing(.*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert told
    assert (told[1], set(re.findall(r"`(\w+)`", told[2]))) == ("Seven", never)
    assert len(never) == 7
