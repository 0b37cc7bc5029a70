"""The Actions and checks API: workflows, dispatch, runs, jobs, logs, artifacts, check runs."""

from __future__ import annotations

import io
import re
import secrets
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from policies.change import Word
from tools.sandbox.github import views
from tools.sandbox.github.actions import views as faces
from tools.sandbox.github.actions.job import log_of
from tools.sandbox.github.actions.runner import Runner
from tools.sandbox.github.actions.uses import zip_of
from tools.sandbox.github.actions.workflow import Input, Workflow, WorkflowFaultError, is_workflow, parse
from tools.sandbox.github.asking import Answer, Ask, page, route
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.records import Artifact, Job, Run
from tools.sandbox.github.refusal import RefusalError, not_found

_DISPATCH = "/actions/workflows#create-a-workflow-dispatch-event"


class Dispatch(Word):
    """The body of POST dispatches."""

    ref: str
    inputs: Mapping[str, Any] = Field(default={})
    return_run_details: bool = False


class Downloads:
    """Addresses that serve one file once, without a token, as GitHub's storage does."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._held: dict[str, tuple[Callable[[], bytes], str]] = {}

    def offer(self, make: Callable[[], bytes], media_type: str) -> Response:
        """A redirect to a fresh address."""
        key = secrets.token_urlsafe(32)
        self._held[key] = (make, media_type)
        return RedirectResponse(f"{self._hub.origin}/_storage/{key}", 302)

    def routes(self) -> list[BaseRoute]:
        """Where they are fetched."""

        def fetch(request: Request) -> Response:
            held = self._held.pop(request.path_params["key"], None)
            return Response(held[0](), media_type=held[1]) if held else Response("no such file", 404)

        return [Route("/_storage/{key}", fetch, methods=["GET"])]


def routes(hub: Hub, runner: Runner, downloads: Downloads) -> list[BaseRoute]:
    """The Actions and checks endpoints."""
    one, run = "/actions/workflows/{workflow}", "/actions/runs/{number}"
    return [
        route(hub, "GET", "/actions/workflows", list_workflows),
        route(hub, "GET", one, get_workflow),
        route(hub, "POST", f"{one}/dispatches", partial(dispatch, runner)),
        route(hub, "GET", f"{one}/runs", list_workflow_runs),
        route(hub, "GET", "/actions/runs", list_runs),
        route(hub, "GET", run, get_run),
        route(hub, "GET", f"{run}/jobs", list_jobs),
        route(hub, "GET", f"{run}/logs", partial(get_logs, downloads)),
        route(hub, "GET", f"{run}/artifacts", list_artifacts),
        route(hub, "GET", "/actions/artifacts/{number}/zip", partial(get_artifact, downloads)),
        route(hub, "GET", "/actions/jobs/{number}", get_job),
        route(hub, "GET", "/actions/jobs/{number}/logs", partial(get_job_log, downloads)),
        route(hub, "GET", "/check-runs/{number}/annotations", list_annotations),
        route(hub, "GET", "/commits/{ref}/check-runs", list_checks),
        route(hub, "GET", "/commits/{ref}/status", get_status),
        *downloads.routes(),
    ]


def known(hub: Hub) -> dict[str, str]:
    """Path -> name of the workflows on the default branch; one that cannot be read goes by its path."""
    tip = hub.git.tip(hub.settings.default_branch)
    if tip is None:
        return {}
    found = {}
    for entry in hub.git.entries(hub.git.commit(tip).tree, recursive=True):
        if is_workflow(entry.path):
            try:
                found[entry.path] = parse(hub.git.object("blob", entry.sha)).name or entry.path
            except WorkflowFaultError:
                found[entry.path] = entry.path
    return found


def list_workflows(hub: Hub, ask: Ask) -> Answer:
    """The workflows of the default branch."""
    return page(ask, [faces.workflow_view(hub, path, name) for path, name in known(hub).items()], "workflows")


def get_workflow(hub: Hub, ask: Ask) -> views.Json:
    """One workflow, by id or file name."""
    path = _find(hub, ask)
    return faces.workflow_view(hub, path, known(hub)[path])


def dispatch(runner: Runner, hub: Hub, ask: Ask) -> Answer:
    """Start a run. The workflow must be on the default branch (404) and declare what is sent (422)."""
    path, wanted = _find(hub, ask), ask.parse(Dispatch)
    refs = hub.git.refs()
    ref = next(
        (r for r in (wanted.ref, f"refs/heads/{wanted.ref}", f"refs/tags/{wanted.ref}") if r in refs), None
    )
    if ref is None:
        raise RefusalError(422, f"No ref found for: {wanted.ref}", page=_DISPATCH)
    commit = hub.git.resolve(ref)
    try:
        workflow = _at(hub, commit, path)
        inputs = _inputs(workflow.inputs(), wanted.inputs)
        run = runner.dispatch(path, ref, commit, inputs, ask.actor)
    except WorkflowFaultError as fault:
        raise RefusalError(422, f"Failed to parse workflow: {fault}", page=_DISPATCH) from fault
    if not wanted.return_run_details:
        return Answer(None, 204)
    shown = faces.run_view(hub, run)
    return Answer({"workflow_run_id": run.id, "run_url": shown["url"], "html_url": shown["html_url"]})


def list_workflow_runs(hub: Hub, ask: Ask) -> Answer:
    """The runs of one workflow, newest first."""
    path = _find(hub, ask, runs=True)
    return _runs(hub, ask, [run for run in hub.records.all(Run) if run.workflow == path])


def list_runs(hub: Hub, ask: Ask) -> Answer:
    """Every run, newest first."""
    return _runs(hub, ask, hub.records.all(Run))


def get_run(hub: Hub, ask: Ask) -> views.Json:
    """One run."""
    return faces.run_view(hub, _run(hub, ask))


def list_jobs(hub: Hub, ask: Ask) -> Answer:
    """The jobs of a run with their steps."""
    run = _run(hub, ask)
    return page(ask, [faces.job_view(hub, run, job) for job in _jobs(hub, run)], "jobs")


def get_job(hub: Hub, ask: Ask) -> views.Json:
    """One job."""
    run, job = _job(hub, ask)
    return faces.job_view(hub, run, job)


def get_logs(downloads: Downloads, hub: Hub, ask: Ask) -> Response:
    """A redirect to a zip with one text per step."""
    run = _run(hub, ask)
    return downloads.offer(partial(_log_zip, hub, run), "application/zip")


def get_job_log(downloads: Downloads, hub: Hub, ask: Ask) -> Response:
    """A redirect to the text of one job."""
    _, job = _job(hub, ask)
    return downloads.offer(lambda: b"".join(_log(hub, job, step.number) for step in job.steps), "text/plain")


def list_artifacts(hub: Hub, ask: Ask) -> Answer:
    """The artifacts of a run, by name if asked."""
    run, name = _run(hub, ask), ask.query.get("name")
    held = [a for a in hub.records.all(Artifact) if a.run == run.id and name in {None, a.name}]
    return page(ask, [faces.artifact_view(hub, artifact, run) for artifact in held], "artifacts")


def get_artifact(downloads: Downloads, hub: Hub, ask: Ask) -> Response:
    """A redirect to the zip."""
    artifact = hub.records.get(Artifact, ask.number("number"))
    if artifact is None:
        raise not_found("/actions/artifacts#download-an-artifact")
    if artifact.expires_at < hub.timestamp():
        raise RefusalError(410, "Artifact has expired")
    return downloads.offer(zip_of(hub, artifact.id).read_bytes, "application/zip")


def list_annotations(hub: Hub, ask: Ask) -> Answer:
    """What a job remarked; among it why a step was only rehearsed."""
    run, job = _job(hub, ask)
    return page(ask, [faces.annotation_view(hub, run, remark) for remark in job.annotations])


def list_checks(hub: Hub, ask: Ask) -> Answer:
    """The jobs of every run at a commit, as check runs."""
    sha = hub.git.resolve(ask.path["ref"])
    runs = [run for run in hub.records.all(Run) if run.head_sha == sha]
    return page(
        ask, [faces.check_view(hub, run, job) for run in runs for job in _jobs(hub, run)], "check_runs"
    )


def get_status(hub: Hub, ask: Ask) -> views.Json:
    """Commit statuses: nobody sets any here, Actions reports by check runs."""
    sha = hub.git.resolve(ask.path["ref"])
    return {
        "state": "pending",
        "statuses": [],
        "sha": sha,
        "total_count": 0,
        "repository": views.repository(hub),
        "commit_url": f"{hub.api_repo}/commits/{sha}",
        "url": f"{hub.api_repo}/commits/{sha}/status",
    }


def _find(hub: Hub, ask: Ask, *, runs: bool = False) -> str:
    """The path of the workflow in the address: by id, or by file name; also one that only ran, when asked for runs."""
    wanted = ask.path["workflow"]
    ran = [run.workflow for run in hub.records.all(Run)] if runs else []
    paths: set[str] = {*known(hub), *ran}
    for path in sorted(paths):
        if wanted in {str(faces.workflow_number(path)), path.rpartition("/")[2]}:
            return path
    raise not_found("/actions/workflows#get-a-workflow")


def _at(hub: Hub, commit: str, path: str) -> Workflow:
    entries = hub.git.entries(hub.git.commit(commit).tree, recursive=True)
    blob = next((entry.sha for entry in entries if entry.path == path), None)
    if blob is None:
        raise not_found(_DISPATCH)
    workflow = parse(hub.git.object("blob", blob))
    if "workflow_dispatch" not in workflow.on:
        raise RefusalError(422, "Workflow does not have 'workflow_dispatch' trigger", page=_DISPATCH)
    return workflow


def _inputs(declared: Mapping[str, Input] | None, sent: Mapping[str, Any]) -> dict[str, str]:
    """What the run gets: everything declared, defaults filled in. GitHub's own words for what does not fit."""
    declared = declared or {}
    if strange := sorted(set(sent) - set(declared)):
        names = ", ".join(f'"{name}"' for name in strange)
        raise RefusalError(422, f"Unexpected inputs provided: [{names}]", page=_DISPATCH)
    inputs: dict[str, str] = {}
    for name, rule in declared.items():
        value = sent.get(name, rule.default)
        if rule.required and (value is None or value == ""):
            raise RefusalError(422, f"Required input '{name}' not provided", page=_DISPATCH)
        text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
        if rule.type == "choice" and name in sent and text not in rule.options:
            raise RefusalError(
                422,
                f"Provided value '{text}' for input '{name}' not in the list of allowed values",
                page=_DISPATCH,
            )
        inputs[name] = text
    return inputs


