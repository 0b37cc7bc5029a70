"""One grant of one kept sign-off: what it calls, and what is written down of it."""

from __future__ import annotations

from dataclasses import dataclass

from policies.change import ChangeSet, Digest, Grant
from policies.finding import Finding, RuleClass, Severity
from policies.gate import Permit
from policies.trust import moment
from tools.gate import readback, states
from tools.gate.ledger import Deposited, Ledger, Spending, State, destination_text
from tools.gate.room import Room
from tools.gate.words import GrantState
from tools.tool import ToolRefusedError
from tools.verbs import Call, Receipt, Verb


@dataclass(frozen=True)
class Case:
    """A grant in its room. What it says of itself is read from the journal at each asking."""

    room: Room
    kept: Deposited
    change: ChangeSet
    grant: Grant

    @property
    def target(self) -> str:
        """The live system that the call goes to: what its lock is named after."""
        return destination_text(self.grant, self.change.destination)

    @property
    def spending(self) -> Spending:
        """What the journal says of it now."""
        return self.room.ledger().of(self.kept.signoff, self.grant.seq)

    @property
    def state(self) -> State:
        """In the words of GrantState."""
        return self.spending.state(self.grant)

    @property
    def expired(self) -> bool:
        """Whether the sign-off's time is over: nobody need wait for what can never be done."""
        return self.room.clock() >= moment(self.kept.expires)

    def earlier(self) -> tuple[Case, ...]:
        """The grants before this one."""
        return tuple(
            Case(self.room, self.kept, self.change, g) for g in self.change.grants[: self.grant.seq - 1]
        )

    def verb(self) -> Verb:
        """How it is done, or was attempted. Raises ToolRefusedError where its target is not configured."""
        spent = self.spending
        made = spent.through if spent.open or spent.effect else None
        verb = self.room.targets.verb(self.grant.name, made)
        if verb is None:
            message = f"this gate has no {self.grant.name}."
            raise ToolRefusedError("no-such-verb", message, "Configure its target, then run again.")
        return verb

    def read(self, call: Call) -> Receipt | None:
        """Look for the effect of the call at the target, and at whether it is what was signed. Raises TargetError, JournalFaultError."""
        receipt = self.verb().find(call)
        if receipt is None or not receipt.matches:
            return receipt
        found = readback.difference(self.room, self.kept.signoff, call, receipt)
        return receipt.model_copy(update={"matches": not found, "difference": found})

    def answer(self) -> GrantState:
        """For whoever submitted it."""
        return states.grant_state(self.room.ledger(), self.kept, self.change, self.grant)

    def wrote_effect(self, receipt: Receipt, attempt: int, *, found: bool) -> None:
        """Close the intent: the target was read and the effect is there. `found`: it was there before the call."""
        told = {"grant": self.grant.name, "facts": dict(receipt.facts), "matches": receipt.matches}
        told |= {"difference": receipt.difference, "found": found}
        self._write("effect", {**told, "attempt": attempt})
        if not receipt.matches:
            self._alarm(receipt.difference)

    def wrote_never(self, attempt: int, reason: str) -> None:
        """Close the intent: it never happened, so the grant may run once more."""
        self._write("never", {"attempt": attempt, "reason": reason[:1000]})

    def wrote_conclusion(self, receipt: Receipt, *, succeeded: bool, detail: str) -> None:
        """The workflow run that it dispatched has ended; the receipt is the one read afterwards."""
        if not receipt.matches:
            self.wrote_effect(receipt, self.spending.attempts, found=False)
        told = {"succeeded": succeeded, "facts": dict(receipt.facts), "detail": detail}
        self._write("concluded", told)

    def _write(self, kind: str, body: dict[str, object]) -> None:
        self.room.append(kind, {"signoff": self.kept.signoff, "seq": self.grant.seq, **body})

    def _alarm(self, difference: str) -> None:
        finding = Finding(
            rule="gate/diverged",
            rule_class=RuleClass.STATE,
            severity=Severity.CRITICAL,
            engine="countersign",
            path=f"grant {self.grant.seq}",
            resource=f"{self.grant.name} at {self.target}",
            message=f"What was read back differs from what was signed: {difference}",
            why="Somebody or something else changed the target, or it did not do what was asked.",
            remedy="Compare the target with the signed change by hand; nothing more of this sign-off is submitted.",
        )
        told = {"signoff": self.kept.signoff, "finding": finding.model_dump(mode="json")}
        self.room.append("alarm", told)


def case_of(room: Room, ledger: Ledger, signoff: Digest, seq: int) -> Case:
    """Raises ToolRefusedError when there is no such sign-off or grant."""
    kept = states.known(ledger, signoff)
    change = room.change(kept)
    grant = next((grant for grant in change.grants if grant.seq == seq), None)
    if grant is None:
        message = f"the sign-off has grants 1 to {len(change.grants)}, no {seq}."
        raise ToolRefusedError("not-granted", message, "`signoff_state` lists them.")
    return Case(room, kept, change, grant)


def call_of(permit: Permit) -> Call:
    """The permitted call."""
    return Call(
        change_id=permit.change_id,
        verb=permit.grant.name,
        destination=permit.destination,
        arguments=permit.arguments,
        effect_key=permit.effect_key,
        signed=permit.signed,
        content=permit.content,
    )


def without_bytes(call: Call) -> dict[str, object]:
    """The call as the intent keeps it, so that a later start can look for exactly its effect."""
    return call.model_copy(update={"content": {}}).model_dump(mode="json")


def kept_call(case: Case) -> Call:
    """The call of the last intent, with its bytes again. Raises JournalFaultError."""
    return Call.model_validate({**case.spending.call, "content": case.room.evidence(case.kept).content})
