"""The metric filters of the inventory count those of the gateway's real lines that they are about, and no others."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import yaml

from gateway.credentials import presented_key
from gateway.errors import BalanceError, GatewayError, KeyRefusedError, UpstreamError
from gateway.exchange import Exchange
from gateway.headers import Headers
from gateway.log import Lines
from sandbox.controlplane.fidelity.logs.pattern import compiled
from tests.harness import ROOT

INVENTORY = ROOT / "inventories" / "development" / "group_vars" / "hokusai_platforms"
GROUPS = yaml.safe_load((INVENTORY / "monitoring.yml").read_text())["hokusai_log_groups"]
FILTERS = {each["name"]: compiled(each["pattern"]) for group in GROUPS for each in group.get("metric_filters", ())}
SCOPE = {"method": "GET", "raw_path": b"/", "query_string": b"", "headers": [], "scheme": "https"}


async def _receive() -> dict[str, object]:
    return {}


async def _send(_message: object) -> None:
    return None


def line(exchange: Exchange) -> str:
    """The gateway's own, as CloudWatch Logs gets it."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.write_members(0.0, "info", "request", exchange.record())
    lines.flush()
    return stream.getvalue().strip()


def refused(headers: Headers) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        presented_key(headers)
    return error.value


CASES: list[tuple[str, Callable[[], GatewayError], set[str]]] = [
    ("a key that the auth service refuses", lambda: KeyRefusedError("refused"), {"authentication-failures"}),
    ("no key", lambda: refused([]), set()),
    ("Basic", lambda: refused([(b"authorization", b"Basic dTpw")]), set()),
    ("an unknown scheme", lambda: refused([(b"authorization", b"Digest x")]), set()),
    ("an empty key", lambda: refused([(b"x-api-key", b"")]), set()),
    ("no balance", lambda: BalanceError("empty"), set()),
    ("MLflow away", lambda: UpstreamError("away"), {"bad-gateway"}),
]


@pytest.mark.parametrize(("error", "counted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_an_answer_of_the_gateway_is_counted_by_what_it_is(
    error: Callable[[], GatewayError], counted: set[str]
) -> None:
    exchange = Exchange(SCOPE, _receive, _send)
    await exchange.fail(error())
    assert {name for name, matches in FILTERS.items() if matches(line(exchange))} == counted


async def test_a_401_of_mlflow_is_no_refused_key() -> None:
    exchange = Exchange(SCOPE, _receive, _send)
    exchange.emitter = "mlflow"
    await exchange.start(401, [])
    assert not FILTERS["authentication-failures"](line(exchange))
