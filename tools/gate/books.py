"""The ledgers of the journal's runs, kept up to date: an asking costs what is new since the last."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tools.gate.journal import Journal
from tools.gate.ledger import Ledger


@dataclass
class Books:
    """One ledger per run, each read on from where it was read last. Safe to use from several threads."""

    journal: Journal
    _read: dict[str, Ledger] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, run_id: str) -> Ledger:
        """What the journal says of that run now. Raises JournalFaultError."""
        with self._lock:
            known = self._read.get(run_id) or Ledger(run_id)
            if new := self.journal.entries(run_id, known.last):
                known = self._read[run_id] = known.and_then(new)
            return known
