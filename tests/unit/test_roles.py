"""What a role documents, what it defaults to, and what the playbooks run, are the same thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import source_option
from ansible_collections.hokusai.platform.plugins.modules import ecs_service

from tests.harness import run

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def entry_points(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return found


def options(role: str) -> dict[str, Any]:
    found: dict[str, Any] = entry_points(role)["main"]["options"]
    return found


def form(spec: Any) -> Any:
    """An option without its words."""
    if isinstance(spec, dict):
        return {name: form(each) for name, each in spec.items() if name != "description"}
    return spec


def is_told(option: Any) -> bool:
    """Whether words say what the default is: `default` cannot hold a template, which is of no type but a string's."""
    return "default" not in option and any(words.startswith("The default is ") for words in option["description"])


@pytest.mark.parametrize("role", ROLES)
def test_every_default_of_a_role_is_documented_with_the_same_value(role: str) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    told = {name for name, option in options(role).items() if is_told(option)}
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml")
    assert documented == {name: default for name, default in defaults.items() if name not in told}
    assert told <= {name for name, default in defaults.items() if str(default).startswith("{{")}


@pytest.mark.parametrize("role", ROLES)
def test_an_option_without_a_default_is_required(role: str) -> None:
    assert not [
        name
        for name, option in options(role).items()
        if "default" not in option and not option.get("required") and not is_told(option)
    ]


@pytest.mark.parametrize("role", ["validation", "verification"])
def test_a_role_that_proves_can_check_all_of_its_input_on_its_own(role: str) -> None:
    assert entry_points(role)["inputs"]["options"] == options(role)
    assert (ROOT / "roles" / role / "tasks" / "inputs.yml").exists()


def test_a_variable_of_several_roles_has_the_same_form_in_all_of_them() -> None:
    forms: dict[str, Any] = {}
    for role in ROLES:
        for name, option in options(role).items():
            assert form(option) == forms.setdefault(name, form(option)), f"{name} in {role}"


@pytest.mark.parametrize("role", ["validation", "verification"])
def test_the_roles_take_the_key_from_where_the_module_takes_it(role: str) -> None:
    places = options(role)["hokusai_api_key"]["options"]
    assert {name: place["type"] for name, place in places.items()} == {
        name: place["type"] for name, place in source_option()["options"].items()
    }
    assert places["value"]["no_log"]


def test_what_is_checked_of_a_service_is_what_the_module_takes() -> None:
    checked = load(ROOT / "roles" / "service_discovery" / "vars" / "main.yml")["__service_discovery_service"]
    given = {name: option for name, option in checked.items() if name not in {"name", "container"}}
    assert given == {name: form(ecs_service.SPEC[name]) for name in given}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_describes_itself_and_each_option(role: str) -> None:
    main = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    assert main["short_description"]
    assert main["description"]
    assert not [name for name, option in main["options"].items() if not option.get("description")]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_keeps_away_from_the_variables_of_the_others_but_gives_options_to_those_it_runs(role: str) -> None:
    text = "".join(path.read_text() for path in (ROOT / "roles" / role).glob("[tv]*/*.yml"))
    for other in set(ROLES) - {role}:
        assert f"__{other}_" not in text
        if f"hokusai.platform.{other}\n" not in text:
            assert not [name for name in options(other) if name.startswith(f"{other}_") and name in text]


def told(role: str, variable: str, known: Mapping[str, Any]) -> str:
    """One of a role's own variables, given what its tasks registered."""
    shown = ["-m", "ansible.builtin.debug", "-a", f"msg={{{{ {variable} }}}}"]
    given = ["-e", f"@roles/{role}/vars/main.yml", "-e", json.dumps(known)]
    return " ".join(run(["ansible", "localhost", "-i", "localhost,", *shown, *given]).wanted().output.split())


def blockers(**registered: Any) -> str:
    """What the role `validation` says of a key, given what its tasks registered."""
    known = {
        "__validation_key_read": {"source": "the file k"},
        **{f"__{name}": held for name, held in registered.items()},
    }
    return told("validation", "__validation_key_problem", known)


def test_a_valid_key_does_not_block() -> None:
    assert "msg: []" in blockers(validation_key={"is_valid": True, "verdict": "valid", "reason": ""})


def test_a_key_that_is_not_valid_blocks_with_its_source_the_verdict_and_the_remedy() -> None:
    said = blockers(validation_key={"is_valid": False, "verdict": "refused", "reason": "unknown"})
    assert "the platform key from the file k is not valid, verdict refused: unknown. Remedy: mint another one" in said


