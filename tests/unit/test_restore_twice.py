"""A rollback can be taken back like any run: what it removed is there again, and what led there leads there again.

What is made again has an id of its own; everything else is to the byte as the run had left it.
"""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils import ecs_deployment, restore
from ansible_collections.hokusai.platform.plugins.module_utils.task_definition import Revision

from tests.unit.alb_edge import BALANCER, Edge
from tests.unit.restore_platform import Notes, Platform, Task
from tests.unit.restore_runs import (
    NAMESPACE,
    REGISTRY,
    RUNS,
    alb_rules,
    alb_target_group,
    cloudmap_service,
    ecs,
    furnished,
    listener,
    route,
    rules,
    text,
)

NEW_PORT = 8443
SETTLE = ecs_deployment.settle
GROUP = {"vpc": "the-vpc", "protocol": "HTTP", "port": 8001, "target_type": "ip"}
WHOLE: dict[str, list[Task]] = {
    "a target group with the rule that forwards to it": [
        (alb_target_group, {"name": "four", **GROUP, "attributes": {"deregistration_delay.timeout_seconds": 10}}),
        rules(route("new", 50, "four", "/new"), purge="none"),
    ],
    "a listener with its rules": [
        (listener(port=NEW_PORT, default_action={"type": "fixed_response", "fixed_response": {"status_code": 404}})),
        (alb_rules, {"load_balancer": BALANCER, "port": NEW_PORT, "rules": [route("new", 50, "one", "/new")]}),
    ],
}


@pytest.fixture
def whole(aws: object, edge: Edge, platform: dict[str, str]) -> Platform:
    edge.groups["four"] = ""  # a target group that a run makes is looked at
    return furnished(aws, edge, platform)


def by_name(platform: Platform) -> list[str]:
    """Every resource, those that it refers to by their names, and revisions by their content."""
    document = platform.read()
    text = json.dumps(document["resources"], sort_keys=True)
    for arn in sorted(set(re.findall(r"arn:[^\"]+:task-definition/[\w-]+:\d+", text))):
        text = text.replace(json.dumps(arn), json.dumps(content(platform, arn)))
    for each in document["resources"]:
        for told in {each["id"], each["where"].get("Arn", each["id"])}:
            text = text.replace(json.dumps(told), json.dumps(f"{each['kind']} {each['name']}"))
    return sorted(json.dumps(each, sort_keys=True) for each in json.loads(text))


def content(platform: Platform, arn: str) -> str:
    answer = platform.aws.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    found = Revision.described(answer)
    return json.dumps([found.content, found.tags], sort_keys=True)


@pytest.mark.parametrize("name", [*RUNS, *WHOLE])
def test_a_rollback_is_taken_back_like_any_run(whole: Platform, name: str) -> None:
    goes_back_and_forth(whole, *{**RUNS, **WHOLE}[name])


def test_a_listener_that_is_made_again_has_all_its_certificates_and_attributes(whole: Platform) -> None:
    certificates = [whole.edge.make_certificate(name) for name in ("a.test", "b.test")]
    attributes = {"routing.http.response.server.enabled": "false"}
    action = {"type": "fixed_response", "fixed_response": {"status_code": 404}}
    more = {"certificates": certificates, "attributes": attributes, "default_action": action}
    goes_back_and_forth(whole, listener(port=NEW_PORT, protocol="HTTPS", **more))


def goes_back_and_forth(whole: Platform, *tasks: Task) -> None:
    before = whole.read()
    run = whole.run(*tasks)
    there, ran, between = whole.read(), by_name(whole), Notes()
    whole.take_back(before, run, within=between)
    assert text(whole.read()) != text(there)
    again = whole.take_back(there, between)
    assert sorted(set(by_name(whole)) ^ set(ran)) == []
    assert again.kept == []
    assert whole.take_back(there, between).steps == []


def test_what_a_rollback_that_was_cut_off_made_again_is_told_with_what_it_lacks(whole: Platform) -> None:
    before = whole.read()
    run = whole.run(*WHOLE["a target group with the rule that forwards to it"][:1])
    there, between = whole.read(), Notes()
    whole.take_back(before, run, within=between)
    arn = whole.edge.make_group("four")
    instead = f"the run removed it, and {arn} is in its place"
    assert {(each.id == arn, each.field, each.reason) for each in whole.take_back(there, between).kept} == {
        (False, "", instead),
        (True, "", "not there before, and not created by the run"),
        (True, "Attributes.deregistration_delay.timeout_seconds", instead),
    }


def test_it_goes_on_where_it_was_cut_off_with_what_was_made_again(
    whole: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The discovery service and the revision are there again when it is cut off, and have other ids than before."""
    before = whole.read()
    run = whole.run(*RUNS["a service twice, in a discovery service of the same run"])
    there, ran, between = whole.read(), by_name(whole), Notes()
    whole.take_back(before, run, within=between)
    units = restore.units
    monkeypatch.setattr(restore, "units", lambda *given: [each for each in units(*given) if each.settle is not SETTLE])
    whole.take_back(there, between)
    monkeypatch.undo()
    assert by_name(whole) != ran
    done = whole.take_back(there, between)
    assert [step.verb for step in done.steps] == ["update_service"]
    assert sorted(set(by_name(whole)) ^ set(ran)) == []


def test_what_would_refer_to_something_that_is_gone_is_kept_and_told_until_it_is_there_again(whole: Platform) -> None:
    cloudmap = whole.aws.client("servicediscovery")
    (registry,) = [each for each in cloudmap.list_services()["Services"] if each["Name"] == "api"]
    whole.run(ecs(service_registries=[REGISTRY]))
    before = whole.read()
    notes = whole.run(ecs(service_registries=[]))
    whole.write("servicediscovery", "delete_service", Id=registry["Id"])
    told = whole.take_back(before, notes)
    assert told.steps == []
    assert ("serviceRegistries", "the discovery service api.hokusai-development.local that it referred to is gone") in [
        (each.field, each.reason) for each in told.kept
    ]
    whole.run((cloudmap_service, {"name": "api", "namespace": NAMESPACE}))
    assert [step.verb for step in whole.take_back(before, notes).steps] == ["update_service"]
    (service,) = [each for each in whole.read()["resources"] if each["kind"] == "ecs_service"]
    (new,) = [each for each in cloudmap.list_services()["Services"] if each["Name"] == "api"]
    assert service["fields"]["serviceRegistries"] == [{"registryArn": new["Arn"]}]
    assert new["Id"] != registry["Id"]
