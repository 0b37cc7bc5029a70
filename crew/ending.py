"""The end of a run: read back, report, remember, and leave `result.json` for the launcher."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crew.agents.sre import SRE
from crew.goal import OUTCOME, Goal, NotUnderstood, Outcome, Refused, Reviewed, Transcript
from crew.memory import Remembering
from crew.model import Usage
from crew.observation import Observed
from crew.progress import Progress
from crew.report import Around, write
from knowledge.outcomes import PodSeen, RunOutcome
from policies.change import MANIFEST_NAME, ChangeSet
from policies.finding import Finding
from policies.review import Judgement
from tools.gate.words import RunRecord, RunRef, TargetDescription
from tools.tool import Nothing

STATUS = {
    "applied": "applied",
    "signed": "signed",
    "refused": "refused",
    "not_understood": "not_understood",
    "failed": "failed",
}


@dataclass(frozen=True)
class Ending:
    """What an ending needs; `told` collects what the stages did, by phase."""

    goal: Goal
    run_id: str
    run_dir: Path
    sre: Callable[[], SRE]
    remembering: Remembering
    usage: Callable[[], Usage]
    progress: Progress
    trace_id: str
    clock: Callable[[], datetime]

    def __call__(self, outcome: Outcome) -> None:
        """Do it all; what cannot be read back is named in the report."""
        sre = self.sre()
        seen = sre.observe(outcome)
        said = sre.say(seen, self.goal.language)
        target = sre.hands.ask_gate("describe_target", Nothing(), TargetDescription)
        transcripts, judgement = self._transcripts(), getattr(outcome, "judgement", None)
        around = Around(
            language=self.goal.language,
            run_id=self.run_id,
            trace_id=self.trace_id,
            rehearsal=target.rehearsal,
            isolation=target.isolation,
            demanded=_mended(transcripts, judgement),
            waived=judgement.waived if judgement else (),
        )
        report = write(outcome, seen, said, around)
        self.progress.tell("report", text=report)
        if isinstance(outcome, NotUnderstood):
            self.progress.tell("not_understood", unknown=list(outcome.unknown), nearest=list(outcome.nearest))
        nodes, links = (
            (0, 0)
            if isinstance(outcome, NotUnderstood)
            else self._remember(outcome, seen, sre, target, transcripts)
        )
        self._write(outcome, report, seen, transcripts, {"nodes": nodes, "relationships": links})
        self.progress.tell("outcome", kind=outcome.kind)

    def _transcripts(self) -> Mapping[str, Transcript]:
        """Phase -> its negotiation, from the run's folder, so that a resumed run has all of them."""
        folder = self.run_dir / "transcripts"
        found = {}
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            if not path.name.endswith(".team.json"):
                found[path.stem] = Transcript.model_validate_json(path.read_bytes())
        return found

    def _remember(
        self,
        outcome: Outcome,
        seen: Observed,
        sre: SRE,
        target: TargetDescription,
        transcripts: Mapping[str, Transcript],
    ) -> tuple[int, int]:
        del transcripts
        record = sre.hands.ask_gate("run_record", RunRef(run_id=self.run_id), RunRecord)
        judgement: Judgement | None = getattr(outcome, "judgement", None)
        phase = str(getattr(outcome, "phase", "publish"))
        remembered = RunOutcome(
            run_id=self.run_id,
            goal=self.goal.text,
            goal_digest=self.goal.digest,
            language=self.goal.language,
            status=STATUS[outcome.kind],
            ended=self.clock().astimezone(UTC).isoformat(timespec="seconds"),
            trace_id=self.trace_id,
            record=record,
            changes=self._changes(),
            findings={phase: judgement.blocking} if judgement else {},
            waivers=judgement.waived if judgement else (),
            pods=tuple(
                PodSeen(namespace=d.namespace, name=name, phase=state)
                for d in seen.deployments
                for name, state in zip(d.names, d.phases, strict=True)
            ),
            destination=target.destination,
        )
        return self.remembering.remember(remembered, self.run_dir)

    def _changes(self) -> tuple[ChangeSet, ...]:
        found = sorted((self.run_dir / "changesets").glob(f"*/{MANIFEST_NAME}"))
        return tuple(ChangeSet.model_validate_json(path.read_bytes()) for path in found)

    def _write(
        self,
        outcome: Outcome,
        report: str,
        seen: Observed,
        transcripts: Mapping[str, Transcript],
        graph: Mapping[str, int],
    ) -> None:
        used = self.usage()
        result: dict[str, Any] = {
            "outcome": OUTCOME.dump_python(outcome, mode="json"),
            "goal": self.goal.text,
            "language": self.goal.language,
            "report": report,
            "findings": [f.model_dump(mode="json") for f in _findings(outcome)],
            "objections": {
                phase: [
                    o.model_dump(mode="json")
                    for turn in t.turns
                    if isinstance(turn, Reviewed)
                    for o in turn.objections
                ]
                for phase, t in transcripts.items()
            },
            "rounds": {phase: max(turn.round for turn in t.turns) for phase, t in transcripts.items()},
            "files": {
                c.phase.value: [a.model_dump(mode="json") for a in c.artifacts] for c in self._changes()
            },
            "waivers": list(getattr(getattr(outcome, "judgement", None), "waived", ())),
            "pods": {
                "running": sum(d.running for d in seen.deployments),
                "desired": sum(d.desired for d in seen.deployments),
            },
            "graph": dict(graph),
            "model_calls": used.calls,
            "tokens": used.tokens,
        }
        merge(self.run_dir / "result.json", result)


def merge(path: Path, more: Mapping[str, Any]) -> None:
    """Add to a JSON object in a file, whole or not at all."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({**before, **more}, ensure_ascii=False, indent=1), encoding="utf-8")
    fresh.replace(path)


def _findings(outcome: Outcome) -> tuple[Finding, ...]:
    return outcome.judgement.findings if isinstance(outcome, Refused) and outcome.judgement else ()


def _mended(transcripts: Mapping[str, Transcript], judgement: Judgement | None) -> tuple[str, ...]:
    """Rules that Security objected to and that are objected to no more."""
    objected = {
        o.rule
        for t in transcripts.values()
        for turn in t.turns
        if isinstance(turn, Reviewed)
        for o in turn.objections
    }
    return tuple(sorted(objected - {f.rule for f in (judgement.blocking if judgement else ())}))
