"""The table: how a negotiation goes and how it ends, with seats that do what a row says."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crew.goal import Declined, Draft, Negotiated, Objection, Proposed, Reviewed, Transcript
from crew.negotiation import negotiate
from crew.progress import Progress
from policies.change import Artifact, ChangeSet, Grant, Operation, Phase, digest_of
from policies.finding import Finding, RuleClass, Severity
from policies.review import Decision, Judgement
from tests.fakes.crew_servers import destination
from tools.gate.words import OpenedChange
from tools.tool import ToolRefusedError

CHANGE_ID = "cs-" + "0" * 16
DIGEST = digest_of(b"x")


def draft(text: str = "first") -> Draft:
    where = destination()
    change = ChangeSet(
        change_id=CHANGE_ID, run_id="run-1", phase=Phase.PUBLISH, goal_digest=DIGEST, profile="sandbox", destination=where,
        artifacts=(Artifact(path="manifests/a.yaml", digest=digest_of(text.encode()), operation=Operation.ADD),),
        grants=(Grant(seq=1, server="github", verb="push_commit", arguments={}, effect_key="k"),),
    )  # fmt: skip
    opened = OpenedChange(
        change_id=CHANGE_ID, run_id="run-1", phase=Phase.PUBLISH, profile="sandbox", destination=where
    )
    return Draft(
        opened=opened, change=change, title="t", at="2026-11-23T00:00:00Z", content={"manifests/a.yaml": text}
    )


def finding(rule: str) -> Finding:
    return Finding(
        rule=rule, rule_class=RuleClass.IAM, severity=Severity.HIGH, engine="test", path="manifests/a.yaml", resource="r",
        message="m", why="w",
    )  # fmt: skip


@dataclass
class Security:
    """Finds what each round says; the model's own decision beside it."""

    rounds: list[tuple[str, ...]]
    decisions: list[str] = field(default_factory=list)
    seen: int = 0

    def review(self, draft: Draft, round_: int) -> tuple[Judgement, Reviewed]:
        rules = self.rounds[min(self.seen, len(self.rounds) - 1)]
        said = (
            self.decisions[self.seen]
            if self.seen < len(self.decisions)
            else ("reject" if rules else "approve")
        )
        self.seen += 1
        found = tuple(finding(rule) for rule in rules)
        digest = draft.change.sha256()
        judgement = Judgement(
            change_digest=digest, tree_digest=DIGEST, findings=found, blocking=found, scanners=(), policy_digest=DIGEST
        )  # fmt: skip
        objections = tuple(
            Objection(id=f"{round_}.{i}", rule=rule, where="r", why="w") for i, rule in enumerate(rules)
        )
        return judgement, Reviewed(
            round=round_, change_digest=digest, decision=Decision(said), objections=objections
        )


@dataclass
class DevOps:
    """Each revision writes another text, declines, or changes nothing."""

    acts: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def revise(self, before: Draft, objections: tuple[Objection, ...], round_: int) -> tuple[Draft, Proposed]:
        self.asked.append(tuple(o.rule for o in objections))
        act = self.acts[len(self.asked) - 1] if len(self.asked) <= len(self.acts) else "write"
        if act == "refused":
            raise ToolRefusedError("gone", "the gate is gone.")
        after = draft(f"text {round_}") if act == "write" else before
        declined = (
            tuple(Declined(objection=o.id, rule=o.rule, reason="asked for") for o in objections)
            if act == "decline"
            else ()
        )
        return after, Proposed(round=round_, change_digest=after.change.sha256(), declined=declined)


