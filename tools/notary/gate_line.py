"""The notary's own pipe to the gate, opened at its first use: gate and notary start side by side and wait for nobody."""

from __future__ import annotations

import threading

from tools.gate.words import Deposit, FetchChange, IssuedChange, SignoffState
from tools.session import BackgroundSessions, SessionFaultError
from tools.tool import ToolRefusedError

_NAME = "gate"


class PipeToGate:
    """Speaks as role notary over the descriptor that the launcher made."""

    def __init__(self, fd: int) -> None:
        self._sessions = BackgroundSessions({_NAME: fd})
        self._opening = threading.Lock()
        self._open = False

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        """What the gate issued. Raises ToolRefusedError."""
        try:
            return self._ready().call(_NAME, "fetch_change", asked, IssuedChange)
        except SessionFaultError as fault:
            raise _unreachable(fault) from fault

    def deposit(self, given: Deposit) -> SignoffState:
        """Hand over a sign-off. Raises ToolRefusedError; asked again with the same sign-off it is kept once."""
        try:
            return self._ready().call(_NAME, "deposit", given, SignoffState)
        except SessionFaultError as fault:
            raise _unreachable(fault) from fault

    def _ready(self) -> BackgroundSessions:
        with self._opening:
            if not self._open:
                self._sessions.__enter__()
                self._open = True
        return self._sessions


def _unreachable(fault: SessionFaultError) -> ToolRefusedError:
    return ToolRefusedError(
        "gate-unreachable", f"{fault}.", "Nothing was submitted; start the run again with --resume."
    )
