"""StatefulSets, DaemonSets and Jobs: pods with names of their own, one a node, or until they completed."""

from __future__ import annotations

from typing import Any

from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.controllers.common import (
    MANAGER,
    POD,
    change,
    condition,
    event,
    hash_of,
    make_pod,
    owned,
)
from tools.sandbox.cluster.controllers.replicasets import is_ready
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.kinds import BY_KIND, Kind

Json = dict[str, Any]
STATEFUL_SET = BY_KIND["apps/v1", "StatefulSet"]
DAEMON_SET = BY_KIND["apps/v1", "DaemonSet"]
JOB = BY_KIND["batch/v1", "Job"]
_REVISION = "controller-revision-hash"


class Sets:
    """A refused pod is not tried again until its owner changes."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, int]] = set()

    def _make(self, cluster: Cluster, item: Json, metadata: Json, component: str) -> bool:
        key = (item["metadata"]["uid"], item["metadata"]["generation"])
        if key in self._refused:
            return False
        try:
            make_pod(cluster, item, item["spec"]["template"], metadata, component)
        except ApiError:
            self._refused.add(key)
            return False
        return True

    def stateful(self, cluster: Cluster, item: Json) -> None:
        """Take the next step of a StatefulSet."""
        name, wanted = item["metadata"]["name"], item["spec"]["replicas"]
        revision = f"{name}-{hash_of(item['spec']['template'])}"
        pods = {pod["metadata"]["name"]: pod for pod in owned(cluster, POD, item)}
        labels = (item["spec"]["template"].get("metadata") or {}).get("labels", {})
        ordered = item["spec"].get("podManagementPolicy") == "OrderedReady"
        for number in range(wanted):
            pod = pods.get(f"{name}-{number}")
            if pod is None:
                names = {
                    "apps.kubernetes.io/pod-index": str(number),
                    "statefulset.kubernetes.io/pod-name": f"{name}-{number}",
                }
                metadata = {"name": f"{name}-{number}", "labels": labels | names | {_REVISION: revision}}
                if not self._make(cluster, item, metadata, "statefulset-controller") or ordered:
                    break
            elif ordered and not is_ready(pod):
                break
        else:
            _retire(cluster, pods, revision, keep=wanted)
        self._count(cluster, STATEFUL_SET, item, revision)

    def _count(self, cluster: Cluster, kind: Kind, item: Json, revision: str) -> None:
        pods = owned(cluster, POD, item)
        ready = sum(1 for pod in pods if is_ready(pod))
        updated = sum(1 for pod in pods if pod["metadata"]["labels"].get(_REVISION) == revision)
        status = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
        }
        status |= {
            "currentReplicas": updated,
            "updatedReplicas": updated,
            "availableReplicas": ready,
            "collisionCount": 0,
        }
        status |= {"currentRevision": revision, "updateRevision": revision}
        cluster.set_status(kind, item, status, MANAGER)

    def daemon(self, cluster: Cluster, item: Json) -> None:
        """Take the next step of a DaemonSet."""
        pods = owned(cluster, POD, item)
        revision = hash_of(item["spec"]["template"])
        for pod in pods:
            if pod["metadata"]["labels"].get(_REVISION) != revision:
                cluster.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
        if not any(pod["metadata"]["labels"].get(_REVISION) == revision for pod in pods):
            labels = (item["spec"]["template"].get("metadata") or {}).get("labels", {}) | {
                _REVISION: revision
            }
            metadata = {"generateName": f"{item['metadata']['name']}-", "labels": labels}
            self._make(cluster, item, metadata, "daemonset-controller")
        pods = owned(cluster, POD, item)
        ready = sum(1 for pod in pods if is_ready(pod))
        status = {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": 1,
            "numberReady": ready,
            "numberMisscheduled": 0,
        }
        status |= {
            "updatedNumberScheduled": len(pods),
            "numberAvailable": ready,
            "observedGeneration": item["metadata"]["generation"],
        }
        cluster.set_status(DAEMON_SET, item, status, MANAGER)

    def job(self, cluster: Cluster, item: Json) -> None:
        """Take the next step of a Job."""
        if condition(item.get("status", {}), "Complete"):
            return
        metadata, spec = item["metadata"], item["spec"]
        if not spec.get("selector"):
            names = {
                "batch.kubernetes.io/controller-uid": metadata["uid"],
                "batch.kubernetes.io/job-name": metadata["name"],
            }
            item = change(cluster, JOB, item, {"spec": {"selector": {"matchLabels": names}}})
            spec = item["spec"]
        pods = owned(cluster, POD, item)
        succeeded = sum(1 for pod in pods if pod["status"]["phase"] == "Succeeded")
        active = len(pods) - succeeded
        labels = (spec["template"].get("metadata") or {}).get("labels", {}) | spec["selector"]["matchLabels"]
        for _ in range(max(0, min(spec["parallelism"], spec["completions"] - succeeded) - active)):
            made = {"generateName": f"{metadata['name']}-", "labels": labels}
            active += self._make(cluster, item, made, "job-controller")
        now = cluster.now()
        status: Json = {
            "startTime": item.get("status", {}).get("startTime", now),
            "active": active,
            "succeeded": succeeded,
            "ready": 0,
        }
        status = {key: value for key, value in status.items() if value or key == "ready"}
        if succeeded >= spec["completions"]:
            text = "Reached expected number of succeeded pods"
            done = {"type": "Complete", "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
            status |= {
                "completionTime": now,
                "conditions": [done | {"reason": "CompletionsReached", "message": text}],
            }
            event(cluster, item, "Completed", "Job completed", "job-controller")
        cluster.set_status(JOB, item, status, MANAGER)


def _retire(cluster: Cluster, pods: dict[str, Json], revision: str, *, keep: int) -> None:
    """Delete pods past the wanted number, then the last one of an old revision."""
    numbered = sorted(
        pods.values(), key=lambda pod: int(pod["metadata"]["name"].rsplit("-", 1)[-1]), reverse=True
    )
    for pod in numbered:
        number = int(pod["metadata"]["name"].rsplit("-", 1)[-1])
        if number >= keep or pod["metadata"]["labels"].get(_REVISION) != revision:
            cluster.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            return
