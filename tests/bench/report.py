"""What every benchmark tells beside its figures: its bars, the machine, and the file that has it all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Machine = Mapping[str, float | str]


@dataclass(frozen=True)
class Bar:
    """What is to be reached: `measured` at most, or at least, `limit`. None if it could not be measured.

    `by_cpu` is the same ratio of what whole cores could do, from the CPU of a request: other work on the machine, or
    the load itself, may slow one proxy down more than the other, but costs neither of them CPU.
    """

    what: str
    measured: float | None
    limit: float
    at_least: bool = False
    by_cpu: float | None = None

    @property
    def met(self) -> bool:
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "met" if self.met else "NOT met"

    def told(self) -> str:
        if self.measured is None:
            return self.what
        sign = ">=" if self.at_least else "<="
        cpu = "" if self.by_cpu is None else f"; by CPU of a request {self.by_cpu:.2f}"
        return f"{self.what}: {self.measured:.2f} ({sign} {self.limit:g}){cpu}"

    def line(self) -> str:
        return f"  {self.verdict:<12}  {self.told()}"


def machine() -> Machine:
    """What else the machine has to do, and when: a load beyond the cores makes every time longer."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "day": datetime.now(UTC).date().isoformat(),
    }


def write(file: Path, figures: Any, bars: Iterable[Bar], before: Machine) -> None:
    """`before` is the machine before the first measurement; as it is now stands beside it."""
    judged = [{**asdict(bar), "met": bar.met} for bar in bars]
    told = {"figures": figures, "bars": judged, "before": before, "after": machine()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1) + "\n")
