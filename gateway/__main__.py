"""``python -m gateway``: serve until SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from gateway.app import Gateway
from gateway.config import Config, load
from gateway.errors import ConfigError
from gateway.log import configure, event
from gateway.trust import mlflow_context


def main() -> int:
    try:
        config = load(os.environ)
        mlflow_context(config)  # a file that is none is found now and not by the first request
    except ConfigError as error:
        sys.stderr.write(f"gateway: configuration: {error}\n")
        return 2
    configure(debug=config.debug)
    event("configuration", config.describe())
    for warning in config.warnings():
        event(warning, level=logging.WARNING)
    # uvicorn drains on SIGTERM and then raises the signal again; without this the exit status would be a failure.
    signal.signal(signal.SIGTERM, _leave)
    serve(config)
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where it listens once it does; with GATEWAY_PORT=0 nobody else knows."""
        await super().startup(sockets)
        for listener in (found for server in self.servers for found in server.sockets):
            address = listener.getsockname()
            event("listening", {"host": address[0], "port": address[1]})


def serve(config: Config) -> None:
    settings = uvicorn.Config(
        Gateway(config),
        host=config.host,
        port=config.port,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(config.keep_alive),
        timeout_graceful_shutdown=int(config.drain_timeout),
    )
    Server(settings).run()
    event("stopped")


if __name__ == "__main__":
    sys.exit(main())
