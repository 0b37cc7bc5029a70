"""What stands at the target before anything is planned: Terraform, namespaces, network rules, rights, Applications.

Read through the gate's read tools, kept in the graph, found again by retrieval. Everything here is other
people's text: it is shown as data and never obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pydantic import Field

from knowledge import schema
from knowledge.graph import Graph, Statement
from policies.change import Destination, Word

KINDS = (
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("apps/v1", "Deployment"),
    ("argoproj.io/v1alpha1", "Application"),
)
MOST_FILES = 60
_BLOCK = re.compile(r'^(resource|module|provider)\s+"([^"]{1,80})"(?:\s+"([^"]{1,80})")?', re.MULTILINE)


class Item(Word):
    """One thing that was found, where, and what it says in one sentence."""

    kind: str
    name: str
    namespace: str = ""
    summary: str
    source: str = Field(
        description="where it was read: a path and line, or kind/namespace/name in the cluster"
    )
    rule: bool = Field(default=False, description="a network or security rule that a draft has to respect")

    @property
    def key(self) -> str:
        """What identifies it at its target."""
        return f"{self.kind}/{self.namespace}/{self.name}"


class Inventory(Word):
    """Everything found at one target. `gaps` says what could not be read, and why."""

    destination: Destination
    items: tuple[Item, ...] = ()
    gaps: tuple[str, ...] = ()


def shuts(item: Item, namespace: str) -> bool:
    """Whether it is a network rule that denies all incoming traffic of that namespace which nothing else allows."""
    return item.rule and item.namespace == namespace and "denies all ingress" in item.summary


class Reads(Protocol):
    """The gate's read tools, by name."""

    def __call__(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The structured answer. Raises LookupError with the reason when it cannot be had."""


def take(reads: Reads, destination: Destination) -> Inventory:
    """Read the target once. What cannot be read is a gap that the plan names, never a silent nothing."""
    items: list[Item] = []
    gaps: list[str] = []
    if destination.repository is not None:
        _attempt(lambda: items.extend(_terraform(reads)), "repository", gaps)
    if destination.cluster is not None:
        _attempt(lambda: items.extend(_namespaces(reads)), "namespaces", gaps)
        for version, kind in KINDS:
            _attempt(lambda v=version, k=kind: items.extend(_objects(reads, v, k)), kind, gaps)
    return Inventory(destination=destination, items=tuple(items), gaps=tuple(gaps))


def _attempt(work: Any, what: str, gaps: list[str]) -> None:  # noqa: ANN401 - a closure without a result
    try:
        work()
    except LookupError as fault:
        gaps.append(f"{what}: {fault}")


def _terraform(reads: Reads) -> Iterator[Item]:
    listed = reads("list_repository_files", {})
    paths = [str(p) for p in listed.get("paths", listed.get("files", ())) if str(p).endswith(".tf")]
    for path in paths[:MOST_FILES]:
        text = str(reads("read_repository_file", {"path": path}).get("text", ""))
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            block, kind, name = match.groups()
            title = f"{kind}.{name}" if name else kind
            yield Item(
                kind=f"terraform {block}",
                name=title,
                summary=f"Terraform {block} {title}",
                source=f"{path}:{line}",
            )


def _namespaces(reads: Reads) -> Iterator[Item]:
    for found in _listed(reads("list_namespaces", {})):
        meta = found.get("metadata", found)
        labels = meta.get("labels") or {}
        level = labels.get("pod-security.kubernetes.io/enforce", "none")
        name = str(meta.get("name", ""))
        yield Item(
            kind="Namespace",
            name=name,
            summary=f"Namespace {name} enforces Pod Security level {level}",
            source=f"Namespace/{name}",
        )


def _objects(reads: Reads, version: str, kind: str) -> Iterator[Item]:
    for found in _listed(reads("list_resources", {"api_version": version, "kind": kind})):
        meta = found.get("metadata", {})
        name, namespace = str(meta.get("name", "")), str(meta.get("namespace", ""))
        summary, rule = _summary(kind, name, namespace, found)
        source = f"{kind}/{namespace}/{name}" if namespace else f"{kind}/{name}"
        yield Item(kind=kind, name=name, namespace=namespace, summary=summary, source=source, rule=rule)


def _listed(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("items", answer.get("namespaces", ()))
    return [item if isinstance(item, dict) else {"metadata": {"name": str(item)}} for item in found]


def _summary(kind: str, name: str, namespace: str, found: Mapping[str, Any]) -> tuple[str, bool]:
    spec = found.get("spec") or {}
    if kind == "NetworkPolicy":
        return _network_policy(name, namespace, spec), True
    if kind.endswith("Binding"):
        role = found.get("roleRef") or {}
        who = ", ".join(f"{s.get('kind')} {s.get('name')}" for s in found.get("subjects") or ())
        return f"{kind} {name} gives {role.get('kind')} {role.get('name')} to {who or 'nobody'}", role.get(
            "name"
        ) == "cluster-admin"
    if kind == "Application":
        source = spec.get("source") or {}
        return (
            f"Argo CD Application {name} follows {source.get('path')} at {source.get('targetRevision')}",
            False,
        )
    return f"{kind} {namespace}/{name} with {spec.get('replicas', 1)} replicas", False


def _network_policy(name: str, namespace: str, spec: Mapping[str, Any]) -> str:
    types = spec.get("policyTypes") or ["Ingress"]
    everything = not (spec.get("podSelector") or {}).get("matchLabels") and not (
        spec.get("podSelector") or {}
    ).get("matchExpressions")
    closed = [t for t in types if not spec.get(t.lower())]
    if everything and closed:
        return f"NetworkPolicy {name} denies all {' and '.join(t.lower() for t in closed)} traffic in namespace {namespace}"
    return f"NetworkPolicy {name} limits {' and '.join(t.lower() for t in types)} in namespace {namespace}"


def keep(graph: Graph, inventory: Inventory) -> None:
    """Write it; writing it again changes nothing. Raises GraphUnavailableError, and then nothing was written."""
    schema.establish(graph)
    graph.write(statements(inventory))


def statements(inventory: Inventory) -> Iterator[Statement]:
    """The inventory as graph statements: resources and rules under the repository and the cluster."""
    repository, cluster = inventory.destination.repository, inventory.destination.cluster
    places: dict[str, str] = {}
    if repository is not None:
        places["Repository"] = f"{repository.full_name}#{repository.repository_id}"
        yield schema.nodes("Repository", [{"key": places["Repository"], "name": repository.full_name}])
    if cluster is not None:
        places["Cluster"] = cluster.uid
        yield schema.nodes("Cluster", [{"key": cluster.uid, "server": cluster.server}])
    for place, key in places.items():
        mine = [i for i in inventory.items if i.kind.startswith("terraform") == (place == "Repository")]
        plain = [i for i in mine if not i.rule]
        rules = [i for i in mine if i.rule]
        yield schema.nodes("Resource", [_row(key, i) for i in plain])
        yield schema.nodes("NetworkRule", [_row(key, i) for i in rules])
        if place == "Repository":
            yield schema.links("CONTAINS", "Repository", "Resource", [(key, f"{key}/{i.key}") for i in plain])
        else:
            yield schema.links("CONTAINS", "Cluster", "Resource", [(key, f"{key}/{i.key}") for i in plain])
            yield schema.links("GOVERNS", "Cluster", "NetworkRule", [(key, f"{key}/{i.key}") for i in rules])


def _row(place: str, item: Item) -> dict[str, Any]:
    return {
        "key": f"{place}/{item.key}",
        "kind": item.kind,
        "name": item.name,
        "namespace": item.namespace,
        "summary": item.summary,
    }
