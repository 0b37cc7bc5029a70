"""Workflow runs of one repository: how they stand, what their steps wrote, what they left."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import JsonValue

from tools.github.repository import LiveRepository
from tools.github.shapes import Annotation, Artifact, Job, Run
from tools.verbs import NotFoundError, TargetError

PLAN = "plan"
_RUNNER = "rehearsal"
"""Label of the sandbox's runner; jobs of any other are not asked about rehearsal."""
_REHEARSED = "rehearsed"
"""Title of the sandbox's remark on a step that did not really happen; the message names the step."""
_REMARK = re.compile(r"step \d+ '(?P<name>.*?)': ", re.DOTALL)
_MOST_ZIP = 64 * 2**20
_MOST_MEMBERS = 2000
_STEP_LOG = re.compile(r"^(?P<job>[^/]+)/(?P<number>\d+)_[^/]*\.txt$")
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|]')
_TIME = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT[0-9:.]+Z ", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PlanOfRecord:
    """The artifact `plan`: the plan in JSON, the sha256 (64 hex) that the workflow wrote, and that of the plan file itself."""

    document: JsonValue
    stated: str
    actual: str


@dataclass(frozen=True)
class StepLog:
    """One step and what it wrote; `text` is None where GitHub keeps no log of it."""

    job: str
    name: str
    status: str
    conclusion: str | None
    text: str | None


class Runs:
    """Reads. Every method raises TargetError."""

    def __init__(self, repository: LiveRepository) -> None:
        self._repository = repository
        self._client = repository.client
        self._path = f"{repository.path}/actions"

    def run(self, run_id: int) -> Run:
        """One run."""
        return self._client.one(Run, f"{self._path}/runs/{run_id}")

    def list(self, workflow: str | None = None, *, most: int = 100, **chosen: str) -> tuple[Run, ...]:
        """Runs, newest first; of one workflow file, and with such event, branch or status."""
        where = f"/workflows/{quote(workflow)}/runs" if workflow else "/runs"
        return self._client.many(Run, self._path + where, query=chosen, key="workflow_runs", most=most)

    def jobs(self, run_id: int) -> tuple[Job, ...]:
        """The jobs of a run's latest attempt, with their steps."""
        return self._client.many(Job, f"{self._path}/runs/{run_id}/jobs", key="jobs", most=200)

    def rehearsed(self, jobs: Iterable[Job]) -> tuple[str, ...]:
        """Names of the steps that did not really happen, as the sandbox says; none anywhere else."""
        return tuple(
            fits["name"] if (fits := _REMARK.match(remark.message or "")) else remark.message or job.name
            for job in jobs
            if _RUNNER in job.labels
            for remark in self._client.many(
                Annotation, f"{self._repository.path}/check-runs/{job.id}/annotations", most=500
            )
            if remark.title == _REHEARSED
        )

    def logs(self, run_id: int, jobs: Iterable[Job]) -> tuple[StepLog, ...]:
        """Every step of these jobs with its log, times cut off; a run that is under way has none yet."""
        try:
            members = unpack(self._client.download(f"{self._path}/runs/{run_id}/logs", _MOST_ZIP), "the log")
        except NotFoundError:
            members = {}
        texts: dict[tuple[str, int], str] = {}
        for name, data in members.items():
            if fits := _STEP_LOG.fullmatch(name):
                texts[fits["job"], int(fits["number"])] = _TIME.sub("", data.decode(errors="replace"))
        return tuple(
            StepLog(
                job.name,
                step.name,
                step.status,
                step.conclusion,
                texts.get((_NOT_IN_NAMES.sub("", job.name), step.number)),
            )
            for job in jobs
            for step in job.steps
        )

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        """File name -> bytes of the newest artifact of that name; None when the run left none."""
        found = self._client.many(
            Artifact, f"{self._path}/runs/{run_id}/artifacts", query={"name": name}, key="artifacts", most=100
        )
        named = [artifact for artifact in found if artifact.name == name]
        if not named:
            return None
        newest = max(named, key=lambda artifact: artifact.id)
        if newest.expired:
            raise NotFoundError(f"artifact {name!r} of run {run_id} has expired: run the workflow again")
        if newest.size_in_bytes > _MOST_ZIP:
            raise TargetError(
                f"artifact {name!r} of run {run_id} has {newest.size_in_bytes} bytes, more than {_MOST_ZIP} are not read"
            )
        return unpack(
            self._client.download(f"{self._path}/artifacts/{newest.id}/zip", _MOST_ZIP), f"artifact {name!r}"
        )

    def plan_of(self, run_id: int) -> PlanOfRecord | None:
        """The plan that the run made; None when it left none. Raises TargetError when what it left is no whole plan."""
        files = self.artifact(run_id, PLAN)
        if files is None:
            return None
        missing = sorted({"plan.json", "plan.sha256", "tfplan"} - set(files))
        if missing:
            raise TargetError(
                f"artifact {PLAN!r} of run {run_id} lacks {', '.join(missing)}: the signed workflow must upload all three"
            )
        try:
            document: JsonValue = json.loads(files["plan.json"])
            words = files["plan.sha256"].decode("ascii").split()
        except (ValueError, RecursionError) as fault:
            raise TargetError(
                f"artifact {PLAN!r} of run {run_id} cannot be read: look into the run's log"
            ) from fault
        if not words or not _SHA256.fullmatch(words[0]):
            raise TargetError(f"plan.sha256 of run {run_id} is no sha256: look into the run's log")
        return PlanOfRecord(document, words[0], hashlib.sha256(files["tfplan"]).hexdigest())


def unpack(data: bytes, what: str) -> dict[str, bytes]:
    """Name -> bytes of a zip's files. Raises TargetError when it is none, or grows too large."""
    found: dict[str, bytes] = {}
    left = _MOST_ZIP
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > _MOST_MEMBERS:
                raise TargetError(
                    f"{what} holds {len(members)} files, more than {_MOST_MEMBERS} are not read"
                )
            for member in members:
                with archive.open(member) as file:
                    found[member.filename] = file.read(left + 1)
                left -= len(found[member.filename])
                if left < 0:
                    raise TargetError(f"{what} unpacks to more than {_MOST_ZIP} bytes: it is not read")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        raise TargetError(f"{what} is no readable zip: make it again") from fault
    return found
