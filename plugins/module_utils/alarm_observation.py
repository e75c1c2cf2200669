# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading alarms with their tags, in few calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import alarm, tags
from ansible_collections.hokusai.platform.plugins.module_utils.alarm import Alarm
from ansible_collections.hokusai.platform.plugins.module_utils.aws import Aws
from ansible_collections.hokusai.platform.plugins.module_utils.cloudwatch import ALARMS_PER_CALL
from ansible_collections.hokusai.platform.plugins.module_utils.errors import calling

Described = Mapping[str, Any]


def alarms(aws: Aws, names: Iterable[str], owner: str) -> list[Alarm]:
    """The live alarms of these names, and all that carry the owner's tag. Without an owner the tags are those alone."""
    tagged = _tagged(aws, owner) if owner else {}
    wanted = sorted({*names, *(arn.rpartition(":alarm:")[2] for arn in tagged)})
    found = []
    for kind, described in _described(aws, wanted):
        arn = described["AlarmArn"]
        # What was tagged a moment ago may not be listed by its tags yet.
        own = tagged[arn] if arn in tagged else _tags_of(aws, arn)
        found.append(alarm.from_aws(described, kind, own))
    return found


def _tagged(aws: Aws, owner: str) -> dict[str, dict[str, str]]:
    """Tags by ARN of the owner's alarms, deleted ones for a while among them."""
    with calling("list the alarms by their tags"):
        pages = (
            aws.client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(
                ResourceTypeFilters=["cloudwatch:alarm"], TagFilters=[{"Key": tags.MANAGED_BY, "Values": [owner]}]
            )
        )
        listed = [each for page in pages for each in page["ResourceTagMappingList"]]
    return {each["ResourceARN"]: tags.from_aws(each["Tags"]) for each in listed}


def _described(aws: Aws, names: list[str]) -> Iterator[tuple[str, Described]]:
    for start in range(0, len(names), ALARMS_PER_CALL):
        with calling("describe the alarms"):
            pages = (
                aws.client("cloudwatch")
                .get_paginator("describe_alarms")
                .paginate(
                    AlarmNames=names[start : start + ALARMS_PER_CALL],
                    AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                    MaxRecords=ALARMS_PER_CALL,
                )
            )
            for page in pages:
                yield from ((alarm.METRIC, each) for each in page.get("MetricAlarms", ()))
                yield from ((alarm.COMPOSITE, each) for each in page.get("CompositeAlarms", ()))


def _tags_of(aws: Aws, arn: str) -> dict[str, str]:
    with calling(f"list the tags of {arn}"):
        return tags.from_aws(aws.client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])


def alarm_arns(aws: Aws, names: Iterable[str]) -> dict[str, str]:
    """ARNs of the named alarms that exist, by the words of a plan."""
    described = _described(aws, sorted(set(names)))
    return {f"alarm {each['AlarmName']}": str(each["AlarmArn"]) for _kind, each in described}


def topic_arns(aws: Aws) -> dict[str, str]:
    """ARNs of the SNS topics, by the words of a plan."""
    with calling("list the SNS topics"):
        pages = aws.client("sns").get_paginator("list_topics").paginate()
        arns = [each["TopicArn"] for page in pages for each in page["Topics"]]
    return {f"SNS topic {arn.rpartition(':')[2]}": arn for arn in arns}
