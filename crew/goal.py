"""The words of a run: what was asked, what is planned, what came back, how it ended.

Each is frozen JSON, because each is also what a durable stage stores and a resumed run reads again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from policies.change import ChangeId, ChangeSet, Digest, Phase, Word, digest_of
from policies.finding import Finding, Remediation, Severity
from policies.review import Decision, Judgement, Review
from tools.gate.words import GrantState, OpenedChange

Files = Mapping[str, str]
"""Path in the repository -> UTF-8 text."""


class Goal(Word):
    """What the person wrote, unchanged, and the language to answer in."""

    text: str = Field(min_length=1)
    language: Literal["ko", "en"]

    @property
    def digest(self) -> str:
        """sha256 of the text's UTF-8 bytes: what the gate binds each change to."""
        return digest_of(self.text.encode())


class Step(Word):
    """One blueprint with its parameters. `explicit` are those that the person named, not those we chose."""

    blueprint: str
    parameters: Mapping[str, JsonValue] = {}
    explicit: tuple[str, ...] = ()
    asks_for: tuple[str, ...] = Field(
        default=(), description="rules that the person's explicit wish breaks by itself"
    )
    reason: str = ""
    citations: tuple[str, ...] = ()


class PhasePlan(Word):
    """One phase of the run and the steps that concern it."""

    phase: Phase
    steps: tuple[Step, ...]


class Plan(Word):
    """The phases in their order. `accepted_goal` is the nearest goal that would pass, when one wish is unsafe."""

    phases: tuple[PhasePlan, ...] = Field(min_length=1)
    summary: str = ""
    accepted_goal: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of the goal."""
        return self.phases[0].steps


class Body(Word):
    """A change before it has a manifest: what it says and where it came from."""

    opened: OpenedChange
    title: str
    summary: str = ""
    preview: str = Field(default="", description="what a local Terraform says, a line for each folder")
    at: str = Field(description="RFC 3339: the commit's date")
    steps: tuple[Step, ...] = ()
    written: Files = Field(default={}, description="whole files that a model wrote")
    patches: tuple[Remediation, ...] = Field(
        default=(), description="remediations taken so far, in their order"
    )
    content: Files = Field(description="path -> text of each artifact of the change")
    existing: tuple[str, ...] = Field(default=(), description="paths that the base has already")


class Draft(Body):
    """A change as DevOps holds it: with the manifest that is judged and signed."""

    change: ChangeSet


class Objection(Word):
    """Security's word on one fault: the rule, where, why, and what would satisfy."""

    id: str
    rule: str
    where: str
    why: str
    satisfied_by: str = ""
    severity: Severity = Severity.HIGH
    remediations: tuple[Remediation, ...] = ()


class Declined(Word):
    """DevOps' reason for not following an objection."""

    objection: str
    rule: str
    reason: str


class Proposed(Word):
    """A turn of DevOps: the change on the table and how it answers the objections before it."""

    kind: Literal["proposed"] = "proposed"
    round: int
    change_digest: Digest
    accepted: tuple[str, ...] = ()
    declined: tuple[Declined, ...] = ()
    note: str = ""


class Reviewed(Word):
    """A turn of Security: the decision on exactly the proposed change."""

    kind: Literal["reviewed"] = "reviewed"
    round: int
    change_digest: Digest
    decision: Decision
    objections: tuple[Objection, ...] = ()
    note: str = ""


Turn = Annotated[Proposed | Reviewed, Field(discriminator="kind")]


class Transcript(Word):
    """The negotiation of one phase, turn by turn. Its sha256 is signed."""

    run_id: str
    change_id: ChangeId
    phase: Phase
    turns: tuple[Turn, ...]
    ended: Literal["approved", "vetoed", "declined", "no_remedy", "broken_again", "rounds_exhausted"]


