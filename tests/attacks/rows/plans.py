"""A plan of record that is another than was judged, at a real gate with a repository in memory that counts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner

from policies.refusal import GateError
from tests.attacks.auditor import Effect
from tests.attacks.corpus import Attack, Kind, Told
from tests.attacks.stage import Stage
from tests.fakes.gate import World
from tests.unit.base.gate.test_plan import DESTROYS, ENDED, PLAN, Notary, release
from tools.gate.targets import WorkflowOutcome
from tools.tool import ToolRefusedError

NOBODY = "sha256:" + "0" * 64
FAILED = WorkflowOutcome(run_id=77, running=False, succeeded=False)
WHY = "the gate fetches the plan itself, and the notary's word on it counts by its signature"


def planned(
    judge: Callable[[World], Notary],
    artifacts: Mapping[str, Mapping[str, bytes]],
    outcome: WorkflowOutcome = ENDED,
) -> Callable[[Stage], Told]:
    """Dispatch the plan; let it end so; ask for the apply, of which nothing may reach the repository."""

    def act(stage: Stage) -> Told:
        with tempfile.TemporaryDirectory() as folder:
            first = World(Path(folder) / "gate")
            world = first.another(judge=judge(first))
            signoff = release(world)
            world.submit(signoff, 1)
            world.repository.outcome = outcome
            world.repository.artifacts = {name: dict(files) for name, files in artifacts.items()}
            told = Told(applied=True)
            try:
                world.submit(signoff, 2)
            except (ToolRefusedError, GateError) as no:
                told = Told((no.name,))
            for call in world.repository.all["github.dispatch_workflow"].performed[1:]:
                stage.auditor.seen.append(Effect("github", "CALL", call.verb, {}, dict(call.arguments)))
            return told

    return act


def _signs(**edits: Any) -> Callable[[World], Notary]:
    return lambda world: Notary(world.signer, **edits)


def _plan(**edits: bytes) -> dict[str, dict[str, bytes]]:
    return {"plan": {**PLAN, **{name.replace("_", "."): data for name, data in edits.items()}}}


ROWS: list[tuple[str, str, str, Callable[[Stage], Told]]] = [
    ("pl-other-file", "the plan file is another than the workflow's digest", "plan-mismatch", planned(_signs(), _plan(tfplan=b"another plan"))),
    ("pl-other-digest", "the workflow's digest is another than the file's", "plan-mismatch", planned(_signs(), _plan(plan_sha256=b"0" * 64))),
    ("pl-missing", "the workflow left no plan", "plan-missing", planned(_signs(), {})),
    ("pl-half", "the workflow left half of a plan", "plan-missing", planned(_signs(), {"plan": {"tfplan": PLAN["tfplan"]}})),
    ("pl-unreadable", "the plan's JSON cannot be read", "plan-unreadable", planned(_signs(), _plan(plan_json=b"{"))),
    ("pl-deep", "the plan's JSON is nested without end", "plan-unreadable", planned(_signs(), _plan(plan_json=b"[" * 100_000))),
    ("pl-destroys", "the plan destroys", "precondition", planned(_signs(findings=(DESTROYS,)), _plan())),
    ("pl-failed", "the workflow failed", "workflow-failed", planned(_signs(), _plan(), FAILED)),
    ("pl-stranger", "a stranger's key says that the plan is clean", "unknown-key", planned(lambda _: Notary(CryptoSigner.generate_ed25519()), _plan())),
    ("pl-of-another", "the verdict is on another sign-off", "plan-verdict-invalid", planned(_signs(edit={"signoff": NOBODY}), _plan())),
    ("pl-of-another-change", "the verdict is on another change", "plan-verdict-invalid", planned(_signs(edit={"change_id": "cs-ffffffffffffffff"}), _plan())),
    ("pl-of-another-plan", "the verdict is on another plan", "plan-verdict-invalid", planned(_signs(edit={"plan_sha256": NOBODY}), _plan())),
    ("pl-says-clean", "the verdict says clean beside findings", "plan-verdict-invalid", planned(_signs(findings=(DESTROYS,), edit={"clean": True}), _plan())),
    ("pl-other-findings", "the verdict was signed over other findings", "plan-verdict-invalid", planned(_signs(edit={"findings_digest": NOBODY}), _plan())),
    ("pl-other-subject", "the verdict's subject is another plan", "plan-verdict-invalid", planned(_signs(subject=NOBODY), _plan())),
]  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every row of this file."""
    for name, tries, expects, act in ROWS:
        yield Attack(name, Kind.RACE, tries, expects, WHY, act)
