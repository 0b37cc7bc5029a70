"""The end of a run: read back, report, remember, and leave `result.json` for the launcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crew.agents.sre import SRE
from crew.folder import RunFolder
from crew.goal import OUTCOME, Goal, Met, NotUnderstood, Outcome, Reviewed, Transcript
from crew.memory import Remembering
from crew.model import Usage
from crew.observation import Observed
from crew.progress import Progress
from crew.report import Around, write
from knowledge.outcomes import PodSeen, RunOutcome
from policies.finding import Finding
from tools.gate.words import RunRecord, TargetDescription, TellOutcome
from tools.tool import Nothing


@dataclass(frozen=True)
class Ending:
    """What an ending needs."""

    goal: Goal
    run_id: str
    folder: RunFolder
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
        met = self.folder.met()
        around = Around(
            language=self.goal.language,
            run_id=self.run_id,
            trace_id=self.trace_id,
            rehearsal=target.rehearsal,
            isolation=target.isolation,
            demanded=_mended(self.folder.transcripts()),
            waived=_waived(met),
        )
        report = write(outcome, seen, said, around)
        self.progress.tell("report", text=report)
        counted = (0, 0)
        if isinstance(outcome, NotUnderstood):
            self.progress.tell("not_understood", unknown=list(outcome.unknown), nearest=list(outcome.nearest))
        else:
            counted = self._remember(outcome, seen, sre, target, met)
        self.folder.tell(self._result(outcome, report, seen, met, counted))
        self.progress.tell("outcome", kind=outcome.kind)

    def _remember(
        self, outcome: Outcome, seen: Observed, sre: SRE, target: TargetDescription, met: Mapping[str, Met]
    ) -> tuple[int, int]:
        words: dict[str, Any] = {
            "goal": self.goal.text,
            "goal_digest": self.goal.digest,
            "language": self.goal.language,
            "status": outcome.kind,
            "ended": self.clock().astimezone(UTC).isoformat(timespec="seconds"),
            "trace_id": self.trace_id,
            "findings": {
                phase: [finding.model_dump(mode="json") for finding in found.objected]
                for phase, found in met.items()
            },
            "waivers": list(_waived(met)),
            "pods": [
                PodSeen(namespace=d.namespace, name=name, phase=state).model_dump(mode="json")
                for d in seen.deployments
                for name, state in zip(d.names, d.phases, strict=True)
            ],
            "destination": target.destination.model_dump(mode="json"),
        }
        record = sre.hands.ask_gate("tell_outcome", TellOutcome(words=words), RunRecord)
        own = {"run_id": self.run_id, "record": record, "changes": self.folder.changes()}
        remembered = RunOutcome.model_validate({**words, **own})
        return self.remembering.remember(remembered, self.folder.path)

    def _result(
        self, outcome: Outcome, report: str, seen: Observed, met: Mapping[str, Met], counted: tuple[int, int]
    ) -> Mapping[str, Any]:
        used, changes = self.usage(), self.folder.changes()
        return {
            "outcome": OUTCOME.dump_python(outcome, mode="json"),
            "goal": self.goal.text,
            "language": self.goal.language,
            "report": report,
            "findings": [
                _shown(phase, finding) for phase, found in met.items() for finding in found.findings
            ],
            "rounds": {p: max(turn.round for turn in t.turns) for p, t in self.folder.transcripts().items()},
            "files": {c.phase.value: [a.model_dump(mode="json") for a in c.artifacts] for c in changes},
            "waivers": list(_waived(met)),
            "pods": {
                "running": sum(d.running for d in seen.deployments),
                "desired": sum(d.desired for d in seen.deployments),
            },
            "graph": {"nodes": counted[0], "relationships": counted[1]},
            "model_calls": used.calls,
            "tokens": used.tokens,
        }


def _shown(phase: str, finding: Finding) -> Mapping[str, Any]:
    """A finding as `run --json` promises it."""
    keys = {"rule", "severity", "path", "resource", "message", "engine", "why"}
    return {"phase": phase, **finding.model_dump(mode="json", include=keys), "remediation": finding.remedy}


def _waived(met: Mapping[str, Met]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for found in met.values() for line in found.waived))


def _mended(transcripts: Mapping[str, Transcript]) -> tuple[str, ...]:
    """Rules that Security objected to in a phase and no more in that phase's last review."""
    mended: set[str] = set()
    for transcript in transcripts.values():
        reviews = [
            {o.rule for o in turn.objections} for turn in transcript.turns if isinstance(turn, Reviewed)
        ]
        mended |= set().union(*reviews) - reviews[-1]
    return tuple(sorted(mended))
