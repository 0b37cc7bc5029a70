"""Argo CD: a controller must apply the signed commit and nothing else. Flux and Crossplane kinds are refused until judged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from policies.finding import Finding, Remediation, SetValue
from policies.kubernetes_objects import ManifestObject, mapping, sequence
from policies.rules import rule

IN_CLUSTER = frozenset({"https://kubernetes.default.svc", "in-cluster"})
"""The cluster that the controller runs in, as Argo CD calls it: the only one that a sign-off's destination names."""
_SHA = re.compile(r"[0-9a-f]{40}")
_UNJUDGED = {
    "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "image.toolkit.fluxcd.io",
    "apiextensions.crossplane.io", "pkg.crossplane.io", "kubernetes.crossplane.io", "helm.crossplane.io",
}  # fmt: skip
_PROJECT_LISTS = (
    "sourceRepos", "destinations", "clusterResourceWhitelist", "namespaceResourceWhitelist", "sourceNamespaces",
)  # fmt: skip


def gitops(
    owner: ManifestObject, *, clone_url: str | None, expected_commit: str | None, allow_automated_sync: bool
) -> Iterator[Finding]:
    """Findings on one GitOps object; nothing for other kinds."""
    if owner.group == "argoproj.io" and owner.kind == "Application":
        yield from _application(owner, clone_url, expected_commit, allow_automated_sync=allow_automated_sync)
    elif owner.group == "argoproj.io" and owner.kind == "AppProject":
        yield from _project(owner)
    elif owner.group == "argoproj.io" and owner.kind == "ApplicationSet":
        yield _found(owner, "gitops/generator", "generates Applications", "/spec/generators")
    elif owner.group in _UNJUDGED or owner.group.endswith(".upbound.io"):
        yield _found(
            owner,
            "gitops/unjudged-kind",
            f"is a {owner.kind}, which makes objects that nobody has judged",
            "/kind",
        )


def _found(
    owner: ManifestObject,
    name: str,
    message: str,
    pointer: str,
    fix: tuple[Remediation, ...] = (),
    *,
    part: str = "",
) -> Finding:
    resource = f"{owner.label}/{part}" if part else owner.label
    return rule(name).finding(
        owner.path, resource, f"{owner.label} {message}", line=owner.line(pointer), remediations=fix
    )


def _application(
    owner: ManifestObject, clone_url: str | None, expected: str | None, *, allow_automated_sync: bool
) -> Iterator[Finding]:
    spec = mapping(owner.value.get("spec"))
    source = mapping(spec.get("source"))
    if spec.get("sources") or spec.get("sourceHydrator"):
        yield _found(owner, "gitops/multi-source", "has more than one source", "/spec/sources")
    if source or not spec.get("sources"):
        yield from _source(owner, source, clone_url, expected)
    automated = mapping(spec.get("syncPolicy")).get("automated")
    if automated is not None and not allow_automated_sync:
        fix = owner.patch(SetValue(pointer="/spec/syncPolicy/automated", remove=True))
        yield _found(owner, "gitops/automated-sync", "syncs by itself", "/spec/syncPolicy/automated", fix=fix)
    if spec.get("project", "default") == "default":
        yield _found(owner, "gitops/default-project", "is in project default", "/spec/project")
    yield from _reach(owner, mapping(spec.get("destination")))
    if spec.get("ignoreDifferences"):
        yield _found(owner, "gitops/ignore-differences", "ignores differences", "/spec/ignoreDifferences")


def _reach(owner: ManifestObject, destination: dict[str, Any]) -> Iterator[Finding]:
    """Where its objects go, and whether it would move by itself."""
    if not (destination.get("server") or destination.get("name")) or not destination.get("namespace"):
        yield _found(owner, "gitops/destination", "does not say where its objects go", "/spec/destination")
    elif {destination.get("server"), destination.get("name")} - {None, ""} - IN_CLUSTER:
        yield _found(owner, "gitops/destination", "sends its objects to another cluster", "/spec/destination")
    for name in sorted({"operation", "status"} & set(owner.value)):
        fix = owner.patch(SetValue(pointer=f"/{name}", remove=True))
        yield _found(owner, "gitops/operation", f"brings its own {name}", f"/{name}", fix=fix, part=name)


def _source(
    owner: ManifestObject, source: dict[str, Any], clone_url: str | None, expected: str | None
) -> Iterator[Finding]:
    url, revision = source.get("repoURL"), str(source.get("targetRevision") or "")
    if source.get("chart"):
        yield _found(
            owner, "gitops/helm-chart", f"installs chart {source['chart']} from {url}", "/spec/source/chart"
        )
    elif clone_url is None or url != clone_url:
        fix = owner.patch(SetValue(pointer="/spec/source/repoURL", value=clone_url)) if clone_url else ()
        message = f"takes its content from {url}, the change's repository is {clone_url or 'not known'}"
        yield _found(owner, "gitops/repository", message, "/spec/source/repoURL", fix=fix)
    if not _SHA.fullmatch(revision) or (expected is not None and revision != expected):
        fix = owner.patch(SetValue(pointer="/spec/source/targetRevision", value=expected)) if expected else ()
        wanted = f"commit {expected}" if expected else "a full commit SHA"
        message = f"follows {revision or 'HEAD'}, not {wanted}"
        yield _found(owner, "gitops/revision", message, "/spec/source/targetRevision", fix=fix)
    yield from _tools(owner, source)


def _tools(owner: ManifestObject, source: dict[str, Any]) -> Iterator[Finding]:
    if source.get("plugin") is not None:
        yield _found(owner, "gitops/plugin", "uses a config management plugin", "/spec/source/plugin")
    for tool in ("helm", "kustomize"):
        if mapping(source.get(tool)):
            names = ", ".join(sorted(source[tool]))
            fix = owner.patch(SetValue(pointer=f"/spec/source/{tool}", remove=True))
            yield _found(
                owner,
                "gitops/inline-values",
                f"changes its content by {tool} ({names})",
                f"/spec/source/{tool}",
                fix,
                part=tool,
            )
    if mapping(mapping(source.get("directory")).get("jsonnet")):
        yield _found(
            owner,
            "gitops/inline-values",
            "evaluates jsonnet",
            "/spec/source/directory/jsonnet",
            part="jsonnet",
        )


def _project(owner: ManifestObject) -> Iterator[Finding]:
    spec = mapping(owner.value.get("spec"))
    for name in _PROJECT_LISTS:
        for index, entry in enumerate(sequence(spec.get(name))):
            values = (
                [entry]
                if isinstance(entry, str)
                else [mapping(entry).get(k) for k in ("server", "name", "namespace", "group", "kind")]
            )
            wild = any(
                value == "*"
                or (isinstance(value, str) and name != "sourceNamespaces" and value.startswith("*"))
                for value in values
            )
            if wild:
                yield _found(
                    owner,
                    "gitops/project-wildcard",
                    f"allows * in {name}",
                    f"/spec/{name}/{index}",
                    part=name,
                )
    for name in ("sourceRepos", "destinations"):
        if not sequence(spec.get(name)):
            yield _found(owner, "gitops/project-wildcard", f"names no {name}", "/spec", part=name)
