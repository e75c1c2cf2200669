"""Mints the key that the sandbox hands to its users, through the platform's own auth service."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path

from sandbox.platform.description import AUTH_HOST

TIMEOUT = 15.0


def mint(proxy: str, trust: Path, admin_key: str) -> str:
    """Return a new platform key with the scopes read and write; the way there is that of any client."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": proxy}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(trust))),
    )
    wanted = {"name": "sandbox", "service_id": "platform", "scopes": ["read", "write"], "environment": "dev"}
    request = urllib.request.Request(
        f"https://{AUTH_HOST}/api/v1/keys",
        data=json.dumps(wanted).encode(),
        headers={"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"},
        method="POST",
    )
    with opener.open(request, timeout=TIMEOUT) as response:
        key: str = json.load(response)["key"]
    return key
