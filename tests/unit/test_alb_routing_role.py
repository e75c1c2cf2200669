"""The role alb_routing as a play runs it, against the sandbox's AWS: its tasks leave no request astray between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.alb_edge import BALANCER, PORT, Edge
from tests.unit.alb_model import ours
from tests.unit.conftest import CountingAws
from tests.unit.test_route53_alias import HOST, Zone

ROOT = Path(__file__).parents[2]
NOT_FOUND = {"type": "fixed_response", "fixed_response": {"status_code": 404}}
API = {"name": "api", "priority": 110, "paths": ["/api/v1/*"], "action": {"target_group": "one"}}
TO_API = {"type": "forward", "target_group": "one"}
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


def play(
    place: Path, endpoint: str, variables: Mapping[str, Any] | None = None, hosts: Sequence[str] = (), **listener: Any
) -> list[str]:
    """The verbs of the steps that the role takes to bring the edge's listener there."""
    listeners = [{"port": PORT, "protocol": "HTTP", **listener}]
    steps = place / "steps.json"
    given = {
        "ansible_python_interpreter": sys.executable,
        "hokusai_vpc": "the-vpc",
        "hokusai_target_groups": [],
        "hokusai_load_balancers": [{"name": BALANCER, "hosts": list(hosts), "listeners": listeners}],
        **(variables or {}),
    }
    tasks = [
        {"ansible.builtin.include_role": {"name": "hokusai.platform.alb_routing"}},
        {"ansible.builtin.copy": {"dest": str(steps), "content": "{{ alb_routing_steps | to_json }}", "mode": "0600"}},
    ]
    written = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": given, "tasks": tasks}]
    (place / "play.yml").write_text(json.dumps(written))
    subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), place / "play.yml"],
        cwd=ROOT,
        env={**os.environ, **KEYS, "AWS_ENDPOINT_URL": endpoint},
        check=True,
        capture_output=True,
    )
    return [step["verb"] for step in json.loads(steps.read_text())]


def test_rules_that_take_over_come_before_the_default_action_changes(
    edge: Edge, aws_endpoint: str, tmp_path: Path
) -> None:
    """To the API before and after: `/api/v1/x`, which is not to get the 404 in between."""
    forward = {"Type": "forward", "TargetGroupArn": edge.groups["one"]}
    edge.aws.elbv2.modify_listener(ListenerArn=edge.listener, DefaultActions=[forward])
    verbs = play(tmp_path, aws_endpoint, default_action=NOT_FOUND, rules=[API])
    assert verbs == ["create_rule", "modify_listener"]


def test_rules_that_a_default_action_takes_over_from_go_after_it(edge: Edge, aws_endpoint: str, tmp_path: Path) -> None:
    edge.make_rule(ours("api", 110, "one", paths=["/api/v1/*"]))
    verbs = play(tmp_path, aws_endpoint, default_action=TO_API, rules=[])
    assert verbs == ["modify_listener", "delete_rule"]


def test_where_nobody_states_rules_the_listener_changes_its_default_action(
    edge: Edge, aws_endpoint: str, tmp_path: Path
) -> None:
    assert play(tmp_path, aws_endpoint, default_action=TO_API) == ["modify_listener"]


def test_of_two_zones_of_one_name_the_inventory_says_which(
    edge: Edge, aws: CountingAws, aws_endpoint: str, tmp_path: Path
) -> None:
    zone, twin = Zone(aws), Zone(aws, HostedZoneConfig={"Comment": "twin", "PrivateZone": False})
    edge.aws.elbv2.modify_listener(
        ListenerArn=edge.listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": edge.groups["one"]}]
    )
    told = {"alb_routing_dns": True, "alb_routing_zone": twin.id}
    verbs = play(tmp_path, aws_endpoint, told, [HOST], default_action=TO_API, rules=[])
    assert verbs == ["change_resource_record_sets"]
    assert (zone.held(), set(twin.held())) == ({}, {"A"})


def test_a_name_that_leads_elsewhere_is_taken_where_the_inventory_says_so(
    edge: Edge, aws: CountingAws, aws_endpoint: str, tmp_path: Path
) -> None:
    zone = Zone(aws)
    zone.put(Name=HOST, Type="CNAME", ResourceRecords=[{"Value": "old.example"}])
    told = {"alb_routing_dns": True}
    with pytest.raises(subprocess.CalledProcessError) as refused:
        play(tmp_path, aws_endpoint, told, [HOST], default_action=NOT_FOUND, rules=[])
    assert b"leads elsewhere" in refused.value.stdout + refused.value.stderr
    play(tmp_path, aws_endpoint, {**told, "alb_routing_dns_replace": True}, [HOST], default_action=NOT_FOUND, rules=[])
    assert set(zone.held()) == {"A"}
