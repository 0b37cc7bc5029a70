"""Objections -> which remediations DevOps takes, and a reason for each that it does not."""

from __future__ import annotations

from crewai import Agent
from pydantic import Field

from crew.goal import Declined, Files, Goal, Objection, Step
from crew.tasks.ask import ask
from crew.tasks.draft import WrittenFile
from policies.change import Word

INSTRUCTIONS = """\
Security objects. For each objection either name its id in `accept`, so that its remediations are applied to the change, or
write whole corrected `files` and name its id in `accept`, or decline with a reason. Decline when the person asked for exactly
this thing (a step lists the rule in `asks_for`): then it is not yours to change."""


class ReviseRequest(Word):
    """What was objected to, and in what."""

    goal: Goal
    round: int
    steps: tuple[Step, ...]
    files: Files
    objections: tuple[Objection, ...]


class ReviseAnswer(Word):
    """Each objection's id is accepted or declined."""

    accept: tuple[str, ...] = ()
    decline: tuple[Declined, ...] = ()
    files: tuple[WrittenFile, ...] = Field(default=(), max_length=50)
    note: str = Field(default="", max_length=2000)


def revise(devops: Agent, request: ReviseRequest) -> ReviseAnswer:
    """Ask DevOps. Raises ModelFaultError."""
    return ask(devops, "revise", INSTRUCTIONS, request, ReviseAnswer)
