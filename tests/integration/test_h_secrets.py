"""One canary of each kind of secret is planted wherever one can be, and is found nowhere else, whole or in part.

Nowhere: not in what Ansible prints at its loudest, logs, and hands to callbacks, not in records, plans and reports, not
in the logs of the platform, not in what AWS keeps of it, and not on a command line or in the environment of a process.
The files of Ansible's own temporary directories are the exception, as modules get their options in them: they are their
owner's alone, and gone afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import Sandbox, running_sandbox
from tests.integration.leaks import Watch, files
from tests.integration.planted import PARAMETER, SECRET, SHOWN_BY_ECS, Planted, kept_by_aws, leaks, plant
from tests.integration.traffic import Traffic

AUTH = {"auth_url": "https://auth.hokus.ai"}
VERSION = "https://registry.hokus.ai/api/mlflow/version"
GATEWAY = "-m gateway"
TAKEN = {"from a secret", "unknown key"}
"""Tasks that do what they are asked; the sandbox does not look who asks."""
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/hokusai-api:canary"
GOOD = ("key as bearer", "key as ApiKey", "key in X-API-Key", "key repeated")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("secrets"), "--healthy") as started:
        yield started


@pytest.fixture(scope="module")
def planted(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    directory = tmp_path_factory.mktemp("operator")
    return plant(sandbox, directory / "own", directory / "evidence")


@pytest.fixture(scope="module")
def playbooks(planted: Planted) -> Watch:
    """Planned, deployed, verified, deployed with a failure that is rolled back; a canary promoted and taken back.

    Of the canary AWS keeps the record, and the key that seals it.
    """
    plan = str(planted.evidence / "plan" / "plan.json")
    key = planted.texts["key"]
    broken = {"validation_threshold": 101, "hokusai_on_failure": "rollback"}
    with Watch(planted.secrets, planted.user / ".ansible" / "tmp") as watch:
        planted.play("plan", "site", "--check", "-e", f"hokusai_plan_out={plan}")
        planted.play("site", "site", "-e", f"hokusai_plan={plan}")
        planted.play("verify", "verify", hokusai_api_key={"value": key})
        planted.play(
            "broken",
            "site",
            hokusai_api_key={"ssm_parameter": PARAMETER},
            hokusai_settings=planted.settings("2"),
            **broken,
        )
        stored = planted.stored()
        with Traffic(planted.sandbox, rate=20):
            planted.play("canary", "canary", **canary(planted), **stored)
        planted.play("rollback", "rollback", **stored)
        planted.play("history", "history", **stored)
    return watch


def canary(planted: Planted) -> dict[str, Any]:
    """A canary with a password of its own, whose gate asks with the key."""
    probe = {"name": "version", "url": VERSION, "credential": {"file": str(planted.own / "key")}}
    limits = {"minimum_sample": 4, "max_error_ratio": 0.02, "max_above_stable": 0.01, "patience": 60, "poll": 1}
    return {
        "canary_image": IMAGE,
        "canary_environment": {"REGISTRY_PASSWORD": planted.texts["setting"] + "3"},
        "hokusai_canary_steps": [{"weight": 100, "bake": 1}],
        "hokusai_canary_gates": {"alarms": [], "probes": [probe], **limits},
    }


@pytest.fixture(scope="module")
def mistakes(planted: Planted, playbooks: Watch) -> Watch:
    """Keys from the other sources, and keys where none belongs."""
    with Watch(planted.secrets, planted.user / ".ansible" / "tmp") as watch:
        for name, (module, options) in tasks(planted.texts).items():
            planted.task(name, f"hokusai.platform.{module}", options)
        for name, variables in typos(planted.texts).items():
            planted.play(name, "verify", **variables)
    return watch


def tasks(texts: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """By a name, a module of the collection and its options; all but those of `TAKEN` are refused."""
    key, validate = texts["key"], {**AUTH, "action": "validate"}
    request = {"name": "version", "url": VERSION}
    swapped = {"access_key": texts["aws"], "secret_key": "AKIA" + "X" * 16}
    setting = {"name": "n", "enviroment": {"A_TOKEN": texts["setting"]}}
    return {
        "from a secret": ("api_key", {**validate, "source": {"secret": SECRET}}),
        "unknown key": ("api_key", {**validate, "source": {"value": texts["refused"]}}),
        "misspelt": ("api_key", {**validate, "source": {"valeu": key}}),
        "bare": ("api_key", {**validate, "source": key}),
        "under a name": ("api_key", {**validate, "source": {"environment": key}}),
        "as a name": ("api_key", {**validate, "source": {key: None}}),
        "swapped": ("api_key", {**validate, "source": {"secret": SECRET}, **swapped}),
        "swapped in a file": ("api_key", {**validate, "source": {"secret": SECRET}, "profile": "swapped"}),
        "in a header": ("http_probe", {"requests": [{**request, "headers": {"X-API-Key": key}}]}),
        "in a URL": ("http_probe", {"requests": [{**request, "url": f"{VERSION}?key={key}"}]}),
        "misspelt probe": ("http_probe", {"requests": [{**request, "credential": {"valeu": key}}]}),
        "misspelt score": ("health_score", {"api_key": {"valeu": key}}),
        "record's": ("platform_history", {"environment": "e", "key": {"environment": texts["record"]}}),
        "misspelt setting": ("ecs_service", {"cluster": "c", "service": "s", "containers": [setting]}),
    }


def typos(texts: Any) -> dict[str, dict[str, Any]]:
    """By a name, variables of an inventory in which a key stands where it does not belong."""
    key = texts["key"]
    return {
        "suboption": {"hokusai_api_key": {"valeu": key}},
        "no option": {"hokusai_api_key": key},
        "option": {"hokusai_api_key": {key: None}},
        "list": {"hokusai_api_key": [key]},
        "setting": {"hokusai_settings": [{"service": "api", "enviroment": {"A_PASSWORD": texts["setting"]}}]},
        "two options": {"hokusai_api_key": {"value": key, "file": "/none"}},
        "environment": {"hokusai_environment": {"HOKUSAI_API_KEY": key}},
    }


@pytest.fixture(scope="module")
def from_environment(planted: Planted, mistakes: Watch) -> Watch:
    """A key that the operator's own environment holds; Ansible and what it starts inherit it."""
    with Watch(planted.secrets, planted.user / ".ansible" / "tmp") as watch:
        options = {**AUTH, "action": "validate", "source": {"environment": "CANARY"}}
        planted.task("from the environment", "hokusai.platform.api_key", options, CANARY=planted.texts["key"])
        planted.inherited["CANARY"] = planted.texts["key"]
        planted.play("inherited", "verify", hokusai_api_key={"environment": "CANARY"})
        planted.inherited.clear()
    return watch


