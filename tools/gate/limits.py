"""How much one run may do, by its profile: each limit is a stop of its own name that says what to do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from policies.profile import Limits
from policies.trust import moment
from tools.gate.ledger import Ledger
from tools.tool import ToolRefusedError

_MINUTE = timedelta(minutes=1)


def refuse_effect(limits: Limits, ledger: Ledger, now: datetime) -> None:
    """Whether the run may begin one more mutating call. Raises ToolRefusedError: limit-effects, limit-rate, limit-time."""
    if len(ledger.intents) >= limits.effects:
        raise _over(
            "effects",
            f"this run began {len(ledger.intents)} mutating calls",
            "Split the goal into several runs",
        )
    rate = limits.effects_per_minute
    if len(ledger.intents) >= rate and now - moment(ledger.intents[-rate]) < _MINUTE:
        raise _over(
            "rate",
            f"this run began {rate} mutating calls within a minute",
            "Wait a minute, then resume the run",
        )
    if ledger.began and now - moment(ledger.began) >= timedelta(minutes=limits.minutes):
        raise _over(
            "time",
            f"this run began at {ledger.began}, more than {limits.minutes} minutes ago",
            "Begin a new run",
        )


def refuse_size(limits: Limits, ledger: Ledger, size: int) -> None:
    """Whether the run may have `size` more signed bytes. Raises ToolRefusedError limit-size."""
    before = sum(kept.size for kept in ledger.deposited.values())
    if before + size > limits.signed_bytes:
        told = f"this run has {before} signed bytes, and this change brings {size}; {limits.signed_bytes} are allowed"
        raise _over("size", told, "Make the change smaller, or split the goal into several runs")


class Meter:
    """Counts every call that one gate process answers. Safe to use from several threads."""

    def __init__(self, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._limits, self._clock = limits, clock
        self._lock = threading.Lock()
        self._calls = 0
        self._recent: deque[datetime] = deque()

    def take(self) -> None:
        """One call more. Raises ToolRefusedError: limit-calls, limit-call-rate."""
        now = self._clock()
        with self._lock:
            if self._calls >= self._limits.calls:
                raise _over(
                    "calls", f"this gate answered {self._calls} calls", "Resume the run, or split the goal"
                )
            while self._recent and now - self._recent[0] >= _MINUTE:
                self._recent.popleft()
            if len(self._recent) >= self._limits.calls_per_minute:
                raise _over(
                    "call-rate",
                    f"there were {len(self._recent)} calls within a minute",
                    "Wait a minute, then ask again",
                )
            self._calls += 1
            self._recent.append(now)


def _over(name: str, what: str, advice: str) -> ToolRefusedError:
    return ToolRefusedError(
        f"limit-{name}",
        f"{what}; its profile allows no more.",
        f"{advice}, or ask the profile's owner for more.",
    )
