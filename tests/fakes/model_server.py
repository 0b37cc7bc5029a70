"""An OpenAI-compatible server on loopback that answers as a script says; by default as the offline model would."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from crew.fence import first_block
from crew.offline import OfflineModel
from knowledge.blueprint import load_all
from tools.settings import ModelSettings

Answer = str | list[dict[str, Any]] | tuple[int, bytes]
"""Text, tool calls, or a status with a raw body."""
Script = Callable[[str, Any, list[dict[str, Any]]], Answer | None]
"""Kind of task, its request, all messages -> an answer; None: as the offline model."""
KEY = "test-key-not-a-secret"


def nothing(kind: str, request: Any, messages: list[dict[str, Any]]) -> Answer | None:
    return None


@dataclass
class ModelServer:
    """`seen` are the requests' bodies, `keys` their authorisation."""

    script: Script = nothing
    latency: float = 0.0
    seen: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def settings(self, **more: Any) -> ModelSettings:
        return ModelSettings(
            **{
                "model": "openai/gpt-4o-mini",
                "base_url": self.url,
                "api_key": KEY,
                "timeout_seconds": 20.0,
                **more,
            }
        )

    def prompts(self) -> str:
        return json.dumps(self.seen, ensure_ascii=False)

    def answer(self, body: Mapping[str, Any]) -> Answer:
        messages = list(body["messages"])
        blocks = [
            b for m in messages if m["role"] == "user" and (b := first_block(str(m.get("content") or "")))
        ]
        kind, request = blocks[0] if blocks else ("none", None)
        scripted = self.script(kind, request, messages)
        if scripted is not None:
            return scripted
        answer: Answer = OfflineModel(model="offline", blueprints=load_all()).call(
            messages, tools=body.get("tools")
        )
        return answer


@contextmanager
def model_server(script: Script = nothing, *, latency: float = 0.0) -> Iterator[ModelServer]:
    """A running server, stopped at the end."""
    held = ModelServer(script, latency)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            held.seen.append(body)
            held.keys.append(self.headers.get("authorization", ""))
            if held.latency:
                held.released.wait(held.latency)
            status, data = _wire(held.answer(body))
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except BrokenPipeError:
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        held.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _wire(answer: Answer) -> tuple[int, bytes]:
    if isinstance(answer, tuple):
        return answer
    message: dict[str, Any] = {"role": "assistant", "content": answer if isinstance(answer, str) else None}
    if isinstance(answer, list):
        message["tool_calls"] = answer
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "stop" if isinstance(answer, str) else "tool_calls",
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    completion = {
        "id": "c",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
    return 200, json.dumps(completion).encode()
