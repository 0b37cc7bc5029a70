"""An HTTP server that answers every request with one scripted answer, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Scripted:
    """The answer to give; `hang` keeps the caller waiting until the block ends; the headers may point elsewhere."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    address: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def scripted(answer: Scripted) -> Iterator[Scripted]:
    """Serve until the block ends."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.asked.append((self.command, self.path, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if answer.hang:
                answer.over.wait(30)
                return
            self.send_response(answer.status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(answer.body)),
                **answer.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names that the server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    answer.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield answer
    finally:
        answer.over.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
