# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The records of public hosts, as a snapshot has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import public_dns
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry, without

KIND = "record_set"
RECORD_VOLATILE = {
    "Name": "the name",
    "Type": "said in where",
}


def records(aws: Aws, hosts: Collection[str]) -> Iterator[Entry]:
    """What tells where the hosts lead. A host of no zone of the account has no record here, one of several zones of one
    name those of each: a run writes to any of them."""
    zones = public_dns.public_zones(aws) if hosts else []
    for host in hosts:
        for zone in public_dns.nearest_zones(host, zones):
            for record in public_dns.records(aws, zone, host):
                yield entry(zone.id, record.aws)


def entry(zone: str, live: Mapping[str, Any]) -> Entry:
    where = {"HostedZoneId": zone, "Type": live["Type"]}
    return Entry(
        KIND, record_id(zone, live), public_dns.plain_name(live["Name"]), without(live, RECORD_VOLATILE), where
    )


def record_id(zone: str, record: Mapping[str, Any]) -> str:
    """Route 53's own key of a record set: zone, name, type, and which of several it is."""
    parts = (zone, public_dns.plain_name(record["Name"]), record["Type"], record.get("SetIdentifier", ""))
    return ":".join(filter(None, parts))
