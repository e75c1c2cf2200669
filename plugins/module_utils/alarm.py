# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Alarms: the wanted and the live ones in one form, and the writes that lead from these to those.

`PutMetricAlarm` and `PutCompositeAlarm` replace every setting, so the settings are compared as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import alarm_rule, metric, tags
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotFound
from ansible_collections.hokusai.platform.plugins.module_utils.metric import Metric, Metrics
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Missing, Step

COMPARISONS = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}
TREATMENTS = {
    "missing": "missing",
    "ignore": "ignore",
    "breaching": "breaching",
    "not_breaching": "notBreaching",
}
ACTIONS = {
    "alarm_actions": "AlarmActions",
    "ok_actions": "OKActions",
    "insufficient_data_actions": "InsufficientDataActions",
}
HOUR_SECONDS, DAY_SECONDS, WEEK_SECONDS = 3600, 24 * 3600, 7 * 24 * 3600
NAMES_PER_DELETE = 100
WATCHED = "watched"
"""The id of the query whose result an alarm on maths watches."""

METRIC, COMPOSITE = "metric", "composite"
PUT = {METRIC: "put_metric_alarm", COMPOSITE: "put_composite_alarm"}

Settings = Mapping[str, Any]
VOLATILE = {
    "AlarmName": "the name",
    "AlarmArn": "follows from the name",
    "AlarmConfigurationUpdatedTimestamp": "a time",
    "StateValue": "a state",
    "StateReason": "a state",
    "StateReasonData": "a state",
    "StateUpdatedTimestamp": "a time",
    "StateTransitionedTimestamp": "a time",
    "EvaluationState": "a state",
    "ActionsSuppressedBy": "a state",
    "ActionsSuppressedReason": "a state",
}
"""What DescribeAlarms answers beside the settings, with the reason why it is none."""


