"""The patience for an approving review. The gate asks GitHub; no model takes part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crew.goal import Stop, WaitsError
from crew.hands import Hands
from tools.gate.words import AwaitReview, ReviewState

_AT_ONCE = 15.0
"""Seconds that the gate waits within one call; a webhook's hint ends it sooner."""


class ReviewMissingError(WaitsError):
    """Nobody has approved yet."""


@dataclass(frozen=True)
class Waiter:
    """DevOps' pipe, who hears each new reason to wait, and how many seconds to wait at most."""

    devops: Hands
    waiting: Callable[[str], None]
    patience: float

    def approved(self) -> Stop | None:
        """None once approved; a Stop when it never can be. Raises ReviewMissingError, ToolRefusedError, SessionLostError."""
        found, waited, told = self._ask(0), 0.0, ""
        while found.state == "waiting":
            why = f"pull request {found.number} waits for review: {found.why} {found.url}"
            if why != told:
                told = why
                self.waiting(why)
            seconds = min(_AT_ONCE, self.patience - waited)
            if seconds <= 0:
                raise ReviewMissingError(why)
            found, waited = self._ask(seconds), waited + seconds
        return Stop(named="review-void", message=found.why) if found.state == "void" else None

    def _ask(self, seconds: float) -> ReviewState:
        return self.devops.ask_gate("await_review", AwaitReview(seconds=seconds), ReviewState)
