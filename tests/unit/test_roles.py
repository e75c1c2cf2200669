"""What a role documents, what it defaults to, and what the playbooks run, are the same thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options(role: str) -> dict[str, Any]:
    specs: dict[str, Any] = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")
    found: dict[str, Any] = specs["argument_specs"]["main"]["options"]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_default_of_a_role_is_documented_with_the_same_value(role: str) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert documented == load(ROOT / "roles" / role / "defaults" / "main.yml")


@pytest.mark.parametrize("role", ROLES)
def test_an_option_without_a_default_is_required(role: str) -> None:
    assert not [
        name for name, option in options(role).items() if "default" not in option and not option.get("required")
    ]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_describes_itself_and_each_option(role: str) -> None:
    main = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    assert main["short_description"]
    assert main["description"]
    assert not [name for name, option in main["options"].items() if not option.get("description")]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_keeps_away_from_the_variables_of_the_others(role: str) -> None:
    text = "".join(path.read_text() for path in (ROOT / "roles" / role).glob("[tv]*/*.yml"))
    for other in set(ROLES) - {role}:
        assert f"__{other}_" not in text
        assert not [name for name in options(other) if name.startswith(f"{other}_") and name in text]


def test_the_development_inventory_sets_every_required_option_of_every_role() -> None:
    folder = ROOT / "inventories" / "development" / "group_vars" / "hokusai_platforms"
    given = {name for path in folder.glob("*.yml") for name in load(path)}
    required = {name for role in ROLES for name, option in options(role).items() if option.get("required")}
    assert not required - given


def test_the_sandbox_inventory_adds_only_how_to_reach_the_sandbox() -> None:
    folder = ROOT / "inventories" / "sandbox" / "group_vars" / "hokusai_platforms"
    assert not [path.name for path in folder.iterdir() if not path.is_symlink()]
    assert [path.name for path in (ROOT / "inventories" / "sandbox" / "host_vars").iterdir()] == ["sandbox.yml"]
    development = ROOT / "inventories" / "development" / "group_vars" / "hokusai_platforms"
    assert {path.resolve() for path in folder.iterdir() if path.is_symlink()} == set(development.iterdir())
