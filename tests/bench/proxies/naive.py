"""The proxy that one writes in ten minutes: Starlette and httpx as their documentation shows them, streaming."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=60) as client:
        app.state.client = client
        yield


async def forward(request: Request) -> StreamingResponse:
    client: httpx.AsyncClient = request.app.state.client
    url = httpx.URL(path=request.url.path, query=request.url.query.encode() or None)
    headers = [(name, value) for name, value in request.headers.raw if name != b"host"]
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    asked = client.build_request(request.method, url, headers=headers, content=request.stream() if has_body else None)
    answer = await client.send(asked, stream=True)
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, dict(answer.headers), background=BackgroundTask(answer.aclose)
    )


app = Starlette(routes=[Route("/{path:path}", forward, methods=METHODS)], lifespan=lifespan)
