"""Security: asks the notary for its judgement, objects, and hands an approved change in for signing."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from crewai import Agent

from crew.goal import Draft, Goal, Objection, Reviewed
from crew.hands import Hands
from crew.tasks.review import ReviewRequest, review
from policies.change import digest_of
from policies.finding import Finding
from policies.review import Decision, Judgement
from tools.notary.words import Draft as NotaryDraft
from tools.notary.words import Judge


@dataclass(frozen=True)
class Security:
    """The seat with its agent."""

    agent: Agent
    hands: Hands
    goal: Goal

    def review(self, draft: Draft, round_: int) -> tuple[Judgement, Reviewed]:
        """The notary's judgement and the decision on it. Raises ToolRefusedError, ModelFaultError."""
        judgement = self.hands.ask_notary("judge", Judge(draft=for_notary(draft)), Judgement)
        blocking = {finding.key for finding in judgement.blocking}
        asked = ReviewRequest(
            goal=self.goal,
            round=round_,
            change=draft.change,
            files=draft.content,
            blocking=judgement.blocking,
            other=tuple(f for f in judgement.findings if f.key not in blocking),
        )
        answer = review(self.agent, asked)
        found = tuple(_objection(f"{round_}.{i}", f) for i, f in enumerate(judgement.blocking, 1))
        own = tuple(
            Objection(id=f"{round_}.s{i}", rule=o.rule, where=o.where, why=o.why, satisfied_by=o.satisfied_by)
            for i, o in enumerate(answer.objections, 1)
        )
        decision = Decision(answer.decision)
        if decision is Decision.APPROVE and (found or own):
            decision = Decision.REJECT
        said = Reviewed(
            round=round_,
            change_digest=draft.change.sha256(),
            decision=decision,
            objections=(*found, *own),
            note=answer.note,
        )
        return judgement, said


def for_notary(draft: Draft) -> NotaryDraft:
    """The draft as the notary takes it: bytes by digest."""
    content = {digest_of(text.encode()): base64.b64encode(text.encode()) for text in draft.content.values()}
    return NotaryDraft.model_validate({"change": draft.change, "content": content})


def _objection(name: str, finding: Finding) -> Objection:
    return Objection(
        id=name,
        rule=finding.rule,
        where=f"{finding.path} {finding.resource}".strip(),
        why=f"{finding.message} {finding.why}".strip(),
        satisfied_by=finding.remedy,
        severity=finding.severity,
        remediations=finding.remediations,
    )
