"""Workflows, runs, jobs, artifacts and check runs in GitHub's JSON."""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath

from tools.sandbox.github import views
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.pull_views import minimal_view
from tools.sandbox.github.records import Annotation, Artifact, Job, Pull, Run


def workflow_number(path: str) -> int:
    """A workflow's id: stable for its path, across restarts."""
    return 1 + zlib.crc32(path.encode())


def workflow_view(hub: Hub, path: str, name: str) -> views.Json:
    """A `workflow`."""
    number = workflow_number(path)
    file = PurePosixPath(path).name
    return {
        "id": number,
        "node_id": views.node("Workflow", number),
        "name": name,
        "path": path,
        "state": "active",
        "created_at": hub.identity().created_at,
        "updated_at": hub.identity().pushed_at,
        "url": f"{hub.api_repo}/actions/workflows/{number}",
        "html_url": f"{hub.html_repo}/blob/{hub.settings.default_branch}/{path}",
        "badge_url": f"{hub.html_repo}/actions/workflows/{file}/badge.svg",
    }


def run_view(hub: Hub, run: Run) -> views.Json:
    """A `workflow-run`."""
    url = f"{hub.api_repo}/actions/runs/{run.id}"
    pulls = [pull for number in run.pulls if (pull := hub.records.get(Pull, number))]
    return {
        "id": run.id,
        "name": run.name,
        "node_id": views.node("WorkflowRun", run.id),
        "check_suite_id": run.id,
        "check_suite_node_id": views.node("CheckSuite", run.id),
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "path": run.workflow,
        "run_number": run.number,
        "run_attempt": 1,
        "event": run.event,
        "status": run.status,
        "conclusion": run.conclusion,
        "display_title": run.title,
        "workflow_id": workflow_number(run.workflow),
        "url": url,
        "html_url": f"{hub.html_repo}/actions/runs/{run.id}",
        "pull_requests": [minimal_view(hub, pull) for pull in pulls],
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "run_started_at": run.created_at,
        "actor": views.user(hub, run.actor),
        "triggering_actor": views.user(hub, run.actor),
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "check_suite_url": f"{hub.api_repo}/check-suites/{run.id}",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "previous_attempt_url": None,
        "workflow_url": f"{hub.api_repo}/actions/workflows/{workflow_number(run.workflow)}",
        "head_commit": views.simple_commit(hub.git.commit(run.head_sha)),
        "repository": views.repository(hub),
        "head_repository": views.repository(hub),
    }


def job_view(hub: Hub, run: Run, job: Job) -> views.Json:
    """A `job` with its steps; a rehearsed step is `skipped`, and an annotation of the check run says why."""
    return {
        "id": job.id,
        "run_id": run.id,
        "run_url": f"{hub.api_repo}/actions/runs/{run.id}",
        "run_attempt": 1,
        "node_id": views.node("CheckRun", job.id),
        "head_sha": run.head_sha,
        "head_branch": run.head_branch,
        "workflow_name": run.name,
        "name": job.name,
        "url": f"{hub.api_repo}/actions/jobs/{job.id}",
        "html_url": _html(hub, job),
        "check_run_url": f"{hub.api_repo}/check-runs/{job.id}",
        "status": job.status,
        "conclusion": job.conclusion,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "steps": [step.model_dump(mode="json") for step in job.steps],
        "labels": ["rehearsal"],
        "runner_id": 1,
        "runner_name": "rehearsal",
        "runner_group_id": 1,
        "runner_group_name": "sandbox",
    }


def artifact_view(hub: Hub, artifact: Artifact, run: Run) -> views.Json:
    """An `artifact`."""
    url = f"{hub.api_repo}/actions/artifacts/{artifact.id}"
    repository = hub.identity().repository_id
    return {
        "id": artifact.id,
        "node_id": views.node("Artifact", artifact.id),
        "name": artifact.name,
        "size_in_bytes": artifact.size,
        "digest": artifact.digest,
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": artifact.expires_at < hub.timestamp(),
        "created_at": artifact.created_at,
        "updated_at": artifact.created_at,
        "expires_at": artifact.expires_at,
        "workflow_run": {
            "id": run.id,
            "repository_id": repository,
            "head_repository_id": repository,
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
        },
    }


def check_view(hub: Hub, run: Run, job: Job) -> views.Json:
    """A `check-run`: each job is one."""
    url = f"{hub.api_repo}/check-runs/{job.id}"
    return {
        "id": job.id,
        "head_sha": run.head_sha,
        "node_id": views.node("CheckRun", job.id),
        "external_id": f"run-{run.id}-{job.key}",
        "url": url,
        "html_url": _html(hub, job),
        "details_url": _html(hub, job),
        "status": job.status,
        "conclusion": job.conclusion,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "output": {
            "title": None,
            "summary": None,
            "text": None,
            "annotations_count": len(job.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "name": job.name,
        "check_suite": {"id": run.id},
        "app": None,
        "pull_requests": [],
    }


def annotation_view(hub: Hub, run: Run, remark: Annotation) -> views.Json:
    """A `check-annotation`."""
    return {
        "path": remark.path or ".github",
        "blob_href": f"{hub.html_repo}/blob/{run.commit}/{remark.path}",
        "start_line": remark.line,
        "end_line": remark.line,
        "start_column": None,
        "end_column": None,
        "annotation_level": remark.level,
        "title": remark.title,
        "message": remark.message,
        "raw_details": None,
    }


def _html(hub: Hub, job: Job) -> str:
    return f"{hub.html_repo}/actions/runs/{job.run}/job/{job.id}"
