"""What each verb's signed arguments must say, read from the manifest alone: the notary asks before it signs, the gate on every call.

Arguments that a verb needs besides are its own matter; they are signed like the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies import approval
from policies.change import CHANGE_ANNOTATION, Artifact, ChangeSet, Content, Grant, Operation, Phase
from policies.images import from_registry, images_named, parse_image
from policies.profile import Profile, matches
from policies.refusal import SignoffError
from policies.strict import decode

BRANCH_PREFIX = "countersign/"
WORKFLOWS = ".github/workflows/"
OBJECT_LIMIT = 1024 * 1024
"""Bytes of one Kubernetes object; etcd takes about as many."""
_SHA = re.compile(r"[0-9a-f]{40}")


def branch_of(change_id: str) -> str:
    """The only branch that a change may make."""
    return BRANCH_PREFIX + change_id


@dataclass(frozen=True)
class Case:
    """One grant in its change, and what the caller knows besides the manifest."""

    grant: Grant
    change: ChangeSet
    content: Content
    profile: Profile
    expected_commit: str | None
    """The commit that this run's publish phase produced, from the gate's journal."""

    @property
    def branch(self) -> str:
        """The only branch that this change may make."""
        return branch_of(self.change.change_id)

    def get(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """An argument, or None."""
        return self.grant.arguments.get(name)


def artifacts_named(value: object) -> Iterator[str]:
    """Every PATH of `{"$artifact": PATH}` in a JSON value, in order, repeated when it is."""
    if isinstance(value, Mapping):
        if isinstance(path := value.get("$artifact"), str):
            yield path
        for inner in value.values():
            yield from artifacts_named(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from artifacts_named(inner)


def object_fault(data: bytes, case: Case) -> str | None:
    """What keeps these bytes from being one object that this change may apply, or None."""
    try:
        body = decode(data, "the object", OBJECT_LIMIT)
    except SignoffError as fault:
        return f"{fault.message} Sign one object per artifact, as canonical JSON."
    meta = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or not all(
        isinstance(body.get(key), str) for key in ("apiVersion", "kind")
    ):
        return "the artifact is no Kubernetes object with apiVersion, kind and metadata"
    if not isinstance(meta.get("name"), str) or not meta["name"] or "generateName" in meta:
        return "the object has no fixed metadata.name"
    notes = meta.get("annotations")
    if not isinstance(notes, dict) or notes.get(CHANGE_ANNOTATION) != case.change.change_id:
        return f"annotation {CHANGE_ANNOTATION} is not {case.change.change_id}"
    group, _, _ = body["apiVersion"].rpartition("/")
    kind = f"{body['kind']}.{group}" if group else body["kind"]
    if not matches(case.profile.scope.kinds, kind):
        return f"kind {kind} is outside profile {case.profile.name}"
    registries = frozenset(case.profile.scope.registries)
    if odd := [text for text in images_named(body) if not from_registry(parse_image(text), registries)]:
        return f"image {odd[0][:200]} is from a registry outside profile {case.profile.name}"
    return _place_fault(kind, meta, case) or _reach_fault(kind, body, case)


def _reach_fault(kind: str, body: Mapping[str, Any], case: Case) -> str | None:
    """A GitOps object puts others into namespaces: those are the change's reach too."""
    spec = body.get("spec")
    if kind not in {"Application.argoproj.io", "AppProject.argoproj.io"} or not isinstance(spec, dict):
        return None
    cluster = case.change.destination.cluster
    named = spec.get("destinations") if kind.startswith("AppProject") else [spec.get("destination")]
    places = [place.get("namespace") if isinstance(place, dict) else None for place in named or ()]
    listed = cluster.namespaces if cluster else ()
    odd = [place for place in places if place not in listed]
    return f"{kind} reaches namespace {odd[0]}, which the destination does not list" if odd else None


