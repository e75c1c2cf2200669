"""``python -m gateway``: serve until SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType

from gateway.app import Gateway
from gateway.client_connection import Clients, Settings
from gateway.config import Config, load
from gateway.errors import ConfigError
from gateway.log import LINES, configure, event
from gateway.server import Server, allow_files, check_address
from gateway.trust import check_files

_OTHER_FILES = 64


def main() -> int:
    try:
        config = load(os.environ)
        # what is not there is found now and not by the first request
        check_files(config, os.environ)
        check_address(config.host)
    except ConfigError as error:
        sys.stderr.write(f"gateway: configuration: {error}\n")
        return 2
    configure(debug=config.debug)
    event("configuration", config.describe())
    files = 2 * config.max_clients + 2 * config.max_connections + _OTHER_FILES
    if short := allow_files(files):
        event(short, level=logging.WARNING)
    # uvicorn drains on SIGTERM and then raises the signal again; without this the exit status would be a failure.
    signal.signal(signal.SIGTERM, _leave)
    serve(config)
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def serve(config: Config) -> None:
    clients = Clients(config.keep_alive, config.head_timeout, config.max_clients, config.min_rate)
    settings = Settings(
        Gateway(config, clients),
        clients,
        host=config.host,
        port=config.port,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=config.drain_timeout,
    )
    try:
        Server(settings).run()
    finally:
        event("stopped")
        LINES.flush()


if __name__ == "__main__":
    sys.exit(main())
