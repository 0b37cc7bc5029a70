"""What `kubectl get` prints: the columns of each kind, as the server's own printers choose them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]
Cell = Callable[[Json], object]


def table(kind: Kind, items: list[Json], now: datetime, include: str, *, headers: bool = True) -> Json:
    """A meta.k8s.io/v1 Table; `include` says whether rows carry Metadata, the whole Object or None."""
    columns = _COLUMNS.get((kind.group, kind.kind), {})
    rows = []
    for item in items:
        cells = [item["metadata"]["name"], *(cell(item) for cell in columns.values())]
        if "Age" not in columns and kind.kind not in _AGELESS:
            cells.append(age(item["metadata"].get("creationTimestamp"), now))
        rows.append({"cells": [_resolved(cell, now) for cell in cells]} | _object(item, include))
    names = ["Name", *columns, *([] if "Age" in columns or kind.kind in _AGELESS else ["Age"])]
    definitions = [
        {
            "name": name,
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": int(name in _WIDE),
        }
        for name in names
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": definitions if headers else [],
        "rows": rows,
    }


def _object(item: Json, include: str) -> Json:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": item}
    return {
        "object": {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": item["metadata"],
        }
    }


class Since(str):
    """A moment that is shown as the time since then."""

    __slots__ = ()


def _resolved(cell: object, now: datetime) -> object:
    return age(str(cell), now) if isinstance(cell, Since) else cell


def age(moment: str | None, now: datetime) -> str:
    """`5m3s`, `2h`, `3d`: kubectl's short form of how long ago."""
    if not moment:
        return "<unknown>"
    seconds = max(0, int((now - datetime.fromisoformat(moment)).total_seconds()))
    for limit, large, small in _AGES:
        if seconds < limit:
            whole, rest = divmod(seconds, _SECONDS[large])
            fine = rest // _SECONDS[small] if small else 0
            return f"{whole}{large}{fine}{small}" if fine else f"{whole}{large}"
    return f"{seconds // _SECONDS['d']}d"


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGES = ((120, "s", ""), (600, "m", "s"), (10800, "m", ""), (28800, "h", "m"), (172800, "h", ""))
"""(up to that many seconds, unit, finer unit)."""


def _at(item: Json, *path: str, default: object = "") -> Any:  # noqa: ANN401 - any JSON value
    value: Any = item
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return default if value is None else value


def _ready(desired: tuple[str, ...]) -> Cell:
    return lambda o: f"{_at(o, 'status', 'readyReplicas', default=0)}/{_at(o, *desired, default=0)}"


def _number(*path: str) -> Cell:
    return lambda o: _at(o, *path, default=0)


def _text(*path: str, default: str = "<none>") -> Cell:
    return lambda o: _at(o, *path, default=default) or default


def _count(*path: str) -> Cell:
    return lambda o: len(_at(o, *path, default={}))


