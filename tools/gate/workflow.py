"""Dispatched workflow runs: a dispatch is done when its run has ended well, and what comes after it waits for that."""

from __future__ import annotations

from tools.gate.case import Case, kept_call
from tools.gate.ledger import DISPATCH
from tools.gate.plan import PlanOfRecord
from tools.tool import ToolRefusedError


def conclude(case: Case) -> None:
    """Learn whether the run of a waiting dispatch has ended; changes nothing at the target. Raises TargetError."""
    repository, run_id = case.room.targets.repository, str(case.spending.facts.get("run_id", ""))
    if case.grant.name != DISPATCH or repository is None or not run_id.isdecimal():
        message = f"the receipt of grant {case.grant.seq} names no workflow run."
        raise ToolRefusedError("workflow-unknown", message, "Look at the repository's runs.")
    outcome = repository.workflow_outcome(int(run_id))
    if outcome.running:
        return
    receipt = case.read(kept_call(case))
    if receipt is None:
        message = f"workflow run {run_id} of grant {case.grant.seq} is not there any more."
        raise ToolRefusedError("workflow-unknown", message, "Look at the repository's runs.")
    known = {"rehearsed": outcome.rehearsed, **receipt.facts}
    detail = "" if outcome.succeeded else f"the workflow run did not succeed: {outcome.url}"
    case.wrote_conclusion(
        receipt.model_copy(update={"facts": known}), succeeded=outcome.succeeded, detail=detail
    )


def dispatches(case: Case) -> list[Case]:
    """The earlier grants whose runs have to end well first."""
    return [before for before in case.earlier() if before.grant.name == DISPATCH]


def under_way(case: Case) -> bool:
    """Whether the run of an earlier grant has not ended. Raises ToolRefusedError when one failed."""
    for before in dispatches(case):
        state = before.state
        if state == "waiting":
            conclude(before)
            state = before.state
        if state == "waiting":
            return True
        if state == "failed":
            message = f"the workflow run of grant {before.grant.seq} did not succeed."
            advice = "Read its log, change what it complains of, and run again."
            raise ToolRefusedError("workflow-failed", message, advice)
    return False


def satisfied(case: Case, plan: PlanOfRecord) -> frozenset[str]:
    """The preconditions of this grant that the gate has seen met, beyond `previous_done`."""
    runs = dispatches(case)
    if not runs or runs[-1].state != "done":
        return frozenset()
    met = {"workflow_succeeded"}
    if "plan_of_record_clean" in case.grant.preconditions and plan.clean(runs[-1]):
        met.add("plan_of_record_clean")
    return frozenset(met)
