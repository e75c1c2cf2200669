# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check the platform's public endpoints, in the order in which a request meets the hops behind them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import hop_probe
from hop_probe import Check, Client, expect, expect_refusal

SCRIPT = "test_health_endpoints.py"


def checks(options: argparse.Namespace, _key: str) -> Iterator[Check]:
    client = Client(options.timeout)
    for name, base in (("auth", options.auth_url), ("registry", options.registry_url), ("api", options.api_url)):
        answer = client.get(f"{base}/health")
        yield expect(f"{name}_health", "auth" if name == "auth" else "api", answer, answer.status == 200)
    answer = client.get(f"{options.registry_url}/api/health/mlflow")
    yield expect("api_to_mlflow", "mlflow", answer, answer.status == 200)
    yield expect_refusal("proxy_without_key", client.search(f"{options.registry_url}/api/mlflow"))


if __name__ == "__main__":
    arguments = hop_probe.parser(SCRIPT, __doc__ or "").parse_args()
    sys.exit(hop_probe.main(arguments, SCRIPT, checks, needs_key=False))
