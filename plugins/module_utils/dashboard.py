# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dashboards: widgets on a grid, their body as CloudWatch has it, and when two bodies mean the same.

Source: CloudWatch API reference, "Dashboard Body Structure and Syntax".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils import metric
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput
from ansible_collections.hokusai.platform.plugins.module_utils.metric import Metric, Metrics
from ansible_collections.hokusai.platform.plugins.module_utils.plan import Find, Missing, holds

COLUMNS = 24
HIGHEST = 1000
MOST_WIDGETS = 500
MOST_LINES = 500
MOST_ALARMS = 100
VIEWS = {"time_series": "timeSeries", "single_value": "singleValue", "bar": "bar"}
ALARMS, TEXT = "alarms", "text"
CONTENTS = {ALARMS: {"alarms"}, TEXT: {"markdown"}}
"""What a widget shows; one of any other kind shows metrics and expressions."""
BEFORE_NOW = re.compile(r"-P(?=\d|T\d)(\d+[YMWD])*(T(\d+[HMS])+)?")
"""An ISO 8601 duration, as a dashboard's start has it."""
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """In columns and rows of the grid."""

    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: Place) -> bool:
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        above = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (beside or above)


@dataclass(frozen=True)
class Expression:
    text: str
    label: str


@dataclass(frozen=True)
class Widget:
    """`view` is one of `VIEWS`, `ALARMS` or `TEXT`; `drawn` are the metrics shown, `read` all that expressions need."""

    title: str
    view: str
    place: Place
    drawn: tuple[Metric, ...] = ()
    read: tuple[Metric, ...] = ()
    expressions: tuple[Expression, ...] = ()
    alarms: tuple[str, ...] = ()
    markdown: str = ""
    minimum: float | None = None
    maximum: float | None = None
    stacked: bool = False

    def to_aws(self, region: str, find: Find) -> dict[str, Any]:
        kind = {TEXT: "text", ALARMS: "alarm"}.get(self.view, "metric")
        return {"type": kind, **vars(self.place), "properties": self._properties(region, find)}

    def _properties(self, region: str, find: Find) -> dict[str, Any]:
        if self.view == TEXT:
            return {"markdown": self.markdown}
        if self.view == ALARMS:
            arns = [find(f"alarm {name}", "create it with cloudwatch_alarms") for name in self.alarms]
            return {"title": self.title, "alarms": arns}
        limits = {"min": self.minimum, "max": self.maximum}
        axis = {name: value for name, value in limits.items() if value is not None}
        return {
            "title": self.title,
            "region": region,
            "view": VIEWS[self.view],
            "stacked": self.stacked,
            "metrics": list(self._lines(find)),
            **({"yAxis": {"left": axis}} if axis else {}),
        }

    def _lines(self, find: Find) -> Iterator[list[Any]]:
        for number, computed in enumerate(self.expressions, 1):
            yield [{"expression": computed.text, "label": computed.label, "id": expression_id(number)}]
        for each in self.read:
            dimensions = [part for pair in each.resolved(find) for part in (pair["Name"], pair["Value"])]
            options: dict[str, Any] = {
                "id": each.id,
                "stat": each.statistic,
                "period": each.period,
                "label": each.label or each.id,
            }
            if each not in self.drawn:
                options["visible"] = False
            yield [each.namespace, each.name, *dimensions, options]


@dataclass(frozen=True)
class Dashboard:
    """`body` is that of a live one; a wanted one has `widgets`."""

    name: str
    widgets: tuple[Widget, ...] = ()
    start: str = ""
    body: Body | None = None

    def bound(self, region: str, find: Find) -> Body:
        shown = [each.to_aws(region, find) for each in self.widgets]
        return {"start": self.start, "widgets": shown}

    def over(self, _current: Dashboard) -> Dashboard:
        """The dashboard after the plan: a write replaces the whole body."""
        return self

    def shown(self) -> dict[str, Any]:
        """The widgets by title with what they show; dimensions are left out, which a wanted one does not know yet."""
        body = normal(self.body if self.body is not None else self.bound("", lambda words, _remedy: words))
        told = {key: value for key, value in body.items() if value != DASHBOARD_DEFAULTS.get(key)}
        widgets = [_told(each) for each in body["widgets"]]
        return {**told, "name": self.name, "start": body["start"], "widgets": widgets}


