"""The plan of record: made by the signed workflow against the real state, fetched here, judged and signed by the notary."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policies import trust
from policies.change import EMPTY_DIGEST, digest_of
from policies.envelope import unseal
from policies.strict import parse
from tools.gate.case import Case
from tools.gate.ledger import Deposited
from tools.gate.room import Room, fingerprint
from tools.gate.words import JudgePlan, PlanStatement, PlanVerdict
from tools.tool import ToolRefusedError

ARTIFACT = "plan"
_FILES = frozenset({"plan.json", "plan.sha256", "tfplan"})
Judge = Callable[[JudgePlan], PlanVerdict]
"""Asks the notary."""


class PlanOfRecord:
    """Learns once per workflow run whether its plan may be applied."""

    def __init__(self, room: Room, judge: Judge) -> None:
        self._room, self._judge = room, judge

    def clean(self, run: Case) -> bool:
        """Whether the notary found the plan that dispatch grant `run` made clean; recorded with its findings.

        Raises ToolRefusedError, TargetError, GateError.
        """
        spent = run.spending
        if spent.plan is None:
            asked = self._asked(run.kept, spent.facts)
            verdict = self._judge(asked)
            self._check(asked, verdict)
            self._record(run, asked, verdict)
            return verdict.clean
        return bool(spent.plan["clean"])

    def _asked(self, kept: Deposited, facts: dict[str, Any]) -> JudgePlan:
        repository, run_id = self._room.targets.repository, str(facts.get("run_id", ""))
        files = repository.artifact(int(run_id), ARTIFACT) if repository and run_id.isdecimal() else None
        if files is None and facts.get("rehearsed") and kept.rehearsal:
            return JudgePlan(change_id=kept.change_id, signoff=kept.signoff, plan_sha256=None)
        if files is None or not set(files) >= _FILES:
            message = f"workflow run {run_id} left no artifact {ARTIFACT!r} with {', '.join(sorted(_FILES))}."
            raise ToolRefusedError(
                "plan-missing", message, "The signed workflow must upload them; read its log."
            )
        try:
            plan = json.loads(files["plan.json"])
            stated = files["plan.sha256"].decode("ascii").split()[0]
        except (ValueError, IndexError, RecursionError) as fault:
            message = f"the plan of run {run_id} cannot be read: {fault}."
            raise ToolRefusedError("plan-unreadable", message, "Read the run's log.") from fault
        digest = digest_of(files["tfplan"])
        if digest != f"sha256:{stated}":
            message = f"the plan file of run {run_id} has {digest}, its workflow says {stated[:64]!r}."
            raise ToolRefusedError("plan-mismatch", message, "Read the run's log, then run again.")
        return JudgePlan(change_id=kept.change_id, signoff=kept.signoff, plan_sha256=digest, plan=plan)

    def _check(self, asked: JudgePlan, verdict: PlanVerdict) -> None:
        """The verdict counts by its signature, not by the pipe it came through."""
        sealed = unseal(verdict.envelope.encode(), trust.load(self._room.state_dir / "trust.json"))
        said = parse(PlanStatement, sealed.payload, "the plan verdict")
        findings = fingerprint([finding.model_dump(mode="json") for finding in verdict.findings])
        given = (
            said.predicate.signoff,
            said.predicate.change_id,
            said.predicate.plan_sha256,
            said.predicate.clean,
            said.predicate.findings_digest,
        )
        wanted = (asked.signoff, asked.change_id, asked.plan_sha256, verdict.clean, findings)
        subject = [(one.name, one.sha256_digest) for one in said.subject]
        fits = given == wanted and subject == [("plan", asked.plan_sha256 or EMPTY_DIGEST)]
        if not fits or "security" not in sealed.key.roles or sealed.key.rehearsal != self._room.rehearsal:
            raise ToolRefusedError(
                "plan-verdict-invalid", "the notary's word on the plan is about something else.", "Run again."
            )
        if not sealed.key.valid(self._room.clock()):
            raise ToolRefusedError(
                "plan-verdict-invalid",
                "the notary's key is not valid now.",
                "Look at `countersign keys show`.",
            )

    def _record(self, run: Case, asked: JudgePlan, verdict: PlanVerdict) -> None:
        kept, seq = run.kept, run.grant.seq
        for finding in verdict.findings:
            self._room.append("alarm", {"signoff": kept.signoff, "finding": finding.model_dump(mode="json")})
        envelope = self._room.content.keep(verdict.envelope.encode())
        self._room.content.sync()
        facts = {"plan_sha256": (asked.plan_sha256 or "rehearsed").removeprefix("sha256:")}
        told = {
            "signoff": kept.signoff,
            "seq": seq,
            "clean": verdict.clean,
            "envelope": envelope,
            "facts": facts,
        }
        self._room.append("plan", told)
