"""GitHub workflows as values: events, jobs, steps, and which of them an event would start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.documents import Document, read
from policies.finding import Finding, Remediation
from policies.kubernetes_objects import mapping, sequence
from policies.rules import rule

FOLDER = ".github/workflows/"


@dataclass(frozen=True)
class Step:
    """One step of a job, with its pointer in the document."""

    job: str
    pointer: str
    value: dict[str, Any]


@dataclass(frozen=True)
class Workflow:
    """One workflow file."""

    document: Document
    value: dict[str, Any]
    text: str

    @property
    def path(self) -> str:
        """The file."""
        return self.document.path

    @property
    def events(self) -> dict[str, Any]:
        """Event -> its filter (empty when it has none)."""
        on = self.value.get("on")
        if isinstance(on, str):
            return {on: {}}
        if isinstance(on, list):
            return {str(name): {} for name in on}
        return {name: mapping(value) for name, value in mapping(on).items()}

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Job id -> job."""
        return {name: mapping(job) for name, job in mapping(self.value.get("jobs")).items()}

    def steps(self) -> Iterator[Step]:
        """Every step of every job."""
        for name, job in self.jobs.items():
            for index, step in enumerate(sequence(job.get("steps"))):
                yield Step(name, f"/jobs/{name}/steps/{index}", mapping(step))

    def finding(
        self, name: str, resource: str, message: str, pointer: str, fix: tuple[Remediation, ...] = ()
    ) -> Finding:
        """A finding at a pointer of this file."""
        line = self.document.line_of(pointer)
        return rule(name).finding(self.path, resource, f"{self.path}: {message}", line=line, remediations=fix)


def read_workflow(path: str, data: bytes) -> tuple[Workflow | None, tuple[Finding, ...]]:
    """The workflow of a file; or the findings that say why it cannot be judged."""
    reading = read(path, data, on_key=True)
    if reading.findings:
        return None, reading.findings
    value = reading.documents[0].value if len(reading.documents) == 1 else None
    if not isinstance(value, dict):
        return None, (rule("workflow/shape").finding(path, path, f"{path} is not one mapping", line=1),)
    workflow = Workflow(reading.documents[0], value, data.decode())
    odd = tuple(_shape(workflow))
    return (None, odd) if odd else (workflow, ())


def _shape(workflow: Workflow) -> Iterator[Finding]:
    if not workflow.events or not isinstance(workflow.value.get("on"), str | list | dict):
        yield workflow.finding("workflow/shape", "on", "`on` names no event", "/on")
    if not workflow.jobs:
        yield workflow.finding("workflow/shape", "jobs", "there are no jobs", "/jobs")
    for name, job in workflow.jobs.items():
        if "uses" not in job and not (job.get("runs-on") and isinstance(job.get("steps"), list)):
            yield workflow.finding(
                "workflow/shape", f"job {name}", f"job {name} lacks runs-on or steps", f"/jobs/{name}"
            )


def triggered_by(tree: Mapping[str, bytes], event: str, *, branch: str = "") -> list[Finding]:
    """Which workflows of a tree an event would start, with the token's rights; also those of which nobody can tell. LOW."""
    found = []
    for path in sorted(tree):
        if not is_workflow(path):
            continue
        workflow, _ = read_workflow(path, tree[path])
        if workflow is None:
            message = f"{path} cannot be read here, so a {event} may start it"
            found.append(rule("workflow/triggered").finding(path, f"on {event}", message))
            continue
        if event not in workflow.events:
            continue
        if branch and not _admits(workflow.events[event], branch):
            continue
        jobs = "; ".join(f"job {name}: {_rights(workflow, job)}" for name, job in workflow.jobs.items())
        found.append(
            workflow.finding(
                "workflow/triggered", f"on {event}", f"a {event} starts it ({jobs})", f"/on/{event}"
            )
        )
    return found


def _admits(event: Mapping[str, Any], branch: str) -> bool:
    """Whether the event's branch filters let a branch through, as GitHub's `*` and `**` mean it."""
    ignored, wanted = sequence(event.get("branches-ignore")), sequence(event.get("branches"))
    if any(_glob(str(pattern), branch) for pattern in ignored):
        return False
    if not wanted:
        return "tags" not in event
    admitted = False
    for pattern in map(str, wanted):
        if _glob(pattern.removeprefix("!"), branch):
            admitted = not pattern.startswith("!")
    return admitted


def _glob(pattern: str, branch: str) -> bool:
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]?"}
    return re.fullmatch("".join(words.get(part, re.escape(part)) for part in parts), branch) is not None


def _rights(workflow: Workflow, job: Mapping[str, Any]) -> str:
    value = job.get("permissions", workflow.value.get("permissions"))
    if value is None:
        return "the repository's default rights"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {level}" for name, level in sorted(value.items())) or "no rights"
    return str(value)


def is_workflow(path: str) -> bool:
    """Whether GitHub would read this path as a workflow."""
    return path.startswith(FOLDER) and path.count("/") == 2 and path.endswith((".yml", ".yaml"))
