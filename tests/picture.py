"""A dashboard drawn from its body and from live data, as SVG: for the documents, and to look at a drill.

eval "$(python -m sandbox env)" && python -m tests.picture hokusai-development > dashboard.svg
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import boto3

CELL_WIDTH, CELL_HEIGHT = 40, 26
MARGIN, HEADING, LEGEND_ROW = 8, 24, 14
SPAN = timedelta(minutes=12)
PACE = 30
"""The sandbox's: a minute of AWS's takes two seconds, and so do the periods that are drawn."""
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
STATES = {"OK": "#2ca02c", "ALARM": "#d62728", "INSUFFICIENT_DATA": "#7f7f7f"}
LEGEND_COLUMNS = 4
SVG = "{http://www.w3.org/2000/svg}"
STYLE = "text{font:11px sans-serif;fill:#16191f}.title{font-weight:bold}.small{font-size:9px;fill:#545b64}"

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """`points` are seconds since the beginning of the picture, and values."""

    label: str
    points: Sequence[Point]


def query(line: Sequence[Any], pace: float = 1) -> dict[str, Any]:
    """A line of a widget as a query of GetMetricData, its period divided by the pace."""
    *parts, options = line
    shown = {
        "Id": options["id"],
        "ReturnData": options.get("visible", True),
        "Label": options.get("label") or options["id"],
    }
    if "expression" in options:
        return {**shown, "Expression": options["expression"]}
    dimensions = [{"Name": n, "Value": v} for n, v in zip(parts[2::2], parts[3::2], strict=True)]
    metric = {"Namespace": parts[0], "MetricName": parts[1], "Dimensions": dimensions}
    period = max(1, int(options["period"] / pace))
    return {**shown, "MetricStat": {"Metric": metric, "Period": period, "Stat": options["stat"]}}


def lines(cloudwatch: Any, widget: Mapping[str, Any], end: datetime) -> list[Line]:
    start = end - SPAN
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[query(line, PACE) for line in widget["properties"]["metrics"]],
        StartTime=start,
        EndTime=end,
        ScanBy="TimestampAscending",
    )
    return [
        Line(
            each["Label"],
            [
                ((at - start).total_seconds(), value)
                for at, value in zip(each["Timestamps"], each["Values"], strict=True)
            ],
        )
        for each in answer["MetricDataResults"]
    ]


def drawn(cloudwatch: Any, name: str, end: datetime) -> str:
    """The dashboard of that name, for the `SPAN` before the end."""
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    rows = max(each["y"] + each["height"] for each in body["widgets"])
    parts = [part for each in body["widgets"] for part in _widget(cloudwatch, each, end)]
    size = f'width="{24 * CELL_WIDTH}" height="{rows * CELL_HEIGHT}"'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>", *parts, "</svg>\n"]
    )


def _widget(cloudwatch: Any, widget: Mapping[str, Any], end: datetime) -> Iterator[str]:
    x, y = widget["x"] * CELL_WIDTH, widget["y"] * CELL_HEIGHT
    width, height = widget["width"] * CELL_WIDTH, widget["height"] * CELL_HEIGHT
    yield f'<g transform="translate({x},{y})">'
    frame = f'width="{width - MARGIN}" height="{height - MARGIN}"'
    yield f'<rect x="{MARGIN / 2}" y="{MARGIN / 2}" {frame} fill="#fff" stroke="#d5dbdb"/>'
    yield f'<text class="title" x="{MARGIN * 2}" y="20">{escape(widget["properties"].get("title", ""))}</text>'
    if widget["type"] == "alarm":
        yield from _alarms(cloudwatch, widget["properties"]["alarms"], width)
    elif widget["type"] == "metric":
        limits = widget["properties"].get("yAxis", {}).get("left", {})
        yield from _chart(lines(cloudwatch, widget, end), limits, width, height)
    yield "</g>"


def _alarms(cloudwatch: Any, arns: Iterable[str], width: int) -> Iterator[str]:
    names = [arn.rpartition(":")[2] for arn in arns]
    found = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100)
    states = {each["AlarmName"]: each["StateValue"] for each in (*found["MetricAlarms"], *found["CompositeAlarms"])}
    columns, column = 5, (width - 2 * MARGIN) / 5
    for number, name in enumerate(names):
        x, y = MARGIN * 2 + number % columns * column, 34 + number // columns * 16
        yield f'<circle cx="{x + 4:.0f}" cy="{y}" r="4" fill="{STATES[states[name]]}"/>'
        told = escape(name.removeprefix("hokusai-development-"))
        yield f'<text class="small" x="{x + 12:.0f}" y="{y + 3}">{told}</text>'


def _chart(found: Sequence[Line], limits: Mapping[str, float], width: int, height: int) -> Iterator[str]:
    values = [value for line in found for _, value in line.points]
    least = limits.get("min", min(values, default=0))
    most = max(limits.get("max", 0), *values) if values else limits.get("max", 1)
    most = most if most > least else least + 1
    left, top = 44, HEADING + LEGEND_ROW * (1 + (len(found) - 1) // LEGEND_COLUMNS)
    right, bottom = width - MARGIN * 2, height - MARGIN * 2
    for value, y in ((most, top), (least, bottom)):
        yield f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="#eaeded"/>'
        yield f'<text class="small" x="{MARGIN}" y="{y + 3}">{value:.4g}</text>'
    for number, line in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        x = left + number % LEGEND_COLUMNS * (right - left) / LEGEND_COLUMNS
        y = HEADING + 8 + number // LEGEND_COLUMNS * LEGEND_ROW
        yield f'<text class="small" x="{x:.0f}" y="{y}" style="fill:{colour}">{escape(line.label)}</text>'
        scaled = [
            (
                left + seconds / SPAN.total_seconds() * (right - left),
                bottom - (value - least) / (most - least) * (bottom - top),
            )
            for seconds, value in line.points
        ]
        yield f'<path fill="none" stroke="{colour}" stroke-linecap="round" stroke-width="1.5" d="{_path(scaled)}"/>'


def _path(points: Sequence[Point]) -> str:
    """Through the points without those in the middle of a level stretch; one alone is a dot."""
    kept = [
        (round(x), round(y))
        for number, (x, y) in enumerate(points)
        if number in {0, len(points) - 1} or not points[number - 1][1] == y == points[number + 1][1]
    ]
    return " ".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(kept)) + ("h0" if kept else "")


def labels(svg: str) -> list[str]:
    """Everything that a picture says but its figures: the same for every picture of one dashboard."""
    texts = (each.text or "" for each in _elements(svg))
    return [each for each in texts if each and not re.fullmatch(r"[0-9.e+-]+", each)]


def sounding(svg: str) -> set[str]:
    """The alarms that a picture shows in ALARM: the name follows the mark."""
    return {name.text or "" for mark, name in pairwise(_elements(svg)) if mark.get("fill") == STATES["ALARM"]}


def _elements(svg: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(svg).iter() if each.tag in {SVG + "circle", SVG + "text"}]


def main() -> None:
    connect: Any = boto3.client
    sys.stdout.write(drawn(connect("cloudwatch"), sys.argv[1], datetime.now(UTC)))


if __name__ == "__main__":
    main()
