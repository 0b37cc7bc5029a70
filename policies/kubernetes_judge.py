"""Every engine that judges Kubernetes objects, on the manifests of a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from policies import documents, kubernetes_models
from policies.finding import Finding
from policies.gitops_rules import gitops
from policies.images import image_findings
from policies.kubernetes_objects import ManifestObject, is_object, objects_of, odd_items
from policies.kubernetes_rules import surroundings, unguarded, workload
from policies.pod_security_rules import namespace_level, pod_security
from policies.pod_specs import hidden_pod_specs, pod_specs
from policies.rbac_rules import rights
from policies.reading import is_manifest
from policies.rego import RegoEngine
from policies.rules import rule

if TYPE_CHECKING:
    from policies.scan import ScanContext

_JUDGED_CUSTOM = frozenset(
    {("argoproj.io", "Application"), ("argoproj.io", "AppProject"), ("argoproj.io", "ApplicationSet")}
)


def judge_manifests(
    tree: Mapping[str, bytes], present: AbstractSet[str], context: ScanContext, policies: RegoEngine | None
) -> Iterator[Finding]:
    """Findings on the manifests among `present`; a NetworkPolicy anywhere in the tree may guard their pods."""
    objects: list[ManifestObject] = []
    for path in sorted(filter(is_manifest, present)):
        reading = documents.read(path, tree[path])
        yield from reading.findings
        for document in reading.documents:
            yield from odd_items(document)
            objects += objects_of(document)
            if not is_object(document.value) and not any(odd_items(document)):
                message = f"{path} document {document.index} is no Kubernetes object; no engine reads it"
                yield rule("reading/unjudged").finding(
                    path, f"document {document.index}", message, line=document.line_of("")
                )
    yield from _twice(objects)
    for owner in objects:
        yield from _object(owner, context)
        if policies is not None:
            yield from policies.findings(owner)
    open_pods = list(unguarded(objects, ()))
    if open_pods:
        yield from unguarded(objects, _other_policies(tree, present))


def _other_policies(tree: Mapping[str, bytes], present: AbstractSet[str]) -> tuple[ManifestObject, ...]:
    """NetworkPolicies in files that the change leaves as they are."""
    others = [
        path for path in tree if is_manifest(path) and path not in present and b"NetworkPolicy" in tree[path]
    ]
    read = [documents.read(path, tree[path]) for path in sorted(others)]
    return tuple(
        owner for reading in read for document in reading.documents for owner in objects_of(document)
    )


def _twice(objects: list[ManifestObject]) -> Iterator[Finding]:
    def identity(owner: ManifestObject) -> tuple[str, ...]:
        return owner.group, owner.kind, owner.namespace, owner.name

    counts = Counter(identity(owner) for owner in objects if owner.metadata.get("name"))
    for owner in objects:
        if counts[identity(owner)] > 1:
            message = f"{owner.label} is defined {counts[identity(owner)]} times"
            yield rule("reading/duplicate-object").finding(
                owner.path, owner.label, message, line=owner.line()
            )


def _object(owner: ManifestObject, context: ScanContext) -> Iterator[Finding]:
    level = context.pod_security_level
    specs = pod_specs(owner)
    yield from hidden_pod_specs(owner)
    yield from namespace_level(owner, level)
    yield from surroundings(owner)
    yield from rights(owner)
    yield from gitops(
        owner,
        clone_url=context.clone_url,
        expected_commit=context.expected_commit,
        allow_automated_sync=context.allow_automated_sync,
    )
    if "kubernetes-models" not in context.without:
        yield from kubernetes_models.misfits(owner)
        custom = not kubernetes_models.known(owner) and (owner.group, owner.kind) not in _JUDGED_CUSTOM
        if custom and not specs:
            message = f"no engine knows {owner.api_version} {owner.kind}"
            yield rule("reading/unjudged").finding(owner.path, owner.label, message, line=owner.line())
    for at in specs:
        yield from pod_security(at, level)
        yield from workload(at)
        yield from image_findings(at, context.images, context.allowed_registries, rehearsal=context.rehearsal)
