"""The release phase waits for the workflow, and applies only the plan that the notary found clean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies.change import EMPTY_DIGEST, Phase, digest_of
from policies.envelope import Subject, seal
from policies.finding import Finding, RuleClass, Severity
from policies.refusal import GateError
from policies.trust import Trust
from tests.fakes.gate import World, trusted
from tools.gate import states
from tools.gate.room import fingerprint
from tools.gate.targets import WorkflowOutcome
from tools.gate.words import JudgePlan, PlanPredicate, PlanStatement, PlanVerdict
from tools.tool import ToolRefusedError

FILE = b"the plan file"
SHA = hashlib.sha256(FILE).hexdigest()
PLAN = {"plan.json": b'{"resource_changes":[]}', "plan.sha256": f"{SHA}  tfplan\n".encode(), "tfplan": FILE}
FACTS = {"run_id": "run_id", "sha256": "plan_sha256"}
ENDED = WorkflowOutcome(run_id=77, running=False, succeeded=True)
DESTROYS = Finding(
    rule="plan/destroy", rule_class=RuleClass.STATE, severity=Severity.HIGH, engine="plan", path="plan.json",
    resource="aws_s3_bucket.logs", message="The plan destroys it.", why="Data is lost.",
)  # fmt: skip


class Notary:
    """Signs what it is told to find. `edit` changes the predicate after the judgement."""

    def __init__(
        self,
        signer: CryptoSigner,
        findings: tuple[Finding, ...] = (),
        edit: dict[str, Any] | None = None,
        subject: str | None = None,
    ) -> None:
        self.signer, self.findings, self.edit, self.subject, self.asked = (
            signer,
            findings,
            edit or {},
            subject,
            [],
        )

    def __call__(self, asked: JudgePlan) -> PlanVerdict:
        self.asked.append(asked)
        said = dict(
            signoff=asked.signoff, change_id=asked.change_id, plan_sha256=asked.plan_sha256, clean=not self.findings,
            findings_digest=fingerprint([f.model_dump(mode="json") for f in self.findings]),
        )  # fmt: skip
        subject = (Subject.of("plan", self.subject or asked.plan_sha256 or EMPTY_DIGEST),)
        statement = PlanStatement(subject=subject, predicate=PlanPredicate(**{**said, **self.edit}))
        return PlanVerdict(
            clean=not self.findings, findings=self.findings, envelope=seal(statement, self.signer).decode()
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    first = World(tmp_path / "gate")
    return first.another(judge=Notary(first.signer))


def release(world: World) -> str:
    """Dispatch the plan, then the apply of that very plan."""
    commit, opened = world.published(), world.open(Phase.RELEASE)

    def dispatch(**inputs: Any) -> dict[str, Any]:
        return {
            "workflow": "terraform.yml",
            "ref": "main",
            "inputs": {"change_id": opened.change_id, "commit": commit, **inputs},
        }

    plan = {f"plan_{name}": {"$receipt": {"seq": 1, "fact": fact}} for name, fact in FACTS.items()}
    apply = dispatch(mode="apply", **plan)
    grants = [
        ("github", "dispatch_workflow", dispatch(mode="plan"), ("previous_done",)),
        (
            "github",
            "dispatch_workflow",
            apply,
            ("previous_done", "workflow_succeeded", "plan_of_record_clean"),
        ),
    ]
    return world.desk.deposit(world.sign(world.change(opened, {}, grants), {})).signoff


def refused(act: Callable[[], Any]) -> str:
    with pytest.raises((ToolRefusedError, GateError)) as refusal:
        act()
    return refusal.value.name


def test_the_apply_waits_for_the_plan_and_names_that_very_plan(world: World) -> None:
    signoff = release(world)
    first = world.submit(signoff, 1)
    assert (first.state, first.detail) == ("waiting", "its workflow run has not ended; ask again")
    assert world.submit(signoff, 2).state == "waiting"
    assert world.all_effects() == 1
    world.repository.outcome, world.repository.artifacts = ENDED, {"plan": PLAN}
    assert world.submit(signoff, 2).state == "done"
    asked = world.judge.asked
    assert [(a.plan_sha256, a.plan) for a in asked] == [("sha256:" + SHA, json.loads(PLAN["plan.json"]))]
    applied = world.repository.all["github.dispatch_workflow"].performed[1]
    assert applied.arguments["inputs"]["plan_sha256"] == SHA
    assert states.signoff_state(world.room, world.room.ledger(), signoff).state == "spent"


def test_looking_at_the_signoff_learns_how_the_run_ended(world: World) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome = ENDED
    world.submission.look(signoff)
    assert states.signoff_state(world.room, world.room.ledger(), signoff).grants[0].state == "done"


def test_a_failed_workflow_stops_the_phase(world: World) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome = WorkflowOutcome(
        run_id=77, running=False, succeeded=False, url="http://127.0.0.1/run"
    )
    assert world.submit(signoff, 1).state == "failed"
    assert refused(lambda: world.submit(signoff, 2)) == "workflow-failed"
    assert world.all_effects() == 1


def test_a_plan_that_destroys_is_not_applied_and_its_findings_are_kept(world: World) -> None:
    strict = world.another(judge=Notary(world.signer, (DESTROYS,)))
    signoff = release(strict)
    strict.submit(signoff, 1)
    strict.repository.outcome, strict.repository.artifacts = ENDED, {"plan": PLAN}
    for _ in range(2):
        assert refused(lambda: strict.submit(signoff, 2)) == "precondition"
    assert strict.all_effects() == 1
    assert len(strict.judge.asked) == 1
    assert [f.rule for _, f in strict.room.ledger().alarms] == ["plan/destroy"]


ARTIFACTS: list[tuple[str, str, dict[str, dict[str, bytes]]]] = [
    ("none", "plan-missing", {}),
    ("without the digest", "plan-missing", {"plan": {"plan.json": b"{}"}}),
    ("no JSON", "plan-unreadable", {"plan": {**PLAN, "plan.json": b"{"}}),
    ("no digest in it", "plan-unreadable", {"plan": {**PLAN, "plan.sha256": b""}}),
    ("another digest", "plan-mismatch", {"plan": {**PLAN, "plan.sha256": b"ab" * 32}}),
    ("another plan file", "plan-mismatch", {"plan": {**PLAN, "tfplan": b"swapped"}}),
    ("no plan file", "plan-missing", {"plan": {k: v for k, v in PLAN.items() if k != "tfplan"}}),
]


@pytest.mark.parametrize(
    ("name", "artifacts"), [row[1:] for row in ARTIFACTS], ids=[row[0] for row in ARTIFACTS]
)
def test_a_plan_that_cannot_be_read_is_not_applied(
    world: World, name: str, artifacts: dict[str, dict[str, bytes]]
) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome, world.repository.artifacts = ENDED, artifacts
    assert refused(lambda: world.submit(signoff, 2)) == name
    assert world.all_effects() == 1


VERDICTS: list[tuple[str, str, Callable[[World], Any]]] = [
    (
        "another sign-off",
        "plan-verdict-invalid",
        lambda w: Notary(w.signer, edit={"signoff": digest_of(b"x")}),
    ),
    (
        "another change",
        "plan-verdict-invalid",
        lambda w: Notary(w.signer, edit={"change_id": "cs-" + "0" * 16}),
    ),
    (
        "another plan",
        "plan-verdict-invalid",
        lambda w: Notary(w.signer, edit={"plan_sha256": digest_of(b"x")}),
    ),
    ("another subject", "plan-verdict-invalid", lambda w: Notary(w.signer, subject=digest_of(b"x"))),
    (
        "a no that is passed on as a yes",
        "plan-verdict-invalid",
        lambda w: Notary(w.signer, edit={"clean": False}),
    ),
    (
        "other findings",
        "plan-verdict-invalid",
        lambda w: Notary(w.signer, edit={"findings_digest": digest_of(b"x")}),
    ),
    ("an unknown key", "unknown-key", lambda w: Notary(CryptoSigner.generate_ed25519())),
    ("a key of the other kind", "plan-verdict-invalid", lambda w: Notary(_also(w, rehearsal=False))),
    (
        "a key of another role",
        "plan-verdict-invalid",
        lambda w: Notary(_also(w, rehearsal=True, roles=("person",))),
    ),
    ("a key that is over", "plan-verdict-invalid", lambda w: Notary(_also(w, rehearsal=True, days=0))),
]


def _also(world: World, **kind: Any) -> CryptoSigner:
    """A second key in the trust file."""
    other = CryptoSigner.generate_ed25519()
    world.trust(Trust(keys=(*world.keys(), trusted(other, **kind))))
    return other


@pytest.mark.parametrize(("name", "notary"), [row[1:] for row in VERDICTS], ids=[row[0] for row in VERDICTS])
def test_a_verdict_counts_by_its_signature_and_words(
    world: World, name: str, notary: Callable[[World], Any]
) -> None:
    forged = world.another(judge=notary(world))
    signoff = release(forged)
    forged.submit(signoff, 1)
    forged.repository.outcome, forged.repository.artifacts = ENDED, {"plan": PLAN}
    assert refused(lambda: forged.submit(signoff, 2)) == name
    assert forged.all_effects() == 1


def test_a_rehearsed_workflow_has_no_plan_and_says_so(world: World) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome = WorkflowOutcome(run_id=77, running=False, succeeded=True, rehearsed=True)
    assert world.submit(signoff, 2).state == "done"
    assert (
        world.repository.all["github.dispatch_workflow"].performed[1].arguments["inputs"]["plan_sha256"]
        == "rehearsed"
    )


def test_what_was_only_rehearsed_is_never_applied_to_a_real_target(tmp_path: Path) -> None:
    first = World(tmp_path / "real", rehearsal=False)
    real = first.another(judge=Notary(first.signer))
    signoff = release(real)
    real.submit(signoff, 1)
    real.repository.outcome = WorkflowOutcome(run_id=77, running=False, succeeded=True, rehearsed=True)
    assert refused(lambda: real.submit(signoff, 2)) == "plan-missing"
    assert real.all_effects() == 1


def test_a_run_that_turned_out_to_be_of_another_commit_ends_the_signoff(world: World) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome = ENDED
    world.repository.all["github.dispatch_workflow"].differs = "run 77 is of another commit"
    assert refused(lambda: world.submit(signoff, 2)) in {"diverged", "out-of-order"}
    assert refused(lambda: world.submit(signoff, 2)) == "diverged"
    assert world.all_effects() == 1
