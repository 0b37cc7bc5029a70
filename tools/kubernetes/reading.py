"""The read tools of a cluster: typed, bounded, and never a Secret."""

from __future__ import annotations

from typing import Any

from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.comparing import quantity
from tools.kubernetes.words import (
    Application,
    ApplicationStatus,
    EventRow,
    Events,
    GetResource,
    ListEvents,
    ListResources,
    Log,
    Metrics,
    PodLogs,
    PodMetrics,
    PodRow,
    PodUsage,
    Resource,
    Resources,
    Rollout,
    RolloutStatus,
)
from tools.tool import Nothing, Tool, ToolRefusedError

Json = dict[str, Any]
_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "annotations",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "ownerReferences",
)
_MOST_LOG = 64 * 2**10


def _plain(manifest: Json) -> Json:
    """An object without managed fields and last-applied copies."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key in _METADATA}
    notes = metadata.get("annotations")
    if notes:
        last = "kubectl.kubernetes.io/last-applied-configuration"
        metadata["annotations"] = {key: value for key, value in notes.items() if key != last}
    return manifest | {"metadata": metadata}


def _refuse_secrets(kind: str) -> None:
    if kind.strip().lower() in {"secret", "secretlist", "secrets"}:
        raise ToolRefusedError(
            "secrets-are-not-read", "Secrets are never read.", "Ask for the object that uses it instead."
        )


class Reads:
    """The calls behind the tools."""

    def __init__(self, cluster: LiveCluster) -> None:
        self._cluster = cluster

    def list_resources(self, asked: ListResources) -> Resources:
        """Raises ToolRefusedError for Secrets, TargetError."""
        _refuse_secrets(asked.kind)
        found = self._cluster.listed(
            asked.api_version,
            asked.kind,
            asked.namespace or "",
            chosen={"labelSelector": asked.label_selector},
            most=asked.limit + 1,
        )
        items = tuple(_plain(item) for item in found[: asked.limit])
        return Resources(items=items, complete=len(found) <= asked.limit)

    def get_resource(self, asked: GetResource) -> Resource:
        """Raises ToolRefusedError for Secrets, TargetError."""
        _refuse_secrets(asked.kind)
        found = self._cluster.get(asked.api_version, asked.kind, asked.namespace or "", asked.name)
        return Resource(manifest=_plain(found))

    def list_namespaces(self, _: Nothing) -> Resources:
        """Every namespace with its labels."""
        return self.list_resources(ListResources(api_version="v1", kind="Namespace", limit=500))

    def list_events(self, asked: ListEvents) -> Events:
        """Raises TargetError."""
        found = self._cluster.events(asked.namespace, name=asked.name, kind=asked.kind, most=asked.limit)
        return Events(events=tuple(_event(item) for item in found))

    def pod_logs(self, asked: PodLogs) -> Log:
        """Raises TargetError, such as for a container that has not started."""
        text = self._cluster.log(asked.namespace, asked.pod, asked.container, asked.tail)
        return Log(text=text[-_MOST_LOG:], truncated=len(text) > _MOST_LOG)

    def pod_metrics(self, asked: PodMetrics) -> Metrics:
        """Raises TargetError."""
        found = self._cluster.pod_metrics(asked.namespace)
        return Metrics(available=found is not None, pods=tuple(_usage(item) for item in found or ()))

    def rollout_status(self, asked: RolloutStatus) -> Rollout:
        """Raises TargetError."""
        live = self._cluster.get("apps/v1", asked.kind, asked.namespace, asked.name)
        labels = (live["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        pods = (
            self._cluster.listed("v1", "Pod", asked.namespace, chosen={"labelSelector": selector})
            if selector
            else []
        )
        return _rollout(live, tuple(_pod(pod) for pod in pods))

    def application_status(self, asked: ApplicationStatus) -> Application:
        """Raises TargetError."""
        live = self._cluster.get("argoproj.io/v1alpha1", "Application", asked.namespace, asked.name)
        status = live.get("status") or {}
        sync, state = status.get("sync") or {}, status.get("operationState") or {}
        return Application(
            sync=sync.get("status", "Unknown"),
            revision=sync.get("revision", ""),
            target_revision=(live["spec"].get("source") or {}).get("targetRevision", ""),
            health=(status.get("health") or {}).get("status", "Unknown"),
            phase=state.get("phase", ""),
            message=state.get("message", ""),
            conditions=tuple(f"{c['type']}: {c['message']}" for c in status.get("conditions") or ()),
            resources=tuple(status.get("resources") or ()),
        )


def _event(item: Json) -> EventRow:
    involved = item.get("involvedObject") or {}
    return EventRow(
        type=item.get("type") or "",
        reason=item.get("reason") or "",
        about=f"{involved.get('kind', '')}/{involved.get('name', '')}",
        message=item.get("message") or "",
        count=item.get("count") or 1,
        last_seen=str(
            item.get("lastTimestamp")
            or item.get("eventTime")
            or item["metadata"].get("creationTimestamp")
            or ""
        ),
    )


def _usage(item: Json) -> PodUsage:
    containers = item.get("containers") or []
    cpu = sum((quantity((c.get("usage") or {}).get("cpu", "0")) or 0) for c in containers)
    memory = sum((quantity((c.get("usage") or {}).get("memory", "0")) or 0) for c in containers)
    rehearsal = "countersign/rehearsal" in (item["metadata"].get("labels") or {})
    return PodUsage(
        pod=item["metadata"]["name"],
        cpu_millicores=int(cpu * 1000),
        memory_bytes=int(memory),
        rehearsal=rehearsal,
    )


def _pod(pod: Json) -> PodRow:
    status = pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready", {}).get("status") == "True"
    why: Json = {}
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        why = why or state.get("waiting") or state.get("terminated") or {}
    blocked = conditions.get("PodScheduled", {})
    if not why and blocked.get("status") == "False":
        why = blocked
    reason, message = (why.get("reason", ""), why.get("message", "")) if not ready else ("", "")
    return PodRow(
        name=pod["metadata"]["name"],
        phase=status.get("phase", "Unknown"),
        ready=ready,
        reason=reason,
        message=message,
    )


def _rollout(live: Json, pods: tuple[PodRow, ...]) -> Rollout:
    status, generation = live.get("status") or {}, live["metadata"].get("generation", 0)
    daemon = live["kind"] == "DaemonSet"
    desired = status.get("desiredNumberScheduled", 0) if daemon else live["spec"].get("replicas", 1)
    updated = status.get("updatedNumberScheduled" if daemon else "updatedReplicas", 0)
    available = status.get("numberAvailable" if daemon else "availableReplicas", 0)
    ready = status.get("numberReady" if daemon else "readyReplicas", 0)
    total = status.get("currentNumberScheduled" if daemon else "replicas", 0)
    observed = status.get("observedGeneration", 0) >= generation
    complete = observed and updated == desired == available == total
    failed = [c for c in status.get("conditions") or () if _is_fault(c)]
    message = f"{ready} of {desired} pods ready"
    if failed:
        message = f"{failed[0].get('reason', '')}: {failed[0].get('message', '')}"
    elif not observed:
        message = "the controller has not seen the newest version yet"
    return Rollout(
        desired=desired,
        updated=updated,
        ready=ready,
        available=available,
        complete=complete,
        message=message,
        pods=pods,
    )


def _is_fault(condition: Json) -> bool:
    if condition["type"] == "ReplicaFailure":
        return bool(condition["status"] == "True")
    return condition.get("reason") == "ProgressDeadlineExceeded"


def reads(cluster: LiveCluster) -> tuple[Tool, ...]:
    """The read tools of this cluster."""
    of = Reads(cluster)
    return (
        Tool(
            "list_resources",
            "List objects of a kind with spec and status; Secrets are refused.",
            ListResources,
            Resources,
            of.list_resources,
        ),
        Tool("get_resource", "Read one object; Secrets are refused.", GetResource, Resource, of.get_resource),
        Tool("list_namespaces", "List namespaces with their labels.", Nothing, Resources, of.list_namespaces),
        Tool(
            "list_events",
            "List events of a namespace or of one object, oldest first.",
            ListEvents,
            Events,
            of.list_events,
        ),
        Tool("pod_logs", "Read the last lines of a container's log.", PodLogs, Log, of.pod_logs),
        Tool(
            "pod_metrics",
            "CPU and memory use of a namespace's pods, where the cluster has metrics.",
            PodMetrics,
            Metrics,
            of.pod_metrics,
        ),
        Tool(
            "rollout_status",
            "How far a workload's rollout is, and why pods are not ready.",
            RolloutStatus,
            Rollout,
            of.rollout_status,
        ),
        Tool(
            "application_status",
            "Sync, health and last operation of an Argo CD Application.",
            ApplicationStatus,
            Application,
            of.application_status,
        ),
    )
