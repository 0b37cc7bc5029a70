"""What an AppProject lets its Applications use."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]
IN_CLUSTER = "https://kubernetes.default.svc"


def spec_faults(application: Json, project: Json | None) -> list[str]:
    """Why the Application's spec may not be used, in Argo CD's words."""
    spec = application["spec"]
    name = spec.get("project") or "default"
    if project is None:
        return [f"Application referencing project {name} which does not exist"]
    listed = [spec["source"]] if spec.get("source") else spec.get("sources") or []
    urls = [source.get("repoURL", "") for source in listed]
    faults = [
        f"application repo {url} is not permitted in project '{name}'"
        for url in urls
        if not source_permitted(project, url)
    ]
    destination = spec["destination"]
    if not spec.get("source") and not spec.get("sources"):
        return ["spec.source.repoURL and either spec.source.path or spec.source.chart are required"]
    if (
        destination.get("name") not in (None, "", "in-cluster")
        or destination.get("server", IN_CLUSTER) != IN_CLUSTER
    ):
        where = destination.get("name") or destination.get("server")
        return [
            *faults,
            f"there are no clusters with this name: {where}"
            if destination.get("name")
            else f'cluster "{where}" not found',
        ]
    if not destination_permitted(project, destination.get("namespace", "")):
        server = destination.get("name") or IN_CLUSTER
        faults.append(
            f"application destination server '{server}' and namespace '{destination.get('namespace', '')}' do not match "
            f"any of the allowed destinations in project '{name}'"
        )
    return faults


def _normal(url: str) -> str:
    return url.rstrip("/").removesuffix(".git")


def _allowed(value: str, patterns: list[str]) -> bool:
    """Patterns may deny with a leading `!`; a denial outweighs."""
    if any(p.startswith("!") and fnmatchcase(value, p[1:]) for p in patterns):
        return False
    return any(not p.startswith("!") and fnmatchcase(value, p) for p in patterns)


def source_permitted(project: Json, url: str) -> bool:
    """Whether a repository may be used."""
    return _allowed(_normal(url), [_normal(pattern) for pattern in project["spec"].get("sourceRepos") or []])


def destination_permitted(project: Json, namespace: str) -> bool:
    """Whether a namespace of this cluster may be used."""
    rows = project["spec"].get("destinations") or []
    servers = (IN_CLUSTER, "in-cluster")
    denied = any(_denies(row, namespace, servers) for row in rows)
    return not denied and any(_takes(row, namespace, servers) for row in rows)


def _takes(row: Json, namespace: str, servers: tuple[str, str]) -> bool:
    pattern = row.get("server") or ""
    by_server = not pattern.startswith("!") and fnmatchcase(servers[0], pattern) if pattern else False
    by_name = fnmatchcase(servers[1], row.get("name") or "") if not pattern else False
    where = row.get("namespace") or ""
    return (by_server or by_name) and not where.startswith("!") and fnmatchcase(namespace, where)


def _denies(row: Json, namespace: str, servers: tuple[str, str]) -> bool:
    where, server = row.get("namespace") or "", row.get("server") or ""
    if where.startswith("!") and fnmatchcase(servers[0], server or "*"):
        return fnmatchcase(namespace, where[1:])
    return server.startswith("!") and fnmatchcase(servers[0], server[1:]) and fnmatchcase(namespace, where)


def kind_permitted(project: Json, kind: Kind) -> bool:
    """Cluster kinds only when listed; namespaced kinds unless a whitelist lacks or a blacklist has them."""
    spec = project["spec"]
    if not kind.namespaced:
        listed = _listed(spec.get("clusterResourceWhitelist") or [], kind)
        return listed and not _listed(spec.get("clusterResourceBlacklist") or [], kind)
    white = spec.get("namespaceResourceWhitelist")
    return (white is None or _listed(white, kind)) and not _listed(
        spec.get("namespaceResourceBlacklist") or [], kind
    )


def _listed(rows: list[Json], kind: Kind) -> bool:
    return any(
        fnmatchcase(kind.group, row.get("group", "")) and fnmatchcase(kind.kind, row.get("kind", ""))
        for row in rows
    )