def pod_state(pod: Json) -> str:
    """The STATUS column: the reason of a container that waits or ended, else the phase."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for status in _at(pod, "status", "containerStatuses", default=[]):
        state = status.get("state", {})
        for how in ("waiting", "terminated"):
            if state.get(how, {}).get("reason"):
                return str(state[how]["reason"])
    return str(_at(pod, "status", "reason") or _at(pod, "status", "phase", default="Unknown"))


def _pod_ready(pod: Json) -> str:
    statuses = _at(pod, "status", "containerStatuses", default=[])
    return f"{sum(1 for s in statuses if s.get('ready'))}/{len(_at(pod, 'spec', 'containers', default=[]))}"


def _ports(service: Json) -> str:
    shown = []
    for port in _at(service, "spec", "ports", default=[]):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _selector(*path: str) -> Cell:
    def cell(item: Json) -> str:
        labels = _at(item, *path, default={})
        labels = labels.get("matchLabels", labels) if isinstance(labels, dict) else {}
        return (
            ",".join(f"{key}={value}" for key, value in sorted(labels.items()) if isinstance(value, str))
            or "<none>"
        )

    return cell


def _addresses(endpoints: Json) -> str:
    found = []
    for subset in endpoints.get("subsets") or ():
        for address in subset.get("addresses") or ():
            found += [f"{address['ip']}:{port['port']}" for port in subset.get("ports") or ()]
    shown = ",".join(found[:3])
    return f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown or "<none>"


def _node_state(node: Json) -> str:
    for condition in _at(node, "status", "conditions", default=[]):
        if condition["type"] == "Ready":
            return "Ready" if condition["status"] == "True" else "NotReady"
    return "Unknown"


def _budget(name: str) -> Cell:
    return lambda o: str(_at(o, "spec", name, default="N/A"))


def _event_object(event: Json) -> str:
    involved = event.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _images(*path: str) -> Cell:
    return lambda o: ",".join(c.get("image", "") for c in _at(o, *path, "containers", default=[]))


_WIDE = frozenset({"Containers", "Images", "Selector", "IP", "Node", "Nominated Node", "Readiness Gates"})
_AGELESS = frozenset({"Event", "NodeMetrics", "PodMetrics"})
_STATUS = "status"
_WORKLOAD_TAIL: dict[str, Cell] = {
    "Images": _images("spec", "template", "spec"),
    "Selector": _selector("spec", "selector"),
}


def _created(item: Json) -> Since:
    return Since(item["metadata"].get("creationTimestamp", ""))


_COLUMNS: dict[tuple[str, str], dict[str, Cell]] = {
    ("", "Pod"): {
        "Ready": _pod_ready,
        "Status": pod_state,
        "Restarts": lambda o: str(
            sum(s.get("restartCount", 0) for s in _at(o, _STATUS, "containerStatuses", default=[]))
        ),
        "Age": _created,
        "IP": _text(_STATUS, "podIP"),
        "Node": _text("spec", "nodeName"),
        "Nominated Node": _text("status", "nominatedNodeName"),
        "Readiness Gates": lambda _: "<none>",
    },
    ("", "Service"): {
        "Type": _text("spec", "type"),
        "Cluster-IP": _text("spec", "clusterIP", default="<none>"),
        "External-IP": _text("spec", "externalName", default="<none>"),
        "Port(s)": _ports,
        "Age": _created,
        "Selector": _selector("spec", "selector"),
    },
    ("", "Namespace"): {"Status": _text(_STATUS, "phase")},
    ("", "Node"): {
        "Status": _node_state,
        "Roles": lambda _: "<none>",
        "Age": _created,
        "Version": _text(_STATUS, "nodeInfo", "kubeletVersion"),
    },
    ("", "Event"): {
        "Last Seen": lambda o: Since(o.get("lastTimestamp") or o["metadata"].get("creationTimestamp", "")),
        "Type": _text("type"),
        "Reason": _text("reason"),
        "Object": _event_object,
        "Message": _text("message"),
    },
    ("", "ConfigMap"): {"Data": _count("data")},
    ("", "Secret"): {"Type": _text("type"), "Data": _count("data")},
    ("", "ServiceAccount"): {"Secrets": _count("secrets")},
    ("", "Endpoints"): {"Endpoints": _addresses},
    ("apps", "Deployment"): {
        "Ready": _ready(("spec", "replicas")),
        "Up-to-date": _number(_STATUS, "updatedReplicas"),
        "Available": _number(_STATUS, "availableReplicas"),
        "Age": _created,
        **_WORKLOAD_TAIL,
    },
    ("apps", "ReplicaSet"): {
        "Desired": _number("spec", "replicas"),
        "Current": _number(_STATUS, "replicas"),
        "Ready": _number(_STATUS, "readyReplicas"),
        "Age": _created,
        **_WORKLOAD_TAIL,
    },
    ("apps", "StatefulSet"): {"Ready": _ready(("spec", "replicas")), "Age": _created, **_WORKLOAD_TAIL},
    ("apps", "DaemonSet"): {
        "Desired": _number(_STATUS, "desiredNumberScheduled"),
        "Current": _number(_STATUS, "currentNumberScheduled"),
        "Ready": _number(_STATUS, "numberReady"),
        "Up-to-date": _number(_STATUS, "updatedNumberScheduled"),
        "Available": _number(_STATUS, "numberAvailable"),
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "Reference": lambda o: (
            f"{_at(o, 'spec', 'scaleTargetRef', 'kind')}/{_at(o, 'spec', 'scaleTargetRef', 'name')}"
        ),
        "MinPods": _number("spec", "minReplicas"),
        "MaxPods": _number("spec", "maxReplicas"),
        "Replicas": _number(_STATUS, "currentReplicas"),
    },
    ("batch", "Job"): {
        "Status": lambda o: next(
            (c["type"] for c in _at(o, _STATUS, "conditions", default=[]) if c["status"] == "True"), "Running"
        ),
        "Completions": lambda o: (
            f"{_at(o, _STATUS, 'succeeded', default=0)}/{_at(o, 'spec', 'completions', default=1)}"
        ),
    },
    ("batch", "CronJob"): {
        "Schedule": _text("spec", "schedule"),
        "Suspend": lambda o: str(_at(o, "spec", "suspend", default=False)),
    },
    ("networking.k8s.io", "NetworkPolicy"): {"Pod-Selector": _selector("spec", "podSelector")},
    ("networking.k8s.io", "Ingress"): {
        "Class": _text("spec", "ingressClassName"),
        "Hosts": lambda o: ",".join(r.get("host", "*") for r in _at(o, "spec", "rules", default=[])) or "*",
    },
    ("policy", "PodDisruptionBudget"): {
        "Min Available": _budget("minAvailable"),
        "Max Unavailable": _budget("maxUnavailable"),
        "Allowed Disruptions": _number(_STATUS, "disruptionsAllowed"),
    },
    ("argoproj.io", "Application"): {
        "Sync Status": _text(_STATUS, "sync", "status", default=""),
        "Health Status": _text(_STATUS, "health", "status", default=""),
    },
    ("argoproj.io", "AppProject"): {},
}
