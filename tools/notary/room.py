"""What the notary answers: judge a change, sign it, judge a plan. Each refusal is a ToolRefusedError."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from securesystemslib.signer import CryptoSigner

from policies.change import EMPTY_DIGEST, ChangeSet, Phase, canonical, digest_of
from policies.envelope import Subject, seal
from policies.finding import Finding
from policies.plan_rules import judge_plan
from policies.review import Judgement
from policies.rules import rule
from policies.scanner.client import ScannerFaultError
from policies.trust import Trust
from tools.gate.words import (
    Deposit,
    FetchChange,
    IssuedChange,
    JudgePlan,
    PlanPredicate,
    PlanStatement,
    PlanVerdict,
    SignoffState,
)
from tools.notary.judging import Bench, Judged, as_issued
from tools.notary.registry import Registry, SignedRecord
from tools.notary.signing import approved, may_sign, not_requester, predicate, record
from tools.notary.tree import resulting, tree_digest
from tools.notary.words import Draft, Judge, Sign, Signed
from tools.tool import Effect, Tool, ToolRefusedError
from traces import names, spans

_KEPT = 8
"""Judgements remembered within this run; each is tied to the bytes, the base tree and the expected commit."""


class GateLine(Protocol):
    """The notary's own pipe to the gate."""

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        """Raises ToolRefusedError."""

    def deposit(self, given: Deposit) -> SignoffState:
        """Raises ToolRefusedError."""


