"""A run without a crew: what publish, release and deploy sign, in the words of the real verbs, for a gate over real servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies.change import CHANGE_ANNOTATION, ChangeSet, Phase, canonical
from tests.fakes.gate import World
from tools.gate.words import Deposit, OpenedChange

NAMESPACE = "web"
WORKFLOW = """\
name: terraform
run-name: terraform ${{ inputs.mode || 'plan' }} ${{ inputs.change_id || github.sha }}
on:
  workflow_dispatch:
    inputs:
      change_id: {type: string, required: true}
      mode: {type: string, required: true}
      commit: {type: string, required: false}
jobs:
  plan:
    runs-on: ubuntu-24.04
    steps:
      - name: Nothing
        run: "true"
"""
FILES = {"infra/main.tf": b"# signed\n", "manifests/web.yaml": b"kind: Service\n"}
OBJECTS = ("one", "two")
Call = tuple[str, str, dict[str, Any], tuple[str, ...]]


@dataclass(frozen=True)
class Signing:
    """A change and its bytes, ready to be signed."""

    change: ChangeSet
    files: Mapping[str, bytes]

    def deposit(self, world: World) -> Deposit:
        return world.sign(self.change, dict(self.files))


def publish(world: World, opened: OpenedChange) -> Signing:
    """Push a commit, open a pull request, ask for reviewers, remark."""
    branch, place = f"countersign/{opened.change_id}", opened.destination.repository
    assert place is not None
    files = [
        {"path": path, "operation": "add", "mode": "100644", "file": {"$artifact": path}}
        for path in sorted(FILES)
    ]
    number = {"$receipt": {"seq": 2, "fact": "number"}}
    push = {
        "branch": branch,
        "base_commit": place.base_commit,
        "message": f"Add it\n\nCountersign-Change: {opened.change_id}\n",
        "author": {"name": "Countersign", "email": "countersign@example.invalid"},
        "date": "2026-11-23T09:00:00Z",
        "files": files,
    }
    grants: list[Call] = [
        ("github", "push_commit", push, ()),
        (
            "github",
            "open_pull_request",
            {"head": branch, "base": place.base_branch, "title": "t", "body": "b"},
            ("previous_done",),
        ),
        (
            "github",
            "request_reviewers",
            {"number": number, "reviewers": ["platform-lead"], "team_reviewers": []},
            ("previous_done",),
        ),
        ("github", "comment", {"number": number, "body": "Seen."}, ("previous_done",)),
    ]
    return Signing(world.change(opened, FILES, grants), FILES)


def release(world: World, opened: OpenedChange, commit: str) -> Signing:
    """Advance the base to the pushed commit, dispatch the workflow."""
    place = opened.destination.repository
    assert place is not None
    inputs = {"change_id": opened.change_id, "mode": "plan", "commit": commit}
    grants: list[Call] = [
        (
            "github",
            "advance_base",
            {"branch": place.base_branch, "from": place.base_commit, "to": commit},
            (),
        ),
        (
            "github",
            "dispatch_workflow",
            {"workflow": ".github/workflows/terraform.yml", "ref": place.base_branch, "inputs": inputs},
            ("previous_done",),
        ),
    ]
    return Signing(world.change(opened, {}, grants), {})


def deploy(world: World, opened: OpenedChange, text: str = "signed") -> Signing:
    """Apply objects to the one namespace of the destination."""
    cluster = opened.destination.cluster
    assert cluster is not None
    (namespace,) = cluster.namespaces
    files = {f"objects/{name}.json": object_of(name, namespace, opened.change_id, text) for name in OBJECTS}
    grants: list[Call] = [
        ("kubernetes", "apply", {"object": {"$artifact": path}, "namespace": namespace}, ())
        for path in sorted(files)
    ]
    return Signing(world.change(opened, files, grants), files)


def object_of(name: str, namespace: str, change_id: str, text: str) -> bytes:
    metadata = {"name": name, "namespace": namespace, "annotations": {CHANGE_ANNOTATION: change_id}}
    return canonical({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}})


PHASES = (Phase.PUBLISH, Phase.RELEASE, Phase.DEPLOY)
