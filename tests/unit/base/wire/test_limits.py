"""How much one call may carry."""

from __future__ import annotations

import anyio
import pytest

from policies.change import Word
from tools import serve
from tools.tool import Role, Tool


class Text(Word):
    text: str


def answered(text: str) -> str:
    """The refusal's name, or what the tool answered."""
    tool = Tool("echo", "Say it again.", Text, Text, lambda asked: asked)

    async def ask() -> dict[str, object]:
        mount = serve.Mount("gate", Role.DEVOPS, {"echo": tool}, anyio.CapacityLimiter(1), 5)
        return await mount.calling("echo", {"text": text}, {})

    said = anyio.run(ask)["structuredContent"]
    return str(said.get("refused") or said.get("text"))  # type: ignore[attr-defined]


def test_arguments_beyond_the_limit_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "ARGUMENT_LIMIT", 1000)
    assert answered("x" * 900) == "x" * 900
    assert answered("x" * 1000) == "arguments-too-large"
    assert answered("가" * 400) == "arguments-too-large"  # bytes, not characters