@pytest.fixture(scope="module")
def requests(planted: Planted, from_environment: Watch) -> dict[str, int]:
    """What the gateway answered to each way of sending a key."""
    ways: dict[str, dict[str, str]] = {}
    for kind in ("key", "refused"):
        key = planted.texts[kind]
        ways |= {f"{kind} as bearer": {"Authorization": f"Bearer {key}"}}
        ways |= {f"{kind} as ApiKey": {"Authorization": f"ApiKey {key}"}, f"{kind} in X-API-Key": {"X-API-Key": key}}
        ways |= {f"{kind} unknown scheme": {"Authorization": f"Token {key}"}}
        ways |= {f"{kind} twice": {"Authorization": f"Bearer {key}", "X-API-Key": key}}
        ways |= {f"{kind} repeated": {"Authorization": f"Bearer {key}", "X-Request-Id": key[:30]}}
    return {way: planted.sandbox.ask(VERSION, headers=headers).status_code for way, headers in ways.items()}


@pytest.fixture(scope="module")
def after(planted: Planted, requests: dict[str, int]) -> Planted:
    """All of that has happened."""
    assert requests
    return planted


def test_the_playbooks_came_to_their_ends(playbooks: Watch, planted: Planted) -> None:
    codes = {name: ended.code for name, ended in planted.ran.items()}
    wanted = {"plan": 0, "site": 0, "verify": 0, "broken": 2, "canary": 0, "rollback": 0, "history": 0}
    assert {name: codes[name] for name in wanted} == wanted, planted.ran["site"].output[-3000:]
    assert "wanted at least 101" in planted.ran["broken"].output


