"""ReplicaSets: as many pods as wanted; what the API refuses becomes an event and a ReplicaFailure condition."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.controllers.common import MANAGER, POD, condition, event, make_pod, owned
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
REPLICA_SET = BY_KIND["apps/v1", "ReplicaSet"]
COMPONENT = "replicaset-controller"
_FIRST_WAIT = timedelta(seconds=0.25)
_LONGEST_WAIT = timedelta(minutes=5)


def is_ready(pod: Json) -> bool:
    """Whether a pod's Ready condition is true."""
    return bool(condition(pod.get("status", {}), "Ready").get("status") == "True")


class ReplicaSets:
    """Remembers when a refused pod may be tried again, each time twice as long."""

    def __init__(self) -> None:
        self._wait: dict[str, tuple[datetime, timedelta]] = {}

    def step(self, cluster: Cluster, item: Json) -> datetime | None:
        """Take the next step of a ReplicaSet; when to try again what was refused."""
        if item["metadata"].get("deletionTimestamp"):
            return None
        pods = [
            pod
            for pod in owned(cluster, POD, item)
            if pod.get("status", {}).get("phase") not in {"Failed", "Succeeded"}
        ]
        failure = condition(item.get("status", {}), "ReplicaFailure") or None
        missing = item["spec"]["replicas"] - len(pods)
        uid = item["metadata"]["uid"]
        if missing <= 0:
            failure = None
            self._wait.pop(uid, None)
        elif uid not in self._wait or cluster.clock() >= self._wait[uid][0]:
            failure = self._fill(cluster, item, missing)
        for pod in sorted(pods, key=_first_to_go)[: max(0, -missing)]:
            cluster.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            event(cluster, item, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", COMPONENT)
        self._set_status(cluster, item, failure)
        return self._wait[uid][0] if uid in self._wait else None

    def _fill(self, cluster: Cluster, item: Json, missing: int) -> Json | None:
        """Make pods until one is refused; the failure as a condition, or None."""
        uid = item["metadata"]["uid"]
        for _ in range(missing):
            try:
                made = {"generateName": f"{item['metadata']['name']}-"}
                make_pod(cluster, item, item["spec"]["template"], made, COMPONENT)
            except ApiError as fault:
                wait = min(self._wait.get(uid, (None, _FIRST_WAIT / 2))[1] * 2, _LONGEST_WAIT)
                self._wait[uid] = (cluster.clock() + wait, wait)
                held = condition(item.get("status", {}), "ReplicaFailure")
                moment = held.get("lastTransitionTime", cluster.now())
                failed = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": moment}
                return failed | {"reason": "FailedCreate", "message": held.get("message", fault.message)}
        self._wait.pop(uid, None)
        return None

    def _set_status(self, cluster: Cluster, item: Json, failure: Json | None) -> None:
        pods = owned(cluster, POD, item)
        ready = sum(1 for pod in pods if is_ready(pod))
        status: Json = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        status = {name: number for name, number in status.items() if number or name == "replicas"}
        status |= {"terminatingReplicas": 0, "observedGeneration": item["metadata"]["generation"]}
        status |= {"conditions": [failure]} if failure else {}
        cluster.set_status(REPLICA_SET, item, status, MANAGER)


def _first_to_go(pod: Json) -> tuple[bool, float]:
    """Pods that are not ready go first, then the youngest."""
    return is_ready(pod), -datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()
