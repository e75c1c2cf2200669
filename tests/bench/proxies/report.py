"""The measured figures as a table, and against what is asked of the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.proxies.measure import CONNECTIONS, HEALTHY
from tests.bench.report import Bar

Figures = dict[str, dict[str, float]]

COLUMNS = (
    ("rps", "rps", 0),
    ("p50_ms", "p50 ms", 2),
    ("p99_ms", "p99 ms", 2),
    ("cpu_us", "CPU us", 0),
    ("busy_pct", "busy %", 0),
    ("get_rps", "GET rps", 0),
    ("rps_1", "rps c=1", 0),
    ("p50_1_ms", "p50 c=1", 3),
    ("rss_mb", "RSS MB", 0),
    ("upload_mb_s", "up MB/s", 0),
    ("download_mb_s", "down MB/s", 0),
    ("stream_rss_growth_mb", "growth MB", 1),
)


def figure(figures: Figures, name: str, field: str) -> float | None:
    return figures.get(name, {}).get(field)


def ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def bars(figures: Figures) -> Iterator[Bar]:
    def against(field: str, other: str) -> float | None:
        return ratio(figure(figures, "gateway", field), figure(figures, other, field))

    def by_cpu(other: str) -> float | None:
        return ratio(figure(figures, other, "cpu_us"), figure(figures, "gateway", "cpu_us"))

    ours = figures.get("gateway", {})
    yield Bar(
        f"requests a second at {CONNECTIONS} connections, times the naive proxy's", against("rps", "naive"), 10, True
    )
    yield Bar(
        f"requests a second at {CONNECTIONS} connections, times nginx's",
        against("rps", "nginx"),
        0.1,
        True,
        by_cpu("nginx"),
    )
    yield Bar("p50 at one connection, times nginx's", against("p50_1_ms", "nginx"), 2.5, False)
    yield Bar("1 GB upload, MB/s, times nginx's", against("upload_mb_s", "nginx"), 0.8, True)
    yield Bar("1 GB download, MB/s, times nginx's", against("download_mb_s", "nginx"), 0.8, True)
    yield Bar("growth of RSS during 1 GB up and down, MB", ours.get("stream_rss_growth_mb"), 20, False)
    crowded = ratio(ours.get("p99_8_crowd_ms"), ours.get("p99_8_ms"))
    yield Bar(f"p99 of {HEALTHY} healthy clients with 500 idle or slow ones, times without", crowded, 2, False)


def table(figures: Figures) -> Iterator[str]:
    yield f"{'':<9}" + "".join(f"{title:>11}" for _, title, _ in COLUMNS)
    for name, fields in figures.items():
        cells = (f"{fields[field]:,.{digits}f}" if field in fields else "" for field, _, digits in COLUMNS)
        yield f"{name:<9}" + "".join(f"{cell:>11}" for cell in cells)


def crowds(figures: Figures) -> Iterator[str]:
    for name, fields in figures.items():
        if "p99_8_crowd_ms" in fields:
            alone, beside = fields["p99_8_ms"], fields["p99_8_crowd_ms"]
            yield f"{name}: p99 of {HEALTHY} healthy clients {alone:.2f} ms, with 500 idle or slow ones {beside:.2f} ms"


def rounded(figures: Figures) -> Figures:
    return {name: {field: round(value, 3) for field, value in fields.items()} for name, fields in figures.items()}
