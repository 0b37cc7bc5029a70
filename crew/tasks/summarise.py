"""Logs and events that were read back -> a few sentences. Facts of the report are code; these are words beside them."""

from __future__ import annotations

from typing import Literal

from crewai import Agent
from pydantic import Field

from crew.tasks.ask import ask
from policies.change import Word

INSTRUCTIONS = """\
Summarise the workflow log and the events in the data block in at most three sentences, in the given language.
Say nothing that they do not say; a step marked `rehearsed` did not run."""


class SummariseRequest(Word):
    """What SRE read back."""

    language: Literal["ko", "en"]
    log: str
    events: tuple[str, ...]


class SummariseAnswer(Word):
    """SRE's words on it."""

    log: str = Field(default="", max_length=1200)
    remarks: str = Field(default="", max_length=1200)


def summarise(sre: Agent, request: SummariseRequest) -> SummariseAnswer:
    """Ask SRE. Raises ModelFaultError."""
    return ask(sre, "summarise", INSTRUCTIONS, request, SummariseAnswer)
