"""A server of ours as a process of its own: `python tests/fakes/mcp_server.py FD ROLE`, in any environment."""

from __future__ import annotations

import sys
import threading
import time

import anyio

from policies.change import Word
from tools import serve
from tools.tool import Effect, Role, Tool, ToolRefusedError
from tools.verbs import ConflictError, RateLimitedError
from traces import spans


class Asked(Word):
    """What to do: `act`, with `text` to give back."""

    act: str
    text: str = ""
    count: int = 0


class Said(Word):
    """What was done."""

    text: str
    thread: str = ""
    nothing: str | None = None


def act(asked: Asked) -> Word:
    acts = {
        "echo": lambda: Said(text=asked.text * max(asked.count, 1)),
        "sleep": lambda: (time.sleep(asked.count / 1000), Said(text="slept"))[1],
        "refuse": lambda: _raise(ToolRefusedError("no-way", "It is shut.", "Take another.")),
        "limited": lambda: _raise(RateLimitedError("too fast", 7)),
        "conflict": lambda: _raise(ConflictError("somebody was first")),
        "fault": lambda: _raise(ValueError("MARKED-SECRET")),
        "other": lambda: asked,
        "trace": lambda: Said(text=spans.trace_id()),
        "thread": lambda: Said(text="", thread=threading.current_thread().name),
    }
    return acts[asked.act]()


def _raise(fault: Exception) -> Word:
    raise fault


TOOLS = [
    Tool("submit", "Does what it is told.", Asked, Said, act, Effect.MUTATE),
    Tool("deposit", "For the notary only.", Asked, Said, act),
    Tool("unheard_of", "In no catalog.", Asked, Said, act),
]

if __name__ == "__main__":
    anyio.run(lambda: serve.serve(TOOLS, int(sys.argv[1]), name="gate", role=Role(sys.argv[2]), deadline=0.8))
