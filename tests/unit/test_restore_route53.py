"""What a run wrote to the records of public hosts is taken back, all of a zone in one batch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hokusai.platform.plugins.modules import route53_alias

from tests.unit.alb_edge import Edge
from tests.unit.conftest import CountingAws
from tests.unit.restore_platform import Platform
from tests.unit.test_route53_alias import HOST, OTHER, Zone, lead

TASK = (route53_alias, {"hosts": lead(HOST, OTHER), "replace": True})


@pytest.fixture
def zone(aws: CountingAws) -> Zone:
    return Zone(aws)


@pytest.fixture
def whole(aws: Any, edge: Edge, platform: dict[str, str], zone: Zone) -> Platform:
    zone.put(Name=HOST, Type="CNAME", ResourceRecords=[{"Value": "old.example"}])
    return Platform(aws, edge, platform)


def records(platform: Platform) -> str:
    return json.dumps([each for each in platform.read()["resources"] if each["kind"] == "record_set"], sort_keys=True)


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "cut off"])
def test_a_name_that_was_taken_is_given_back_and_one_that_was_made_goes(
    whole: Platform, zone: Zone, aws: CountingAws, ended: bool
) -> None:
    was, before = records(whole), whole.read()
    notes = whole.run(TASK)
    assert (set(zone.held()), set(zone.held(OTHER))) == ({"A"}, {"A"})
    aws.calls.clear()
    whole.take_back(before, notes, whole.read() if ended else None)
    assert records(whole) == was
    assert (zone.held(), zone.held(OTHER)) == ({"CNAME": "old.example"}, {})
    assert aws.calls["route53:ChangeResourceRecordSets"] == 1


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "cut off"])
def test_an_address_that_became_an_alias_is_an_address_again(whole: Platform, zone: Zone, ended: bool) -> None:
    zone.put(Name=OTHER, Type="A", ResourceRecords=[{"Value": "192.0.2.7"}])
    was, before = records(whole), whole.read()
    notes = whole.run(TASK)
    assert zone.held(OTHER) != {"A": "192.0.2.7"}
    done = whole.take_back(before, notes, whole.read() if ended else None)
    assert (records(whole), done.kept) == (was, [])


def test_of_two_zones_of_one_name_the_one_that_was_written_is_taken_back(
    whole: Platform, zone: Zone, aws: CountingAws
) -> None:
    twin = Zone(aws, HostedZoneConfig={"Comment": "twin", "PrivateZone": False})
    twin.put(Name=HOST, Type="A", ResourceRecords=[{"Value": "192.0.2.9"}])
    module, options = TASK
    was, before = records(whole), whole.read()
    notes = whole.run((module, {**options, "zone": zone.id}))
    assert set(zone.held(OTHER)) == {"A"}
    whole.take_back(before, notes, whole.read())
    assert records(whole) == was
    assert (zone.held(), twin.held()) == ({"CNAME": "old.example"}, {"A": "192.0.2.9"})
    assert (zone.held(OTHER), twin.held(OTHER)) == ({}, {})


def test_a_name_that_somebody_else_leads_elsewhere_since_is_kept(whole: Platform, zone: Zone) -> None:
    before = whole.read()
    notes = whole.run(TASK)
    after = whole.read()
    zone.put("UPSERT", Name=OTHER, Type="A", ResourceRecords=[{"Value": "192.0.2.9"}])
    done = whole.take_back(before, notes, after)
    assert (zone.held(), zone.held(OTHER)) == ({"CNAME": "old.example"}, {"A": "192.0.2.9"})
    assert OTHER in {each.name for each in done.kept}


def test_a_record_that_somebody_made_after_the_snapshot_and_the_run_took_is_not_removed(
    whole: Platform, zone: Zone
) -> None:
    before = whole.read()
    zone.put(Name=OTHER, Type="A", ResourceRecords=[{"Value": "192.0.2.9"}])
    notes = whole.run(TASK)
    done = whole.take_back(before, notes, whole.read())
    assert (zone.held(), list(zone.held(OTHER))) == ({"CNAME": "old.example"}, ["A"])
    kept = [each.reason for each in done.kept if each.name == OTHER]
    assert kept == ["not there before, and not created by the run"]
