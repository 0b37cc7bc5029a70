"""What a verb read back, compared with the rest of its custody: earlier receipts, published bytes, the judged plan.

A verb compares its own effect with its own call. That the pull request holds the very commit that was pushed, that the
base has the very tree that was read back, that a workflow run executed the signed file and applies the judged plan, only
the gate can tell, for it holds the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policies.calls import WORKFLOWS
from policies.change import Operation, digest_of
from tools.gate.ledger import DISPATCH, Ledger
from tools.gate.room import Room
from tools.verbs import Call, Receipt

PLAN_ARTIFACT, PLAN_FILE = "plan", "tfplan"
Facts = Mapping[str, Any]


def difference(room: Room, signoff: str, call: Call, receipt: Receipt) -> str:
    """What makes the receipt another one than the custody says; empty when nothing does. Raises TargetError, JournalFaultError."""
    check = _CHECKS.get(call.verb)
    return check(room, room.ledger(), signoff, call, receipt.facts) if check else ""


def _pull_request(_room: Room, ledger: Ledger, signoff: str, _call: Call, facts: Facts) -> str:
    pushed = ledger.receipt(signoff, "github.push_commit").get("commit")
    if facts.get("head_sha") != pushed or pushed is None:
        return f"the pull request's head is {facts.get('head_sha')}, pushed was {pushed}"
    return ""


def _base(_room: Room, ledger: Ledger, _signoff: str, _call: Call, facts: Facts) -> str:
    signed = ledger.published("github.push_commit", "tree")
    if facts.get("tree") != signed or signed is None:
        return f"the base's tree is {facts.get('tree')}, signed was {signed}"
    return ""


def _workflow_run(room: Room, ledger: Ledger, _signoff: str, call: Call, facts: Facts) -> str:
    if facts.get("head_sha") != ledger.expected_commit or ledger.expected_commit is None:
        return f"the workflow runs at {facts.get('head_sha')}, signed was {ledger.expected_commit}"
    path = WORKFLOWS + str(call.arguments["workflow"]).removeprefix(WORKFLOWS)
    ran, signed = _file(room, path, ledger.expected_commit), _signed_file(room, ledger, path)
    if ran != signed or signed is None:
        return f"{path} has {ran} at the dispatched commit, signed was {signed}"
    inputs: Any = call.arguments["inputs"]
    applies = isinstance(inputs, Mapping) and inputs.get("mode") != "plan"
    return _plan(room, str(inputs["plan_run_id"]), str(inputs["plan_sha256"])) if applies else ""


def _plan(room: Room, run_id: str, judged: str) -> str:
    """The file that the apply job fetches is still the judged one, whose digest the signed call names by receipt."""
    if judged == "rehearsed" or room.targets.repository is None:
        return ""
    files = room.targets.repository.artifact(int(run_id), PLAN_ARTIFACT) or {}
    there = digest_of(files[PLAN_FILE]) if PLAN_FILE in files else "gone"
    if there != f"sha256:{judged}":
        return f"the plan file of run {run_id} is {there}, judged was {judged}"
    return ""


def _signed_file(room: Room, ledger: Ledger, path: str) -> str | None:
    """Digest of a path in the published tree: the signed bytes, or where the change left it alone the base's."""
    kept = ledger.publication
    if kept is None:
        return None
    change = room.change(kept)
    artifact = next((a for a in change.artifacts if a.path == path), None)
    if artifact is not None:
        return None if artifact.operation is Operation.DELETE else artifact.digest
    place = change.destination.repository
    return _file(room, path, place.base_commit) if place else None


def _file(room: Room, path: str, commit: str) -> str | None:
    return room.targets.repository.file_digest(path, commit) if room.targets.repository else None


_CHECKS: Mapping[str, Callable[[Room, Ledger, str, Call, Facts], str]] = {
    "github.open_pull_request": _pull_request,
    "github.advance_base": _base,
    DISPATCH: _workflow_run,
}