@dataclass(frozen=True)
class Room:
    """One run's notary."""

    bench: Bench
    signer: CryptoSigner
    registry: Registry
    gate: GateLine
    trust: Callable[[], Trust]
    clock: Callable[[], datetime]
    rehearsal: bool
    isolation: str
    _judged: dict[tuple[str, str, str, str | None, str], Judged] = field(default_factory=dict)
    _one_at_a_time: threading.RLock = field(default_factory=threading.RLock)

    def judge(self, asked: Judge) -> Judgement:
        """Every finding on the tree that would result. Signs nothing."""
        with self._one_at_a_time:
            return self._judge(asked.draft).judgement

    def sign(self, asked: Sign) -> Signed:
        """The signature, or the reason why there is none. The same manifest gets the same sign-off again."""
        change, content = asked.draft.change, _bytes(asked.draft)
        about = {
            names.CHANGE_ID: change.change_id,
            names.CHANGE_DIGEST: change.sha256(),
            names.PHASE: change.phase.value,
        }
        with self._one_at_a_time, spans.span(names.SIGNOFF_SIGN, about) as span:
            judged = self._judge(asked.draft)
            approved(asked.verdict, judged.judgement)
            signed = self._signed(change, judged, asked)
            given = Deposit.model_construct(
                bundle=signed.bundle, manifest=change.canonical(), content=content
            )
            state = self.gate.deposit(given)
            if state.signoff != signed.signoff:
                raise ToolRefusedError(
                    "deposit-differs",
                    "the gate kept another sign-off than the one signed.",
                    "Open a new change.",
                )
            span.set_attribute(names.SIGNOFF_DIGEST, signed.signoff)
            return Signed(
                signoff=signed.signoff,
                bundle=signed.bundle,
                expires=signed.expires,
                judgement=judged.judgement,
            )

    def judge_plan(self, asked: JudgePlan) -> PlanVerdict:
        """The signed word on a plan of record, for a release that this notary signed."""
        kept = self.registry.find(asked.change_id, Phase.RELEASE)
        if kept is None or kept.signoff != asked.signoff:
            message = f"this notary signed no release {asked.signoff[:19]} for {asked.change_id}."
            raise ToolRefusedError("unknown-signoff", message, "Have the release judged and signed first.")
        self._may_sign()
        findings = tuple(_plan_findings(asked, rehearsal=self.rehearsal))
        clean = all(finding.severity.rank < self.bench.profile.blocking.rank for finding in findings)
        said = PlanPredicate(
            signoff=asked.signoff,
            change_id=asked.change_id,
            plan_sha256=asked.plan_sha256,
            clean=clean,
            findings_digest=digest_of(canonical([finding.model_dump(mode="json") for finding in findings])),
        )
        subject = (Subject.of("plan", asked.plan_sha256 or EMPTY_DIGEST),)
        envelope = seal(PlanStatement(subject=subject, predicate=said), self.signer).decode()
        return PlanVerdict(clean=clean, findings=findings, envelope=envelope)

    def for_security(self) -> tuple[Tool, ...]:
        """The tools on Security's pipe."""
        return (
            Tool(
                "judge",
                "Every finding on the tree that this change would result in. Signs nothing.",
                Judge,
                Judgement,
                self.judge,
            ),
            Tool(
                "sign",
                "Sign a change that the notary itself finds clean and that your verdict approves. The gate then holds the sign-off.",
                Sign,
                Signed,
                self.sign,
                Effect.ANNOTATE,
            ),
        )

    def for_gate(self) -> tuple[Tool, ...]:
        """The tool on the gate's pipe."""
        return (
            Tool(
                "judge_plan",
                "The signed word on the plan of record.",
                JudgePlan,
                PlanVerdict,
                self.judge_plan,
            ),
        )

    def _judge(self, draft: Draft) -> Judged:
        change = draft.change
        issued = self.gate.fetch_change(FetchChange(change_id=change.change_id))
        as_issued(change, issued, self.bench.profile)
        content, base = _bytes(draft), {path: bytes(data) for path, data in issued.base_tree.items()}
        tree = resulting(change, content, base)
        excuses = digest_of(canonical([text for _, text in self.bench.waivers()]))
        key = (change.sha256(), tree_digest(tree), tree_digest(base), issued.expected_commit, excuses)
        if (known := self._judged.get(key)) is None:
            known = self._fresh(change, content, issued)
            if not known.excused:  # a waiver may end, or its key be revoked, between judging and signing
                self._judged[key] = known
            while len(self._judged) > _KEPT:
                del self._judged[next(iter(self._judged))]
        return known

    def _fresh(self, change: ChangeSet, content: Mapping[str, bytes], issued: IssuedChange) -> Judged:
        try:
            return self.bench.judge(change, content, issued)
        except ScannerFaultError as fault:
            advice = "Nothing is signed without a whole scan: run `countersign doctor`, then try again."
            raise ToolRefusedError("scanner-failed", f"{fault}.", advice) from fault

    def _may_sign(self) -> datetime:
        now = self.clock()
        may_sign(self.signer, self.trust(), self.bench.profile, rehearsal=self.rehearsal, now=now)
        return now

    def _signed(self, change: ChangeSet, judged: Judged, asked: Sign) -> SignedRecord:
        now, requester = self._may_sign(), self.bench.requester(change)
        not_requester(self.signer, requester)
        manifest = change.sha256()
        if (earlier := self.registry.standing(change.change_id, change.phase, manifest, now)) is not None:
            return earlier
        said = predicate(
            change,
            judged,
            asked,
            self.bench.profile,
            now=now,
            isolation=self.isolation,
            rehearsal=self.rehearsal,
            requester=requester,
        )
        return self.registry.keep(record(change, said, self.signer), now)


def _bytes(draft: Draft) -> dict[str, bytes]:
    return {digest: bytes(data) for digest, data in draft.content.items()}


def _plan_findings(asked: JudgePlan, *, rehearsal: bool) -> list[Finding]:
    if isinstance(asked.plan, dict) and asked.plan_sha256 is not None:
        return judge_plan(asked.plan)
    if rehearsal and asked.plan is None and asked.plan_sha256 is None:
        return []  # the workflow ran without Terraform, and a rehearsal applies nothing
    return [
        rule("plan/unreadable").finding(
            "plan.json", "plan.json", "there is no plan of record with its digest", engine="plan"
        )
    ]