def _place_fault(kind: str, meta: Mapping[str, Any], case: Case) -> str | None:
    cluster = case.change.destination.cluster
    where = meta["name"] if kind == "Namespace" else meta.get("namespace")
    if cluster is None or where not in cluster.namespaces:
        return (
            f"{kind} {meta['name']} belongs to {where or 'no namespace'}, which the destination does not list"
        )
    return None


def _push_commit(case: Case) -> str | None:
    repository = case.change.destination.repository
    if case.get("branch") != case.branch:
        return f"branch is not {case.branch}"
    if repository is None or case.get("base_commit") != repository.base_commit:
        return "base_commit is not the destination's"
    files = case.get("files")
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        return "files is no list of objects"
    by_path = {artifact.path: artifact for artifact in case.change.artifacts}
    named = [_file_of(entry, by_path) for entry in files]
    if None in named or sorted(filter(None, named)) != sorted(by_path):
        return "files are not exactly the artifacts of the change"
    return None


def _file_of(entry: Mapping[str, Any], by_path: Mapping[str, Artifact]) -> str | None:
    """The path that one entry speaks of, when everything it says of it is what the manifest says."""
    refs = list(artifacts_named(entry))
    path = entry.get("path", refs[0] if refs else None)
    artifact = by_path.get(path) if isinstance(path, str) else None
    if artifact is None:
        return None
    gone = artifact.operation is Operation.DELETE
    fits = refs == ([] if gone else [path])
    fits &= entry.get("mode", artifact.mode) == artifact.mode
    fits &= entry.get("operation", artifact.operation) == artifact.operation
    return path if fits else None


def _open_pull_request(case: Case) -> str | None:
    repository = case.change.destination.repository
    if case.get("head") != case.branch:
        return f"head is not {case.branch}"
    if repository is None or case.get("base") != repository.base_branch:
        return "base is not the destination's base branch"
    return None


def _request_reviewers(case: Case) -> str | None:
    """A team is `owner/team` in the profile and `team` in the call."""
    people, teams = case.get("reviewers") or [], case.get("team_reviewers") or []
    if not isinstance(people, list) or not isinstance(teams, list) or not (people or teams):
        return "nobody is asked to review"
    known_teams = {name.partition("/")[2] for name in case.profile.reviewers if "/" in name}
    if not set(map(str, people)) <= set(case.profile.reviewers) or not set(map(str, teams)) <= known_teams:
        return f"reviewers are not among those of profile {case.profile.name}"
    return None


def _advance_base(case: Case) -> str | None:
    repository, to = case.change.destination.repository, case.get("to")
    if repository is None or case.get("from") != repository.base_commit:
        return "from is not the signed base commit"
    if case.grant.arguments.get("branch", repository.base_branch) != repository.base_branch:
        return "branch is not the destination's base branch"
    if not isinstance(to, str) or not _SHA.fullmatch(to):
        return "to is no full commit SHA"
    if to != case.expected_commit:
        return "to is not the commit that this run's publish phase produced"
    return None


def _dispatch_workflow(case: Case) -> str | None:
    repository, inputs = case.change.destination.repository, case.get("inputs")
    if not isinstance(inputs, dict) or case.change.change_id not in inputs.values():
        return "inputs do not carry the change_id"
    if repository is None or case.get("ref") not in {repository.base_branch, case.branch}:
        return "ref is neither the base branch nor this change's branch"
    path = WORKFLOWS + str(case.get("workflow")).removeprefix(WORKFLOWS)
    if not matches(case.profile.scope.paths, path):
        return f"{path} is outside profile {case.profile.name}"
    if case.expected_commit is None or inputs.get("commit") != case.expected_commit:
        return "inputs.commit is not the commit that this run's publish phase produced"
    return None if inputs.get("mode") == "plan" else _apply_plan_fault(case, inputs)


