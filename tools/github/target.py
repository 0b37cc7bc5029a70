"""A repository as the gate holds it: who it is, its verbs and its read tools."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property

from policies.change import Content, RepositoryTarget
from tools.gate.targets import WorkflowOutcome
from tools.github.client import Client
from tools.github.reading import reads
from tools.github.repository import LiveRepository
from tools.github.verbs import verbs
from tools.settings import GitHubSettings
from tools.tool import Tool
from tools.verbs import Verb


class GitHubTarget:
    """Implements `tools.gate.targets.Repository`. Nothing is called before it is asked."""

    def __init__(self, live: LiveRepository, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._live, self._sleep = live, sleep
        self.reads: tuple[Tool, ...] = reads(live)

    @cached_property
    def _verbs(self) -> Mapping[str, Verb]:
        return verbs(self._live, self._sleep)

    def verbs(self) -> Mapping[str, Verb]:
        """`github.verb` -> how it is done."""
        return self._verbs

    def resolve(self) -> RepositoryTarget:
        """Which repository and base commit the configuration means now. Raises TargetError."""
        return self._live.resolve()

    def tree(self, commit: str) -> Content:
        """Path -> bytes of every regular file at that commit. Raises TargetError."""
        return self._live.tree(commit)

    def workflow_outcome(self, run_id: int) -> WorkflowOutcome:
        """How that run stands. Raises TargetError."""
        return self._live.workflow_outcome(run_id)

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        """File name -> bytes of an artifact of the run. Raises TargetError."""
        return self._live.artifact(run_id, name)


def open_target(settings: GitHubSettings) -> GitHubTarget:
    """The target that the settings mean. Raises UnauthorizedError when there is no usable token."""
    return GitHubTarget(LiveRepository(Client(settings)))
