"""Error answers in the shape that botocore's parser of each protocol expects."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Response:
    """An HTTP answer as the WSGI layer sends it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def render_error(protocol: str, code: str, message: str, status: int) -> Response:
    """An AWS error of one protocol (AWS SDK wire formats: awsJson1.1, rpcv2Cbor, awsQuery, ec2Query, restXml)."""
    request_id = str(uuid.uuid4())
    if protocol == "json":
        return _answer(status, code, "application/x-amz-json-1.1", _json(code, message), request_id)
    if protocol == "cbor":
        body = _cbor_map({"__type": code, "message": message})
        return _answer(status, code, "application/cbor", body, request_id, [("smithy-protocol", "rpc-v2-cbor")])
    return _answer(status, code, "text/xml", _xml(protocol, code, message, status, request_id).encode(), request_id)


def _answer(
    status: int,
    code: str,
    content_type: str,
    body: bytes,
    request_id: str,
    extra: list[tuple[str, str]] | None = None,
) -> Response:
    headers = [("Content-Type", content_type), ("x-amzn-errortype", code), ("x-amzn-requestid", request_id)]
    return Response(status, headers + (extra or []), body)


def _json(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


def _xml(protocol: str, code: str, message: str, status: int, request_id: str) -> str:
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol == "ec2":
        return f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    fault = "Sender" if status < 500 else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _cbor_map(members: dict[str, str]) -> bytes:
    """A CBOR map of text strings (RFC 8949, major types 5 and 3)."""
    return bytes([0xA0 | len(members)]) + b"".join(_cbor_text(part) for item in members.items() for part in item)


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    return b"\x7a" + len(raw).to_bytes(4, "big") + raw