def _told(widget: Body) -> dict[str, Any]:
    properties = widget["properties"]
    named = [line[-1].get("expression") or " ".join(map(str, line[:2])) for line in metric_lines(widget)]
    place = {key: widget[key] for key in ("x", "y", "width", "height")}
    text = properties.get("markdown", "")
    return {"title": properties["title"], "type": widget.get("type"), **place, "shows": named or text}


# --- from options


def from_options(params: Mapping[str, Any]) -> Dashboard:
    """Raises `BadInput` for widgets that CloudWatch would refuse, or draw over each other."""
    metrics = metric.from_options(params["metrics"])
    widgets = tuple(_arranged(_widget(each, metrics) for each in params["widgets"]))
    check(widgets)
    check_start(params["start"])
    return Dashboard(params["name"], widgets, params["start"])


def _widget(given: Mapping[str, Any], metrics: Metrics) -> Widget:
    if unknown := [name for name in given["metrics"] if name not in metrics]:
        raise BadInput(f"The widget {given['title']} shows {unknown[0]}, which is no metric", "define it")
    if off := [axis for axis in ("x", "y") if (given[axis] or 0) < 0]:
        raise BadInput(f"The widget {given['title']} is off the grid: its {off[0]} is {given[off[0]]}", "begin at 0")
    drawn = tuple(metrics[name] for name in given["metrics"])
    expressions = tuple(Expression(each["expression"], each["label"]) for each in given["expressions"])
    needed = [each for text in expressions for each in metric.used(text.text, metrics)]
    return Widget(
        given["title"],
        given["type"],
        Place(
            -1 if given["x"] is None else given["x"],
            -1 if given["y"] is None else given["y"],
            given["width"],
            given["height"],
        ),
        drawn,
        tuple(dict.fromkeys((*drawn, *needed))),
        expressions,
        tuple(given["alarms"]),
        given["markdown"] or "",
        given["minimum"],
        given["maximum"],
        given["stacked"],
    )


def _arranged(widgets: Iterable[Widget]) -> Iterator[Widget]:
    """Those without a place follow one another, a row beginning where the next does not fit beside the last."""
    x, y, height = 0, 0, 0
    for each in widgets:
        place = each.place
        if place.x < 0 or place.y < 0:
            if x + place.width > COLUMNS:
                x, y, height = 0, y + height, 0
            place = replace(place, x=x, y=y)
        x, y, height = place.x + place.width, place.y, max(height, place.height)
        yield replace(each, place=place)


def check(widgets: Sequence[Widget]) -> None:
    if len(widgets) > MOST_WIDGETS:
        raise BadInput(f"{len(widgets)} widgets are more than the {MOST_WIDGETS} of a dashboard", "split it")
    for number, each in enumerate(widgets):
        what, place = f"The widget {each.title or number + 1}", each.place
        if not (1 <= place.width <= COLUMNS - place.x and 1 <= place.height <= HIGHEST):
            raise BadInput(f"{what} does not fit the grid of {COLUMNS} columns", "correct its place or size")
        _check_contents(each, what)
        over = next((other for other in widgets[:number] if place.overlaps(other.place)), None)
        if over:
            raise BadInput(f"{what} lies over the widget {over.title}", "correct its place, or leave x and y out")


