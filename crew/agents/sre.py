"""SRE: reads back, reports, and hands the outcome to memory. Works through read tools alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from crewai import Agent

from crew.goal import Outcome, Receipts, Refused, Signed
from crew.hands import Hands
from crew.observation import Observed, Observer
from crew.tasks.summarise import SummariseAnswer, SummariseRequest, summarise


@dataclass(frozen=True)
class SRE:
    """The seat with its agent."""

    agent: Agent
    hands: Hands
    pause: Callable[[float], None]

    def observe(self, outcome: Outcome) -> Observed:
        """What stands at the target after the phases that were submitted. Raises SessionLostError."""
        receipts = getattr(outcome, "receipts", Receipts())
        if isinstance(outcome, Signed) or (isinstance(outcome, Refused) and not receipts.phases):
            return Observed()
        return Observer(self.hands, self.pause).observe(receipts)

    def say(self, seen: Observed, language: Literal["ko", "en"]) -> SummariseAnswer:
        """A few sentences on logs and events, when there are any. Raises ModelFaultError."""
        if not seen.log and not seen.events:
            return SummariseAnswer()
        return summarise(self.agent, SummariseRequest(language=language, log=seen.log, events=seen.events))
