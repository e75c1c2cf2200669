# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check that a client with a key reaches MLflow through the proxy, however it presents the key, and no other does."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator

import hop_probe
from hop_probe import KEY_HEADERS, Check, Client, expect, expect_refusal, lists_experiments, refused_key

SCRIPT = "test_mlflow_connection.py"
VERSION = re.compile(r"\d+\.\d+")


def checks(options: argparse.Namespace, key: str) -> Iterator[Check]:
    client, tracking = Client(options.timeout), f"{options.registry_url}/api/mlflow"
    yield expect_refusal("search_without_key", client.search(tracking))
    yield expect_refusal("search_with_refused_key", client.search(tracking, KEY_HEADERS["Bearer"](refused_key())))
    for form, headers in KEY_HEADERS.items():
        answer = client.search(tracking, headers(key))
        yield expect(f"search_with_{form}", "mlflow", answer, lists_experiments(answer))
    answer = client.get(f"{tracking}/version", key)
    yield expect("version", "mlflow", answer, answer.status == 200 and bool(VERSION.match(answer.body)))
    for name, base in (("registry_root_as_uri", options.registry_url), ("api_host", f"{options.api_url}/api/mlflow")):
        answer = client.search(base, KEY_HEADERS["Bearer"](key))
        yield expect(name, "mlflow", answer, lists_experiments(answer))


if __name__ == "__main__":
    arguments = hop_probe.parser(SCRIPT, __doc__ or "").parse_args()
    sys.exit(hop_probe.main(arguments, SCRIPT, checks, needs_key=True))