def _runs(hub: Hub, ask: Ask, runs: list[Run]) -> Answer:
    fits: Mapping[str, Callable[[Run], str]] = {
        "event": lambda run: run.event,
        "branch": lambda run: run.head_branch,
        "head_sha": lambda run: run.head_sha,
        "actor": lambda run: run.actor,
    }
    for key, field in fits.items():
        if key in ask.query:
            runs = [run for run in runs if field(run) == ask.query[key]]
    if "status" in ask.query:
        runs = [run for run in runs if ask.query["status"] in {run.status, run.conclusion}]
    return page(ask, list(reversed(runs)), "workflow_runs", partial(faces.run_view, hub))


def _run(hub: Hub, ask: Ask) -> Run:
    run = hub.records.get(Run, ask.number("number"))
    if run is None:
        raise not_found("/actions/workflow-runs#get-a-workflow-run")
    return run


def _job(hub: Hub, ask: Ask) -> tuple[Run, Job]:
    job = hub.records.get(Job, ask.number("number"))
    run = hub.records.get(Run, job.run) if job else None
    if job is None or run is None:
        raise not_found("/actions/workflow-jobs#get-a-job-for-a-workflow-run")
    return run, job


def _jobs(hub: Hub, run: Run) -> list[Job]:
    return [job for job in hub.records.all(Job) if job.run == run.id]


def _log(hub: Hub, job: Job, number: int) -> bytes:
    path = log_of(hub, job, number)
    return path.read_bytes() if path.exists() else b""


def _log_zip(hub: Hub, run: Run) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for job in _jobs(hub, run):
            for step in job.steps:
                name = re.sub(r'[\\/:*?"<>|]', "", step.name)[:90]
                archive.writestr(f"{job.name}/{step.number}_{name}.txt", _log(hub, job, step.number))
    return out.getvalue()
