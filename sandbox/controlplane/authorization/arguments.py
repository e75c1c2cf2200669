"""What a call says of resources: its members by moto's own parsers, or by the path where the protocol is REST."""

from __future__ import annotations

import io
import logging
from typing import Any

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.utils import get_service_model

from sandbox.controlplane.request import Call

_log = logging.getLogger(__name__)


def arguments(call: Call, environ: dict[str, Any]) -> dict[str, Any]:
    """By the names of the API reference; {} for a REST service, whose resources are in the path."""
    if call.protocol == "rest-xml":
        return {}
    request = Request({**environ, "wsgi.input": io.BytesIO(call.body)})
    try:
        model = get_service_model(call.service)
        operation = model.operation_model(call.action)
        parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
        given: dict[str, Any] = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": call.body,
                "url_path": request.path,
                "url_params": {},
            }
        )
    except Exception:  # noqa: BLE001 - a call that cannot be read is about no resource that a policy names
        _log.warning("the arguments of %s cannot be read", call.name, exc_info=True)
        return {}
    return given