def test_the_keys_in_the_right_places_were_good_and_the_others_refused(after: Planted) -> None:
    def said(name: str) -> str:
        return " ".join(after.ran[name].output.split())

    good = ("from a secret", "from the environment", "inherited")
    assert [after.ran[name].code for name in good] == [0, 0, 0], after.ran["inherited"].output[-3000:]
    assert "is_valid: true" in said("from a secret") or '"is_valid": true' in said("from a secret")
    refused = set(tasks(after.texts)) | set(typos(after.texts))
    assert {name for name in refused if after.ran[name].code == 0} == TAKEN
    assert "access key and secret key are not swapped" in said("swapped")
    assert "access key and secret key are not swapped" in said("swapped in a file")
    assert "source.valeu" in said("misspelt") or "required" in said("misspelt")
    assert "hokusai_environment holds a platform key" in said("environment")


def test_every_way_of_sending_a_key_was_answered_for_what_it_is(requests: dict[str, int]) -> None:
    good = [status for way, status in requests.items() if way in GOOD]
    assert good == [200] * len(GOOD)
    assert {status for way, status in requests.items() if way not in GOOD} <= {400, 401}


@pytest.mark.parametrize("place", ["printed", "log", "junit", "tree", "events", "steps", "plan", "home", "temporary"])
def test_no_secret_is_in_what_ansible_leaves(after: Planted, place: str) -> None:
    directory = after.evidence / place
    assert leaks(after, directory) == {}
    assert any(files(directory)) or place in {"home", "temporary"}


def test_nothing_is_left_in_the_fact_cache_and_in_temporary_directories(after: Planted) -> None:
    left = [*after.user.glob(".ansible/tmp/ansible-*"), *(after.evidence / "temporary").iterdir()]
    assert [*left, *files(after.evidence / "facts")] == []


def test_no_secret_is_in_a_record_or_a_log_of_the_platform(after: Planted) -> None:
    assert leaks(after, after.sandbox.home) == {}
    names = {file.name for file in files(after.sandbox.home)}
    record = {"run.json", "journal.jsonl", "before.json", "after.json", "result.json"}
    assert names >= {*record, "hokusai-api-development.log"}


def test_no_secret_is_in_what_aws_keeps_of_the_platform(after: Planted) -> None:
    kept = dict(kept_by_aws(after.sandbox))
    found = {name: after.secrets.found(text) - SHOWN_BY_ECS for name, text in kept.items()}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}
    shown = {name for name, text in kept.items() if after.secrets.found(text)}
    assert all(name.startswith("revision hokusai-api-development") for name in shown)
    assert kept["/ecs/hokusai-api-development"]
    names = {name.partition("?")[0].rpartition("/")[2] for name in kept if name.startswith("s3://hokusai-runs/")}
    assert names >= {"run.json", "before.json", "000001.json", "after.json", "result.json"}


def test_no_secret_was_on_a_command_line(
    after: Planted, playbooks: Watch, mistakes: Watch, from_environment: Watch
) -> None:
    seen = {each for watch in (playbooks, mistakes, from_environment) for each in watch.sightings}
    assert {each for each in seen if each.place == "command line"} == set()


def test_no_secret_was_in_an_environment_but_those_of_the_apis_container(after: Planted, playbooks: Watch) -> None:
    gateway = {each for each in playbooks.sightings if GATEWAY in each.program}
    assert playbooks.sightings - gateway == set()
    assert {each.secret for each in gateway} == {"mlflow", "session", "setting"}


def test_an_environments_key_is_inherited_but_no_process_of_the_platform_has_it(
    after: Planted, from_environment: Watch
) -> None:
    held = {each for each in from_environment.sightings if GATEWAY not in each.program}
    assert {each.secret for each in held} == {"key"}
    assert not [each for each in held if "-m sandbox" in each.program or "mlflow" in each.program]


def test_the_files_by_which_modules_get_their_options_are_their_owners_alone(
    after: Planted, playbooks: Watch, mistakes: Watch
) -> None:
    assert playbooks.modes | mistakes.modes == {0o700}
