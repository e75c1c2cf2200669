"""The API service as it ran during the incident, faults included, so that the incident is measured and not acted.

A small naive proxy: it mounts `/mlflow` only (the mount of `/api/mlflow` had been deleted), accepts a key as
`Authorization: Bearer` only and does not hand it on, serves no `/health/alb`, buffers bodies whole, and waits for
MLflow longer than the ALB waits for it. Run as `python -m sandbox.images.incident_api`.
"""

from __future__ import annotations

import asyncio
import logging
import os

import aiohttp
from aiohttp import web
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "authorization", "upgrade"}
UNREACHABLE = (aiohttp.ClientConnectionError, ProxyError, ProxyConnectionError, OSError)
TIMED_OUT = (asyncio.TimeoutError, ProxyTimeoutError)


class IncidentApi:
    """Reads its configuration from the environment of the task definition, as the real one did."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._mlflow = environment["MLFLOW_SERVER_URL"].rstrip("/")
        self._auth = environment["HOKUSAI_AUTH_SERVICE_URL"].rstrip("/")
        self._service_id = environment.get("AUTH_SERVICE_ID", "ml-platform")
        self._timeout = float(environment.get("MLFLOW_PROXY_TIMEOUT", "120"))
        self._proxy = environment.get("ALL_PROXY", "")

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/health", self.health)
        app.router.add_route("*", "/mlflow/{path:.*}", self.forward)
        app.router.add_route("*", "/{path:.*}", self.unknown)
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """Shallow: green while MLflow is out of reach."""
        return web.json_response({"status": "healthy", "service": "hokusai-api"})

    async def unknown(self, request: web.Request) -> web.Response:
        if not request.path.startswith("/health") and not await self._admitted(request):
            return web.json_response({"detail": "API key required"}, status=401)
        return web.json_response({"detail": "Not Found"}, status=404)

    async def forward(self, request: web.Request) -> web.Response:
        if not await self._admitted(request):
            return web.json_response({"detail": "API key required"}, status=401)
        url = self._mlflow + request.raw_path.removeprefix("/mlflow")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = await request.read()
        try:
            async with (
                self._session() as session,
                session.request(request.method, url, headers=headers, data=body) as response,
            ):
                kept = {name: value for name, value in response.headers.items() if name.lower() == "content-type"}
                return web.Response(status=response.status, headers=kept, body=await response.read())
        except TIMED_OUT:
            return web.json_response({"detail": "MLflow timed out"}, status=504)
        except UNREACHABLE:
            return web.json_response({"detail": "MLflow is unreachable"}, status=502)

    async def _admitted(self, request: web.Request) -> bool:
        """An auth service that cannot be asked counts as a refusal: one more fault of the old program."""
        authorization = request.headers.get("Authorization", "")
        if not authorization.startswith("Bearer "):
            return False
        question = {"service_id": self._service_id, "client_ip": request.remote}
        try:
            async with (
                self._session() as session,
                session.post(
                    f"{self._auth}/api/v1/keys/validate", json=question, headers={"Authorization": authorization}
                ) as response,
            ):
                return response.status == 200 and bool((await response.json())["is_valid"])
        except (*TIMED_OUT, *UNREACHABLE, ValueError, KeyError):
            return False

    def _session(self) -> aiohttp.ClientSession:
        connector = (
            ProxyConnector.from_url(self._proxy.replace("socks5h", "socks5"), rdns=True) if self._proxy else None
        )
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=self._timeout))


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    host, port = os.environ.get("API_HOST", "0.0.0.0"), int(os.environ.get("API_PORT", "8001"))  # noqa: S104 - a container's default
    web.run_app(IncidentApi(dict(os.environ)).application(), host=host, port=port, print=None)


if __name__ == "__main__":
    main()
