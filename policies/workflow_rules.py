"""GitHub workflows: what runs with which rights on whose content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policies.finding import Finding, TextEdit
from policies.kubernetes_objects import mapping
from policies.workflows import Workflow

_SHA = re.compile(r"[0-9a-f]{40}")
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# Fields of the event that whoever opens an issue, a pull request or a branch writes freely.
_TAINTED = re.compile(
    r"github\.event\.(issue|discussion)\.(title|body)|github\.event\.pull_request\.(title|body)"
    r"|github\.event\.(comment|review|review_comment)\.body|github\.event\.pages\b.*page_name"
    r"|github\.event\.(head_commit|commits\b.*)\.(message|author\.(email|name))|github\.event\.(head_)?commits?\.\*"
    r"|github\.event\.(pull_request|workflow_run)\.head(_branch|\.ref|\.label|\.repo\.default_branch|_commit\..*)"
    r"|github\.head_ref|github\.event\.workflow_run\.(display_title|head_repository\.description)"
    r"|github\.event\.inputs\.|(?<![\w.])inputs\.|github\.event\.client_payload|toJSON\(\s*github(\.event)?\s*\)"
)
_STRANGERS = frozenset(
    {
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "issues",
        "discussion",
        "discussion_comment",
        "fork",
        "watch",
    }
)
_HEAD = re.compile(
    r"github\.event\.pull_request\.(head|merge_commit)|github\.head_ref|refs/pull/|github\.event\.workflow_run\.head"
)
_SECRET = re.compile(r"\bsecrets\.(?!GITHUB_TOKEN\b)[A-Za-z_]\w*|\bsecrets\s*\[|toJSON\(\s*secrets\s*\)")
_PIPE = re.compile(
    r"\b(curl|wget)\b[^\n|]*\|\s*(sudo\s+)?(ba|z|da)?sh\b|\b(ba|z|da)?sh\s+(-c\s+)?[\"']?(<\(|\$\()\s*(curl|wget)\b"
)
_SCRIPT_INPUTS = {"actions/github-script": "script"}


def judge_workflow(workflow: Workflow, action_pins: Mapping[str, str]) -> Iterator[Finding]:
    """Every finding on one workflow; `action_pins` is owner/action@tag -> full commit SHA."""
    yield from _pins(workflow, action_pins)
    yield from _permissions(workflow)
    yield from _strangers(workflow)
    yield from _injection(workflow)
    yield from _secrets(workflow)
    yield from _runners(workflow)


def _pins(workflow: Workflow, action_pins: Mapping[str, str]) -> Iterator[Finding]:
    used = [
        (step.job, f"{step.pointer}/uses", step.value["uses"])
        for step in workflow.steps()
        if "uses" in step.value
    ]
    used += [
        (name, f"/jobs/{name}/uses", job["uses"]) for name, job in workflow.jobs.items() if "uses" in job
    ]
    lines = workflow.text.split("\n")
    known = {f"{name.partition('@')[0]}@{sha}" for name, sha in action_pins.items()}
    for job, pointer, uses in sorted(used, key=lambda use: workflow.document.line_of(use[1])):
        text = str(uses)
        where = f"job {job} {pointer.removeprefix(f'/jobs/{job}/')}"
        if text.startswith("docker://"):
            if "@sha256:" not in text:
                yield workflow.finding("workflow/container-digest", where, f"{text} has no digest", pointer)
        elif not text.startswith("./") and not _SHA.fullmatch(text.partition("@")[2]):
            pin = action_pins.get(text)
            fix = (_pin(workflow, lines, workflow.document.line_of(pointer) - 1, text, pin),) if pin else ()
            message = f"{text} is not pinned by a full commit SHA"
            yield workflow.finding("workflow/unpinned-action", where, message, pointer, fix)
        elif not text.startswith("./") and text not in known:
            message = f"{text} is no action whose commit is known"
            yield workflow.finding("workflow/unknown-action", where, message, pointer)
    for job, body in workflow.jobs.items():
        services = [mapping(service) for service in mapping(body.get("services")).values()]
        container = body.get("container")
        for box in [{"image": container} if isinstance(container, str) else mapping(container), *services]:
            image = str(box.get("image") or "")
            if image and "@sha256:" not in image:
                yield workflow.finding(
                    "workflow/container-digest",
                    f"job {job} image {image}",
                    f"{image} has no digest",
                    f"/jobs/{job}",
                )


def _pin(workflow: Workflow, lines: list[str], at: int, uses: str, pin: str) -> TextEdit:
    """The edit of one line, with as many lines before it as make it unique; `lines` is changed along.

    Each edit fits the text that the edits of the lines above have left, so they are applied in the order of lines.
    """
    name, _, reference = uses.partition("@")
    pinned = lines[at].replace(uses, f"{name}@{pin}")
    pinned += "" if "#" in pinned else f" # {reference}"
    end = "\n" if at + 1 < len(lines) else ""
    text, start = "\n".join(lines), at
    while start > 0 and text.count("\n".join(lines[start : at + 1]) + end) > 1:
        start -= 1
    old = "\n".join(lines[start : at + 1]) + end
    lines[at] = pinned
    return TextEdit(path=workflow.path, old=old, new="\n".join(lines[start : at + 1]) + end)


def _permissions(workflow: Workflow) -> Iterator[Finding]:
    top = workflow.value.get("permissions")
    if top is None and any("permissions" not in job for job in workflow.jobs.values()):
        yield workflow.finding(
            "workflow/permissions-missing",
            "permissions",
            "has no top-level permissions",
            "/on",
            _read_only(workflow),
        )
    places = [("permissions", "/permissions", top)]
    places += [
        (f"job {name}", f"/jobs/{name}/permissions", job.get("permissions"))
        for name, job in workflow.jobs.items()
    ]
    for resource, pointer, value in places:
        if value == "write-all":
            yield workflow.finding(
                "workflow/permissions-write-all", resource, f"{resource} is write-all", pointer
            )


def _read_only(workflow: Workflow) -> tuple[TextEdit, ...]:
    # `jobs:` at the start of a line occurs once in a workflow that our reader accepts, unless a block of text holds it
    return (TextEdit(path=workflow.path, old="\njobs:\n", new="\npermissions:\n  contents: read\n\njobs:\n"),)


def _strangers(workflow: Workflow) -> Iterator[Finding]:
    events = workflow.events
    risky = {"pull_request_target", "workflow_run"} & set(events)
    for step in workflow.steps():
        uses, given = str(step.value.get("uses", "")), mapping(step.value.get("with"))
        wanted = " ".join(str(given.get(key, "")) for key in ("ref", "repository"))
        checks_out = uses.startswith("actions/checkout@") and _HEAD.search(wanted)
        fetches = _HEAD.search(str(step.value.get("run", ""))) or "gh pr checkout" in str(
            step.value.get("run", "")
        )
        if risky and (checks_out or fetches):
            message = f"{', '.join(sorted(risky))} checks out what a stranger wrote"
            yield workflow.finding("workflow/pull-request-target", f"job {step.job}", message, step.pointer)
    for event in sorted(set(events) & _STRANGERS):
        yield workflow.finding(
            "workflow/dangerous-trigger", f"on {event}", f"is started by {event}", f"/on/{event}"
        )


def _injection(workflow: Workflow) -> Iterator[Finding]:
    for step in workflow.steps():
        uses = str(step.value.get("uses", "")).partition("@")[0]
        scripts = [("run", step.value.get("run"))]
        if uses in _SCRIPT_INPUTS:
            key = _SCRIPT_INPUTS[uses]
            scripts.append((f"with/{key}", mapping(step.value.get("with")).get(key)))
        for key, script in scripts:
            for expression in _EXPRESSION.findall(script if isinstance(script, str) else ""):
                if _TAINTED.search(expression):
                    message = f"${{{{{expression}}}}} is put into a script"
                    yield workflow.finding(
                        "workflow/script-injection", f"job {step.job}", message, f"{step.pointer}/{key}"
                    )
        if _PIPE.search(str(step.value.get("run", ""))):
            yield workflow.finding(
                "workflow/pipe-to-shell",
                f"job {step.job}",
                "a download is piped to a shell",
                f"{step.pointer}/run",
            )
    for pointer, env in _environments(workflow):
        if str(env.get("ACTIONS_ALLOW_UNSECURE_COMMANDS", "")).lower() == "true":
            yield workflow.finding(
                "workflow/unsecure-commands", "env", "allows unsecure commands", f"{pointer}/env"
            )


def _environments(workflow: Workflow) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", mapping(workflow.value.get("env"))
    for name, job in workflow.jobs.items():
        yield f"/jobs/{name}", mapping(job.get("env"))
    for step in workflow.steps():
        yield step.pointer, mapping(step.value.get("env"))


def _secrets(workflow: Workflow) -> Iterator[Finding]:
    for name, job in workflow.jobs.items():
        if job.get("secrets") == "inherit":
            yield workflow.finding(
                "workflow/secrets-inherit", f"job {name}", "passes on every secret", f"/jobs/{name}/secrets"
            )
        started = "pull_request" in workflow.events and not _kept_from_pulls(str(job.get("if", "")))
        if started and _SECRET.search(_expressions(job)):
            message = f"job {name} uses a secret and is started by pull requests"
            yield workflow.finding("workflow/secrets-to-fork", f"job {name}", message, f"/jobs/{name}")


def _kept_from_pulls(condition: str) -> bool:
    """Whether a job's `if` plainly keeps it from events of pull requests: one comparison, and no way around it."""
    plain = re.search(r"github\.event_name\s*(==\s*'(?!pull_request)\w+'|!=\s*'pull_request')", condition)
    return plain is not None and "||" not in condition and "!(" not in condition.replace(" ", "")


def _expressions(value: object) -> str:
    if isinstance(value, str):
        return " ".join(_EXPRESSION.findall(value))
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return " ".join(_expressions(child) for child in children)


def _runners(workflow: Workflow) -> Iterator[Finding]:
    if not {"pull_request", "pull_request_target"} & set(workflow.events):
        return
    for name, job in workflow.jobs.items():
        runs_on = job.get("runs-on")
        labels = [str(label) for label in (runs_on if isinstance(runs_on, list) else [runs_on])]
        if "self-hosted" in labels or (
            isinstance(runs_on, dict) and "self-hosted" in str(runs_on.get("labels"))
        ):
            message = f"job {name} runs a pull request's code on a self-hosted runner"
            yield workflow.finding(
                "workflow/self-hosted-runner", f"job {name}", message, f"/jobs/{name}/runs-on"
            )