def sit(
    tmp_path: Path, security: Any, devops: Any, rounds: int = 4
) -> tuple[Negotiated, list[dict[str, Any]]]:
    stream = io.BytesIO()
    done = asyncio.run(
        negotiate(draft(), devops, security, rounds=rounds, folder=tmp_path, progress=Progress(stream))
    )
    return done, [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("rounds", "acts", "ended", "spoke", "clean"),
    [
        ([()], [], "approved", 1, True),
        ([("a",), ()], [], "approved", 2, True),
        ([("a", "b"), ("b",), ()], [], "approved", 3, True),
        ([("a",)], ["decline"], "declined", 1, False),
        ([("a",)], ["nothing"], "no_remedy", 1, False),
        ([("a",), ("b",), ("a",), ()], [], "broken_again", 3, False),
        ([("a",)], [], "rounds_exhausted", 4, False),
    ],
)
def test_how_it_ends(
    tmp_path: Path, rounds: Any, acts: list[str], ended: str, spoke: int, clean: bool
) -> None:
    security = Security(rounds)
    done, _ = sit(tmp_path, security, DevOps(acts))
    assert (done.transcript.ended, security.seen, done.clean) == (ended, spoke, clean)


@pytest.mark.parametrize("decision", ["approve", "reject", "escalate"])
def test_no_decision_makes_an_unclean_judgement_clean(tmp_path: Path, decision: str) -> None:
    done, _ = sit(tmp_path, Security([("a",)], [decision] * 9), DevOps(["nothing"]))
    assert not done.clean
    assert done.review.verdict.decision is not Decision.APPROVE


@pytest.mark.parametrize("decision", ["reject", "escalate"])
def test_a_clean_judgement_does_not_overrule_a_veto(tmp_path: Path, decision: str) -> None:
    done, _ = sit(tmp_path, Security([()], [decision] * 9), DevOps())
    assert done.review.judgement.clean
    assert not done.clean


def test_the_profile_bounds_the_rounds(tmp_path: Path) -> None:
    security = Security([("a",)])
    done, _ = sit(tmp_path, security, DevOps(), rounds=2)
    assert (security.seen, done.transcript.ended) == (2, "rounds_exhausted")


def test_the_verdict_is_about_the_last_draft_that_was_judged(tmp_path: Path) -> None:
    done, _ = sit(tmp_path, Security([("a",), ()]), DevOps())
    assert (
        done.review.verdict.change_digest == done.review.judgement.change_digest == done.draft.change.sha256()
    )
    assert done.review.verdict.rounds == 2


def test_the_transcript_is_kept_as_what_is_signed(tmp_path: Path) -> None:
    done, _ = sit(tmp_path, Security([("a",), ()]), DevOps())
    data = (tmp_path / "publish.json").read_bytes()
    assert digest_of(data) == done.transcript.sha256()
    assert Transcript.model_validate_json(data) == done.transcript
    assert [turn.kind for turn in done.transcript.turns] == ["proposed", "reviewed"] * 2
    assert json.loads((tmp_path / "publish.team.json").read_text())["type"] == "TeamState"


def test_each_objection_is_told_and_answered(tmp_path: Path) -> None:
    devops = DevOps()
    _, events = sit(tmp_path, Security([("a", "b"), ()]), devops)
    assert [e["rule"] for e in events if e["event"] == "objection"] == ["a", "b"]
    assert devops.asked == [("a", "b")]


def test_a_seat_that_cannot_go_on_ends_it_with_its_own_fault(tmp_path: Path) -> None:
    with pytest.raises(ToolRefusedError, match="the gate is gone"):
        sit(tmp_path, Security([("a",)]), DevOps(["refused"]))


def test_a_cancellation_does_not_wait_for_the_turn(tmp_path: Path) -> None:
    import threading

    begun, go_on = threading.Event(), threading.Event()

    class Slow(Security):
        def review(self, draft: Draft, round_: int) -> tuple[Judgement, Reviewed]:
            begun.set()
            go_on.wait(20)
            return super().review(draft, round_)

    async def cancelled() -> None:
        talk = asyncio.ensure_future(
            negotiate(
                draft(), DevOps(), Slow([()]), rounds=2, folder=tmp_path, progress=Progress(io.BytesIO())
            )
        )
        await asyncio.to_thread(begun.wait, 20)
        talk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(talk, 5)
        go_on.set()

    asyncio.run(cancelled())