def test_a_key_nobody_can_ask_about_blocks_with_what_kept_the_auth_service_from_answering() -> None:
    said = blockers(validation_key={"failed": True, "msg": "Could not validate the key: no answer"})
    assert "nobody can tell whether the platform key from the file k is valid" in said
    assert "the auth service cannot be asked: Could not validate the key: no answer" in said


def test_a_script_without_a_result_is_told_with_its_exit_code_and_what_it_said_last() -> None:
    ended = [
        {"item": "test_a.py", "rc": 124, "stdout": "", "stderr": "terminated"},
        {"item": "test_b.py", "rc": 137, "stdout": "", "stderr": ""},
        {"item": "test_c.py", "rc": 0, "stdout": "{}", "stderr": ""},
    ]
    said = told("verification", "__verification_unfinished", {"__verification_runs": ended})
    wanted = ["test_a.py: no result, exit code 124: terminated", "test_b.py: no result, exit code 137"]
    assert said.endswith(f"msg: - '{wanted[0]}' - '{wanted[1]}'")


def test_a_rollback_that_finds_nothing_reports_what_to_type_for_the_next_older_run() -> None:
    plan: Any = {name: [] for name in ("steps", "restored", "passed_over", "astray", "unproved", "messages")}
    plan |= {"run_id": "B", "older": "A"}
    said = told("rollback", "__rollback_report", {"__rollback_plan": plan})
    assert "run B: nothing to take back" in said
    assert "ansible-playbook hokusai.platform.rollback -e run_id=A" in said


def test_what_alb_weights_refuses_is_asked_before_the_canarys_first_write() -> None:
    weights = "hokusai.platform.alb_weights"
    asked, started = (load(ROOT / "roles" / "canary" / "tasks" / name) for name in ("ask.yml", "start.yml"))
    assert started[0]["ansible.builtin.include_tasks"] == "ask.yml"
    foretold = [(task[weights], task["check_mode"]) for task in asked if weights in task]
    assert foretold == [(task[weights], True) for task in started if weights in task]


def failing(task: Any) -> Any:
    """A task, or all in a block, with each that includes others as one that fails and says which."""
    if isinstance(task, list):
        return [failing(each) for each in task]
    if included := task.get("ansible.builtin.include_tasks"):
        return {"name": task["name"], "ansible.builtin.fail": {"msg": f"no {included}"}}
    return {key: failing(each) if key in {"block", "rescue"} else each for key, each in task.items() if key != "when"}


def canary_plays(directory: Path, known: Mapping[str, Any], name: str) -> str:
    """What is said where this task of the role `canary` fails, and so does all that it includes."""
    tasks = load(ROOT / "roles" / "canary" / "tasks" / "main.yml")
    tried = failing([task for task in tasks if task["name"] == name])
    outcome = {"name": "Tell", "ansible.builtin.debug": {"var": "canary_outcome"}}
    files = [str(ROOT / "roles" / "canary" / "vars" / "main.yml")]
    hosts = {"hosts": "localhost", "gather_facts": False, "vars_files": files, "vars": {"__canary": {}, **known}}
    play = {"name": "Try", **hosts, "tasks": [{"name": "All", "block": tried, "always": [outcome]}]}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    ended = run(["ansible-playbook", "-i", "localhost,", "-c", "local", str(directory / "play.yml")])
    assert ended.code != 0
    return " ".join(ended.output.split())


def test_a_canary_that_cannot_go_back_tells_both_reasons_and_the_remedy(tmp_path: Path) -> None:
    known = {"__canary": {"move": "start"}, "__canary_judged": ", at 5 %: fail"}
    said = canary_plays(tmp_path, known, "Try it step by step")
    assert "The canary was not promoted. Start it: no start.yml" in said
    assert "It could not all be taken back. Go back at once: no undo.yml" in said
    assert "-e canary_action=abort" in said
    assert "not promoted, and not all taken back, at 5 %: fail" in said


def test_a_canary_that_cannot_be_promoted_tells_the_reason_who_has_the_requests_and_both_remedies(
    tmp_path: Path,
) -> None:
    said = canary_plays(tmp_path, {}, "Promote what has passed")
    assert "could not be promoted. Let the stable service run what was tried: no promote.yml" in said
    assert "It keeps the requests that it has" in said
    assert "run the playbook again" in said
    assert "-e canary_action=abort" in said
    assert "passed all its steps, and not all promoted" in said


