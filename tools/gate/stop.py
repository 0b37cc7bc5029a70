"""The kill switch: `stopped` and `lifted` entries of the journal, so that it survives every restart and is on record.

The gate asks it at each step of a mutating call, down to each single request that would change a target: what
waits in a lock, or between the look and the call, ends as well. Reads go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.gate import ledger
from tools.gate.books import Books
from tools.gate.journal import Journal
from tools.gate.ledger import EVERY_RUN, Standstill
from tools.tool import ToolRefusedError


class StoppedError(ToolRefusedError):
    """A person stopped this run, or all of them."""

    def __init__(self, run_id: str, stop: Standstill) -> None:
        every = run_id == EVERY_RUN
        what, scope = ("every run", "all") if every else (f"run {run_id}", run_id)
        reason = f": {stop.reason}" if stop.reason else ""
        message = f"{stop.person} stopped {what} at {stop.at}{reason}."
        advice = f"Nothing more is changed until `countersign stop {scope} --lift`; then go on with `countersign run --resume`."
        super().__init__("stopped", message, advice)


@dataclass(frozen=True)
class Switch:
    """Whether one run may still change anything."""

    books: Books
    run_id: str

    def check(self) -> None:
        """Raises StoppedError while this run or every run is stopped, JournalFaultError."""
        for run_id in (EVERY_RUN, self.run_id):
            if (stop := self.books.of(run_id).stopped) is not None:
                raise StoppedError(run_id, stop)


def stop(journal: Journal, run_id: str, *, person: str, reason: str) -> None:
    """Stop a run, or EVERY_RUN; from the moment this returns the gate refuses. Raises JournalFaultError."""
    journal.append(run_id, "stopped", {"person": person, "reason": reason})


def lift(journal: Journal, run_id: str, *, person: str, reason: str) -> bool:
    """Let it go on; whether it was stopped at all. Raises JournalFaultError."""
    if ledger.read(run_id, journal.entries(run_id)).stopped is None:
        return False
    journal.append(run_id, "lifted", {"person": person, "reason": reason})
    return True
