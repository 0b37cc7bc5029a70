"""Deployments: one ReplicaSet a template, rolled over within maxSurge and maxUnavailable."""

from __future__ import annotations

import copy
import math
from datetime import datetime, timedelta
from typing import Any

from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.controllers.common import (
    MANAGER,
    change,
    condition,
    event,
    hash_of,
    owned,
    owner_reference,
    with_condition,
)
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
DEPLOYMENT = BY_KIND["apps/v1", "Deployment"]
REPLICA_SET = BY_KIND["apps/v1", "ReplicaSet"]
COMPONENT = "deployment-controller"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
_COUNTED = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def step(cluster: Cluster, deployment: Json) -> datetime | None:
    """Take the next step of a Deployment; when to look again although nothing changes."""
    if deployment["metadata"].get("deletionTimestamp"):
        return None
    sets = owned(cluster, REPLICA_SET, deployment)
    template_hash = hash_of(deployment["spec"]["template"])
    current = next((s for s in sets if s["metadata"]["labels"].get(HASH) == template_hash), None)
    if not deployment["spec"].get("paused"):
        if current is None:
            if not deployment.get("status", {}).get("conditions"):
                _say_created(cluster, deployment, f"{deployment['metadata']['name']}-{template_hash}")
            current = _new_set(cluster, deployment, sets, template_hash)
        else:
            current = _renumber(cluster, deployment, current, sets)
            _scale(cluster, deployment, current, [s for s in sets if s is not current])
        sets = owned(cluster, REPLICA_SET, deployment)
    fresh = cluster.get(DEPLOYMENT, deployment["metadata"]["namespace"], deployment["metadata"]["name"])
    name = current["metadata"]["name"] if current else ""
    current = next((s for s in sets if s["metadata"]["name"] == name), None)
    return _set_status(cluster, fresh, current, sets)


def _say_created(cluster: Cluster, deployment: Json, name: str) -> None:
    now = cluster.now()
    progressing = {"type": "Progressing", "status": "True", "lastUpdateTime": now, "lastTransitionTime": now}
    progressing |= {"reason": "NewReplicaSetCreated", "message": f'Created new replica set "{name}"'}
    cluster.set_status(
        DEPLOYMENT, deployment, deployment.get("status", {}) | {"conditions": [progressing]}, MANAGER
    )


