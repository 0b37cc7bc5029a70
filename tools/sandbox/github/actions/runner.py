"""What starts a run, and the runners that perform it: jobs in order, one run of a concurrency group at a time."""

from __future__ import annotations

import threading
import traceback
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tools.sandbox.github.actions.child import Children, StoppedError
from tools.sandbox.github.actions.expressions import ExpressionFaultError, Status, condition, interpolate
from tools.sandbox.github.actions.job import JobWork, planned
from tools.sandbox.github.actions.shims import Toolbox
from tools.sandbox.github.actions.workflow import Workflow, WorkflowFaultError, is_workflow, parse
from tools.sandbox.github.bare import MISSING
from tools.sandbox.github.hub import Hub, Moved
from tools.sandbox.github.records import Job, Pull, Run


@dataclass(frozen=True)
class Trigger:
    """Why a run starts: `commit` is github.sha, `head` what the API calls head_sha."""

    event: str
    ref: str
    branch: str
    head: str
    commit: str
    title: str
    actor: str
    inputs: Mapping[str, str]
    pulls: tuple[Pull, ...] = ()
    base: str = ""


class Runner:
    """Starts and performs runs. Two runners: more would only compete for the machine."""

    def __init__(self, hub: Hub, toolbox: Toolbox, deadline: float) -> None:
        self._hub = hub
        self._toolbox = toolbox
        self._deadline = deadline
        self._groups: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._children = Children()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="runner")
        toolbox.make()
        for run in hub.records.all(Run):
            if run.status != "completed":
                self._abandon(run)

    def on_moved(self, moved: Moved) -> None:
        """A push to a branch: `push` workflows at its new tip, and `pull_request` ones of the pulls it heads."""
        if not moved.ref.startswith("refs/heads/") or moved.new == MISSING:
            return
        branch = moved.ref.removeprefix("refs/heads/")
        title = self._hub.git.commit(moved.new).message.partition("\n")[0]
        self._start_all(
            Trigger("push", moved.ref, branch, moved.new, moved.new, title, moved.actor, {}, base=branch)
        )
        for pull in self._hub.open_pulls():
            if pull.head == branch:
                self.on_opened(pull)

    def on_opened(self, pull: Pull) -> None:
        """A pull request that was opened or got a new head."""
        refs = self._hub.git.refs()
        ref = (
            f"refs/pull/{pull.id}/merge"
            if f"refs/pull/{pull.id}/merge" in refs
            else f"refs/pull/{pull.id}/head"
        )
        commit = refs.get(ref, pull.head_sha)
        self._start_all(
            Trigger(
                "pull_request",
                ref,
                pull.head,
                pull.head_sha,
                commit,
                pull.title,
                pull.author,
                {},
                (pull,),
                pull.base,
            )
        )

    def dispatch(self, path: str, ref: str, commit: str, inputs: Mapping[str, str], actor: str) -> Run:
        """Start a dispatched run of the workflow at that commit. Raises WorkflowFaultError."""
        workflow = parse(self._hub.git.object("blob", self._files(commit)[path]))
        branch = ref.removeprefix("refs/heads/")
        title = workflow.name or path
        return self._start(
            path, workflow, Trigger("workflow_dispatch", ref, branch, commit, commit, title, actor, inputs)
        )

    def close(self) -> None:
        """Take no more runs and end those under way; the next start calls them cancelled."""
        self._children.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _files(self, commit: str) -> dict[str, str]:
        entries = self._hub.git.entries(self._hub.git.commit(commit).tree, recursive=True)
        return {e.path: e.sha for e in entries if e.kind == "blob" and is_workflow(e.path)}

    def _start_all(self, trigger: Trigger) -> None:
        for path, blob in sorted(self._files(trigger.commit).items()):
            try:
                workflow = parse(self._hub.git.object("blob", blob))
            except WorkflowFaultError as fault:
                self._broken(path, trigger, str(fault))
                continue
            if trigger.event in workflow.on and _admits(workflow.on[trigger.event] or {}, trigger):
                self._start(path, workflow, trigger)

    def _record(self, path: str, name: str, title: str, trigger: Trigger) -> Run:
        now = self._hub.timestamp()
        return Run(
            id=self._hub.records.next_id(Run),
            workflow=path,
            name=name,
            title=title,
            event=trigger.event,
            head_branch=trigger.branch,
            head_sha=trigger.head,
            commit=trigger.commit,
            ref=trigger.ref,
            inputs=dict(trigger.inputs),
            actor=trigger.actor,
            number=1 + sum(run.workflow == path for run in self._hub.records.all(Run)),
            pulls=tuple(pull.id for pull in trigger.pulls),
            created_at=now,
            updated_at=now,
        )

    def _start(self, path: str, workflow: Workflow, trigger: Trigger) -> Run:
        with self._hub.lock:
            run = self._record(path, workflow.name or path, trigger.title, trigger)
            if workflow.run_name:
                try:
                    run = run.model_copy(
                        update={"title": interpolate(workflow.run_name, self._contexts(run)).strip()}
                    )
                except ExpressionFaultError as fault:
                    raise WorkflowFaultError(f"run-name: {fault}") from fault
            self._hub.records.put(run)
        self._pool.submit(self._perform, run, workflow).add_done_callback(_tell_fault)
        return run

    def _broken(self, path: str, trigger: Trigger, fault: str) -> None:
        """GitHub shows a run without jobs for a workflow that it cannot read."""
        with self._hub.lock:
            run = self._record(path, path, f"{path}: {fault}"[:200], trigger)
            self._hub.records.put(run.model_copy(update={"status": "completed", "conclusion": "failure"}))

    def _abandon(self, run: Run) -> None:
        """A run that the last stop of the sandbox cut short was cancelled; nothing is known of what it still did."""
        now = self._hub.timestamp()
        for job in self._hub.records.all(Job):
            if job.run == run.id and job.status != "completed":
                changes = {"status": "completed", "conclusion": "cancelled", "completed_at": now}
                self._hub.records.put(job.model_copy(update=changes))
        self._hub.records.put(
            run.model_copy(update={"status": "completed", "conclusion": "cancelled", "updated_at": now})
        )

    def _perform(self, run: Run, workflow: Workflow) -> None:
        with self._groups[_group(workflow, self._contexts(run)) or f"run {run.id}"]:
            run = self._update(run, status="in_progress")
            try:
                failed = self._jobs(run, workflow)
            except StoppedError:
                return
            except (
                BaseException
            ):  # a fault of the sandbox itself: told by the pool, and the run must not hang
                self._abandon(run)
                raise
            self._update(run, status="completed", conclusion="failure" if failed else "success")

    def _jobs(self, run: Run, workflow: Workflow) -> bool:
        """Perform every job; whether any failed."""
        needs: dict[str, dict[str, Any]] = {}
        for key in workflow.ordered():
            plan = workflow.jobs[key]
            contexts = self._contexts(run) | {
                "needs": {name: needs[name] for name in plan.needs},
                "env": dict(workflow.env),
            }
            now = self._hub.timestamp()
            with self._hub.lock:
                number = self._hub.records.next_id(Job)
                job = Job(
                    id=number, run=run.id, key=key, name=plan.name or key, created_at=now, started_at=now
                )
                self._hub.records.put(job)
            failed_before = any(needs[name]["result"] in {"failure", "skipped"} for name in plan.needs)
            try:
                wanted = condition(plan.condition, contexts, Status(failed=failed_before))
            except ExpressionFaultError as fault:
                needs[key] = self._end(job, "failure", str(fault))
                continue
            if not wanted:
                needs[key] = self._end(job, "skipped")
                continue
            job = self._hub.records.put(
                job.model_copy(update={"status": "in_progress", "steps": planned(plan, contexts)})
            )
            work = JobWork(
                self._hub, run, workflow, plan, job, contexts, self._toolbox, self._children, self._deadline
            )
            outputs = work.perform()
            needs[key] = {"result": "failure" if work.failed else "success", "outputs": outputs}
        return any(need["result"] == "failure" for need in needs.values())

    def _end(self, job: Job, conclusion: str, fault: str = "") -> dict[str, Any]:
        remarks = (
            [{"path": "", "line": 1, "level": "failure", "title": "if", "message": fault}] if fault else []
        )
        ended = {**job.model_dump(), "status": "completed", "conclusion": conclusion, "annotations": remarks}
        self._hub.records.put(Job.model_validate({**ended, "completed_at": self._hub.timestamp()}))
        return {"result": conclusion, "outputs": {}}

    def _update(self, run: Run, **changes: str) -> Run:
        return self._hub.records.put(run.model_copy(update={**changes, "updated_at": self._hub.timestamp()}))

    def _contexts(self, run: Run) -> dict[str, Any]:
        settings = self._hub.settings
        pull = self._hub.records.get(Pull, run.pulls[0]) if run.pulls else None
        github = {
            "sha": run.commit,
            "ref": run.ref,
            "ref_name": run.ref.removeprefix("refs/heads/"),
            "head_ref": pull.head if pull else "",
            "base_ref": pull.base if pull else "",
            "event_name": run.event,
            "event": {"inputs": run.inputs, "number": pull.id if pull else None},
            "repository": settings.full_name,
            "repository_owner": settings.owner,
            "run_id": str(run.id),
            "run_number": str(run.number),
            "run_attempt": "1",
            "actor": run.actor,
            "workflow": run.name,
            "token": "",
            "server_url": self._hub.origin,
            "api_url": self._hub.api,
        }
        return {"github": github, "inputs": run.inputs, "vars": {}, "secrets": {}}


def _tell_fault(done: Future[None]) -> None:
    """A fault of the sandbox itself must not vanish with its thread."""
    if not done.cancelled() and (fault := done.exception()):
        traceback.print_exception(fault)


def _group(workflow: Workflow, contexts: Mapping[str, Any]) -> str:
    concurrency = workflow.concurrency
    text = concurrency.get("group", "") if isinstance(concurrency, Mapping) else concurrency or ""
    try:
        return interpolate(text, contexts)
    except ExpressionFaultError:
        return ""


def _admits(rule: Any, trigger: Trigger) -> bool:  # noqa: ANN401 - as the workflow writes it
    """Whether the branch filter of an event lets this one through; path filters admit, as a rehearsal may run more."""
    if not isinstance(rule, Mapping):
        return True
    named = trigger.base
    if wanted := rule.get("branches"):
        return any(fnmatchcase(named, pattern) for pattern in wanted)
    return not any(fnmatchcase(named, pattern) for pattern in rule.get("branches-ignore", ()))
