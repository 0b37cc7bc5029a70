"""The live systems behind the gate, and what it asks of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from policies.approval import ReviewedPull
from policies.change import ClusterTarget, Content, Destination, Digest, RepositoryTarget, Word
from tools.tool import Tool
from tools.verbs import Verb, Way


class WorkflowOutcome(Word):
    """How a dispatched workflow run stands."""

    run_id: int
    running: bool
    succeeded: bool
    rehearsed: bool = False
    url: str = ""
    head_sha: str = ""


class Repository(Protocol):
    """A repository as the gate uses it. Every method raises TargetError."""

    reads: tuple[Tool, ...]

    @property
    def full_name(self) -> str:
        """`owner/name` as it is configured."""

    def verbs(self) -> Mapping[str, Verb]:
        """`github.verb` -> how it is done."""

    def ways(self) -> Mapping[str, Way]:
        """The verbs that another's server may perform."""

    def resolve(self) -> RepositoryTarget:
        """Which repository and base commit the configuration means now."""

    def tree(self, commit: str) -> Content:
        """Path -> bytes of every regular file at that commit."""

    def file_digest(self, path: str, commit: str) -> Digest | None:
        """sha256 of a regular file's bytes at that commit; None when there is none."""

    def workflow_outcome(self, run_id: int) -> WorkflowOutcome:
        """How that run stands."""

    def reviewed(self, number: int) -> ReviewedPull:
        """A pull request with every review of it, as they are now."""

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        """File name -> bytes of an artifact that the run uploaded; None when there is none."""


class Cluster(Protocol):
    """A cluster as the gate uses it. Every method raises TargetError."""

    reads: tuple[Tool, ...]

    def verbs(self) -> Mapping[str, Verb]:
        """`kubernetes.verb` -> how it is done."""

    def ways(self, manager: str) -> Mapping[str, Way]:
        """The verbs that another's server may perform, which writes as that field manager."""

    def resolve(self, namespaces: tuple[str, ...]) -> ClusterTarget:
        """Which cluster the configuration means."""

    def version(self) -> str:
        """Its version."""


@dataclass(frozen=True)
class Targets:
    """What the configuration names; a missing one means that nothing there may be touched."""

    repository: Repository | None = None
    cluster: Cluster | None = None
    others: Mapping[str, Mapping[str, Verb]] = field(default_factory=dict)
    """Another's server -> the verbs that it can perform."""
    through: Mapping[str, str] = field(default_factory=dict)
    """Verb -> the server of `others` that performs it; our own client does the rest."""

    def verb(self, name: str, through: str | None = None) -> Verb | None:
        """How `server.verb` is done; None where that target is missing or knows no such verb.

        `through` names the server of an attempt that was made; empty means our own client.
        """
        if other := self.through.get(name, "") if through is None else through:
            return self.others.get(other, {}).get(name)
        target = {"github": self.repository, "kubernetes": self.cluster}.get(name.partition(".")[0])
        return target.verbs().get(name) if target else None

    def resolve(self, *, namespaces: tuple[str, ...] = (), cluster: bool) -> Destination:
        """Ask the live targets who they are. Raises TargetError."""
        return Destination(
            repository=self.repository.resolve() if self.repository else None,
            cluster=self.cluster.resolve(namespaces) if self.cluster and cluster else None,
        )

    def reads(self) -> tuple[Tool, ...]:
        """Every read tool of every target."""
        return tuple(tool for target in (self.repository, self.cluster) if target for tool in target.reads)
