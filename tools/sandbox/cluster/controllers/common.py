"""What the controllers share: owned objects, conditions, events."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import rfc8785

from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.kinds import BY_KIND, Kind

Json = dict[str, Any]
MANAGER = "kube-controller-manager"
EVENT = BY_KIND["v1", "Event"]
NAMESPACE = BY_KIND["v1", "Namespace"]
POD = BY_KIND["v1", "Pod"]
_TIMES = frozenset({"lastTransitionTime", "lastUpdateTime"})
_LONGEST_EVENT_STEM = 236  # a name has 253 characters, and the moment takes 17
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


class PerObject:
    """A controller that takes one step for each object of a kind, outside namespaces that are going away.

    What the API refuses is told once as an Event of that object; the others go on.
    """

    def __init__(
        self,
        kind: Kind,
        step: Callable[[Cluster, Json], datetime | None] | Callable[[Cluster, Json], None],
        component: str,
    ) -> None:
        self._kind = kind
        self._step = step
        self._component = component
        self._told: set[tuple[str, str]] = set()

    def __call__(self, cluster: Cluster) -> datetime | None:
        """Take every object's next step; when the earliest next one is due."""
        due = []
        for listed in cluster.store.items(self._kind):
            namespace, name = listed["metadata"].get("namespace", ""), listed["metadata"]["name"]
            item = cluster.store.get(self._kind, namespace, name)
            if item is None or is_going(cluster, namespace):
                continue
            try:
                due.append(self._step(cluster, item))
            except ApiError as fault:
                self._tell(cluster, item, fault)
        return min((moment for moment in due if moment), default=None)

    def _tell(self, cluster: Cluster, item: Json, fault: ApiError) -> None:
        said = (item["metadata"]["uid"], fault.message)
        if said not in self._told:
            self._told.add(said)
            event(cluster, item, "ReconcileError", fault.message, self._component, warning=True)


def is_going(cluster: Cluster, namespace: str) -> bool:
    """Whether a namespace is missing or being emptied; the empty name is no namespace and stays."""
    if not namespace:
        return False
    home = cluster.store.get(NAMESPACE, "", namespace)
    return home is None or bool(home["metadata"].get("deletionTimestamp"))


def hash_of(value: object, length: int = 10) -> str:
    """A short name for a value, in the letters that Kubernetes uses for such names."""
    digest = hashlib.sha256(rfc8785.dumps(value)).digest()  # type: ignore[arg-type]  # JSON that was stored
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:length])


def owner_reference(manifest: Json) -> Json:
    """The controller reference to an object."""
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(cluster: Cluster, kind: Kind, owner: Json) -> list[Json]:
    """The objects of a kind that an object controls."""
    uid = owner["metadata"]["uid"]
    items = cluster.store.items(kind, owner["metadata"]["namespace"])
    return [
        item for item in items if any(r["uid"] == uid for r in item["metadata"].get("ownerReferences") or ())
    ]


def change(cluster: Cluster, kind: Kind, manifest: Json, patch: Json) -> Json:
    """A merge patch as the controller manager; the object as it then is."""
    metadata = manifest["metadata"]
    options = Options(manager=MANAGER)
    answer = cluster.patch(kind, metadata.get("namespace", ""), metadata["name"], "merge", patch, options)
    return answer.manifest


def make_pod(cluster: Cluster, owner: Json, template: Json, metadata: Json, component: str) -> Json:
    """A pod from a template; raises ApiError after it wrote the event that says why not."""
    pod: Json = {
        "metadata": copy.deepcopy(template.get("metadata") or {})
        | metadata
        | {"ownerReferences": [owner_reference(owner)]},
        "spec": copy.deepcopy(template["spec"]),
    }
    try:
        made = cluster.create(POD, owner["metadata"]["namespace"], pod, Options(manager=MANAGER)).manifest
    except ApiError as fault:
        event(cluster, owner, "FailedCreate", f"Error creating: {fault.message}", component, warning=True)
        raise
    event(cluster, owner, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}", component)
    return made


def condition(status: Mapping[str, Any], kind: str) -> Json:
    """The condition of a type, or {}."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def with_condition(conditions: list[Json], new: Json, now: str) -> list[Json]:
    """The conditions with one replaced; its transition time moves only when its status does, its place when anything does."""
    old = next((c for c in conditions if c["type"] == new["type"]), None)
    if old is not None and {k: v for k, v in old.items() if k not in _TIMES} == {
        k: v for k, v in new.items() if k not in _TIMES
    }:
        return conditions
    times = {"lastTransitionTime": now}
    if old is not None and old["status"] == new["status"]:
        times["lastTransitionTime"] = old["lastTransitionTime"]
    rest = [c for c in conditions if c["type"] != new["type"]]
    return [*rest, new | times]


def event(
    cluster: Cluster, about: Json, reason: str, message: str, component: str, *, warning: bool = False
) -> None:
    """Record an Event; the same one again is counted. A namespace that is going away takes none."""
    metadata, now = about["metadata"], cluster.now()
    namespace = metadata.get("namespace") or "default"
    if is_going(cluster, namespace):
        return
    for before in cluster.store.items(EVENT, namespace):
        said = (
            before["involvedObject"].get("uid"),
            before["reason"],
            before["message"],
            before["reportingComponent"],
        )
        if said == (metadata["uid"], reason, message, component):
            cluster.store.put(EVENT, before | {"count": before["count"] + 1, "lastTimestamp": now})
            return
    manifest = {
        "metadata": {"name": _event_name(cluster, about), "namespace": namespace},
        "involvedObject": _reference(about),
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": "Warning" if warning else "Normal",
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": "",
    }
    cluster.create(EVENT, namespace, manifest, Options(manager=component))


def binding_event(cluster: Cluster, pod: Json, node: str) -> None:
    """The scheduler's Event, which is of the newer form: a moment instead of a count."""
    metadata, moment = pod["metadata"], cluster.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    manifest = {
        "metadata": {"name": _event_name(cluster, pod), "namespace": metadata["namespace"]},
        "involvedObject": _reference(pod),
        "reason": "Scheduled",
        "message": f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}",
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "type": "Normal",
        "eventTime": moment,
        "action": "Binding",
        "reportingComponent": "default-scheduler",
        "reportingInstance": f"default-scheduler-{node}",
    }
    cluster.create(EVENT, metadata["namespace"], manifest, Options(manager="kube-scheduler"))


def _event_name(cluster: Cluster, about: Json) -> str:
    """The object's name and the moment in hexadecimal, so that a list is in the order of time."""
    micros = int(cluster.clock().timestamp() * 1_000_000)
    return f"{about['metadata']['name'][:_LONGEST_EVENT_STEM].rstrip('-.')}.{micros:x}{cluster.store.revision % 4096:03x}"


def _reference(about: Json) -> Json:
    metadata = about["metadata"]
    names = {
        name: metadata[name] for name in ("namespace", "name", "uid", "resourceVersion") if metadata.get(name)
    }
    return {"kind": about["kind"], "apiVersion": about["apiVersion"]} | names
