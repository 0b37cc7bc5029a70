"""A judged change -> Security's decision. A model may only add objections here."""

from __future__ import annotations

from typing import Literal

from crewai import Agent
from pydantic import Field

from crew.goal import Files, Goal
from crew.tasks.ask import ask
from policies.change import ChangeSet, Word
from policies.finding import Finding

INSTRUCTIONS = """\
`blocking` is what the notary found in the tree that this change would make; each of these is an objection already, and
nothing that you say takes one away. Read the files and the calls that the sign-off would unlock. Object to whatever else is
unsafe or is not what the goal asks for: rule, where, why, what would satisfy you. Approve only if nothing is left."""


class ModelObjection(Word):
    """A fault that Security saw beyond the rules."""

    rule: str = Field(min_length=1, max_length=120)
    where: str = Field(max_length=400)
    why: str = Field(max_length=2000)
    satisfied_by: str = Field(default="", max_length=2000)


class ReviewRequest(Word):
    """What Security looks at."""

    goal: Goal
    round: int
    change: ChangeSet
    files: Files
    blocking: tuple[Finding, ...]
    other: tuple[Finding, ...]


class ReviewAnswer(Word):
    """The decision; anything but approve is a veto."""

    decision: Literal["approve", "reject", "escalate"]
    objections: tuple[ModelObjection, ...] = Field(default=(), max_length=50)
    note: str = Field(default="", max_length=2000)


def review(security: Agent, request: ReviewRequest) -> ReviewAnswer:
    """Ask Security. Raises ModelFaultError."""
    return ask(security, "review", INSTRUCTIONS, request, ReviewAnswer)
