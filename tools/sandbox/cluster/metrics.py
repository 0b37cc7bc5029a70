"""metrics.k8s.io for a cluster in which nothing runs: what each pod asked for, plainly labelled as rehearsal.

A container counts as using half of its cpu and memory requests, or 10m and 32Mi when it asks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.controllers.common import POD
from tools.sandbox.cluster.kinds import Kind
from tools.sandbox.cluster.kubelet import NODE

Json = dict[str, Any]
LABEL = {"countersign/rehearsal": "half-of-requests"}
_UNITS = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}


def quantity(text: str | float) -> float:
    """A Kubernetes quantity as a number; ValueError for anything else."""
    match = re.fullmatch(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)([numkMGTPE]?i?)", str(text))
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return float(match[1]) * _UNITS[match[2]]


def answer(cluster: Cluster, kind: Kind, namespace: str, name: str, test: Callable[[Json], bool]) -> Json:
    """The list, or the one that is named. Raises ApiError 404."""
    pods = [
        pod for pod in cluster.store.items(POD, namespace) if pod.get("status", {}).get("phase") == "Running"
    ]
    if kind.kind == "PodMetrics":
        items = [_pod(cluster, pod) for pod in pods if test(pod)]
    else:
        containers = [c["usage"] for pod in pods for c in _pod(cluster, pod)["containers"]]
        usage = {
            "cpu": f"{sum(_milli(u['cpu']) for u in containers)}m",
            "memory": f"{sum(_kibi(u['memory']) for u in containers)}Ki",
        }
        items = [_stamped(cluster, {"name": NODE, "labels": LABEL}) | {"usage": usage}]
    if name:
        found = next((item for item in items if item["metadata"]["name"] == name), None)
        if found is None:
            raise errors.not_found(kind, name)
        return {"kind": kind.kind, "apiVersion": kind.api_version} | found
    return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": {}, "items": items}


def _stamped(cluster: Cluster, metadata: Json) -> Json:
    now = cluster.now()
    return {"metadata": metadata | {"creationTimestamp": now}, "timestamp": now, "window": "30s"}


def _pod(cluster: Cluster, pod: Json) -> Json:
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    labels = (pod["metadata"].get("labels") or {}) | LABEL
    containers = []
    for container in pod["spec"]["containers"]:
        requests = (container.get("resources") or {}).get("requests") or {}
        cpu, memory = quantity(requests.get("cpu", "20m")), quantity(requests.get("memory", "64Mi"))
        usage = {"cpu": f"{int(cpu * 500)}m", "memory": f"{int(memory / 2048)}Ki"}
        containers.append({"name": container["name"], "usage": usage})
    return _stamped(cluster, metadata | {"labels": labels}) | {"containers": containers}


def _milli(cpu: str) -> int:
    return int(cpu.removesuffix("m"))


def _kibi(memory: str) -> int:
    return int(memory.removesuffix("Ki"))
