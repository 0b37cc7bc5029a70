"""A review: findings, verdict and the bytes seen."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from policies.change import Digest, Word
from policies.finding import Finding


class Decision(StrEnum):
    """What a verdict says; anything but approve is no."""

    APPROVE = "approve"
    REJECT = "reject"
    ESCALATE = "escalate"


class Verdict(Word):
    """Security's word on one exact change. It can veto; only the notary signs."""

    decision: Decision
    change_digest: Digest
    reasons: tuple[str, ...] = ()
    rounds: int = Field(default=1, ge=1)


class Judgement(Word):
    """The notary's own reading of a change: every finding, which of them block, and what was seen."""

    change_digest: Digest
    tree_digest: Digest = Field(description="digest of the resulting tree: base plus change")
    findings: tuple[Finding, ...]
    blocking: tuple[Finding, ...]
    waived: tuple[str, ...] = ()
    scanners: tuple[str, ...] = Field(description="name@version of each engine that ran")
    policy_digest: Digest

    @property
    def clean(self) -> bool:
        """Nothing blocks under the active profile."""
        return not self.blocking


class Review(Word):
    """Judgement plus verdict: clean only when both say so."""

    judgement: Judgement
    verdict: Verdict

    @property
    def clean(self) -> bool:
        """Whether the notary would sign."""
        same = self.judgement.change_digest == self.verdict.change_digest
        return same and self.judgement.clean and self.verdict.decision is Decision.APPROVE
