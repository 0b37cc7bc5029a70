"""Steps -> the words and any further file of a change. Rendered bytes are not retyped by a model."""

from __future__ import annotations

from crewai import Agent
from pydantic import Field

from crew.goal import Files, Goal, Step
from crew.tasks.ask import ask
from policies.change import Phase, RepoPath, Word

INSTRUCTIONS = """\
`files` are what the blueprints rendered for the steps of this phase; they are part of the change as they stand.
Answer with a title for the commit (at most 70 characters), a summary for its reviewer, and, only where the goal needs something
that the blueprints do not have, further `files` or better versions of existing ones, each whole."""


class WrittenFile(Word):
    """A whole file that a model wrote."""

    path: RepoPath
    text: str = Field(max_length=200_000)


class DraftRequest(Word):
    """What a draft is made from."""

    goal: Goal
    phase: Phase
    steps: tuple[Step, ...]
    files: Files


class DraftAnswer(Word):
    """The change in words, and what is to be added to it."""

    title: str = Field(min_length=1, max_length=70, pattern=r"^[^\x00-\x1f\x7f]+$")
    summary: str = Field(default="", max_length=4000)
    files: tuple[WrittenFile, ...] = Field(default=(), max_length=50)


def draft(devops: Agent, request: DraftRequest) -> DraftAnswer:
    """Ask DevOps. Raises ModelFaultError."""
    return ask(devops, "draft", INSTRUCTIONS, request, DraftAnswer)
