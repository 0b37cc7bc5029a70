"""Artifacts and destination -> the ordered grants of each phase. Whoever drafts, these are the calls; none is typed by hand.

publish: one commit on the change's own branch, a pull request, reviewers.
release: nothing new is written: base advanced to the published commit, plan of record, apply of that very plan.
deploy: each object by itself with the change's annotation, then a sync of each Application at the published commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from policies import approval, calls
from policies.change import CHANGE_ANNOTATION, Artifact, Grant, Phase, RepositoryTarget, canonical
from policies.profile import Profile

AUTHOR: Mapping[str, JsonValue] = {"name": "Countersign", "email": "countersign@users.noreply.github.com"}
WORKFLOW = "terraform.yml"
_ORDER = ("Namespace", "ServiceAccount", "NetworkPolicy", "Service", "ConfigMap", "Deployment",
          "PodDisruptionBudget", "HorizontalPodAutoscaler", "AppProject", "Application")  # fmt: skip
Object = Mapping[str, Any]
"""A Kubernetes object with apiVersion, kind and metadata.name."""


def publish(
    change_id: str,
    repository: RepositoryTarget,
    artifacts: tuple[Artifact, ...],
    *,
    title: str,
    goal: str,
    summary: str,
    date: str,
    reviewers: tuple[str, ...],
) -> Iterator[Grant]:
    """`date` is RFC 3339, the commit's; a reviewer with a `/` is a team."""
    branch = calls.branch_of(change_id)
    trailer = f"Countersign-Change: {change_id}"
    files: list[JsonValue] = [_file(artifact) for artifact in artifacts]
    arguments: dict[str, JsonValue] = {
        "branch": branch,
        "base_commit": repository.base_commit,
        "message": f"{title}\n\n{trailer}\n",
        "author": dict(AUTHOR),
        "date": date,
        "files": files,
    }
    yield Grant(
        seq=1, server="github", verb="push_commit", arguments=arguments, effect_key=f"branch {branch}"
    )
    request: dict[str, JsonValue] = {
        "head": branch, "base": repository.base_branch, "title": title, "body": _body(goal, summary, artifacts, trailer)
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


def _file(artifact: Artifact) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "path": artifact.path,
        "operation": artifact.operation.value,
        "mode": artifact.mode,
    }
    return told if artifact.operation == "delete" else {**told, "file": {"$artifact": artifact.path}}


def _body(goal: str, summary: str, artifacts: tuple[Artifact, ...], trailer: str) -> str:
    listed = "\n".join(f"- `{a.path}` {a.operation.value} {a.digest}" for a in artifacts)
    quoted = "\n".join(f"> {line}" for line in goal.splitlines())
    return f"{quoted}\n\n{summary}\n\nSigned files:\n\n{listed}\n\n{trailer}\n"


def release(change_id: str, repository: RepositoryTarget, commit: str) -> Iterator[Grant]:
    """`commit` is what the publish phase produced."""
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


def deploy(objects: Mapping[str, Object], commit: str | None) -> Iterator[Grant]:
    """`objects` is path -> object as signed; `commit` what each Application is synced to. Raises ValueError when it is missing."""
    ordered = sorted(objects.items(), key=lambda item: (_rank(item[1]), item[0]))
    seq = 0
    for seq, (path, found) in enumerate(ordered, 1):
        place = "/".join(part for part in (namespace_of(found), name_of(found)) if part)
        yield Grant(
            seq=seq,
            server="kubernetes",
            verb="apply",
            arguments={"object": {"$artifact": path}, "namespace": namespace_of(found) or None},
            effect_key=f"{found['apiVersion']} {found['kind']} {place}",
        )
    for found in objects.values():
        if found["kind"] == "Application":
            if commit is None:
                raise ValueError("an Application is synced to a commit, and none was published")
            seq += 1
            called: dict[str, JsonValue] = {
                "namespace": namespace_of(found),
                "name": name_of(found),
                "revision": commit,
            }
            key = f"sync of {namespace_of(found)}/{name_of(found)} at {commit}"
            yield Grant(
                seq=seq, server="kubernetes", verb="sync_application", arguments=called, effect_key=key
            )


def after_approval(grant: Grant, phase: Phase, profile: Profile) -> Grant:
    """The grant, waiting for the review where the profile wants one."""
    if not approval.needed(profile, phase, grant.name):
        return grant
    return grant.model_copy(update={"preconditions": (*grant.preconditions, "review_approved")})


def object_file(found: Object, change_id: str) -> tuple[str, bytes]:
    """An object's path, and its bytes: canonical JSON with the change's annotation."""
    metadata = dict(found.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), CHANGE_ANNOTATION: change_id}
    path = f"objects/{str(found['kind']).lower()}-{metadata['name']}.json"
    return path, canonical({**found, "metadata": metadata})


def name_of(found: Object) -> str:
    """metadata.name."""
    return str(found["metadata"]["name"])


def namespace_of(found: Object) -> str:
    """metadata.namespace, or nothing."""
    return str(found["metadata"].get("namespace") or "")


def _rank(found: Object) -> int:
    kind = str(found["kind"])
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
