"""A chat-completions server on loopback, which also speaks Anthropic's Messages API: what it answers is the caller's function of the request's body."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = str | list[dict[str, Any]] | tuple[int, bytes]
"""Text, tool calls, or a status with a raw body."""
Heard = Callable[[dict[str, Any], str], Answer]
"""The request's body and its Authorization header -> the answer."""


@contextmanager
def chat_server(heard: Heard) -> Iterator[str]:
    """Its base URL; stopped at the end."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            wire = _message if self.path.endswith("/messages") else _completion
            status, data = wire(heard(body, self.headers.get("authorization", "")))
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
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(answer: Answer) -> tuple[int, bytes]:
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


def _message(answer: Answer) -> tuple[int, bytes]:
    """The same in Anthropic's words; text alone."""
    if isinstance(answer, tuple):
        return answer
    message = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": answer}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    return 200, json.dumps(message).encode()
