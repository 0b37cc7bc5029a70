"""An OpenAI-compatible server on loopback that answers as a script says; by default as the offline model would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crew.fence import first_block
from crew.offline import OfflineModel
from knowledge.blueprint import load_all
from tests.fakes.chat_server import Answer, chat_server
from tools.settings import ModelSettings

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
        messages = [{**message, "content": _text(message.get("content"))} for message in body["messages"]]
        blocks = [
            b for m in messages if m["role"] == "user" and (b := first_block(str(m.get("content") or "")))
        ]
        kind, request = blocks[0] if blocks else ("none", None)
        scripted = self.script(kind, request, messages)
        if scripted is not None:
            return scripted
        tools = [
            tool for tool in body.get("tools") or () if "function" in tool
        ]  # Anthropic's have another shape
        answer: Answer = OfflineModel(model="offline", blueprints=load_all()).call(messages, tools=tools)
        return answer


def _text(content: Any) -> Any:
    """Anthropic's content is a list of blocks."""
    return "\n".join(block.get("text", "") for block in content) if isinstance(content, list) else content


@contextmanager
def model_server(script: Script = nothing, *, latency: float = 0.0) -> Iterator[ModelServer]:
    """A running server, stopped at the end."""
    held = ModelServer(script, latency)

    def heard(body: dict[str, Any], key: str) -> Answer:
        held.seen.append(body)
        held.keys.append(key)
        if held.latency:
            held.released.wait(held.latency)
        return held.answer(body)

    with chat_server(heard) as held.url:
        try:
            yield held
        finally:
            held.released.set()