SETTINGS = (
    *("AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions"),
    *("Namespace", "MetricName", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit", "Metrics"),
    *("EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ThresholdMetricId", "ComparisonOperator"),
    *("TreatMissingData", "EvaluateLowSampleCountPercentile"),
    *("EvaluationWindow", "EvaluationCriteria", "EvaluationInterval", "WarmUpConfiguration", "ActionConfiguration"),
    *("AlarmRule", "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"),
)
"""What a write sets, all of it: what it does not give is then empty."""


@dataclass(frozen=True)
class Alarm:
    """`settings` are AWS's own, without the name. Of a wanted alarm the dimensions are looked up first: see `bound`."""

    name: str
    kind: str
    settings: Settings
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    arn: str = ""

    def bound(self, find: Find) -> Settings:
        """The settings with the dimensions of live resources, and the ARNs of topics."""
        settings = {**self.settings, **{key: _arns(self.settings.get(key, ()), find) for key in ACTIONS.values()}}
        if not self.metrics:
            return settings
        if "Metrics" not in settings:
            (only,) = self.metrics
            return {**settings, **single(only, find)}
        queries = [
            {"Id": each.id, "MetricStat": each.to_aws(find), "ReturnData": False, **labelled(each)}
            for each in self.metrics
        ]
        return {**settings, "Metrics": [*queries, *settings["Metrics"]]}

    def shown(self) -> dict[str, Any]:
        """Without dimensions, which a wanted alarm does not know yet, and with topics by their names."""
        told = {key: value for key, value in self.bound(_words).items() if key != "Dimensions"}
        told |= {key: [each.rpartition(":")[2].rpartition(" ")[2] for each in told[key]] for key in ACTIONS.values()}
        if "Metrics" in told:
            told["Metrics"] = [_undimensioned(each) for each in told["Metrics"]]
        return {"name": self.name, **normal(told), **({"tags": dict(self.tags)} if self.tags else {})}


def _arns(actions: Iterable[str], find: Find) -> list[str | Missing]:
    """An action that is no ARN is the name of an SNS topic."""
    remedy = "create the SNS topic, or correct its name"
    return [each if each.startswith("arn:") else find(f"SNS topic {each}", remedy) for each in actions]


def names_topic(alarm: Alarm) -> bool:
    return any(not each.startswith("arn:") for key in ACTIONS.values() for each in alarm.settings.get(key, ()))


def _words(words: str, _remedy: str) -> str:
    return words


def _undimensioned(query: Mapping[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in query:
        return dict(query)
    named = {key: value for key, value in query["MetricStat"]["Metric"].items() if key != "Dimensions"}
    return {**query, "MetricStat": {**query["MetricStat"], "Metric": named}}


def single(only: Metric, find: Find) -> dict[str, Any]:
    """The settings of an alarm on one metric."""
    key = "ExtendedStatistic" if only.statistic.startswith("p") else "Statistic"
    named = {"Namespace": only.namespace, "MetricName": only.name, "Dimensions": only.resolved(find)}
    return {**named, "Period": only.period, key: only.statistic}


def labelled(each: Metric) -> dict[str, str]:
    return {"Label": each.label} if each.label else {}


@dataclass(frozen=True)
class AlarmSet:
    """The alarms of one owner; of live ones also those of a wanted name that are somebody else's."""

    alarms: tuple[Alarm, ...]
    owner: str = tags.OWNER
    purge: bool = True

    def over(self, current: AlarmSet) -> AlarmSet:
        """The set after the plan: what is not wanted stays if it may not be purged, and if it is not ours.

        Tags that nobody asked for stay, too.
        """
        tagged = {each.name: each.tags for each in current.alarms}
        wanted = (replace(each, tags={**tagged.get(each.name, {}), **each.tags}) for each in self.alarms)
        left = (each for each in self.unwanted(current) if not self.purges(each))
        return AlarmSet((*wanted, *left), self.owner, self.purge)

    def unwanted(self, current: AlarmSet) -> Iterator[Alarm]:
        names = {each.name for each in self.alarms}
        return (each for each in current.alarms if each.name not in names)

    def purges(self, alarm: Alarm) -> bool:
        return self.purge and tags.is_owned(alarm.tags, self.owner)

    def shown(self) -> dict[str, Any]:
        return {each.name: each.shown() for each in sorted(self.alarms, key=lambda each: each.name)}

    def concerns(self) -> Iterator[str]:
        for each in self.alarms:
            if not tags.is_owned(each.tags, self.owner):
                continue
            if not each.settings.get("AlarmActions"):
                yield f"the alarm {each.name} has no alarm action: nobody is told when it sounds"
            elif each.settings.get("ActionsEnabled") is False:
                yield f"the actions of the alarm {each.name} are not enabled: nobody is told when it sounds"


# --- from options


def wanted(given: Iterable[Mapping[str, Any]], metrics: Metrics, common: Mapping[str, Any]) -> tuple[Alarm, ...]:
    """The alarms of the options; `common` are the actions and tags of all. Raises `BadInput`."""
    found = tuple(_from_option(each, metrics, common) for each in given)
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"Two alarms are called {twice[0]}", "give each its own name")
    return found


def _from_option(given: Mapping[str, Any], metrics: Metrics, common: Mapping[str, Any]) -> Alarm:
    settings: dict[str, Any] = {"ActionsEnabled": given["actions_enabled"]}
    if given["description"]:
        settings["AlarmDescription"] = given["description"]
    for option, key in ACTIONS.items():
        settings[key] = list(common[option] if given[option] is None else given[option])
    owned = tags.owned(tags.texts(common["tags"]), owner=common["owner"])
    if given["rule"]:
        rule = " ".join(given["rule"].split())
        alarm_rule.check(given["name"], rule)
        return Alarm(given["name"], COMPOSITE, {**settings, "AlarmRule": rule}, owned)
    watched = _watched(given, metrics)
    settings |= _condition(given, watched)
    if given["expression"]:
        label = {"Label": given["label"]} if given["label"] else {}
        settings["Metrics"] = [{"Id": WATCHED, "Expression": given["expression"], "ReturnData": True, **label}]
    return Alarm(given["name"], METRIC, settings, owned, tuple(watched))


def _watched(given: Mapping[str, Any], metrics: Metrics) -> list[Metric]:
    if given["expression"]:
        found = metric.used(given["expression"], metrics)
        if not found:
            raise BadInput(f"The alarm {given['name']}: its expression names no metric", "name one by its id")
        if any(each.id == WATCHED for each in found):
            text = f"The alarm {given['name']}: a metric of its expression has the id {WATCHED}, which is the result's"
            raise BadInput(text, "give the metric another id")
        return found
    if given["metric"] not in metrics:
        raise BadInput(f"The alarm {given['name']} watches {given['metric']}, which is no metric", "define it")
    return [metrics[given["metric"]]]


def _condition(given: Mapping[str, Any], watched: Sequence[Metric]) -> dict[str, Any]:
    what, periods = f"The alarm {given['name']}", given["evaluation_periods"]
    to_alarm = given["datapoints_to_alarm"] or periods
    if given["threshold"] is None:
        raise BadInput(f"{what} has no threshold", "set threshold")
    if not 1 <= to_alarm <= periods:
        raise BadInput(f"{what}: {to_alarm} of {periods} data points cannot be breaching", "lower datapoints_to_alarm")
    period = max(each.period for each in watched)
    most, limit = (DAY_SECONDS, "a day") if period < HOUR_SECONDS else (WEEK_SECONDS, "a week")
    if period * periods > most:
        told = f"{what} looks back more than {limit}, which is the most with a period of {period} s"
        raise BadInput(told, "lower evaluation_periods, or the period of the metric")
    treatment = TREATMENTS[given["treat_missing_data"] or _of_kind(watched)]
    return {
        "ComparisonOperator": COMPARISONS[given["comparison"]],
        "Threshold": float(given["threshold"]),
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": to_alarm,
        "TreatMissingData": treatment,
    }


def _of_kind(watched: Sequence[Metric]) -> str:
    """What a period without data means."""
    if any(each.is_heartbeat for each in watched):
        return "breaching"
    return "ignore" if any(each.is_verdict for each in watched) else "not_breaching"


# --- from AWS


def from_aws(described: Mapping[str, Any], kind: str, tagged: Mapping[str, str]) -> Alarm:
    settings = {key: value for key, value in described.items() if key not in VOLATILE}
    return Alarm(described["AlarmName"], kind, settings, tagged, arn=described["AlarmArn"])


def normal(settings: Settings) -> dict[str, Any]:
    """The one form of settings: AWS leaves out what is empty, and fills in what was left out."""
    given = ((key, value) for key, value in settings.items() if value not in (None, "", [], {}))
    formed = ((key, FORMS[key](value) if key in FORMS else value) for key, value in given)
    found = {key: value for key, value in formed if value is not None}
    if "EvaluationPeriods" in found:
        found.setdefault("DatapointsToAlarm", found["EvaluationPeriods"])
        found.setdefault("TreatMissingData", "missing")
    return found


def _dimensions(given: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((each["Name"], each["Value"]) for each in given))


def _query(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in given.items() if value not in (None, "", [])}
    found["ReturnData"] = given.get("ReturnData", True)
    if "MetricStat" in given:
        stat = given["MetricStat"]
        named = {**stat["Metric"], "Dimensions": _dimensions(stat["Metric"].get("Dimensions", ()))}
        found["MetricStat"] = {**stat, "Metric": named}
    return found


FORMS: Mapping[str, Callable[[Any], Any]] = {
    "Dimensions": _dimensions,
    "Metrics": lambda given: {each["Id"]: _query(each) for each in given},
    "AlarmRule": lambda given: " ".join(given.split()),
    "AlarmActions": sorted,
    "OKActions": sorted,
    "InsufficientDataActions": sorted,
    "Threshold": float,
    "EvaluateLowSampleCountPercentile": lambda given: None if given == "evaluate" else given,
    "EvaluationWindow": lambda given: None if "SlidingWindow" in given else given,
    "ActionConfiguration": lambda given: given if given.get("AlarmTagsPropagation", {}).get("Enabled") else None,
}
"""By setting the one form of its value, None for what is so unless it is said."""


def different(live: Settings, desired: Settings) -> list[str]:
    """The settings that are not what they should be, by AWS's names."""
    now, then = normal(live), normal(desired)
    return sorted(key for key in {*now, *then} if now.get(key) != then.get(key))


# --- the plan


def steps(current: AlarmSet, desired: AlarmSet, find: Find) -> Iterator[Step]:
    """First what is watched, then what joins alarms; what goes, goes last and in the other order."""
    live = {each.name: each for each in current.alarms}
    going = [each for each in desired.unwanted(current) if desired.purges(each)]
    check_references(desired, {each.name for each in going}, find)
    for each in in_order(desired.alarms):
        yield from _bring(each, live.get(each.name), desired.owner, find)
    yield from deletions(going, "not wanted any more")


def in_order(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Each composite alarm after those that its rule asks about; alarms that ask about one another as they come."""
    first = sorted(alarms, key=lambda each: each.kind == COMPOSITE)
    left, found = {each.name: each for each in first}, list[Alarm]()

    def add(name: str) -> None:
        if each := left.pop(name, None):
            for asked in referred(each):
                add(asked)
            found.append(each)

    for each in first:
        add(each.name)
    return found


def _bring(each: Alarm, live: Alarm | None, owner: str, find: Find) -> Iterator[Step]:
    what, verb = f"alarm {each.name}", PUT[each.kind]
    batch = "metric alarms" if each.kind == METRIC else ""
    arguments = {"AlarmName": each.name, **each.bound(find)}
    if live is None:
        yield Step(verb, {**arguments, "Tags": tags.to_aws(each.tags)}, f"{what}: create", batch)
        return
    if not tags.is_owned(live.tags, owner):
        text = f"The alarm {each.name} exists and is not of {owner}"
        raise BadInput(text, f"give this one another name, delete that one, or tag it {tags.MANAGED_BY}={owner}")
    if live.kind != each.kind:
        raise BadInput(f"The alarm {each.name} exists and is a {live.kind} alarm", "give this one another name")
    if changed := different(live.settings, arguments_only(arguments)):
        yield Step(verb, arguments, f"{what}: set {', '.join(changed)}", batch, over=True)
    if left := tags.missing(live.tags, each.tags):
        arguments = {"ResourceARN": live.arn, "Tags": tags.to_aws(left)}
        yield Step("tag_resource", arguments, f"{what}: tag {', '.join(sorted(left))}")


def check_references(desired: AlarmSet, going: Set[str], find: Find) -> None:
    """Raises for a rule that asks about an alarm which is not there afterwards, or which asks about it in turn.

    `going` are the names of those that the plan deletes.
    """
    names, before = {each.name for each in desired.alarms}, set[str]()
    for each in in_order(desired.alarms):
        for name in referred(each):
            if name in going:
                text = f"The rule of {each.name} asks about {name}, which is not listed any more and would be deleted"
                raise BadInput(text, "list it, or take it out of the rule")
            if name not in names and isinstance(find(f"alarm {name}", ""), Missing):
                text = f"The rule of {each.name} asks about the alarm {name}, which does not exist"
                raise NotFound(text, "define it too, or correct its name in the rule")
            if name in names and name not in before:
                raise BadInput(
                    f"The rules of {each.name} and {name} ask about one another", "take one out of the other"
                )
        before.add(each.name)


def arguments_only(arguments: Settings) -> Settings:
    return {key: value for key, value in arguments.items() if key != "AlarmName"}


def deletions(going: Sequence[Alarm], why: str) -> Iterator[Step]:
    """One call for each composite alarm, which AWS wants alone and before those it asks about; one for 100 others."""
    for each in reversed(in_order(going)):
        if each.kind == COMPOSITE:
            yield Step("delete_alarms", {"AlarmNames": [each.name]}, f"alarm {each.name}: {why}")
    names = sorted(each.name for each in going if each.kind == METRIC)
    for start in range(0, len(names), NAMES_PER_DELETE):
        some = names[start : start + NAMES_PER_DELETE]
        yield Step("delete_alarms", {"AlarmNames": some}, f"alarms {', '.join(some)}: {why}")


def referred(alarm: Alarm) -> list[str]:
    """The names of the alarms that a composite one asks about."""
    return alarm_rule.named(str(alarm.settings.get("AlarmRule", "")))
