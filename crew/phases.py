"""Each phase as a ChangeSet with its ordered grants: code, not a model.

publish: the rendered files in one commit on a branch, a pull request, reviewers.
release: nothing new is written. Its grants name the published commit, so it carries no artifact.
deploy: objects. With GitOps an AppProject and an Application at the published commit, then a sync; without it,
every published object by itself, with the change's annotation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import JsonValue

from crew.goal import Body, Drafting, Files
from crew.rendering import Renderer
from policies import approval
from policies.change import (
    CHANGE_ANNOTATION,
    Artifact,
    ChangeSet,
    Grant,
    Operation,
    Phase,
    RepositoryTarget,
    canonical,
    digest_of,
)
from policies.profile import Profile
from tools.gate.words import OpenedChange

AUTHOR: Mapping[str, JsonValue] = {"name": "Countersign", "email": "countersign@users.noreply.github.com"}
WORKFLOW = "terraform.yml"
_ORDER = ("Namespace", "ServiceAccount", "NetworkPolicy", "Service", "ConfigMap", "Deployment",
          "PodDisruptionBudget", "HorizontalPodAutoscaler", "AppProject", "Application")  # fmt: skip
_MANIFESTS = ("manifests/", "apps/", "objects/")
Object = dict[str, Any]


class PhaseFaultError(Exception):
    """A phase cannot be made from what the earlier ones left; the message says what is missing."""


def namespaces(drafting: Drafting, renderer: Renderer) -> tuple[str, ...]:
    """The namespaces that the phase touches."""
    if drafting.phase.phase is not Phase.DEPLOY:
        return ()
    found = {
        n
        for o in _published_objects(drafting)
        for n in (_namespace(o), _name(o) if o["kind"] == "Namespace" else "")
    }
    for step in renderer.gitops(drafting.phase.steps):
        found.add(str(renderer.parameters(step).values["argocd_namespace"]))
    return tuple(sorted(found - {""}))


def sources(drafting: Drafting, opened: OpenedChange, renderer: Renderer) -> Files:
    """Path -> text of the phase's artifacts before anybody revised them."""
    steps = drafting.phase.steps
    if drafting.phase.phase is Phase.PUBLISH:
        return renderer.files(steps, Phase.PUBLISH, opened, None)
    if drafting.phase.phase is Phase.RELEASE:
        return {}
    if renderer.gitops(steps):
        objects = _objects(renderer.files(steps, Phase.DEPLOY, opened, _commit(drafting)))
    else:
        objects = _published_objects(drafting)
    return dict(_object_file(found, opened.change_id) for found in objects)


def changeset(draft: Body, drafting: Drafting, profile: Profile) -> ChangeSet:
    """The draft's content as a change with its grants."""
    artifacts = tuple(
        Artifact(
            path=path,
            digest=digest_of(text.encode()),
            operation=Operation.MODIFY if path in draft.existing else Operation.ADD,
        )
        for path, text in sorted(draft.content.items())
    )
    make = {Phase.PUBLISH: _publish, Phase.RELEASE: _release, Phase.DEPLOY: _deploy}[drafting.phase.phase]
    opened = draft.opened
    return ChangeSet(
        change_id=opened.change_id,
        run_id=opened.run_id,
        phase=opened.phase,
        goal_digest=drafting.goal.digest,
        profile=opened.profile,
        artifacts=artifacts,
        destination=opened.destination,
        grants=tuple(
            _after_approval(grant, opened.phase, profile)
            for grant in make(draft, drafting, artifacts, profile.reviewers)
        ),
    )


def _after_approval(grant: Grant, phase: Phase, profile: Profile) -> Grant:
    """The grant, waiting for the review where the profile wants one."""
    if not approval.needed(profile, phase, grant.name):
        return grant
    return grant.model_copy(update={"preconditions": (*grant.preconditions, "review_approved")})


def _publish(
    draft: Body, drafting: Drafting, artifacts: tuple[Artifact, ...], reviewers: tuple[str, ...]
) -> Iterator[Grant]:
    repository, change_id = _repository(draft.opened), draft.opened.change_id
    branch = f"countersign/{change_id}"
    trailer = f"Countersign-Change: {change_id}"
    files: list[JsonValue] = [
        {"path": a.path, "operation": a.operation.value, "mode": a.mode, "file": {"$artifact": a.path}}
        for a in artifacts
    ]
    arguments: dict[str, JsonValue] = {
        "branch": branch,
        "base_commit": repository.base_commit,
        "message": f"{draft.title}\n\n{trailer}\n",
        "author": dict(AUTHOR),
        "date": draft.at,
        "files": files,
    }
    yield Grant(
        seq=1, server="github", verb="push_commit", arguments=arguments, effect_key=f"branch {branch}"
    )
    request: dict[str, JsonValue] = {
        "head": branch, "base": repository.base_branch, "title": draft.title, "body": _body(draft, drafting, artifacts, trailer)
    }  # fmt: skip
    key = f"pull request for {branch}"
    yield Grant(seq=2, server="github", verb="open_pull_request", arguments=request, effect_key=key)
    if reviewers:
        asked: dict[str, JsonValue] = {
            "number": {"$receipt": {"seq": 2, "fact": "number"}},
            "reviewers": [r for r in reviewers if "/" not in r],
            "team_reviewers": [r.partition("/")[2] for r in reviewers if "/" in r],
        }
        key = f"reviewers of the pull request for {branch}"
        yield Grant(seq=3, server="github", verb="request_reviewers", arguments=asked, effect_key=key)


