"""One sync operation: check every object against the project, apply in Argo CD's order, prune only when asked."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from tools.sandbox.cluster.argocd.compare import LAST_APPLIED, Compared, images_of, merged
from tools.sandbox.cluster.argocd.projects import destination_permitted, kind_permitted
from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
MANAGER = "argocd-controller"
_NAMESPACE = BY_KIND["v1", "Namespace"]
_KIND_ORDER = (
    "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodDisruptionBudget", "ServiceAccount", "Secret",
    "ConfigMap", "PersistentVolumeClaim", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service",
    "DaemonSet", "Pod", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob",
    "IngressClass", "Ingress",
)  # fmt: skip
_HOOK = "argocd.argoproj.io/hook"
_WAVE = "argocd.argoproj.io/sync-wave"
_OPTIONS = "argocd.argoproj.io/sync-options"


@dataclass(frozen=True)
class Synced:
    """How an operation ended: phase, message and the results by object."""

    phase: str
    message: str
    resources: list[Json]


def run(cluster: Cluster, application: Json, project: Json, items: list[Compared], operation: Json) -> Synced:
    """Apply what git wants. Waves are an order here: the next one does not wait for the health of the one before."""
    asked = operation.get("sync") or {}
    options = set(
        asked.get("syncOptions") or (application["spec"].get("syncPolicy") or {}).get("syncOptions") or ()
    )
    chosen = [item for item in items if _is_asked(item, asked.get("resources") or [])]
    refused = [_result(item, "SyncFailed", why) for item in chosen if (why := _fault(project, item))]
    if refused:
        return Synced("Failed", "one or more synchronization tasks are not valid", refused)
    results: list[Json] = []
    if "CreateNamespace=true" in options:
        try:
            results += _make_namespace(cluster, application)
        except ApiError as fault:
            return Synced("Failed", f"namespace auto creation failed: {fault.message}", results)
    for item in sorted((i for i in chosen if i.target is not None), key=_order):
        try:
            message = apply_one(cluster, item, server_side=_server_side(item, options))
        except ApiError as fault:
            results.append(_result(item, "SyncFailed", fault.message))
            reason = f"one or more objects failed to apply, reason: {fault.message}"
            return Synced("Failed", reason, results)
        results.append(_result(item, "Synced", message))
    for item in sorted((i for i in chosen if i.target is None), key=_order, reverse=True):
        results.append(_prune(cluster, item, asked=bool(asked.get("prune"))))
    return Synced("Succeeded", "successfully synced (all tasks run)", results)


def _is_asked(item: Compared, listed: list[Json]) -> bool:
    return not listed or any(
        (r.get("group", ""), r["kind"], r["name"]) == (item.kind.group, item.kind.kind, item.name)
        for r in listed
    )


def _fault(project: Json, item: Compared) -> str:
    """Why an object may not be synced; empty when it may."""
    name = project["metadata"]["name"]
    if not kind_permitted(project, item.kind):
        return f"resource {item.kind.group}:{item.kind.kind} is not permitted in project {name}"
    if item.kind.namespaced and not destination_permitted(project, item.namespace):
        return f"namespace {item.namespace} is not permitted in project '{name}'"
    if item.target is not None and _HOOK in (item.target["metadata"].get("annotations") or {}):
        return "hooks are not supported in the rehearsal: move this object out of the application to rehearse the rest"
    return ""


def _order(item: Compared) -> tuple[int, int, str, str]:
    manifest = item.target or item.live or {}
    wave = (manifest.get("metadata", {}).get("annotations") or {}).get(_WAVE, "0")
    rank = _KIND_ORDER.index(item.kind.kind) if item.kind.kind in _KIND_ORDER else len(_KIND_ORDER)
    return int(wave) if wave.lstrip("-").isdigit() else 0, rank, item.namespace, item.name


def _server_side(item: Compared, options: set[str]) -> bool:
    own = ((item.target or {}).get("metadata", {}).get("annotations") or {}).get(_OPTIONS, "")
    return "ServerSideApply=true" in options or "ServerSideApply=true" in own


def apply_one(cluster: Cluster, item: Compared, *, server_side: bool) -> str:
    """Apply one object; `deployment.apps/web created` and its like. Raises ApiError."""
    target = copy.deepcopy(item.target or {})
    about = f"{item.kind.singular}.{item.kind.group}" if item.kind.group else item.kind.singular
    named = f"{about}/{item.name}"
    options = Options(manager=MANAGER, force=True, validation="Strict")
    if server_side:
        cluster.patch(item.kind, item.namespace, item.name, "apply", target, options)
        return f"{named} serverside-applied"
    target["metadata"]["annotations"][LAST_APPLIED] = (
        json.dumps(item.target, sort_keys=True, separators=(",", ":")) + "\n"
    )
    live = cluster.store.get(item.kind, item.namespace, item.name)
    if live is None:
        cluster.create(item.kind, item.namespace, target, options)
        return f"{named} created"
    answer = cluster.replace(item.kind, item.namespace, item.name, merged(live, target), options)
    same = answer.manifest["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    return f"{named} {'unchanged' if same else 'configured'}"


def _make_namespace(cluster: Cluster, application: Json) -> list[Json]:
    name = application["spec"]["destination"].get("namespace", "")
    if not name or cluster.store.get(_NAMESPACE, "", name) is not None:
        return []
    metadata: Json = {"name": name}
    managed = (application["spec"].get("syncPolicy") or {}).get("managedNamespaceMetadata") or {}
    metadata |= {key: managed[key] for key in ("labels", "annotations") if managed.get(key)}
    cluster.create(_NAMESPACE, "", {"metadata": metadata}, Options(manager=MANAGER))
    result = {
        "group": "",
        "version": "v1",
        "kind": "Namespace",
        "name": name,
        "namespace": "",
        "status": "Synced",
    }
    return [result | {"message": f"namespace/{name} created", "hookPhase": "Running", "syncPhase": "PreSync"}]


def _prune(cluster: Cluster, item: Compared, *, asked: bool) -> Json:
    kept = "Prune=false" in ((item.live or {}).get("metadata", {}).get("annotations") or {}).get(_OPTIONS, "")
    if kept or not asked:
        return _result(item, "PruneSkipped", "ignored (no prune)" if kept else "ignored (requires pruning)")
    cluster.delete(item.kind, item.namespace, item.name)
    return _result(item, "Pruned", "pruned")


def _result(item: Compared, status: str, message: str) -> Json:
    about = {"group": item.kind.group, "version": item.kind.version, "kind": item.kind.kind}
    about |= {"namespace": item.namespace, "name": item.name, "status": status, "message": message}
    phases = {"Synced": "Running", "Pruned": "Succeeded", "PruneSkipped": "Succeeded", "SyncFailed": "Failed"}
    result: Json = about | {"hookPhase": phases[status], "syncPhase": "Sync"}
    found = images_of(item.target or {})
    return result | ({"images": found} if found else {})
