"""A role's persona file, with the guardrails of the active profile, as a CrewAI agent."""

from __future__ import annotations

import re
from pathlib import Path

from crewai import Agent
from crewai.events.event_listener import EventListener
from crewai.llms.base_llm import BaseLLM

from crew.hands import Hands
from policies.profile import Profile

PERSONAS = Path(__file__).with_name("personas")
TURNS = 12
"""Model calls for one task, tool calls included."""


def seat(hands: Hands, llm: BaseLLM, profile: Profile, *, turn_seconds: int = 600) -> Agent:
    """The agent of that role with its toolbelt."""
    # CrewAI's listener draws boxes on stdout until a `Crew` tells it not to, and tasks here run without one.
    EventListener().formatter.verbose = False
    title, goal, story = _read((PERSONAS / f"{hands.role}.md").read_text(encoding="utf-8"))
    return Agent(
        role=title,
        goal=goal,
        backstory=f"{story}\n\n## Guardrails\n{profile.guardrails()}",
        llm=llm,
        tools=list(hands.belt()),
        allow_delegation=False,
        cache=False,
        max_iter=TURNS,
        max_retry_limit=0,
        max_execution_time=turn_seconds,
        verbose=False,
    )


def _read(text: str) -> tuple[str, str, str]:
    """Title, goal and the rest of a persona file."""
    found = re.fullmatch(r"# (.+)\n\n## Goal\n(.+?)\n\n(.+)", text.strip(), re.DOTALL)
    if found is None:
        raise ValueError("a persona file has a title, a goal and the rest")
    return found[1], found[2], found[3]
