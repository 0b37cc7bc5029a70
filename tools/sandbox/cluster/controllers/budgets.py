"""PodDisruptionBudgets and HorizontalPodAutoscalers: what they allow and ask for, seen from the pods that are there."""

from __future__ import annotations

import math
from typing import Any

from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.controllers.common import MANAGER, POD, event, with_condition
from tools.sandbox.cluster.controllers.replicasets import is_ready
from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.selectors import labels_of, matches

Json = dict[str, Any]
BUDGET = BY_KIND["policy/v1", "PodDisruptionBudget"]
AUTOSCALER = BY_KIND["autoscaling/v2", "HorizontalPodAutoscaler"]


def budget_step(cluster: Cluster, budget: Json) -> None:
    """Count healthy pods against a budget."""
    spec, metadata = budget["spec"], budget["metadata"]
    pods = [
        pod
        for pod in cluster.store.items(POD, metadata["namespace"])
        if matches(spec.get("selector"), labels_of(pod))
    ]
    healthy = sum(1 for pod in pods if is_ready(pod))
    if spec.get("maxUnavailable") is not None:
        desired = len(pods) - _count(spec["maxUnavailable"], len(pods))
    else:
        desired = _count(spec.get("minAvailable", 1), len(pods))
    allowed = max(0, healthy - desired) if pods else 0
    reason = "SufficientPods" if allowed else "InsufficientPods"
    condition = {"type": "DisruptionAllowed", "status": str(allowed > 0), "reason": reason, "message": ""}
    condition |= {"observedGeneration": metadata["generation"]}
    status = {
        "observedGeneration": metadata["generation"],
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": max(0, desired),
        "expectedPods": len(pods),
        "conditions": with_condition(
            budget.get("status", {}).get("conditions") or [], condition, cluster.now()
        ),
    }
    cluster.set_status(BUDGET, budget, status, MANAGER)


def _count(value: int | str, total: int) -> int:
    return value if isinstance(value, int) else math.ceil(total * int(value.rstrip("%")) / 100)


def autoscaler_step(cluster: Cluster, scaler: Json) -> None:
    """Keep a target within minReplicas and maxReplicas. Load is not simulated, so nothing else moves it."""
    spec, metadata = scaler["spec"], scaler["metadata"]
    reference = spec["scaleTargetRef"]
    kind = BY_KIND.get((reference.get("apiVersion", "apps/v1"), reference["kind"]))
    target = cluster.store.get(kind, metadata["namespace"], reference["name"]) if kind else None
    if kind is None or target is None:
        text = f'the HPA controller was unable to get the target\'s current scale: "{reference["name"]}" not found'
        _say(cluster, scaler, 0, 0, ("AbleToScale", "False", "FailedGetScale", text))
        return
    current = target["spec"].get("replicas", 1)
    desired = min(max(current, spec["minReplicas"]), spec["maxReplicas"]) if current else 0
    if desired != current:
        options = Options(manager=MANAGER, subresource="scale")
        cluster.patch(
            kind, metadata["namespace"], reference["name"], "merge", {"spec": {"replicas": desired}}, options
        )
        bound = "below" if desired > current else "above"
        limit = "minReplicas" if desired > current else "maxReplicas"
        message = f"New size: {desired}; reason: Current number of replicas {bound} Spec.{limit[0].upper()}{limit[1:]}"
        event(cluster, scaler, "SuccessfulRescale", message, "horizontal-pod-autoscaler")
    text = "the HPA controller was able to get the target's current scale"
    _say(cluster, scaler, current, desired, ("AbleToScale", "True", "SucceededGetScale", text))


def _say(cluster: Cluster, scaler: Json, current: int, desired: int, able: tuple[str, str, str, str]) -> None:
    before = scaler.get("status", {})
    condition = dict(zip(("type", "status", "reason", "message"), able, strict=True))
    conditions = with_condition(before.get("conditions") or [], condition, cluster.now())
    if able[1] == "True":
        text = "the rehearsal does not simulate load; replicas are only kept within their bounds"
        idle = {"type": "ScalingActive", "status": "False", "reason": "RehearsalWithoutLoad", "message": text}
        conditions = with_condition(conditions, idle, cluster.now())
    status: Json = {
        "currentReplicas": current,
        "desiredReplicas": desired,
        "currentMetrics": None,
        "conditions": conditions,
    }
    cluster.set_status(AUTOSCALER, scaler, status, MANAGER)
