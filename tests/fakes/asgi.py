"""Requests to an ASGI application without a network, as uvicorn would hand them over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

PORT = 7070
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}  # fmt: skip


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body, or the last event of a stream."""
        data = self.body
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            data = [line for line in data.splitlines() if line.startswith(b"data:")][-1].removeprefix(
                b"data:"
            )
        return json.loads(data)


async def ask(
    app: Any,
    body: Any = HELLO,
    *,
    path: str = "/mcp",
    method: str = "POST",
    query: bytes = b"",
    headers: Mapping[str, str | list[str]] | None = None,
) -> Answer:
    """One request. A header that is None is left out, a list is sent as several."""
    told: dict[str, Any] = {
        "Host": f"127.0.0.1:{PORT}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **(headers or {}),
    }
    pairs = [
        (name.lower().encode(), value.encode("latin-1"))
        for name, given in told.items()
        if given is not None
        for value in (given if isinstance(given, list) else [given])
    ]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer()
    waiting = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await anyio.sleep_forever()  # the client stays until it has its answer
        return waiting.pop()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": pairs,
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", PORT),
    }  # fmt: skip
    await app(scope, receive, send)
    return answer
