"""Error answers in the shape that botocore's parser of each protocol expects."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

REQUEST_ID = "00000000-0000-0000-0000-5a2db0c00000"


@dataclass(frozen=True)
class Response:
    """An HTTP answer as the WSGI layer sends it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def render_error(protocol: str, code: str, message: str, status: int) -> Response:
    """An AWS error of one protocol (AWS SDK wire formats: awsJson1.1, rpcv2Cbor, awsQuery, ec2Query, restXml)."""
    if protocol == "json":
        return _answer(status, code, "application/x-amz-json-1.1", _json(code, message))
    if protocol == "cbor":
        body = _cbor_map({"__type": code, "message": message})
        return _answer(status, code, "application/cbor", body, [("smithy-protocol", "rpc-v2-cbor")])
    return _answer(status, code, "text/xml", _xml(protocol, code, message, status).encode())


def _answer(
    status: int, code: str, content_type: str, body: bytes, extra: list[tuple[str, str]] | None = None
) -> Response:
    headers = [("Content-Type", content_type), ("x-amzn-errortype", code), ("x-amzn-requestid", REQUEST_ID)]
    return Response(status, headers + (extra or []), body)


def _json(code: str, message: str) -> bytes:
    return json.dumps({"__type": code, "message": message}).encode()


def _xml(protocol: str, code: str, message: str, status: int) -> str:
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol == "ec2":
        return f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
    fault = "Sender" if status < 500 else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    )


def _cbor_map(members: dict[str, str]) -> bytes:
    """A CBOR map of text strings (RFC 8949, major types 5 and 3)."""
    return bytes([0xA0 | len(members)]) + b"".join(_cbor_text(part) for item in members.items() for part in item)


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    return b"\x7a" + len(raw).to_bytes(4, "big") + raw
