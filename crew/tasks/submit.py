"""A sign-off's digest and a step's number -> what the gate read back. No model takes part, nothing is typed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crew.goal import SignedChange, Stop, WaitsError
from crew.hands import Hands
from policies.change import Word
from tools.gate.words import GrantState, SignoffRef, SignoffState, Submit
from tools.session import SessionTimeoutError
from tools.tool import ToolRefusedError

_FIRST, _LONGEST = 0.05, 2.0
_PATIENCE = 8
_ASK_AGAIN = frozenset({"effect-unknown", "target-busy", "target-rate-limited"})
"""Refusals after which the gate itself says to submit again: it looks first and never calls twice."""


def ends_this_life(name: str) -> bool:
    """Stops of the whole run that are no word on the change: nothing of them is kept, so that a resumed run goes on."""
    return name == "stopped" or name.startswith("limit-")


class Submitted(Word):
    """One grant as far as it came."""

    state: GrantState | None = None
    stopped: Stop | None = None


class SignatureMissingError(WaitsError):
    """A person whose signature the profile demands has not signed yet."""


@dataclass(frozen=True)
class Submitter:
    """DevOps' pipe, who hears each new reason to wait, and the world's time."""

    devops: Hands
    waiting: Callable[[str], None]
    pause: Callable[[float], None]

    def confirmed(self, signed: SignedChange) -> Stop | None:
        """Wait until a person has confirmed the sign-off, where one must.

        Raises SignatureMissingError where one must sign, which may take hours; ToolRefusedError, SessionLostError.
        """
        delay, told = _FIRST, False
        while True:
            state = self._signoff(signed).state
            if state == "refused_by_person":
                return Stop(named="refused-by-person", message="A person refused this sign-off.")
            if state in {"expired", "revoked"}:
                return Stop(
                    named=f"signoff-{state}", message=f"The sign-off is {state}: nothing was submitted."
                )
            if state == "awaiting_signature":
                raise SignatureMissingError(f"{signed.phase} sign-off {signed.signoff} waits for a signature")
            if state != "awaiting_person":
                return None
            if not told:
                told = True
                self.waiting("a person has to confirm the sign-off")
            delay = self._wait(delay)

    def submit(self, signed: SignedChange, seq: int) -> Submitted:
        """Do one grant, waiting where a workflow is waited for. Asking again is safe: a spent grant answers with its receipt.

        Raises SessionLostError when the gate is gone, ToolRefusedError when the run was stopped or reached a limit.
        """
        delay, reason, again = _FIRST, None, 0
        while True:
            try:
                state = self.devops.ask_gate("submit", Submit(signoff=signed.signoff, seq=seq), GrantState)
            except SessionTimeoutError:
                state = next(grant for grant in self._signoff(signed).grants if grant.seq == seq)
            except ToolRefusedError as no:
                if ends_this_life(no.name):
                    raise
                again += 1
                if no.name not in _ASK_AGAIN or again > _PATIENCE:
                    return Submitted(
                        stopped=Stop(named=no.name, message=_sentence(no), fault=_is_fault(no.name))
                    )
                delay = self._wait(delay)
                continue
            if state.state == "done":
                return Submitted(state=state)
            if state.state in {"failed", "diverged"}:
                why = state.detail or f"{state.server}.{state.verb} is {state.state}"
                return Submitted(
                    state=state, stopped=Stop(named=f"grant-{state.state}", message=why, fault=True)
                )
            why = state.detail or f"{state.server}.{state.verb} has not ended"
            if why != reason:
                reason = why
                self.waiting(why)
            delay = self._wait(delay)

    def _signoff(self, signed: SignedChange) -> SignoffState:
        return self.devops.ask_gate("signoff_state", SignoffRef(signoff=signed.signoff), SignoffState)

    def _wait(self, delay: float) -> float:
        self.pause(delay)
        return min(delay * 1.5, _LONGEST)


def _is_fault(name: str) -> bool:
    return name.startswith("target-") or name in _ASK_AGAIN | {
        "workflow-failed",
        "diverged",
        "journal-unusable",
    }


def _sentence(no: ToolRefusedError) -> str:
    return f"{no.message} {no.advice}".strip()
