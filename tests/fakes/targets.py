"""A repository and a cluster in memory, with the faults that networks have. Effects are counted here, at the target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.approval import ReviewedPull
from policies.change import ClusterTarget, RepositoryTarget, Word, digest_of
from tools.gate.targets import WorkflowOutcome
from tools.tool import Nothing, Tool
from tools.verbs import Call, Receipt, UnreachableError

TREE, WORKFLOW = "7" * 40, ".github/workflows/terraform.yml"
Faults = dict[str, Callable[[], None]]
"""`before` or `after` or `find` -> what to do at that point of the next call."""


class Path(Word):
    path: str


class Text(Word):
    text: str


class Listing(Word):
    paths: tuple[str, ...]
    commit: str


@dataclass
class FakeVerb:
    """Keeps effects by key. `faults` may raise at any point; `differs` answers another content than was asked."""

    name: str
    facts: Callable[[Call], dict[str, Any]]
    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    performed: list[Call] = field(default_factory=list)
    faults: Faults = field(default_factory=dict)
    differs: str = ""

    def find(self, call: Call) -> Receipt | None:
        self._fault("find")
        if call.effect_key not in self.effects:
            return None
        return Receipt(
            verb=self.name,
            facts=self.effects[call.effect_key],
            matches=not self.differs,
            difference=self.differs,
        )

    def perform(self, call: Call) -> None:
        self._fault("before")
        self.performed.append(call)
        self.effects[call.effect_key] = self.facts(call)
        self._fault("after")

    def _fault(self, point: str) -> None:
        if (act := self.faults.pop(point, None)) is not None:
            act()


@dataclass
class FakeWay:
    """What the gate keeps of a FakeVerb that another's server performs. `settle` is where that server's effect is seen."""

    verb: FakeVerb

    def find(self, call: Call) -> Receipt | None:
        return self.verb.find(call)

    def ready(self, call: Call) -> None:
        self.verb._fault("ready")

    def words(self, call: Call) -> Mapping[str, Any]:
        told = {"owner": "acme", "repo": "platform", **call.arguments}
        if isinstance(signed := call.arguments.get("object"), dict):
            told["document"] = call.content[signed["digest"]].decode()
        return told

    def settle(self, call: Call) -> None:
        self.verb.effects[call.effect_key] = self.verb.facts(call)


def lost() -> None:
    raise UnreachableError("no answer within the deadline")


@dataclass
class FakeRepository:
    head: str = "1" * 40
    files: dict[str, bytes] = field(default_factory=lambda: {"README.md": b"base\n"})
    outcome: WorkflowOutcome = field(
        default_factory=lambda: WorkflowOutcome(run_id=77, running=True, succeeded=False)
    )
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    full_name: str = "acme/platform"
    repository_id: int = 42
    workflow: dict[str, bytes] = field(default_factory=dict)
    """Commit -> bytes of the one workflow; `name: terraform` at any other."""
    standing: dict[str, bytes] = field(default_factory=dict)
    """Path -> bytes of what else stands at any commit."""
    pull: ReviewedPull | None = None
    asked: int = 0

    def __post_init__(self) -> None:
        self.all = {
            "github.push_commit": FakeVerb(
                "github.push_commit", lambda call: {"commit": commit_of(call), "tree": TREE}
            ),
            "github.open_pull_request": FakeVerb(
                "github.open_pull_request", lambda _: {"number": 7, "head_sha": self.pushed()}
            ),
            "github.request_reviewers": FakeVerb("github.request_reviewers", lambda _: {}),
            "github.advance_base": FakeVerb(
                "github.advance_base", lambda call: {"commit": call.arguments["to"], "tree": TREE}
            ),
            "github.dispatch_workflow": FakeVerb(
                "github.dispatch_workflow",
                lambda call: {"run_id": 77, "head_sha": call.arguments["inputs"]["commit"]},
            ),
            "github.comment": FakeVerb("github.comment", lambda _: {"id": 5}),
        }
        self.reads = (
            Tool(
                "read_repository_file",
                "One file.",
                Path,
                Text,
                lambda asked: Text(text=self.files[asked.path].decode()),
            ),
            Tool(
                "list_repository_files",
                "Every path.",
                Nothing,
                Listing,
                lambda _: Listing(paths=tuple(self.files), commit=self.head),
            ),
        )

    def verbs(self) -> Mapping[str, FakeVerb]:
        return self.all

    def ways(self) -> Mapping[str, FakeWay]:
        return {name: FakeWay(verb) for name, verb in self.all.items()}

    def resolve(self) -> RepositoryTarget:
        return RepositoryTarget(
            host="127.0.0.1:1",
            repository_id=self.repository_id,
            full_name=self.full_name,
            clone_url="http://127.0.0.1:1/acme/platform.git",
            base_branch="main",
            base_commit=self.head,
        )

    def tree(self, commit: str) -> Mapping[str, bytes]:
        return self.files

    def workflow_outcome(self, run_id: int) -> WorkflowOutcome:
        return self.outcome

    def pushed(self) -> str:
        return str(list(self.all["github.push_commit"].effects.values())[-1]["commit"])

    def file_digest(self, path: str, commit: str) -> str | None:
        if path in self.standing:
            return digest_of(self.standing[path])
        return digest_of(self.workflow.get(commit, b"name: terraform")) if path == WORKFLOW else None

    def reviewed(self, number: int) -> ReviewedPull:
        self.asked += 1
        assert self.pull is not None and self.pull.number == number
        return self.pull

    def artifact(self, run_id: int, name: str) -> Mapping[str, bytes] | None:
        return self.artifacts.get(name)


@dataclass
class FakeCluster:
    uid: str = "11111111-2222-3333-4444-555555555555"

    def __post_init__(self) -> None:
        self.all = {"kubernetes.apply": FakeVerb("kubernetes.apply", lambda _: {"uid": "u1"})}
        self.reads = (Tool("list_namespaces", "All.", Path, Text, lambda _: Text(text="web")),)

    def verbs(self) -> Mapping[str, FakeVerb]:
        return self.all

    def ways(self, manager: str) -> Mapping[str, FakeWay]:
        return {name: FakeWay(verb) for name, verb in self.all.items()}

    def resolve(self, namespaces: tuple[str, ...]) -> ClusterTarget:
        return ClusterTarget(uid=self.uid, server="https://127.0.0.1:6443", namespaces=namespaces)

    def version(self) -> str:
        return "v1.36.3"


def commit_of(call: Call) -> str:
    """A commit that depends on the signed bytes, as a real one does."""
    seen = json.dumps(call.arguments, sort_keys=True).encode() + b"".join(
        call.content[d] for d in sorted(call.content)
    )
    return hashlib.sha1(seen, usedforsecurity=False).hexdigest()
