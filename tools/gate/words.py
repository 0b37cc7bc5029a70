"""What is said to the gate and what it answers: the contract of its MCP tools, by role.

role      tool               meaning
all       describe_target    what the gate resolved from the live targets
planner, devops, security, sre: the READ tools of tools/github and tools/kubernetes that their toolbelt lists
devops    open_change        a change_id for one phase, and the destination that must be signed
devops    submit             do grant `seq` of a sign-off; idempotent: a spent grant answers with its receipt
devops    await_review       whether the approving review that the profile asks for is there; waits a while for it
devops    signoff_state      where a sign-off stands (a person may have to confirm it)
sre       tell_outcome       keep what the crew says of the ended run; answers with the record that belongs to it
sre       run_record         what the journal says of this run
notary    fetch_change       what the gate issued under a change_id, with the base tree at the signed base commit
notary    deposit            hand over a signed bundle and its bytes; verified before it is kept
person    run_record, pending, show_change, confirm, refuse, cosign
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Base64Bytes, Field, JsonValue

from policies.change import ChangeId, Destination, Digest, Grant, Name, Phase, Word
from policies.finding import Finding
from policies.statement import Statement

PLAN_VERDICT: Final = "https://countersign.dev/plan-verdict/v1"


class TargetDescription(Word):
    """The live targets as the gate sees them now."""

    destination: Destination
    rehearsal: bool = Field(description="True when the targets are the sandbox")
    isolation: str = Field(description="landlock+seccomp, landlock, separate-user, none")
    default_branch: str | None = None
    kubernetes_version: str | None = None
    workflow_on_base: bool = Field(
        default=False, description="whether .github/workflows/terraform.yml is on the base branch"
    )


class OpenChange(Word):
    """Ask for a change_id. `namespaces` are those that the deploy phase will touch."""

    phase: Phase
    namespaces: tuple[Name, ...] = ()
    goal_digest: Digest
    phases: tuple[Phase, ...] = Field(
        default=(),
        description="every phase of the run's plan: the run counts as applied only when each of them is done",
    )


class OpenedChange(Word):
    """What the manifest must carry, unchanged."""

    change_id: ChangeId
    run_id: str
    phase: Phase
    profile: str
    destination: Destination


class Submit(Word):
    """Do one grant. What is signed is never typed again."""

    signoff: Digest = Field(description="digest of the sign-off that unlocks the call")
    seq: int = Field(ge=1)


class GrantState(Word):
    """One grant in the journal."""

    seq: int
    server: str
    verb: str
    destination: str
    state: Literal["unspent", "intent", "done", "waiting", "failed", "diverged"]
    receipt: Mapping[str, JsonValue] | None = None
    detail: str = ""


class AwaitReview(Word):
    """Ask for the review; when it is not there, wait up to `seconds` for it before answering."""

    seconds: float = Field(default=0, ge=0, le=60)


class ReviewState(Word):
    """How the published pull request's approval stands, as GitHub says now."""

    state: Literal["not_needed", "approved", "waiting", "void"]
    why: str
    by: tuple[str, ...] = ()
    number: int | None = None
    url: str = ""


class SignoffRef(Word):
    """Names a sign-off."""

    signoff: Digest


class SignoffState(Word):
    """Where a sign-off stands."""

    signoff: Digest
    change_id: ChangeId
    phase: Phase
    state: Literal[
        "awaiting_person", "awaiting_signature", "open", "refused_by_person", "expired", "spent", "revoked"
    ]
    expires: str
    grants: tuple[GrantState, ...]
    unsigned_by: tuple[str, ...] = Field(
        default=(), description="roles that the profile demands and that have not signed"
    )


class FetchChange(Word):
    """Ask what was issued under this id."""

    change_id: ChangeId


class IssuedChange(OpenedChange):
    """The notary's own view: issued words plus the base tree that the gate fetched."""

    goal_digest: Digest
    base_tree: Mapping[str, Base64Bytes] = Field(
        description="path -> bytes at the base commit, regular files only"
    )
    expected_commit: str | None = Field(
        default=None, description="the commit that this run's publish phase produced, from the journal"
    )


class Deposit(Word):
    """A Sigstore bundle (JSON text), the manifest's exact bytes and the content by digest."""

    bundle: str
    manifest: Base64Bytes
    content: Mapping[Digest, Base64Bytes]


