"""The CloudWatch backend: metrics, alarms that are evaluated, and dashboards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch import models
from moto.cloudwatch.exceptions import (
    InvalidFormat,
    InvalidParameterValue,
    ResourceNotFound,
    ResourceNotFoundException,
    ValidationError,
)
from moto.cloudwatch.utils import make_arn_for_alarm

from sandbox.controlplane.clock import CLOCK
from sandbox.controlplane.fidelity.cloudwatch import alarms, composite
from sandbox.controlplane.fidelity.cloudwatch.evaluation import ALARM, EXTRA_PERIODS, INSUFFICIENT, OK, Condition, judge
from sandbox.controlplane.fidelity.cloudwatch.queries import Answers, Query, Span, metric_of, period_of
from sandbox.controlplane.fidelity.cloudwatch.series import Metric, MetricStore, Sample, from_statistics, sample
from sandbox.controlplane.fidelity.replace import Replacement

MAX_DATA_PER_CALL = 1000
MAX_ALARMS_PER_DELETE = 100


class CloudWatchBackend(Replacement, models.CloudWatchBackend):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """Alarms are AlarmRecords by name. `pace` divides the periods in which they are evaluated, and nothing else."""

    moto_package = "moto.cloudwatch"
    pace = 1.0

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.store = MetricStore()
        self.alarms: dict[str, alarms.AlarmRecord] = {}

    # metrics

    def put_metric_data(self, namespace: str, metric_data: Sequence[Mapping[str, Any]]) -> None:
        if len(metric_data) > MAX_DATA_PER_CALL:
            raise ValidationError(f"The collection MetricData must not have a size greater than {MAX_DATA_PER_CALL}.")
        if namespace.startswith("AWS/"):
            raise InvalidParameterValue("The value AWS/ for parameter Namespace is invalid.")
        for datum in metric_data:
            self.store.add(metric_of({**datum, "Namespace": namespace}), _sample(datum))

    def publish(self, metric: Metric, values: Sequence[float]) -> None:
        """A data point of now, as an AWS service gives it."""
        self.store.add(metric, sample(CLOCK.now(), values))

    def list_matching(self, namespace: str | None, name: str | None, dimensions: Iterable[Mapping[str, str]]) -> Any:
        wanted = [(each["Name"], each.get("Value")) for each in dimensions]
        for metric in self.store.metrics():
            held = dict(metric.dimensions)
            if (
                namespace in {None, metric.namespace}
                and name in {None, metric.name}
                and all(key in held and value in {None, held[key]} for key, value in wanted)
            ):
                yield metric

    # alarms

    def put_alarm(self, kind: str, parameters: Mapping[str, Any]) -> None:
        """Create the alarm, or give it these settings and no others. Tags are those of its creation."""
        name = parameters["AlarmName"]
        if kind == "CompositeAlarm":
            alarms.check_composite_alarm(parameters, self.alarms)
        else:
            alarms.check_metric_alarm(parameters)
        record = self.alarms.get(name)
        if record and record.kind != kind:
            raise ValidationError(f"An alarm named {name} of another type exists")
        if record is None:
            record = self.alarms[name] = alarms.AlarmRecord(
                make_arn_for_alarm(self.region_name, self.account_id, name), kind
            )
            self.tagger.tag_resource(record.arn, list(parameters.get("Tags") or []))
        record.configure(parameters)

    def described(self, kinds: Sequence[str], names: Sequence[str], prefix: str, state: str) -> list[Any]:
        return [
            each
            for each in self.alarms.values()
            if each.kind in kinds
            and (not names or each.name in names)
            and each.name.startswith(prefix)
            and state in {"", each.state}
        ]

    def delete_alarms(self, alarm_names: Sequence[str]) -> None:
        """Unknown ones are no error. One that a composite alarm asks about stays, and so do all."""
        if len(alarm_names) > MAX_ALARMS_PER_DELETE:
            raise ValidationError(f"At most {MAX_ALARMS_PER_DELETE} alarms can be deleted in one call")
        for other in self.alarms.values():
            asked = (
                {each.rpartition(":alarm:")[2] for each in composite.names(other.rule)} if _is_composite(other) else ()
            )
            held = sorted(set(asked) & set(alarm_names))
            if held and other.name not in alarm_names:
                raise ValidationError(f"{held[0]} is referenced by the composite alarm {other.name}")
        if sum(name in self.alarms and _is_composite(self.alarms[name]) for name in alarm_names) > 1:
            raise ValidationError("Only one composite alarm can be deleted in one call")
        for name in alarm_names:
            record = self.alarms.pop(name, None)
            if record:
                self.tagger.delete_all_tags_for_resource(record.arn)

    def enable_alarm_actions(self, alarm_names: Sequence[str]) -> None:
        self._set_actions(alarm_names, enabled=True)

    def disable_alarm_actions(self, alarm_names: Sequence[str]) -> None:
        self._set_actions(alarm_names, enabled=False)

    def _set_actions(self, names: Sequence[str], *, enabled: bool) -> None:
        for name in names:
            if name in self.alarms:
                self.alarms[name].settings["ActionsEnabled"] = enabled

    def set_alarm_state(self, alarm_name: str, reason: str, _reason_data: str | None, state_value: str) -> None:
        if alarm_name not in self.alarms:
            raise ResourceNotFound
        if state_value not in {OK, ALARM, INSUFFICIENT}:
            raise InvalidFormat(f"State {state_value}")
        self.alarms[alarm_name].enter(state_value, reason)

    def evaluate_alarms(self) -> None:
        """Bring every alarm to the state that its data has now; composite ones after those they ask about."""
        now = CLOCK.now()
        for record in self.alarms.values():
            if not _is_composite(record):
                self._evaluate(record, now)
        for record in self.alarms.values():
            if _is_composite(record):
                self._combine(record)

    def _evaluate(self, record: alarms.AlarmRecord, now: float) -> None:
        """From the last whole minute back: the periods of an alarm slide on with each minute."""
        queries = queries_of(record.settings)
        minute = min(60, period_of(queries)) / self.pace
        end = math.floor(now / minute) * minute
        if end < record.made:
            return
        test = Condition.of(record.settings)
        begin = end - (test.periods + EXTRA_PERIODS) * period_of(queries) / self.pace
        found = Answers(self.store, queries, Span(begin, end, self.pace, anchor=end))
        watched = next(each["Id"] for each in queries if each.get("ReturnData", True))
        points = {round(time, 3): value for time, value in found.points(watched).items()}
        verdict = judge(test, [(time, points.get(round(time, 3))) for time in found.times])
        if verdict:
            record.enter(verdict.state, verdict.reason)

    def _combine(self, record: alarms.AlarmRecord) -> None:
        def state_of(reference: str) -> str:
            known = self.alarms.get(reference.rpartition(":alarm:")[2])
            return known.state if known else INSUFFICIENT

        state = ALARM if composite.holds(record.rule, state_of) else OK
        asked = ", ".join(f"{name} is {state_of(name)}" for name in composite.names(record.rule))
        record.enter(state, f"AlarmRule was evaluated to {str(state == ALARM).upper()}: {asked}"[:1023])

    # tags

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        if arn not in {each.arn for each in self.alarms.values()}:
            raise ResourceNotFoundException
        self.tagger.tag_resource(arn, self.tagger.convert_dict_to_tags_input(tags))

    def describe_alarms(self) -> Iterable[Any]:
        return self.alarms.values()


def queries_of(settings: Mapping[str, Any]) -> list[Query]:
    """An alarm on one metric asks one query."""
    if settings.get("Metrics"):
        return list(settings["Metrics"])
    statistic = settings.get("Statistic") or settings["ExtendedStatistic"]
    return [{"Id": "m1", "MetricStat": {"Metric": settings, "Period": settings["Period"], "Stat": statistic}}]


def _is_composite(record: alarms.AlarmRecord) -> bool:
    return record.kind == "CompositeAlarm"


def _sample(datum: Mapping[str, Any]) -> Sample:
    time = seconds(datum["Timestamp"]) if datum.get("Timestamp") else CLOCK.now()
    if datum.get("StatisticValues"):
        return from_statistics(time, datum["StatisticValues"])
    if datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(datum["Values"])
        repeated = [
            float(value) for value, count in zip(datum["Values"], counts, strict=True) for _ in range(int(count))
        ]
        return sample(time, repeated)
    if datum.get("Value") is None:
        raise InvalidParameterValue("At least one of Value, Values and StatisticValues must be given.")
    return sample(time, [float(datum["Value"])])


def seconds(given: datetime | str | float) -> float:
    """Unix time of a parameter; moto's are naive UTC or text."""
    if isinstance(given, str):
        given = datetime.fromisoformat(given)
    if isinstance(given, datetime):
        return (given.replace(tzinfo=UTC) if given.tzinfo is None else given).timestamp()
    return float(given)
