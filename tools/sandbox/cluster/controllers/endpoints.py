"""Endpoints and EndpointSlices: the ready and unready pods behind each Service."""

from __future__ import annotations

from typing import Any

from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.controllers.common import MANAGER, POD, hash_of, owner_reference
from tools.sandbox.cluster.controllers.replicasets import is_ready
from tools.sandbox.cluster.kinds import BY_KIND, Kind
from tools.sandbox.cluster.selectors import labels_of

Json = dict[str, Any]
SERVICE = BY_KIND["v1", "Service"]
ENDPOINTS = BY_KIND["v1", "Endpoints"]
SLICE = BY_KIND["discovery.k8s.io/v1", "EndpointSlice"]


def step(cluster: Cluster, service: Json) -> None:
    """Bring the endpoints of a Service up to date, if it selects pods."""
    metadata, selector = service["metadata"], service["spec"].get("selector")
    if not selector:
        return
    pods = [
        pod
        for pod in cluster.store.items(POD, metadata["namespace"])
        if pod.get("status", {}).get("podIP") and selector.items() <= dict(labels_of(pod)).items()
    ]
    ready = [pod for pod in pods if is_ready(pod)]
    unready = [pod for pod in pods if not is_ready(pod)]
    ports = [_port(port, pods) for port in service["spec"].get("ports") or ()]
    subset = {
        "addresses": [_address(p) for p in ready],
        "notReadyAddresses": [_address(p) for p in unready],
        "ports": ports,
    }
    subsets = [{key: value for key, value in subset.items() if value}] if pods else []
    base = {"metadata": {"name": metadata["name"], "labels": metadata.get("labels", {})}}
    _write(cluster, ENDPOINTS, metadata["namespace"], base | {"subsets": subsets})
    labels = {
        "kubernetes.io/service-name": metadata["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    name = f"{metadata['name']}-{hash_of(metadata['uid'], 5)}"
    about = {"name": name, "labels": labels, "ownerReferences": [owner_reference(service)]}
    endpoints = [_endpoint(pod) for pod in pods]
    slice_: Json = {"metadata": about, "addressType": "IPv4", "endpoints": endpoints}
    slice_["ports"] = [{"name": ""} | port for port in ports]
    _write(cluster, SLICE, metadata["namespace"], slice_)


def _port(port: Json, pods: list[Json]) -> Json:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        named = (
            p
            for pod in pods
            for c in pod["spec"]["containers"]
            for p in c.get("ports") or ()
            if p.get("name") == target
        )
        target = next((p["containerPort"] for p in named), port["port"])
    name = {"name": port["name"]} if port.get("name") else {}
    return name | {"port": target, "protocol": port.get("protocol", "TCP")}


def _reference(pod: Json) -> Json:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }


def _address(pod: Json) -> Json:
    return {"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": _reference(pod)}


def _endpoint(pod: Json) -> Json:
    ready = is_ready(pod)
    conditions = {"ready": ready, "serving": ready, "terminating": False}
    address = {"addresses": [pod["status"]["podIP"]], "conditions": conditions}
    return address | {"nodeName": pod["spec"]["nodeName"], "targetRef": _reference(pod)}


def _write(cluster: Cluster, kind: Kind, namespace: str, manifest: Json) -> None:
    name, options = manifest["metadata"]["name"], Options(manager=MANAGER)
    if cluster.store.get(kind, namespace, name) is None:
        cluster.create(kind, namespace, manifest, options)
    else:
        cluster.patch(kind, namespace, name, "merge", manifest, options)