class TellOutcome(Word):
    """What the crew says of a run that ended: words for the graph, which the gate keeps and does not read."""

    words: Mapping[str, JsonValue] = Field(
        description="the goal, how it ended, what was found and seen; the record and the changes are the gate's own"
    )


class RunRef(Word):
    """Names a run."""

    run_id: str


class Pending(Word):
    """What waits for the person."""

    signoffs: tuple[SignoffState, ...]


class ShownFile(Word):
    """One path of a change: the bytes at the base, and those that were signed. Absent means that there are none."""

    path: str
    operation: str
    before: Base64Bytes | None = None
    after: Base64Bytes | None = None


class ShownChange(Word):
    """A whole change from the gate's own copy, for the person who is asked to confirm it."""

    signoff: Digest
    phase: Phase
    destination: Destination
    grants: tuple[Grant, ...]
    files: tuple[ShownFile, ...]
    bundle: str = Field(description="the notary's sign-off, for whoever signs the same payload")
    manifest: Base64Bytes


class Confirmation(Word):
    """The person's word on one sign-off, spoken through the launcher's own pipe."""

    signoff: Digest
    person: str = Field(max_length=200)


class Cosign(Word):
    """A person's own bundle over the payload of a kept sign-off."""

    signoff: Digest
    bundle: str


class DriftAsked(Word):
    """Compare what one run did, or what every run did."""

    run_id: str | None = None


class Drifted(Word):
    """An effect that is not any more what was signed."""

    run_id: str
    signoff: Digest
    seq: int
    grant: str
    destination: str
    what: str
    signed: str = ""
    found: str


class NotCompared(Word):
    """A done grant that was not compared, and why."""

    run_id: str
    signoff: Digest
    seq: int
    grant: str
    why: str


class DriftReport(Word):
    """What was compared at the live targets just now."""

    compared: int
    differences: tuple[Drifted, ...]
    skipped: tuple[NotCompared, ...]


class DenialRecord(Word):
    """A call that the gate denied."""

    at: str
    role: str
    tool: str
    name: str
    message: str


class PhaseRecord(Word):
    """One signed phase in the journal."""

    name: Phase
    change_id: ChangeId
    signoff: SignoffState
    manifest_digest: Digest
    findings: tuple[Finding, ...] = ()


class RunRecord(Word):
    """What the journal says of a run: the only source of status, exit code and receipts."""

    run_id: str
    status: Literal[
        "nothing_signed",
        "signed",
        "applied",
        "awaiting_signature",
        "awaiting_review",
        "partial",
        "refused",
        "failed",
    ]
    waits_for: str = Field(default="", description="what a run that awaits a person is still missing")
    phases: tuple[PhaseRecord, ...]
    denials: tuple[DenialRecord, ...]
    journal_head: str = Field(description="hash of the last journal entry of this run")
    checkpoint: str = Field(
        default="",
        description="for the person: a signed checkpoint over the journal as it is now, to be kept elsewhere",
    )
    stopped: str = Field(default="", description="who stopped this run or all of them, and how to lift that")


class JudgePlan(Word):
    """Gate to notary: judge the plan of record that the gate fetched itself."""

    change_id: ChangeId
    signoff: Digest
    plan_sha256: Digest | None = Field(description="None when the workflow only rehearsed: no plan exists")
    plan: JsonValue = None


class PlanVerdict(Word):
    """The notary's signed word on a plan of record."""

    clean: bool
    findings: tuple[Finding, ...]
    envelope: str = Field(
        description="Sigstore bundle (policies.envelope.seal) of a PlanStatement that says the same"
    )


class PlanPredicate(Word):
    """What the notary signs about a plan of record."""

    signoff: Digest
    change_id: ChangeId
    plan_sha256: Digest | None
    clean: bool
    findings_digest: Digest = Field(
        description="sha256 of the canonical list of the verdict's findings, in their order"
    )


class PlanStatement(Statement):
    """In-toto Statement v1; its one subject is `plan` with the plan file's sha256, or EMPTY_DIGEST when there is none."""

    predicateType: Literal["https://countersign.dev/plan-verdict/v1"] = PLAN_VERDICT  # noqa: N815 - in-toto's own spelling
    predicate: PlanPredicate