def _apply_plan_fault(case: Case, inputs: Mapping[str, Any]) -> str | None:
    """What is dispatched besides a plan applies the very plan of the dispatch before it, once that was judged."""
    before = [g for g in case.change.grants[: case.grant.seq - 1] if g.name == case.grant.name]
    planned = before[-1] if before else None
    given = planned.arguments.get("inputs") if planned else None
    if planned is None or not isinstance(given, Mapping) or given.get("mode") != "plan":
        return "it applies, and the dispatch before it makes no plan"
    if planned.arguments.get("workflow") != case.get("workflow"):
        return "it applies what another workflow planned"
    wanted = {
        f"plan_{fact}": {"$receipt": {"seq": planned.seq, "fact": name}}
        for fact, name in (("run_id", "run_id"), ("sha256", "plan_sha256"))
    }
    if {name: inputs.get(name) for name in wanted} != wanted:
        return f"plan_run_id and plan_sha256 are not those of grant {planned.seq}'s receipt"
    if not {"workflow_succeeded", "plan_of_record_clean"} <= set(case.grant.preconditions):
        return "it does not wait for workflow_succeeded and plan_of_record_clean"
    return None


def _apply(case: Case) -> str | None:
    paths = list(artifacts_named(case.grant.arguments))
    artifact = next((a for a in case.change.artifacts if paths == [a.path]), None)
    if artifact is None or artifact.operation is Operation.DELETE or artifact.digest not in case.content:
        return "the call does not name exactly one artifact with bytes"
    return object_fault(case.content[artifact.digest], case)


def _sync_application(case: Case) -> str | None:
    revision, repository = case.get("revision"), case.change.destination.repository
    if not isinstance(revision, str) or not _SHA.fullmatch(revision):
        return "revision is no full commit SHA"
    if revision not in {case.expected_commit, repository.base_commit if repository else None}:
        return "revision is neither this run's commit nor the signed base commit"
    cluster = case.change.destination.cluster
    if cluster is None or case.get("namespace") not in cluster.namespaces:
        return "the application's namespace is not one that the destination lists"
    return None


def _comment(_: Case) -> str | None:
    return None  # its text and its pull request are signed; it changes no content


VERBS: Mapping[str, Callable[[Case], str | None]] = {
    "github.push_commit": _push_commit,
    "github.open_pull_request": _open_pull_request,
    "github.request_reviewers": _request_reviewers,
    "github.advance_base": _advance_base,
    "github.dispatch_workflow": _dispatch_workflow,
    "github.comment": _comment,
    "kubernetes.apply": _apply,
    "kubernetes.sync_application": _sync_application,
}
"""verb -> what is wrong with a call of it, or None. A verb that is not here is no."""
PHASES: Mapping[Phase, frozenset[str]] = {
    Phase.PUBLISH: frozenset(
        {"github.push_commit", "github.open_pull_request", "github.request_reviewers", "github.comment"}
    ),
    Phase.RELEASE: frozenset({"github.advance_base", "github.dispatch_workflow", "github.comment"}),
    Phase.DEPLOY: frozenset({"kubernetes.apply", "kubernetes.sync_application"}),
}
"""Each phase is judged on its own tree (a deploy on its objects alone), so each has its own verbs."""


def fault(case: Case) -> str | None:
    """What keeps this grant from being a call that its change may make, or None."""
    if case.grant.name not in PHASES[case.change.phase]:
        return f"the {case.change.phase} phase has no verb {case.grant.name}"
    present = {
        artifact.path for artifact in case.change.artifacts if artifact.operation is not Operation.DELETE
    }
    if unknown := set(artifacts_named(case.grant.arguments)) - present:
        return f"{min(unknown)} is no artifact of this change"
    if (wrong := _approval_fault(case)) is not None:
        return wrong
    return VERBS[case.grant.name](case)


def _approval_fault(case: Case) -> str | None:
    """Under a profile that asks for a reviewer, what comes after publish waits for one, and there is one to wait for."""
    profile = case.profile
    if profile.approval == "reviewer" and not profile.may_approve:
        return f"profile {profile.name} asks for a reviewer's approval and lists no login in reviewers"
    asked = approval.needed(profile, case.change.phase, case.grant.name)
    if asked and "review_approved" not in case.grant.preconditions:
        return f"profile {profile.name} demands the precondition review_approved"
    return None
