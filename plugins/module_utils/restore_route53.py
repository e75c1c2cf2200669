# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking back what a run wrote to the records of public hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import snapshot_route53
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Step
from ansible_collections.hokusai.platform.plugins.module_utils.restore_unit import Due, Todo, Unit
from ansible_collections.hokusai.platform.plugins.module_utils.snapshot_entry import Entry
from ansible_collections.hokusai.platform.plugins.module_utils.three_way import Undo, with_fields


def records(zone: str, undos: Iterable[Undo]) -> Unit:
    """All of a zone in one batch, so that no name is without an answer in between."""
    todo = Todo(tuple(undos))
    hosts = sorted({undo.entry.name for undo in todo.undos})
    return Unit(f"hosted zone {zone}", "route53", todo, lambda aws: snapshot_route53.records(aws, hosts), record_steps)


def record_steps(due: Due) -> Iterator[Step]:
    changes = [("DELETE", entry, "not there before the run") for entry in due.remove]
    changes += [("CREATE", entry, "make again") for entry in due.create]
    changes += [("UPSERT", with_fields(entry, fields), "as before the run") for entry, fields in due.changes]
    if changes:
        batch = [{"Action": action, "ResourceRecordSet": record_set(entry)} for action, entry, _why in changes]
        why = "; ".join(f"record {entry.where['Type']} of {entry.name}: {why}" for _action, entry, why in changes)
        zone = changes[0][1].where["HostedZoneId"]
        yield Step("change_resource_record_sets", {"HostedZoneId": zone, "ChangeBatch": {"Changes": batch}}, why)


def record_set(entry: Entry) -> Mapping[str, Any]:
    return {"Name": entry.name, "Type": entry.where["Type"], **entry.fields}
