"""deliver(): the phases in order. The page that the rest is judged by, and the crew that it speaks to."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from crew.goal import (
    Applied,
    Draft,
    Drafting,
    Failed,
    Goal,
    Negotiated,
    NotUnderstood,
    Outcome,
    PhasePlan,
    Plan,
    Receipts,
    Refused,
    Signed,
    SignedChange,
    Stop,
    Submission,
)
from policies.change import Phase

ATTEMPTS = 20
"""How often a phase is drafted, judged and asked for; each time but the last its sign-off ended before anything was done."""


class Crew(Protocol):
    """What the roles do for one run. Each is a stage: done once, its result kept."""

    async def plan(self, goal: Goal) -> Plan | NotUnderstood:
        """The phases of the goal."""

    async def reviewed(self, phase: Phase) -> Stop | None:
        """The approving review that the profile asks for before this phase, waited for."""

    async def draft(self, drafting: Drafting) -> Draft | Stop:
        """The change of one phase."""

    async def negotiate(self, draft: Draft, drafting: Drafting) -> Negotiated:
        """DevOps and Security until one of them is done."""

    async def sign(self, negotiated: Negotiated) -> SignedChange | Stop:
        """The notary's sign-off, or its refusal."""

    async def submit(self, signed: SignedChange) -> Submission:
        """Every grant in its order, as far as the gate lets it go."""

    async def summarise(self, outcome: Outcome) -> Outcome:
        """Read back, report, remember."""


async def deliver(goal: Goal, crew: Crew, *, dry_run: bool = False) -> Outcome:
    """Bring the goal to the cluster, or say what stands in the way."""
    plan = await crew.plan(goal)
    if isinstance(plan, NotUnderstood):
        return await crew.summarise(plan)
    receipts, phases = Receipts(), tuple(phase.phase for phase in plan.phases)
    ahead = deque((phase, 1) for phase in plan.phases)
    while ahead:
        phase, attempt = ahead.popleft()
        drafting = Drafting(goal=goal, phase=phase, phases=phases, receipts=receipts, attempt=attempt)
        waited = await crew.reviewed(phase.phase)
        if waited is not None:
            return await crew.summarise(_stopped(phase.phase, waited, receipts))
        draft = await crew.draft(drafting)
        if isinstance(draft, Stop):
            return await crew.summarise(_stopped(phase.phase, draft, receipts))
        negotiated = await crew.negotiate(draft, drafting)
        if not negotiated.clean:
            return await crew.summarise(_refused(phase, plan, negotiated, receipts))
        signed = await crew.sign(negotiated)
        if isinstance(signed, Stop):
            return await crew.summarise(_stopped(phase.phase, signed, receipts, by="notary"))
        if dry_run:
            return await crew.summarise(Signed(signoff=signed))
        submission = await crew.submit(signed)
        if _ended_unused(submission) and attempt < ATTEMPTS:
            ahead.appendleft((phase, attempt + 1))
            continue
        receipts += submission.receipt
        if submission.stopped is not None:
            return await crew.summarise(_stopped(phase.phase, submission.stopped, receipts))
    return await crew.summarise(Applied(receipts=receipts))


def _ended_unused(submission: Submission) -> bool:
    """Whether the sign-off's time was over before anything of it was done: the phase is judged and asked for anew."""
    stopped = submission.stopped
    return (
        stopped is not None
        and stopped.named in {"signoff-expired", "expired"}
        and not submission.receipt.grants
    )


def _refused(phase: PhasePlan, plan: Plan, negotiated: Negotiated, receipts: Receipts) -> Refused:
    verdict, judgement = negotiated.review.verdict, negotiated.review.judgement
    return Refused(
        by="security",
        phase=phase.phase,
        named=negotiated.transcript.ended.replace("_", "-"),
        message="; ".join(verdict.reasons),
        judgement=judgement,
        transcript=negotiated.transcript,
        receipts=receipts,
        accepted_goal=plan.accepted_goal,
    )


def _stopped(phase: Phase, stop: Stop, receipts: Receipts, by: str = "gate") -> Refused | Failed:
    if stop.fault:
        return Failed(phase=phase, named=stop.named, message=stop.message, receipts=receipts)
    who = "person" if stop.named == "refused-by-person" else by
    return Refused.model_validate(
        {"by": who, "phase": phase, "named": stop.named, "message": stop.message, "receipts": receipts}
    )
