# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check that no cause of the connectivity incident is back: one check and one diagnosis for each of them."""

from __future__ import annotations

import argparse
import ipaddress
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import hop_probe
from hop_probe import (
    KEY_HEADERS,
    Answer,
    Check,
    Client,
    diagnose,
    expect,
    expect_refusal,
    lists_experiments,
    refuses_as_api,
)

SCRIPT = "test_api_connectivity_fixes.py"
LOOKS = 6
"""Requests that show flapping: behind an ALB whose targets are all unhealthy some are answered and some are not."""


@dataclass(frozen=True)
class Sight:
    """A cause that the API names in the reason of `/api/health/mlflow`, with the diagnosis for it."""

    name: str
    hop: str
    reason: re.Pattern[str]
    diagnosis: str


SIGHTS = (
    Sight(
        "mlflow_resolves",
        "dns",
        re.compile(r"resolve", re.IGNORECASE),
        "the API cannot resolve MLflow's name: the ECS service has no service registry in Cloud Map",
    ),
    Sight(
        "mlflow_port_open",
        "api",
        re.compile(r"dropped|no connection within|no answer within", re.IGNORECASE),
        "packets from the API to MLflow are dropped: MLflow's security group lacks port 5000 from the API's, "
        "or nobody has that address",
    ),
    Sight(
        "mlflow_accepts_host",
        "mlflow",
        re.compile(r"host header", re.IGNORECASE),
        "MLflow refuses the Host it is called by: MLFLOW_SERVER_ALLOWED_HOSTS lacks that name, with port",
    ),
)


def checks(options: argparse.Namespace, key: str) -> Iterator[Check]:
    client = Client(options.timeout)
    yield from edge(options, client)
    yield from upstream(client.get(f"{options.registry_url}/api/health/mlflow"))
    yield service_id(options, client, key)
    yield key_headers(options, client, key)
    yield timeouts(options, client)
    yield running_version(options, client)


def edge(options: argparse.Namespace, client: Client) -> Iterator[Check]:
    """Causes 1 to 3: the rule for /api/mlflow, the listener of the API's host, the health check's path."""
    yield expect_refusal("route_to_api", client.search(f"{options.registry_url}/api/mlflow"))
    health = client.get(f"{options.api_url}/health")
    routed = client.search(f"{options.api_url}/api/mlflow") if health.status == 200 else health
    yield expect("api_host_routed", "alb", routed, refuses_as_api(routed))
    looks = [client.get(f"{options.registry_url}/health") for _look in range(LOOKS)]
    worst = max(looks, key=lambda answer: (bool(answer.error), answer.status))
    seen = sorted({answer.error or str(answer.status) for answer in looks})
    flaps = f"/health flaps ({', '.join(seen)}): targets fail the health check's path and are replaced all the time"
    yield expect("targets_stay_healthy", "alb", worst, worst.status == 200, flaps if len(seen) > 1 else "")


def upstream(answer: Answer) -> Iterator[Check]:
    """Causes 4 to 6 and the Host check that hides behind them, as the API itself reports them."""
    report = answer.json if isinstance(answer.json, dict) else {}
    if "upstream" not in report:
        hop, text = diagnose(answer)
        for name in ("mlflow_by_name", *(sight.name for sight in SIGHTS), "mlflow_answers"):
            yield Check(name, False, hop, f"not observable, the API does not report on MLflow: {text}")
        return
    yield by_name(str(report["upstream"]))
    reason = str(report.get("reason", ""))
    for sight in SIGHTS:
        guilty = answer.status != 200 and bool(sight.reason.search(reason))
        yield Check(sight.name, not guilty, sight.hop, f"{sight.diagnosis} ({reason})" if guilty else "not a cause")
    yield expect("mlflow_answers", "mlflow", answer, answer.status == 200, f"MLflow is out of order: {reason}")


def by_name(origin: str) -> Check:
    """A literal address dies with the task that has it."""
    host = urlsplit(origin).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Check("mlflow_by_name", True, "api", f"the API reaches MLflow as {host}")
    text = f"the API reaches MLflow by the hard-coded address {host}, which dies with its task: set MLFLOW_SERVER_URL"
    return Check("mlflow_by_name", False, "api", text)


def service_id(options: argparse.Namespace, client: Client, key: str) -> Check:
    """Cause 7. A key the auth service approves and the API does not: then the API asks for another service."""
    answer = client.search(f"{options.registry_url}/api/mlflow", KEY_HEADERS["Bearer"](key))
    if answer.status != 401:
        return expect("service_id", "auth", answer, lists_experiments(answer))
    asked = client.validate(options.auth_url, key, options.service_id)
    judged = asked.json.get("is_valid") if isinstance(asked.json, dict) else None
    if judged is True:
        text = (
            f"the auth service approves the key for {options.service_id}, the API refuses it: AUTH_SERVICE_ID differs"
        )
    elif judged is False:
        text = f"the auth service itself refuses the key ({asked.json.get('reason', 'no reason')}): mint another one"
    else:
        text = f"the API refuses the key, and the auth service cannot be asked: {diagnose(asked)[1]}"
    return Check("service_id", False, "auth", text)


def key_headers(options: argparse.Namespace, client: Client, key: str) -> Check:
    """Cause 8."""
    answers = {
        form: client.search(f"{options.registry_url}/api/mlflow", headers(key)) for form, headers in KEY_HEADERS.items()
    }
    refused = [form for form, answer in answers.items() if not lists_experiments(answer)]
    worst = answers[refused[0]] if refused else answers["Bearer"]
    partial = f"the API accepts the key in some forms, but not as {', '.join(refused)}: an old program runs"
    return expect("key_headers", "api", worst, not refused, partial if 0 < len(refused) < len(answers) else "")


def timeouts(options: argparse.Namespace, client: Client) -> Check:
    """Cause 9, as far as it can be seen: the ALB never had to answer for a target that was slower than its patience."""
    late = [answer for answer in client.answers if answer.emitter == "alb" and answer.status == 504]
    slowest = max(answer.seconds for answer in client.answers)
    if late or slowest >= options.alb_idle_timeout:
        under = f"MLFLOW_PROXY_TIMEOUT must be under {options.alb_idle_timeout:g} s"
        return Check("timeouts_under_alb_idle", False, "api", f"the ALB gave up before the API did: {under}")
    return Check("timeouts_under_alb_idle", True, "api", f"slowest of {len(client.answers)} answers: {slowest:.1f} s")


def running_version(options: argparse.Namespace, client: Client) -> Check:
    """Cause 10: what runs is one program, and the declared one."""
    seen = {base: reported_version(client.get(f"{base}/health")) for base in (options.registry_url, options.api_url)}
    versions = sorted(set(seen.values()))
    text = "; ".join(
        f"{urlsplit(base).hostname} runs {version or 'an unknown version'}" for base, version in seen.items()
    )
    wanted = options.expected_version or versions[0]
    passed = versions == [wanted] and bool(wanted)
    return Check("running_version", passed, "api", text if passed else f"{text}: not the one program that was declared")


def reported_version(answer: Answer) -> str:
    return str(answer.json.get("version", "")) if isinstance(answer.json, dict) else ""


def parse() -> argparse.Namespace:
    parser = hop_probe.parser(SCRIPT, __doc__ or "")
    parser.add_argument("--service-id", default="platform", help="service of the key; default: platform")
    parser.add_argument("--alb-idle-timeout", type=float, default=60.0, metavar="SECONDS", help="default: 60")
    parser.add_argument("--expected-version", help="version of the API that should run; default: one, whichever")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(hop_probe.main(parse(), SCRIPT, checks, needs_key=True))
