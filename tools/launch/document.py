"""The one JSON document of a run: facts from the gate's journal, words from the crew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tools.gate.words import GrantState, PhaseRecord, RunRecord

Status = Literal["applied", "signed", "refused", "not_understood", "waiting", "failed"]
WAITS = 4
"""Exit code of a run, and of its crew, that ended while it waits for a person's review or signature."""
EXIT: Mapping[Status, int] = {
    "applied": 0,
    "signed": 0,
    "refused": 3,
    "not_understood": 2,
    "waiting": WAITS,
    "failed": 1,
}
CREW_ENDED: Mapping[int, Status] = {2: "not_understood", 3: "refused"}


def status(record: RunRecord | None, crew_exit: int, *, dry_run: bool) -> Status:
    """The journal's word; the crew can make it worse, never better.

    Where nothing was signed there is nothing to protect, and the crew's exit code says why it ended.
    """
    if record is None:
        return "failed"
    if record.status == "refused" or crew_exit == 3:
        return "refused"
    if record.stopped and crew_exit != 0:
        return "refused"
    if record.status == "nothing_signed":
        return CREW_ENDED.get(crew_exit, "failed")
    if record.status in {"awaiting_review", "awaiting_signature"} and crew_exit == WAITS:
        return "waiting"
    if dry_run and record.status in {"signed", "applied", "awaiting_signature"} and crew_exit == 0:
        return "signed"
    if record.status == "applied" and crew_exit == 0:
        return "applied"
    return "failed"


def build(
    *,
    run: Mapping[str, Any],
    crew: Mapping[str, Any],
    record: RunRecord | None,
    run_dir: Path,
    crew_exit: int,
) -> dict[str, Any]:
    """The document of `run --json` and `show --json`."""
    phases = [_phase(p, run_dir, crew) for p in record.phases] if record else []
    grants = [grant for phase in phases for grant in phase["grants"]]
    return {
        "run_id": run["run_id"],
        "status": status(record, crew_exit, dry_run=bool(run["dry_run"])),
        "goal": run["goal"],
        "language": crew.get("language"),
        "plan": crew.get("plan"),
        "findings": crew.get("findings", []),
        "phases": phases,
        "waivers": crew.get("waivers", []),
        "isolation": run["isolation"],
        "rehearsal": run["rehearsal"],
        "pods": crew.get("pods", {"running": 0, "desired": 0}),
        "pull_request": _receipt(grants, "open_pull_request"),
        "workflow_run": _receipt(grants, "dispatch_workflow"),
        "denials": [d.model_dump(mode="json") for d in record.denials] if record else [],
        "report": crew.get("report")
        or (record.stopped if record else "")
        or _waits(record, str(run["run_id"])),
        "journal": {"head": record.journal_head, "checkpoint": record.checkpoint} if record else None,
        "trace_id": run["trace_id"],
        "trace_path": str(run_dir / "trace.jsonl"),
        "graph": crew.get("graph", {"nodes": 0, "relationships": 0}),
        "model_calls": crew.get("model_calls", 0),
        "tokens": crew.get("tokens", 0),
        "durations": dict(crew.get("durations", {})),
    }


def _waits(record: RunRecord | None, run_id: str) -> str:
    """For a run that ended before its report: what it waits for, in both languages, for none was settled."""
    if record is None or not record.waits_for:
        return ""
    go_on = f"countersign run --resume {run_id}"
    if record.status == "awaiting_signature":
        sign = f"countersign sign {run_id}"
        return f"waiting for a signature: {record.waits_for}\n{sign}, then {go_on}\n서명을 기다립니다: {sign}, 그 뒤 {go_on}"
    return f"waiting for review: {record.waits_for}\nwhen it is approved: {go_on}\n리뷰 승인을 기다립니다. 승인 뒤: {go_on}"


def _phase(phase: PhaseRecord, run_dir: Path, crew: Mapping[str, Any]) -> dict[str, Any]:
    folder = run_dir / "changesets" / phase.name
    files = crew.get("files", {}).get(phase.name, [])
    return {
        "name": phase.name,
        "change_id": phase.change_id,
        "rounds": crew.get("rounds", {}).get(phase.name, 0),
        "changeset": {"path": str(folder), "digest": phase.manifest_digest, "files": files},
        "signoff": {
            "path": str(folder / "signoff.sigstore.json"),
            "digest": phase.signoff.signoff,
            "expires": phase.signoff.expires,
            "state": phase.signoff.state,
        },
        "grants": [_grant(grant) for grant in phase.signoff.grants],
        "alarms": [alarm.model_dump(mode="json") for alarm in phase.findings],
    }


def _grant(grant: GrantState) -> dict[str, Any]:
    return grant.model_dump(mode="json")


def _receipt(grants: list[dict[str, Any]], verb: str) -> Any:  # noqa: ANN401 - facts of a target
    """The newest receipt of that verb."""
    found = [grant["receipt"] for grant in grants if grant["verb"] == verb and grant["receipt"]]
    return found[-1] if found else None