def _body(draft: Body, drafting: Drafting, artifacts: tuple[Artifact, ...], trailer: str) -> str:
    listed = "\n".join(f"- `{a.path}` {a.operation.value} {a.digest}" for a in artifacts)
    goal = "\n".join(f"> {line}" for line in drafting.goal.text.splitlines())
    return f"{goal}\n\n{draft.summary}\n\nSigned files:\n\n{listed}\n\n{trailer}\n"


def _release(
    draft: Body, drafting: Drafting, _artifacts: tuple[Artifact, ...], _reviewers: tuple[str, ...]
) -> Iterator[Grant]:
    repository, commit, change_id = _repository(draft.opened), _commit(drafting), draft.opened.change_id
    moved: dict[str, JsonValue] = {
        "branch": repository.base_branch,
        "from": repository.base_commit,
        "to": commit,
    }
    key = f"{repository.base_branch} at {commit}"
    yield Grant(seq=1, server="github", verb="advance_base", arguments=moved, effect_key=key)

    def dispatch(mode: str, run_id: JsonValue, sha256: JsonValue) -> dict[str, JsonValue]:
        inputs: dict[str, JsonValue] = {
            "change_id": change_id, "commit": commit, "mode": mode, "plan_run_id": run_id, "plan_sha256": sha256
        }  # fmt: skip
        return {"workflow": WORKFLOW, "ref": repository.base_branch, "inputs": inputs}

    yield Grant(
        seq=2,
        server="github",
        verb="dispatch_workflow",
        arguments=dispatch("plan", "", ""),
        effect_key=f"workflow {WORKFLOW} plan for {change_id}",
    )
    of_plan: list[JsonValue] = [{"$receipt": {"seq": 2, "fact": fact}} for fact in ("run_id", "plan_sha256")]
    yield Grant(
        seq=3,
        server="github",
        verb="dispatch_workflow",
        arguments=dispatch("apply", of_plan[0], of_plan[1]),
        effect_key=f"workflow {WORKFLOW} apply for {change_id}",
        preconditions=("previous_done", "workflow_succeeded", "plan_of_record_clean"),
    )


def _deploy(
    draft: Body, drafting: Drafting, artifacts: tuple[Artifact, ...], _reviewers: tuple[str, ...]
) -> Iterator[Grant]:
    objects = {a.path: json.loads(draft.content[a.path]) for a in artifacts}
    ordered = sorted(objects.items(), key=lambda item: (_rank(item[1]), item[0]))
    seq = 0
    for seq, (path, found) in enumerate(ordered, 1):
        place = "/".join(part for part in (_namespace(found), _name(found)) if part)
        yield Grant(
            seq=seq,
            server="kubernetes",
            verb="apply",
            arguments={"object": {"$artifact": path}, "namespace": _namespace(found) or None},
            effect_key=f"{found['apiVersion']} {found['kind']} {place}",
        )
    for found in objects.values():
        if found["kind"] == "Application":
            seq, commit = seq + 1, _commit(drafting)
            called: dict[str, JsonValue] = {
                "namespace": _namespace(found),
                "name": _name(found),
                "revision": commit,
            }
            key = f"sync of {_namespace(found)}/{_name(found)} at {commit}"
            yield Grant(
                seq=seq, server="kubernetes", verb="sync_application", arguments=called, effect_key=key
            )


def _repository(opened: OpenedChange) -> RepositoryTarget:
    if opened.destination.repository is None:
        raise PhaseFaultError("no repository is configured: set [github] repository")
    return opened.destination.repository


def _commit(drafting: Drafting) -> str:
    commit = drafting.receipts.fact(Phase.PUBLISH, "push_commit", "commit")
    if not isinstance(commit, str):
        raise PhaseFaultError("the publish phase left no commit")
    return commit


def _published_objects(drafting: Drafting) -> list[Object]:
    published = drafting.receipts.of(Phase.PUBLISH)
    return _objects(published.tree if published else {})


def _objects(files: Files) -> list[Object]:
    return [
        found
        for path, text in sorted(files.items())
        if path.startswith(_MANIFESTS)
        for found in yaml.safe_load_all(text)
        if isinstance(found, dict)
    ]


def _object_file(found: Object, change_id: str) -> tuple[str, str]:
    metadata = dict(found.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), CHANGE_ANNOTATION: change_id}
    path = f"objects/{str(found['kind']).lower()}-{metadata['name']}.json"
    return path, canonical({**found, "metadata": metadata}).decode()


def _rank(found: Object) -> int:
    kind = str(found["kind"])
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _namespace(found: Object) -> str:
    return str(found["metadata"].get("namespace") or "")
