"""``python -m gateway.healthcheck``: status 0 while the process in this container answers, for Docker and ECS."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

PATIENCE = 4.0
"""Seconds; less than the 5 after which the container's health check itself is given up."""


def check(variables: Mapping[str, str]) -> int:
    host = variables.get("GATEWAY_HOST", "").replace("0.0.0.0", "") or "127.0.0.1"  # noqa: S104 - any is also this one
    connection = http.client.HTTPConnection(host, int(variables.get("GATEWAY_PORT", "") or 8001), timeout=PATIENCE)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"no answer from {host}: {error}\n")
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(check(os.environ))
