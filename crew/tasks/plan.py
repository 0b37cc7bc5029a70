"""Goal -> steps. The Planner picks blueprints and parameters; the phases follow from them by code."""

from __future__ import annotations

from crewai import Agent
from pydantic import Field, JsonValue

from crew.goal import Goal, NotUnderstood, Step
from crew.tasks.ask import ask
from policies.change import Word
from tools.gate.words import TargetDescription

INSTRUCTIONS = """\
Plan the goal in the data block with the blueprints that it lists.
For each blueprint that the goal needs give one step: its parameters, in `explicit` the parameters that the person named in so
many words, in `asks_for` the rules (each blueprint lists them by parameter) that such an explicit wish breaks, a reason, and
what you cite. Cite past outcomes and what stands at the target: ask your tools. Keep what the person excluded out.
If a wish is unsafe, plan it as it was asked (Security decides) and write into `accepted_goal` the nearest goal that is safe.
If you cannot plan it, or it asks to delete, destroy or bypass something, leave `steps` empty and fill `not_understood`."""


class PlanRequest(Word):
    """What a plan is made from."""

    goal: Goal
    blueprints: tuple[JsonValue, ...]
    target: TargetDescription


class PlanAnswer(Word):
    """Steps, or what was not understood."""

    steps: tuple[Step, ...] = Field(default=(), max_length=12)
    summary: str = Field(default="", max_length=2000)
    accepted_goal: str = Field(default="", max_length=500)
    not_understood: NotUnderstood | None = None


def plan(planner: Agent, request: PlanRequest) -> PlanAnswer:
    """Ask the Planner. Raises ModelFaultError."""
    return ask(planner, "plan", INSTRUCTIONS, request, PlanAnswer)
