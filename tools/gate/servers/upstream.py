"""One other people's MCP server as a child process over stdio: we ask, it answers, and whatever it asks is refused.

Small on purpose: no capability is offered, so it has no way to a model, a person or a folder of ours. What it
sends is strict JSON within limits, or its process ends.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

from tools.gate.servers.messages import Json, decoded, words
from tools.verbs import TargetError, UnreachableError

PROTOCOL = "2025-06-18"
SPOKEN = frozenset({"2024-11-05", "2025-03-26", PROTOCOL, "2025-11-25"})
LINE_LIMIT = 16 * 1024 * 1024
TEXT_LIMIT = 256 * 1024
TOOLS_LIMIT = 1000
ASKS_LIMIT = 50
"""Requests of its own after which it is ended: each is written down."""
OPENING = 30.0
DEADLINE = 120.0
_METHOD_NOT_FOUND = -32601
_ANSWER_KEYS = frozenset({"content", "structuredContent", "isError", "_meta", "resultType"})


class ServerAsksError(TargetError):
    """It answered a call with questions of its own, which nobody here hears."""


class ServerRefusedError(TargetError):
    """The tool itself failed; the message holds the server's words."""


class Upstream:
    """A running server. Calls may come from any thread; `listing_changed` is set when it says so itself."""

    def __init__(
        self, name: str, start: Callable[[], subprocess.Popen[bytes]], on_asked: Callable[[str], None]
    ) -> None:
        """Start it. Raises UnreachableError when it does not answer as an MCP server."""
        self.name, self._on_asked = name, on_asked
        self.listing_changed = threading.Event()
        self._waiting: dict[int, queue.SimpleQueue[Json | None]] = {}
        self._numbers = itertools.count(1)
        self._asks = 0
        self._writing, self._ended = threading.Lock(), threading.Event()
        self._said: deque[bytes] = deque(maxlen=20)
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        # The child dies with the thread that started it, so that thread is the one that reads until the end.
        threading.Thread(target=self._live, args=(start, started), name=f"server-{name}", daemon=True).start()
        child = started.get()
        if isinstance(child, OSError):
            raise UnreachableError(
                f"server {name} cannot be started: {child.strerror}; correct its argv"
            ) from child
        self.info = self._open()

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return not self._ended.is_set()

    def tools(self) -> list[Json]:
        """Every definition, as it came. Raises UnreachableError."""
        self.listing_changed.clear()  # before asking: a change during the listing sets it again
        found: list[Json] = []
        cursor: Json = {}
        while True:
            page = self._asked("tools/list", cursor, OPENING)
            listed = page.get("tools")
            if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
                self._broke("listed something that is no tool")
            found += listed
            if len(found) > TOOLS_LIMIT:
                self._broke(f"listed more than {TOOLS_LIMIT} tools")
            following = page.get("nextCursor")
            if not following:
                return found
            cursor = {"cursor": following}

    def call(self, tool: str, arguments: Mapping[str, Any], deadline: float = DEADLINE) -> str:
        """The text that a tool answers. Raises ServerRefusedError, ServerAsksError, UnreachableError."""
        answer = self._asked("tools/call", {"name": tool, "arguments": dict(arguments)}, deadline)
        odd = set(answer) - _ANSWER_KEYS
        if (
            odd
            or answer.get("resultType", "complete") != "complete"
            or not isinstance(answer.get("content"), list)
        ):
            self._on_asked("tools/call result")
            raise ServerAsksError(
                f"{self.name}.{tool} answered no result but {', '.join(sorted(odd)) or 'a question'}"
            )
        text = "\n".join(map(words, answer["content"]))
        if len(text) > TEXT_LIMIT:
            text = f"{text[:TEXT_LIMIT]}\n[{len(text) - TEXT_LIMIT} characters left out]"
        if answer.get("isError"):
            raise ServerRefusedError(f"{self.name}.{tool} says: {text[:2000]}")
        return text

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._child.kill()
        self._child.wait()

    def _open(self) -> Json:
        params = {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "countersign-gate", "version": "1"},
        }
        try:
            answer = self._asked("initialize", params, OPENING)
            if answer.get("protocolVersion") not in SPOKEN:
                self._broke("speaks no version of MCP that is known here")
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"}, time.monotonic() + OPENING)
        except (TargetError, OSError):
            self.close()
            raise
        info = answer.get("serverInfo")
        return info if isinstance(info, dict) else {}

    def _asked(self, method: str, params: Json, seconds: float) -> Json:
        number, answers = next(self._numbers), queue.SimpleQueue[Json | None]()
        self._waiting[number] = answers
        end = time.monotonic() + seconds
        try:
            if self._ended.is_set():
                raise self._lost(method)
            self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params}, end)
            message = answers.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            raise UnreachableError(
                f"server {self.name} gave no answer to {method} within {seconds:.0f} s"
            ) from None
        finally:
            self._waiting.pop(number, None)
        if message is None:
            raise self._lost(method)
        if isinstance(message.get("result"), dict):
            result: Json = message["result"]
            return result
        error = message.get("error")
        said = str(error.get("message", "")) if isinstance(error, dict) else ""
        raise ServerRefusedError(f"{self.name} refuses {method}: {said[:500] or 'without a word'}")

    def _lost(self, method: str) -> UnreachableError:
        last = b" ".join(self._said)[-300:].decode("ascii", "replace")
        return UnreachableError(f"server {self.name} ended during {method}: {last!r}")

    def _broke(self, how: str) -> NoReturn:
        self.close()
        raise UnreachableError(f"server {self.name} {how}: it was ended")

    def _send(self, message: Json, end: float) -> None:
        """A server that does not read must not hold us for ever. Raises UnreachableError."""
        rest = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        with self._writing:
            if self._child.stdin is None or self._child.stdin.closed:
                raise self._lost("a request")
            pipe = self._child.stdin.fileno()
            ready = select.poll()
            ready.register(pipe, select.POLLOUT)
            try:
                while rest:
                    if not ready.poll(max(end - time.monotonic(), 0) * 1000):
                        self._broke("does not read what it is asked")
                    rest = rest[os.write(pipe, rest) :]
            except BrokenPipeError as fault:
                raise self._lost("a request") from fault

    def _live(
        self,
        start: Callable[[], subprocess.Popen[bytes]],
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError],
    ) -> None:
        try:
            child = start()
        except OSError as fault:
            started.put(fault)
            return
        assert child.stdin and child.stdout and child.stderr  # noqa: S101, PT018 - started with pipes
        os.set_blocking(child.stdin.fileno(), False)
        threading.Thread(target=self._listen, args=(child.stderr,), daemon=True).start()
        self._child = child
        started.put(child)
        self._read(child.stdout)
        self._ended.set()
        child.kill()
        child.wait()
        with self._writing:
            child.stdin.close()
        for answers in list(self._waiting.values()):
            answers.put(None)

    def _listen(self, errors: IO[bytes]) -> None:
        with errors:
            while part := errors.read1(1000) if hasattr(errors, "read1") else errors.read(1000):
                self._said.append(part)

    def _read(self, lines: IO[bytes]) -> None:
        """Until it ends, or sends what is no message."""
        with lines:
            while line := lines.readline(LINE_LIMIT):
                message = decoded(line)
                if message is None:
                    return
                self._heard(message)

    def _heard(self, message: Json) -> None:
        number = message.get("id")
        if "method" not in message:
            answers = self._waiting.get(number) if type(number) is int else None
            if answers is not None:
                answers.put(message)
        elif number is not None:
            self._refuse(str(message["method"])[:100].encode("utf-8", "replace").decode(), number)
        elif message["method"] == "notifications/tools/list_changed":
            self.listing_changed.set()

    def _refuse(self, method: str, number: object) -> None:
        """A server's own request. `ping` asks for nothing; every other one ends here."""
        answer: Json = {"jsonrpc": "2.0", "id": number}
        if method == "ping":
            answer["result"] = {}
        else:
            answer["error"] = {
                "code": _METHOD_NOT_FOUND,
                "message": f"{method} is refused: nobody here answers a server",
            }
            self._asks += 1
            if self._asks > ASKS_LIMIT:
                self._child.kill()  # the reader sees the end
                return
            self._on_asked(method)
        try:
            self._send(answer, time.monotonic() + 1)
        except UnreachableError:
            pass  # it left before it heard the refusal
