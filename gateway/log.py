"""Log lines: one JSON object each, on standard output.

What goes in is chosen field by field (see Exchange.record); no header, no body and no URL of a client's is among it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

LOG = logging.getLogger("gateway")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        fields = record.__dict__.get("fields")
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _is_news(record: logging.LogRecord) -> bool:
    """An aborted answer is in the access log with its reason; uvicorn's word for it has neither."""
    return "without completing response" not in record.getMessage()


def configure(*, debug: bool) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    LOG.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def event(message: str, fields: Mapping[str, object] | None = None, level: int = logging.INFO) -> None:
    LOG.log(level, message, extra={"fields": fields})