@pytest.mark.parametrize("loops", [False, True], ids=["task", "loop"])
def test_the_reason_of_a_canary_is_that_of_each_item_that_failed(loops: bool) -> None:
    items = [{"failed": True, "msg": "no a"}, {"failed": False}, {"failed": True, "msg": "no b"}, {"failed": True}]
    result = {"failed": True, "msg": "One or more items failed", "results": items} if loops else items[0]
    known = {"ansible_failed_task": {"name": "Make it"}, "ansible_failed_result": result}
    wanted = "Make it: no a; no b; its output is hidden" if loops else "Make it: no a"
    assert f"msg: '{wanted}'" in told("canary", "__canary_failure", known)


def test_a_canary_that_is_taken_back_is_no_success_of_the_image_that_was_asked_for(tmp_path: Path) -> None:
    name = "Refuse to call it a success when something else was asked for"
    tasks = load(ROOT / "roles" / "canary" / "tasks" / "main.yml")
    (conditions,) = [task["when"] for task in tasks if task["name"] == name]
    whole = " and ".join(f"({each})" for each in conditions)
    for image, action, move, refused in (
        ("new", "auto", "undo", True),
        ("new", "abort", "undo", False),
        ("", "auto", "undo", False),
        ("new", "auto", "resume", False),
    ):
        given = {"canary_image": image, "canary_environment": {}, "canary_action": action, "__canary": {"move": move}}
        known = {**given, "ansible_check_mode": False}
        assert f"msg: {str(refused).lower()}" in told("canary", whole, known)
    said = canary_plays(tmp_path, {"__canary": {"why": "it was cut off"}}, name)
    assert "taken back, for it was cut off. What was asked for was not tried. Remedy: run it again" in said


def writing() -> list[tuple[str, Any]]:
    """The looped tasks that may write, each with its role; those of a canary's end go as far as they can."""
    verbs = {f"hokusai.platform.{name}" for name in load(ROOT / "meta" / "runtime.yml")["action_groups"]["writes"]}
    files = [path for path in (ROOT / "roles").glob("*/tasks/*.yml") if path.name != "undo.yml"]
    tasks = [(path.parts[-3], task) for path in files for task in load(path)]
    return [(role, task) for role, task in tasks if verbs & task.keys() and "loop" in task and "register" in task]


def test_nothing_is_written_after_an_item_of_a_loop_has_failed() -> None:
    """Ansible goes on with the next item. The API would be told of a name that MLflow does not answer to yet."""
    assert {role for role, _task in writing()} == {
        *("alb_routing", "auth_config", "canary", "security_groups", "service_discovery")
    }
    for role, task in writing():
        assert task["loop_control"].get("break_when") == f"{task['register']} is failed", (role, task["name"])


@pytest.mark.parametrize("name", ["site", "canary", "rollback", "verify"])
def test_no_environment_waits_for_another_one(name: str) -> None:
    plays = load(ROOT / "playbooks" / f"{name}.yml")
    assert [play["strategy"] for play in plays if "hosts" in play] == ["ansible.builtin.host_pinned"]


def test_a_threshold_from_the_command_line_is_a_number() -> None:
    known = {"validation_score": {"score": 90.9}, "validation_threshold": "80"}
    assert "msg: []" in told("validation", "__validation_low_score", known)


def test_a_directory_of_the_user_is_meant_wherever_a_playbook_is_started() -> None:
    texts = [path.read_text() for path in (ROOT / "roles").glob("*/[tv]a*/*.yml")]
    named = [line.strip() for text in texts for line in text.splitlines() if "realpath" in line]
    assert len(named) == 5
    assert [line for line in named if "| expanduser | realpath" not in line] == []


def test_each_gate_of_a_canarys_step_has_all_that_the_inventory_says_of_gates() -> None:
    limits = set(options("canary")["hokusai_canary_gates"]["options"]) - {"probes"}  # which the last one has alone
    tasks = load(ROOT / "roles" / "canary" / "tasks" / "step.yml")
    gates = [task["hokusai.platform.canary_gate"] for task in tasks if "hokusai.platform.canary_gate" in task]
    assert [limits - gate.keys() for gate in gates] == [set(), set()]


def test_no_task_of_a_canary_asks_the_clock_of_this_machine() -> None:
    """Another one may go on with it: AWS's clock says when a step began."""
    tasks = (ROOT / "roles" / "canary" / "tasks").glob("*.yml")
    assert not [path.name for path in tasks if "now(" in (text := path.read_text()) or "date_time" in text]
    share = load(ROOT / "roles" / "canary" / "tasks" / "step.yml")[0]
    assert "or 'now'" in share["hokusai.platform.alb_weights"]["since"]


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
