"""A live repository, read: who it is, its trees, pull requests, workflow runs, logs and artifacts."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

from policies.change import Content, RepositoryTarget
from tools.gate.targets import WorkflowOutcome
from tools.github.client import Client
from tools.verbs import NotFoundError, TargetError

MOST_FILES = 5000
MOST_BYTES = 20 * 1024 * 1024
MOST_ARTIFACT = 64 * 1024 * 1024
MOST_LOG = 60_000
REGULAR = frozenset({"100644", "100755"})


class LiveRepository:
    """Reads through one client. Every method raises TargetError."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._trees: dict[str, dict[str, bytes]] = {}

    def resolve(self) -> RepositoryTarget:
        """Which repository the configuration means, and the commit that its base branch holds now."""
        vendor = self.client.repository()
        head = self.head(self.client.base_branch)
        if head is None:
            raise NotFoundError(f"{self.client.full_name} has no branch {self.client.base_branch}")
        return RepositoryTarget(
            host=self.client.host,
            repository_id=vendor.id,
            full_name=vendor.full_name,
            clone_url=vendor.clone_url,
            base_branch=self.client.base_branch,
            base_commit=head,
        )

    def head(self, branch: str) -> str | None:
        """The commit of a branch; None when there is no such branch."""
        try:
            return str(self.client.json(f"/git/ref/heads/{branch}")["object"]["sha"])
        except NotFoundError:
            return None

    def commit(self, sha: str) -> dict[str, Any]:
        """GitHub's git commit: tree, parents, message, author."""
        return dict(self.client.json(f"/git/commits/{sha}"))

    def entries(self, commit: str) -> list[dict[str, Any]]:
        """Every entry of a commit's tree, with path, mode, type, sha and size."""
        listed = self.client.json(f"/git/trees/{self.commit(commit)['tree']['sha']}", {"recursive": "1"})
        if listed.get("truncated"):
            raise TargetError(f"the tree of {commit[:12]} is too large for GitHub to list whole: it cannot be judged")
        return [dict(entry) for entry in listed["tree"]]

    def blob(self, sha: str) -> bytes:
        """The bytes of a blob."""
        return base64.b64decode(self.client.json(f"/git/blobs/{sha}")["content"])

    def tree(self, commit: str) -> Content:
        """Path -> bytes of every regular file at that commit. Raises TargetError for links, submodules and giants."""
        if commit not in self._trees:
            files = [e for e in self.entries(commit) if e["type"] != "tree"]
            odd = [e["path"] for e in files if e["type"] != "blob" or e["mode"] not in REGULAR]
            if odd:
                raise TargetError(f"{odd[0]} at {commit[:12]} is a link or a submodule: such a tree cannot be judged")
            if len(files) > MOST_FILES or sum(int(e.get("size") or 0) for e in files) > MOST_BYTES:
                raise TargetError(f"the tree of {commit[:12]} has {len(files)} files, or more than {MOST_BYTES} bytes: too much to judge whole")
            self._trees[commit] = {str(e["path"]): self.blob(str(e["sha"])) for e in files}
        return self._trees[commit]

    def pull(self, number: int) -> dict[str, Any]:
        """A pull request."""
        return dict(self.client.json(f"/pulls/{number}"))

    def run(self, run_id: int) -> dict[str, Any]:
        """A workflow run."""
        return dict(self.client.json(f"/actions/runs/{run_id}"))

    def jobs(self, run_id: int) -> list[dict[str, Any]]:
        """Its jobs, with their steps."""
        return [dict(job) for job in self.client.json(f"/actions/runs/{run_id}/jobs", {"per_page": 100})["jobs"]]

    def rehearsed(self, jobs: list[dict[str, Any]]) -> list[str]:
        """Steps that only a rehearsal skipped: `job / step`, as the job's own annotations say."""
        named = []
        for job in jobs:
            if "rehearsal" not in job.get("labels", ()):
                continue
            for remark in self.client.json(f"/check-runs/{job['id']}/annotations"):
                if str(remark.get("title", "")).startswith("rehearsed") or str(remark.get("message", "")).startswith("rehearsed"):
                    named.append(f"{job['name']}: {remark.get('title') or ''} {remark.get('message') or ''}".strip())
        return named

    def workflow_outcome(self, run_id: int) -> WorkflowOutcome:
        """How a run stands."""
        run = self.run(run_id)
        done = run["status"] == "completed"
        rehearsed = self.rehearsed(self.jobs(run_id)) if done else []
        return WorkflowOutcome(
            run_id=run_id,
            running=not done,
            succeeded=run.get("conclusion") == "success",
            rehearsed=bool(rehearsed),
            url=str(run.get("html_url", "")),
            head_sha=str(run.get("head_sha", "")),
        )

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        """File name -> bytes of an artifact of a run; None when it uploaded none of that name."""
        listed = self.client.json(f"/actions/runs/{run_id}/artifacts", {"name": name})["artifacts"]
        found = [a for a in listed if a["name"] == name and not a.get("expired")]
        if not found:
            return None
        data = self.client.download(f"/actions/artifacts/{found[-1]['id']}/zip", MOST_ARTIFACT)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(info.file_size for info in archive.infolist()) > MOST_ARTIFACT:
                    raise TargetError(f"artifact {name} of run {run_id} unpacks to more than {MOST_ARTIFACT} bytes")
                return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
        except zipfile.BadZipFile as fault:
            raise TargetError(f"artifact {name} of run {run_id} is no zip file") from fault

    def log(self, run_id: int) -> str:
        """Each job's steps with their conclusions, then the end of its log."""
        parts = []
        for job in self.jobs(run_id):
            steps = "\n".join(f"  {step['conclusion'] or step['status']}: {step['name']}" for step in job["steps"])
            try:
                text = self.client.download(f"/actions/jobs/{job['id']}/logs", 4 * MOST_LOG).decode("utf-8", "replace")
            except NotFoundError:
                text = "(no log)"
            parts.append(f"job {job['name']}: {job['conclusion'] or job['status']}\n{steps}\n{text[-MOST_LOG:]}")
        return "\n".join(parts)
