"""`github.dispatch_workflow`: start a workflow of the default branch for one change, and find its run again by its title."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue, ValidationError

from tools.github.arguments import DispatchWorkflowArguments, MarkedInputs, parsed, place
from tools.github.claims import Claims
from tools.github.repository import LiveRepository
from tools.github.runs import PLAN, Runs
from tools.github.shapes import Run
from tools.verbs import Call, ConflictError, NotFoundError, Receipt, TargetError, UnreachableError


class DispatchWorkflow:
    """GitHub names no run in its answer, so the workflow's run-name must carry inputs.change_id and inputs.mode as words."""

    def __init__(
        self,
        repository: LiveRepository,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        patience: float = 60.0,
    ) -> None:
        self._repository, self._runs = repository, Runs(repository)
        self._claims = Claims(repository, sleep=sleep, clock=clock, patience=patience)
        self._patience = patience

    def find(self, call: Call) -> Receipt | None:
        """The receipt of this change's newest run, as far as it is; it matches when it runs the signed commit. Raises TargetError."""
        asked, marks = self._asked(call)
        run = self._newest(asked, marks)
        if run is None:
            return None
        jobs = self._runs.jobs(run.id)
        facts: dict[str, JsonValue] = {
            "run_id": str(run.id),  # a dispatch takes texts alone, and a later one may refer to this
            "url": run.html_url,
            "status": run.status,
            "conclusion": run.conclusion or "",
            "head_sha": run.head_sha,
            "rehearsed": list(self._runs.rehearsed(jobs)),
            "steps": [
                {"job": job.name, "name": step.name, "conclusion": step.conclusion or ""}
                for job in jobs
                for step in job.steps
            ],
        }
        difference = ""
        if marks.commit is not None and run.head_sha != marks.commit:
            difference = f"run {run.id} is of commit {run.head_sha}, not of {marks.commit}"
        plan = self._plan(run, marks)
        facts |= {"plan_sha256": plan[0]} if plan else {}
        if plan and plan[0] != plan[1]:
            difference = (
                difference
                or f"the plan file of run {run.id} has sha256 {plan[1]}, its workflow says {plan[0]}"
            )
        return Receipt(verb=call.verb, facts=facts, matches=not difference, difference=difference)

    def perform(self, call: Call) -> None:
        """Start it and wait until its run can be seen. Raises TargetError; ConflictError when the branch is not at the signed commit."""
        self.ready(call)
        asked, _ = self._asked(call)
        path = f"{self._repository.path}/actions/workflows/{quote(_file(asked))}/dispatches"
        try:
            self._repository.client.tell("POST", path, {"ref": asked.ref, "inputs": dict(asked.inputs)})
        except NotFoundError as fault:
            raise NotFoundError(
                f"{_file(asked)} is not on the default branch: publish it first, then dispatch it ({fault})"
            ) from fault
        self.settle(call)

    def ready(self, call: Call) -> None:
        """Raises ConflictError when the branch is not at the signed commit, or another gate has started it."""
        asked, marks = self._asked(call)
        if marks.commit is not None and (tip := self._repository.tip(asked.ref)) != marks.commit:
            raise ConflictError(
                f"{asked.ref} is at {tip or 'nothing'}, not at the signed {marks.commit}: run again on what is there"
            )
        _, target = parsed(DispatchWorkflowArguments, call, self._repository)
        name = f"{call.change_id}/{marks.mode or 'run'}"
        at = marks.commit or target.base_commit
        self._claims.take(name, at, lambda: self._newest(asked, marks) is not None)

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`owner`, `repo`, `workflow` as a file name, `ref`, `inputs`. Raises TargetError."""
        asked, target = parsed(DispatchWorkflowArguments, call, self._repository)
        inputs: dict[str, JsonValue] = dict(asked.inputs)
        return {**place(target), "workflow": _file(asked), "ref": asked.ref, "inputs": inputs}

    def settle(self, call: Call) -> None:
        """Wait until the run can be seen. Raises UnreachableError."""
        asked, marks = self._asked(call)
        if not self._claims.appears(lambda: self._newest(asked, marks) is not None):
            raise UnreachableError(
                f"{_file(asked)} was dispatched, but no run of it is titled with {marks.change_id} after {self._patience:g} s: "
                "its run-name must carry inputs.change_id and inputs.mode; look at the repository's runs before going on"
            )

    def _newest(self, asked: DispatchWorkflowArguments, marks: MarkedInputs) -> Run | None:
        try:
            runs = self._runs.list(_file(asked), event="workflow_dispatch")
        except NotFoundError:
            return None  # no such workflow on the default branch: nothing of it can have run
        words = {marks.change_id, *filter(None, (marks.mode,))}
        fitting = (
            run
            for run in runs
            if run.event == "workflow_dispatch" and words <= set(run.display_title.split())
        )
        return max(fitting, key=lambda run: run.id, default=None)

    def _plan(self, run: Run, marks: MarkedInputs) -> tuple[str, str] | None:
        """(sha256 that the workflow wrote, sha256 of the plan file) of a run that ended well and left both."""
        if run.conclusion != "success" or marks.mode != "plan":
            return None
        files = self._runs.artifact(run.id, PLAN) or {}
        if not {"plan.sha256", "tfplan"} <= set(files):
            return None  # the gate, which needs the whole plan, says what is missing
        stated = files["plan.sha256"].decode("ascii", "replace").strip()[:64]
        return stated, hashlib.sha256(files["tfplan"]).hexdigest()

    def _asked(self, call: Call) -> tuple[DispatchWorkflowArguments, MarkedInputs]:
        asked, _ = parsed(DispatchWorkflowArguments, call, self._repository)
        if asked.inputs.get("change_id") != call.change_id:
            raise TargetError(
                f"the inputs do not carry change_id {call.change_id}: sign a change whose inputs do"
            )
        return asked, _marks(asked.inputs)


def _marks(inputs: Mapping[str, str]) -> MarkedInputs:
    known: dict[str, Any] = {name: inputs[name] for name in MarkedInputs.model_fields if inputs.get(name)}
    try:
        return MarkedInputs.model_validate(known)
    except ValidationError as fault:
        raise TargetError(
            f"the inputs cannot be: {fault.errors()[0]['loc'][0]} is malformed; sign a change whose inputs are whole"
        ) from fault


def _file(asked: DispatchWorkflowArguments) -> str:
    return PurePosixPath(asked.workflow).name