def limits(spec: Json) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods: percentages round up and down, and not both are zero."""
    rolling = spec["strategy"].get("rollingUpdate") or {}
    if spec["strategy"]["type"] != "RollingUpdate":
        return 0, int(spec["replicas"])
    surge = _share(rolling.get("maxSurge", "25%"), spec["replicas"], up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), spec["replicas"], up=False)
    return surge, unavailable if surge or unavailable else 1


def _share(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = replicas * int(value.rstrip("%")) / 100
    return math.ceil(share) if up else math.floor(share)


def _revision(manifest: Json) -> int:
    return int(manifest["metadata"].get("annotations", {}).get(REVISION, "0"))


def _new_set(cluster: Cluster, deployment: Json, sets: list[Json], template_hash: str) -> Json:
    spec, metadata = deployment["spec"], deployment["metadata"]
    revision = str(max((_revision(s) for s in sets), default=0) + 1)
    surge, _ = limits(spec)
    running = sum(s["spec"]["replicas"] for s in sets)
    replicas = max(0, min(spec["replicas"], spec["replicas"] + surge - running))
    template = copy.deepcopy(spec["template"])
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels[HASH] = template_hash
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH] = template_hash
    annotations = {
        _DESIRED: str(spec["replicas"]),
        _MAXIMUM: str(spec["replicas"] + surge),
        REVISION: revision,
    }
    name = f"{metadata['name']}-{template_hash}"
    manifest = {
        "metadata": {
            "name": name,
            "labels": dict(labels),
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    made = cluster.create(REPLICA_SET, metadata["namespace"], manifest, Options(manager=MANAGER)).manifest
    _annotate(cluster, deployment, revision)
    if replicas:
        event(
            cluster,
            deployment,
            "ScalingReplicaSet",
            f"Scaled up replica set {name} from 0 to {replicas}",
            COMPONENT,
        )
    return made


def _renumber(cluster: Cluster, deployment: Json, current: Json, sets: list[Json]) -> Json:
    """A rollback makes an old ReplicaSet the newest revision."""
    newest = max(_revision(s) for s in sets)
    revision = newest if _revision(current) == newest else newest + 1
    if _revision(current) != revision:
        current = change(
            cluster, REPLICA_SET, current, {"metadata": {"annotations": {REVISION: str(revision)}}}
        )
    _annotate(cluster, deployment, str(revision))
    return current


def _annotate(cluster: Cluster, deployment: Json, revision: str) -> None:
    """The revision is written beside the status, as the real controller does: it belongs to that manager."""
    metadata = deployment["metadata"]
    if metadata.get("annotations", {}).get(REVISION) != revision:
        options = Options(manager=MANAGER, subresource="status")
        patch = {"metadata": {"annotations": {REVISION: revision}}}
        cluster.patch(DEPLOYMENT, metadata["namespace"], metadata["name"], "merge", patch, options)


def _scale(cluster: Cluster, deployment: Json, current: Json, old: list[Json]) -> None:
    """One step towards all replicas in the current ReplicaSet."""
    spec = deployment["spec"]
    surge, unavailable = limits(spec)
    wanted = spec["replicas"]
    held = current["spec"]["replicas"]
    running = held + sum(s["spec"]["replicas"] for s in old)
    if held > wanted:
        _set_replicas(cluster, deployment, current, wanted)
    elif held < wanted:
        gone = spec["strategy"]["type"] == "RollingUpdate" or not any(
            s.get("status", {}).get("replicas") for s in old
        )
        room = min(wanted - held, wanted + surge - running)
        if gone and room > 0:
            _set_replicas(cluster, deployment, current, held + room)
            return
    _shrink(cluster, deployment, current, old, wanted - unavailable)


def _shrink(cluster: Cluster, deployment: Json, current: Json, old: list[Json], least: int) -> None:
    """Take pods from old ReplicaSets: first those that are not available, then as many as the budget allows."""
    running = current["spec"]["replicas"] + sum(s["spec"]["replicas"] for s in old)
    not_yet = current["spec"]["replicas"] - current.get("status", {}).get("availableReplicas", 0)
    room = running - least - not_yet
    for item in sorted(old, key=lambda s: s["metadata"]["creationTimestamp"]):
        broken = item["spec"]["replicas"] - item.get("status", {}).get("availableReplicas", 0)
        fewer = min(max(room, 0), max(broken, 0))
        if fewer > 0:
            _set_replicas(cluster, deployment, item, item["spec"]["replicas"] - fewer)
            return
    available = sum(s.get("status", {}).get("availableReplicas", 0) for s in [current, *old])
    for item in sorted(old, key=lambda s: s["metadata"]["creationTimestamp"]):
        fewer = min(available - least, item["spec"]["replicas"])
        if fewer > 0:
            _set_replicas(cluster, deployment, item, item["spec"]["replicas"] - fewer)
            return


def _set_replicas(cluster: Cluster, deployment: Json, item: Json, replicas: int) -> None:
    before, name = item["spec"]["replicas"], item["metadata"]["name"]
    surge, _ = limits(deployment["spec"])
    annotations = {
        _DESIRED: str(deployment["spec"]["replicas"]),
        _MAXIMUM: str(deployment["spec"]["replicas"] + surge),
    }
    change(
        cluster, REPLICA_SET, item, {"spec": {"replicas": replicas}, "metadata": {"annotations": annotations}}
    )
    direction = "up" if replicas > before else "down"
    message = f"Scaled {direction} replica set {name} from {before} to {replicas}"
    event(cluster, deployment, "ScalingReplicaSet", message, COMPONENT)


def _set_status(
    cluster: Cluster, deployment: Json, current: Json | None, sets: list[Json]
) -> datetime | None:
    def total(name: str, of: list[Json]) -> int:
        return sum(s.get("status", {}).get(name, 0) for s in of)

    available = total("availableReplicas", sets)
    counts = {
        "replicas": total("replicas", sets),
        "updatedReplicas": total("replicas", [current] if current else []),
        "readyReplicas": total("readyReplicas", sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(s["spec"]["replicas"] for s in sets) - available),
    }
    status: Json = {"observedGeneration": deployment["metadata"]["generation"]}
    status |= {name: number for name, number in counts.items() if number} | {"terminatingReplicas": 0}
    before = deployment.get("status", {})
    conditions, due = _conditions(cluster, deployment, current, sets, status)
    cluster.set_status(DEPLOYMENT, deployment, status | {"conditions": conditions}, MANAGER)
    return due if before.get("conditions") else None


def _conditions(
    cluster: Cluster, deployment: Json, current: Json | None, sets: list[Json], status: Json
) -> tuple[list[Json], datetime | None]:
    now, spec, before = cluster.now(), deployment["spec"], deployment.get("status", {})
    conditions: list[Json] = list(before.get("conditions") or ())
    _, unavailable = limits(spec)
    enough = status.get("availableReplicas", 0) >= spec["replicas"] - unavailable
    available = {"type": "Available", "status": str(enough), "lastUpdateTime": now}
    if enough:
        available |= {"reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."}
    else:
        text = "Deployment does not have minimum availability."
        available |= {"reason": "MinimumReplicasUnavailable", "message": text}
    if condition(before, "Available").get("status") != str(enough):
        conditions = with_condition(conditions, available, now)
    conditions, due = _progress(cluster, deployment, current, status, conditions)
    conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
    failure = next((f for s in sets if (f := condition(s.get("status", {}), "ReplicaFailure"))), None)
    if failure:
        held = condition(before, "ReplicaFailure")
        failed = failure | {"lastUpdateTime": held.get("lastUpdateTime", now)}
        conditions.append(failed)
    return conditions, due


def _progress(
    cluster: Cluster, deployment: Json, current: Json | None, status: Json, conditions: list[Json]
) -> tuple[list[Json], datetime | None]:
    now, spec, before = cluster.now(), deployment["spec"], deployment.get("status", {})
    held = condition({"conditions": conditions}, "Progressing")
    if current is None:
        return conditions, None
    wanted, name = spec["replicas"], current["metadata"]["name"]
    full = all(status.get(key, 0) == wanted for key in ("updatedReplicas", "replicas", "availableReplicas"))
    moved = any(status.get(key, 0) != before.get(key, 0) for key in _COUNTED)
    said: tuple[str, str] | None = None
    if full and not (held.get("reason") == "NewReplicaSetAvailable" and name in held["message"]):
        said = ("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
    elif not full and held and name not in held["message"]:
        said = ("NewReplicaSetCreated", f'Created new replica set "{name}"')
    elif not full and moved and held.get("reason") != "ProgressDeadlineExceeded":
        said = ("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    if said:
        new = {
            "type": "Progressing",
            "status": "True",
            "lastUpdateTime": now,
            "reason": said[0],
            "message": said[1],
        }
        return with_condition(conditions, new, now), None
    if full or not held or held["status"] == "False":
        return conditions, None
    deadline = datetime.fromisoformat(held["lastUpdateTime"]) + timedelta(
        seconds=spec["progressDeadlineSeconds"]
    )
    if cluster.clock() < deadline:
        return conditions, deadline
    text = f'ReplicaSet "{name}" has timed out progressing.'
    late = {
        "type": "Progressing",
        "status": "False",
        "lastUpdateTime": now,
        "reason": "ProgressDeadlineExceeded",
        "message": text,
    }
    return with_condition(conditions, late, now), None
