"""What an ALB says itself, as opposed to what it relays: errors, redirects and fixed responses."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from sandbox.dataplane.relay import Send
from sandbox.dataplane.routing import FixedResponse, Redirect

SERVER = b"awselb/2.0"
TITLES = {460: "Client Closed Request", 463: "X-Forwarded-For Header Too Long"}


def title(status: int) -> str:
    if status in TITLES:
        return TITLES[status]
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def page(status: int) -> bytes:
    """The HTML that an ALB sends with its own statuses."""
    name = title(status)
    return (
        f"<html>\r\n<head><title>{name}</title></head>\r\n<body>\r\n"
        f"<center><h1>{name}</h1></center>\r\n</body>\r\n</html>\r\n"
    ).encode()


async def error(send: Send, status: int) -> None:
    await _answer(send, status, [(b"content-type", b"text/html")], page(status))


async def redirect(send: Send, action: Redirect) -> None:
    headers = [(b"content-type", b"text/html"), (b"location", action.location.encode("latin-1", "replace"))]
    await _answer(send, action.status, headers, page(action.status))


async def fixed(send: Send, action: FixedResponse) -> None:
    content_type = f"{action.content_type}; charset=utf-8".encode("latin-1", "replace")
    await _answer(send, action.status, [(b"content-type", content_type)], action.body.encode())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    common = [(b"server", SERVER), (b"date", formatdate(usegmt=True).encode())]
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": common + headers + length})
    await send({"type": "http.response.body", "body": body, "more_body": False})
