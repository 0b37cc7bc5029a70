"""The health of an object as Argo CD judges it; kinds without a rule have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tools.sandbox.cluster.controllers.common import condition

Json = dict[str, Any]
_ORDER = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")
"""From best to worst: an application is as well as its worst object."""


def worst(healths: list[str]) -> str:
    """The health of the whole."""
    return max(healths, key=_ORDER.index, default="Healthy")


def health_of(manifest: Json) -> str | None:
    """Healthy, Progressing, Suspended or Degraded; None for a kind that has no health."""
    if manifest["metadata"].get("deletionTimestamp"):
        return "Progressing"
    rule = _RULES.get(manifest["kind"])
    return rule(manifest, manifest.get("status") or {}) if rule else None


def _job(_: Json, status: Json) -> str:
    return "Healthy" if condition(status, "Complete") else "Progressing"


def _autoscaler(_: Json, status: Json) -> str:
    able = str(condition(status, "AbleToScale").get("status"))
    return {"True": "Healthy", "False": "Degraded"}.get(able, "Progressing")


def _service(manifest: Json, status: Json) -> str:
    waits = manifest["spec"].get("type") == "LoadBalancer" and not status.get("loadBalancer", {}).get(
        "ingress"
    )
    return "Progressing" if waits else "Healthy"


def _ingress(_: Json, status: Json) -> str:
    return "Healthy" if status.get("loadBalancer", {}).get("ingress") else "Progressing"


def _deployment(manifest: Json, status: Json) -> str:
    spec = manifest["spec"]
    if spec.get("paused"):
        return "Suspended"
    if manifest["metadata"]["generation"] > status.get("observedGeneration", 0):
        return "Progressing"
    if condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return "Degraded"
    updated = status.get("updatedReplicas", 0)
    rolling = (
        updated < spec["replicas"]
        or status.get("replicas", 0) > updated
        or status.get("availableReplicas", 0) < updated
    )
    return "Progressing" if rolling else "Healthy"


def _set(manifest: Json, status: Json) -> str:
    if manifest["metadata"]["generation"] > status.get("observedGeneration", 0):
        return "Progressing"
    if condition(status, "ReplicaFailure"):
        return "Degraded"
    wanted = manifest["spec"].get("replicas", status.get("desiredNumberScheduled", 0))
    return "Healthy" if status.get("readyReplicas", status.get("numberReady", 0)) >= wanted else "Progressing"


def _pod(_: Json, status: Json) -> str:
    phase = status.get("phase")
    if phase == "Succeeded" or (phase == "Running" and condition(status, "Ready").get("status") == "True"):
        return "Healthy"
    reasons = {s["state"].get("waiting", {}).get("reason", "") for s in status.get("containerStatuses") or ()}
    stuck = any(reason.endswith(("Error", "BackOff")) or reason.startswith("Err") for reason in reasons)
    return "Degraded" if stuck or phase == "Failed" else "Progressing"


_RULES: Mapping[str, Callable[[Json, Json], str]] = {
    "Deployment": _deployment,
    "ReplicaSet": _set,
    "StatefulSet": _set,
    "DaemonSet": _set,
    "Pod": _pod,
    "Job": _job,
    "HorizontalPodAutoscaler": _autoscaler,
    "Service": _service,
    "Ingress": _ingress,
}
"""kind -> how (object, status) fares."""
