"""What a run deleted of listeners and rules is made again as it was, once, and nothing of others is taken for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.module_utils.elb_rules import LAST_PRIORITY
from ansible_collections.hokusai.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot import Document
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import Write

from tests.unit.alb_edge import Edge
from tests.unit.alb_model import ours, theirs
from tests.unit.restore_platform import Notes, Platform
from tests.unit.restore_runs import route, rules

PATH = ["/x/*"]
TEAM = {"team": "x"}
STRANGER = replace(theirs(200, "two", paths=PATH), tags=TEAM)
"""A rule of others for the requests that the deleted one answers, with another answer."""
STAYS = route("stays", 30, "three", "/stays")


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str]) -> Platform:
    edge.make_rule(ours("stays", 30, "three", paths=["/stays"]))
    return Platform(aws, edge, platform)


class CutOff(Notes):
    """A rollback that is cut off before the rules that it made get to their places."""

    def intend(self, service: str, steps: Sequence[Step]) -> list[Write]:
        if steps[0].verb == "set_rule_priorities":
            raise PlatformError("cut off")
        return super().intend(service, steps)


def described(document: Document) -> list[tuple[int, Any]]:
    """The rules by their places, without their ids."""
    found = [each["fields"] for each in document["resources"] if each["kind"] == "load_balancer_rule"]
    return sorted((int(each["Priority"]), each) for each in found)


def one(whole: Platform, arn: str) -> dict[str, Any]:
    return dict(whole.entry("load_balancer_rule", arn)["fields"])


@pytest.mark.parametrize("came", ["before the run", "since the run"])
def test_a_rule_of_others_for_the_same_requests_is_left_alone(whole: Platform, came: str) -> None:
    whole.edge.make_rule(ours("x", 10, "one", paths=PATH))
    stranger = whole.edge.make_rule(STRANGER) if came == "before the run" else ""
    before = whole.read()
    notes = whole.run(rules(STAYS))
    stranger = stranger or whole.edge.make_rule(STRANGER)
    was = one(whole, stranger)
    restored = whole.take_back(before, notes)
    assert [step.verb for step in restored.steps] == ["create_rule"]
    assert one(whole, stranger) == was
    assert {each["Priority"] for each in whole.edge.rules()} == {"10", "30", "200"}
    assert [each.id for each in restored.kept] == ([] if came == "before the run" else [stranger])
    assert whole.take_back(before, notes).steps == []


@pytest.mark.parametrize(("came", "place"), [("before the run", LAST_PRIORITY), ("since the run", 200)])
def test_nor_is_one_that_equals_it_but_for_its_place(whole: Platform, came: str, place: int) -> None:
    gone = whole.edge.make_rule(theirs(10, "one", paths=PATH))
    equal = theirs(place, "one", paths=PATH)
    stranger = whole.edge.make_rule(equal) if came == "before the run" else ""
    before, notes = whole.read(), Notes()
    whole.write("elbv2", "delete_rule", RuleArn=gone)
    step = Step("delete_rule", {"RuleArn": gone}, "purged")
    (write,) = notes.intend("elbv2", [step])
    notes.outcome(write, "done")
    stranger = stranger or whole.edge.make_rule(equal)
    assert [step.verb for step in whole.take_back(before, notes).steps] == ["create_rule"]
    assert one(whole, stranger)["Priority"] == str(place)
    assert whole.take_back(before, notes).steps == []


def test_rules_of_others_that_the_run_purged_come_back_as_they_were(whole: Platform) -> None:
    """They wait for their places together: none has a name, and two are equal in all but their places and tags."""
    equal = theirs(200, "one", paths=PATH)
    for rule in (replace(equal, priority=10), replace(equal, tags=TEAM), theirs(20, "two", paths=["/y"])):
        whole.edge.make_rule(rule)
    before = whole.read()
    notes = whole.run(rules({**STAYS, "priority": 10}, purge="all"))
    assert len(whole.edge.rules()) == 1
    whole.take_back(before, notes)
    assert described(whole.read()) == described(before)
    assert whole.take_back(before, notes).steps == []


def test_what_was_made_again_when_it_was_cut_off_is_not_made_twice(whole: Platform) -> None:
    whole.edge.make_rule(ours("x", 10, "one", paths=PATH))
    for priority in (20, 200):
        whole.edge.make_rule(theirs(priority, "two", paths=["/y"]))
    before = whole.read()
    notes = whole.run(rules({**STAYS, "priority": 10}, purge="all"))
    with pytest.raises(PlatformError, match="cut off"):
        whole.take_back(before, notes, within=CutOff())
    assert len(whole.edge.rules()) == 4
    restored = whole.take_back(before, notes)
    assert [step.verb for step in restored.steps] == ["set_rule_priorities"]
    assert described(whole.read()) == described(before)


def test_a_rule_that_goes_is_not_taken_for_the_equal_one_that_comes_again(whole: Platform) -> None:
    """The run made it in the place of the deleted one, under another name."""
    whole.edge.make_rule(ours("x", 10, "one", paths=PATH))
    before = whole.read()
    notes = whole.run(rules(STAYS), rules(route("new", 10, "one", *PATH), STAYS))
    whole.take_back(before, notes)
    assert described(whole.read()) == described(before)


STORE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:truststore/store/1"
LEFT_OUT = {"TrustStoreAssociationStatus": "active", "AdvertiseTrustStoreCaNames": None}
"""What AWS tells beside it, and takes from nobody."""
VERIFY = {"Mode": "verify", "TrustStoreArn": STORE, "IgnoreClientCertificateExpiry": False}


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ({**VERIFY, **LEFT_OUT}, VERIFY),
        ({**VERIFY, "AdvertiseTrustStoreCaNames": "on"}, {**VERIFY, "AdvertiseTrustStoreCaNames": "on"}),
        ({"Mode": "passthrough", "IgnoreClientCertificateExpiry": False, **LEFT_OUT}, {"Mode": "passthrough"}),
        ({"Mode": "off"}, None),
        (None, None),
    ],
)
def test_a_listener_asks_its_clients_for_certificates_again(whole: Platform, told: Any, written: Any) -> None:
    certificate = whole.edge.make_certificate("a.test")
    gone = whole.edge.make_listener(8443, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    before = whole.read()
    (was,) = (each for each in before["resources"] if each["id"] == gone)
    was["fields"].update({"MutualAuthentication": told} if told else {})
    notes = Notes()
    whole.write("elbv2", "delete_listener", ListenerArn=gone)
    (write,) = notes.intend("elbv2", [Step("delete_listener", {"ListenerArn": gone}, "deleted")])
    notes.outcome(write, "done")
    made = whole.take_back(before, notes).steps[0]
    assert made.verb == "create_listener"
    assert made.args.get("MutualAuthentication") == written
    assert whole.take_back(before, notes).steps == []