def _check_contents(widget: Widget, what: str) -> None:
    fitting = CONTENTS.get(widget.view, {"metrics", "expressions"})
    contents = {"metrics": widget.drawn, "expressions": widget.expressions, "alarms": widget.alarms}
    given = {name for name, content in {**contents, "markdown": widget.markdown}.items() if content}
    if given - fitting:
        told = f"{what} is of the type {widget.view} and cannot show {', '.join(sorted(given - fitting))}"
        raise BadInput(told, "change its type, or make a widget of its own for that")
    if not given:
        raise BadInput(f"{what} shows nothing", f"give it {' or '.join(sorted(fitting))}")
    if len(widget.read) + len(widget.expressions) > MOST_LINES:
        raise BadInput(f"{what} has more than {MOST_LINES} metrics", "split it")
    if len(widget.alarms) > MOST_ALARMS:
        raise BadInput(f"{what} has more than {MOST_ALARMS} alarms", "split it")
    if widget.minimum is not None and widget.maximum is not None and widget.minimum >= widget.maximum:
        raise BadInput(f"{what}: its axis begins at {widget.minimum} and ends at {widget.maximum}", "exchange them")
    taken = {each.id for each in widget.read} & {expression_id(n + 1) for n in range(len(widget.expressions))}
    if taken:
        raise BadInput(f"{what}: the metric {min(taken)} has the id of an expression", "give the metric another id")


def check_start(start: str) -> None:
    if start and not BEFORE_NOW.fullmatch(start):
        try:
            datetime.fromisoformat(start)
        except ValueError:
            remedy = "give a duration before now, as -PT3H or -P7D, or a time, as 2026-01-31T00:00:00Z"
            raise BadInput(f"A dashboard cannot start at {start}", remedy) from None


def expression_id(number: int) -> str:
    return f"expression{number}"


# --- comparing


def missing(body: Body) -> list[Missing]:
    return list(holds(body, Missing))


def same(one: Body, other: Body) -> bool:
    return normal(one) == normal(other)


def normal(body: Body) -> dict[str, Any]:
    """The one form of a body: widgets by their place, metrics written out, nothing that only repeats a default."""
    widgets = sorted((_normal(each) for each in body.get("widgets", ())), key=lambda each: (each["y"], each["x"]))
    return {**DASHBOARD_DEFAULTS, **more(body), "widgets": widgets}


def more(body: Body) -> dict[str, Any]:
    """What a body says beside its widgets, such as `variables`; what is empty says nothing."""
    return {key: value for key, value in body.items() if key != "widgets" and value not in ("", None, [], {})}


DASHBOARD_DEFAULTS: Mapping[str, Any] = {"start": "", "periodOverride": "auto"}
DEFAULTS: Mapping[str, Any] = {"view": "timeSeries", "stacked": False, "yAxis": {}, "title": ""}
LINE_DEFAULTS: Mapping[str, Any] = {"visible": True, "yAxis": "left", "label": ""}
OF_ALL_LINES: Mapping[str, Any] = {"period": 300, "stat": "Average"}
"""What a widget says of those of its lines that say nothing themselves, and what holds if it does not either."""


def _normal(widget: Body) -> dict[str, Any]:
    properties = {**DEFAULTS, **widget.get("properties", {})}
    if lines := metric_lines(widget):
        common = {name: properties.pop(name, default) for name, default in OF_ALL_LINES.items()}
        properties["metrics"] = [_line(line, {**LINE_DEFAULTS, **common}) for line in expanded(lines)]
    places = {"x": 0, "y": 0, "width": 6, "height": 6}
    return {**places, **widget, "properties": json.loads(json.dumps(properties, sort_keys=True, default=str))}


def metric_lines(widget: Body) -> list[list[Any]]:
    """Those of a metric widget; the metrics of another one, as an explorer, have another form."""
    lines = widget.get("properties", {}).get("metrics")
    if widget.get("type") != "metric" or not isinstance(lines, list):
        return []
    return lines if all(isinstance(line, list) and line for line in lines) else []


def _line(line: Sequence[Any], defaults: Mapping[str, Any]) -> list[Any]:
    return [*line[:-1], {**defaults, **line[-1]}] if isinstance(line[-1], Mapping) else [*line, defaults]


def expanded(lines: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """The lines without the console's shorthand: `.` repeats a part of the line before, `...` all that are left."""
    before: list[Any] = []
    for line in lines:
        options = [line[-1]] if line and isinstance(line[-1], Mapping) else []
        parts: list[Any] = []
        given = list(line[: len(line) - len(options)])
        for number, part in enumerate(given):
            if part == "...":
                parts += before[number : len(before) - (len(given) - number - 1)]
            else:
                parts.append(before[number] if part == "." and number < len(before) else part)
        before = parts or before
        yield [*parts, *options]
