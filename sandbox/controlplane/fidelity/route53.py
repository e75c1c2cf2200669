"""A record is created only where there is none, and where there is none it is."""

from __future__ import annotations

from typing import Any

from moto.route53 import models
from moto.route53.exceptions import ResourceRecordAlreadyExists

from sandbox.controlplane.fidelity.replace import Replacement, use_backend

RecordKey = tuple[str, str, str | None]


class Route53Backend(Replacement, models.Route53Backend):  # type: ignore[misc]  # moto is untyped here
    """moto refuses to create what an earlier batch created in the same words, gone or not, and nothing else.

    Source of the rule: Route 53 API reference, ChangeResourceRecordSets and Change, `CREATE`.
    """

    moto_package = "moto.route53"

    def change_resource_record_sets(self, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        there = {(each.name, each.type, each.set_identifier) for each in self.get_hosted_zone(zoneid).rrsets}
        for change in change_list:
            wanted = key(change["ResourceRecordSet"])
            if change["Action"] == "CREATE" and wanted in there:
                raise ResourceRecordAlreadyExists(name=wanted[0], _type=wanted[1])
            if change["Action"] == "DELETE":
                there.discard(wanted)
            else:
                there.add(wanted)
        super().change_resource_record_sets(
            zoneid, [{**each, "Action": "UPSERT"} if each["Action"] == "CREATE" else each for each in change_list]
        )


def key(record: dict[str, Any]) -> RecordKey:
    """What makes a record set the one it is in its zone."""
    return f"{record['Name'].rstrip('.')}.", record["Type"], record.get("SetIdentifier")


def install() -> None:
    """Replace moto's route53."""
    use_backend(models.route53_backends, Route53Backend)