class Negotiated(Word):
    """How a negotiation ended: the last draft, the notary's judgement with the verdict, the transcript."""

    draft: Draft
    review: Review
    transcript: Transcript

    @property
    def clean(self) -> bool:
        """Whether the notary would sign."""
        return self.review.clean


class Met(Word):
    """Every finding of a negotiation, in any of its rounds, and those that Security objected to."""

    findings: tuple[Finding, ...]
    objected: tuple[Finding, ...]
    waived: tuple[str, ...] = ()


class SignedChange(Word):
    """A sign-off by its digest, which is all that submitting needs."""

    phase: Phase
    change_id: ChangeId
    change_digest: Digest
    signoff: Digest
    expires: str
    verbs: tuple[str, ...]
    tree: Files = Field(default={}, description="path -> text of what was signed")


class PhaseReceipt(Word):
    """What the gate read back for one signed phase."""

    phase: Phase
    change_id: ChangeId
    signoff: Digest
    grants: tuple[GrantState, ...]
    tree: Files = Field(default={}, description="path -> text of what was signed")


class Receipts(Word):
    """Typed facts of the phases that are done."""

    phases: tuple[PhaseReceipt, ...] = ()

    def __add__(self, other: PhaseReceipt) -> Receipts:
        return Receipts(phases=(*self.phases, other))

    def of(self, phase: Phase) -> PhaseReceipt | None:
        """The receipt of one phase, if it is done."""
        return next((receipt for receipt in self.phases if receipt.phase is phase), None)

    def fact(self, phase: Phase, verb: str, name: str) -> JsonValue:
        """A fact that the gate read back after the first `verb` of a phase; None when there is none."""
        receipt = self.of(phase)
        states = [
            state for state in (receipt.grants if receipt else ()) if state.verb == verb and state.receipt
        ]
        return (states[0].receipt or {}).get(name) if states else None


class WaitsError(Exception):
    """Somebody outside has to act first. It is no result: a resumed run waits again, from here."""


class Stop(Word):
    """Why a submission went no further. `named` is the gate's name for it."""

    named: str
    message: str
    fault: bool = Field(default=False, description="the target failed, rather than somebody saying no")


class Submission(Word):
    """A phase as far as it came."""

    receipt: PhaseReceipt
    stopped: Stop | None = None


class Applied(Word):
    """Every phase was signed, submitted and read back."""

    kind: Literal["applied"] = "applied"
    receipts: Receipts


class Signed(Word):
    """A dry run: the first phase is signed, nothing was submitted."""

    kind: Literal["signed"] = "signed"
    signoff: SignedChange


class Refused(Word):
    """Security, the notary, the gate or a person said no."""

    kind: Literal["refused"] = "refused"
    by: Literal["security", "notary", "gate", "person"]
    phase: Phase
    named: str
    message: str
    judgement: Judgement | None = None
    transcript: Transcript | None = None
    receipts: Receipts = Receipts()
    accepted_goal: str = ""


class NotUnderstood(Word):
    """No plan: what was understood, what was not, the blueprints that come nearest."""

    kind: Literal["not_understood"] = "not_understood"
    understood: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()
    advice: str = ""


class Failed(Word):
    """A target failed after it was asked for something signed. `--resume` goes on from here."""

    kind: Literal["failed"] = "failed"
    phase: Phase
    named: str
    message: str
    receipts: Receipts = Receipts()


Outcome = Annotated[Applied | Signed | Refused | NotUnderstood | Failed, Field(discriminator="kind")]
OUTCOME: TypeAdapter[Applied | Signed | Refused | NotUnderstood | Failed] = TypeAdapter(Outcome)
PLANNED: TypeAdapter[Plan | NotUnderstood] = TypeAdapter(Plan | NotUnderstood)


class Drafting(Word):
    """What a phase is drafted from."""

    goal: Goal
    phase: PhasePlan
    phases: tuple[Phase, ...] = Field(description="every phase of the plan")
    receipts: Receipts
    attempt: int = Field(default=1, ge=1, description="above 1: the sign-off before ended unused")
