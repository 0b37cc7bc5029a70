"""A repository as the gate holds it: who it is, its verbs, its read tools and what its workflow runs left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from policies.approval import ReviewedPull
from policies.change import Content, Digest, RepositoryTarget, digest_of
from tools.gate.targets import WorkflowOutcome
from tools.github.client import connect
from tools.github.pulls import Pulls
from tools.github.reading import reads
from tools.github.repository import MOST_BYTES, LiveRepository
from tools.github.runs import PlanOfRecord, Runs
from tools.github.verbs import verbs
from tools.github.ways import ways
from tools.settings import GitHubSettings
from tools.tool import Tool
from tools.verbs import Verb, Way, unhindered


class GitHubTarget:
    """Implements `tools.gate.targets.Repository`. Nothing is called before it is asked."""

    def __init__(
        self,
        repository: LiveRepository,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._runs, self._pulls = Runs(repository), Pulls(repository)
        self._verbs = verbs(repository, sleep=sleep, clock=clock)
        self._ways = ways(repository, sleep=sleep, clock=clock)
        self.reads: tuple[Tool, ...] = reads(repository)

    @property
    def full_name(self) -> str:
        """`owner/name` as it is configured."""
        return self._repository.full_name

    def verbs(self) -> Mapping[str, Verb]:
        """`github.verb` -> how it is done."""
        return self._verbs

    def ways(self) -> Mapping[str, Way]:
        """The verbs that another's server may perform."""
        return self._ways

    def resolve(self) -> RepositoryTarget:
        """The repository by its id, and its base commit now. Raises TargetError."""
        return self._repository.resolve()

    def default_branch(self) -> str:
        """The branch whose workflows can be dispatched. Raises TargetError."""
        return self._repository.about().default_branch

    def tree(self, commit: str) -> Content:
        """Path -> bytes of every regular file at that commit. Raises TargetError."""
        return self._repository.tree(commit)

    def file_digest(self, path: str, commit: str) -> Digest | None:
        """sha256 of a regular file's bytes at that commit; None when there is none. Raises TargetError."""
        if path not in self._repository.entries(commit):
            return None
        return digest_of(self._repository.file(path, commit, MOST_BYTES))

    def workflow_outcome(self, run_id: int) -> WorkflowOutcome:
        """How that run stands. Raises TargetError."""
        run = self._runs.run(run_id)
        ended = run.status == "completed"
        return WorkflowOutcome(
            run_id=run.id,
            running=not ended,
            succeeded=ended and run.conclusion == "success",
            rehearsed=ended and bool(self._runs.rehearsed(self._runs.jobs(run_id))),
            url=run.html_url,
            head_sha=run.head_sha,
        )

    def reviewed(self, number: int) -> ReviewedPull:
        """A pull request with every review of it. Raises TargetError."""
        return self._pulls.reviewed(number)

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        """File name -> bytes of what the run uploaded under that name; None when there is none. Raises TargetError."""
        return self._runs.artifact(run_id, name)

    def plan_of(self, run_id: int) -> PlanOfRecord | None:
        """The plan that the run made; None when it left none. Raises TargetError."""
        return self._runs.plan_of(run_id)


def open_target(settings: GitHubSettings, before_write: Callable[[], None] = unhindered) -> GitHubTarget:
    """The target that the settings mean; nothing is called yet. Raises TargetError when they cannot be used."""
    return GitHubTarget(
        LiveRepository(
            connect(settings, before_write=before_write), settings.repository, settings.base_branch
        )
    )
