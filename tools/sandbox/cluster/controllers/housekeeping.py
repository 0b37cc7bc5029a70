"""What a cluster has from its first second, what each namespace gets, and what goes when its owner went."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tools.sandbox.cluster.cluster import Cluster, Options, timestamp
from tools.sandbox.cluster.controllers.common import EVENT, MANAGER
from tools.sandbox.cluster.http.discovery import GIT_VERSION
from tools.sandbox.cluster.kinds import BY_KIND, KINDS
from tools.sandbox.cluster.kubelet import ADDRESS, NODE

Json = dict[str, Any]
NAMESPACE = BY_KIND["v1", "Namespace"]
_ACCOUNT = BY_KIND["v1", "ServiceAccount"]
_CONFIG = BY_KIND["v1", "ConfigMap"]
_EVENTS_LIVE = timedelta(hours=1)
_RBAC = "rbac.authorization.k8s.io"
_STORED = tuple(kind for kind in KINDS if "watch" in kind.verbs)
_NOTE = "rehearsal: this cluster has no certificate authority"


def seed(cluster: Cluster, argocd_namespace: str) -> None:
    """Make what a fresh cluster with Argo CD holds; what is there already stays."""
    for name in ("kube-system", "kube-public", "kube-node-lease", "default", argocd_namespace):
        _make(cluster, "v1", "Namespace", "", {"metadata": {"name": name}})
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    _make(cluster, "v1", "Node", "", {"metadata": {"name": NODE, "labels": labels}, "spec": {}})
    node = cluster.get(BY_KIND["v1", "Node"], "", NODE)
    if not node.get("status"):
        cluster.set_status(BY_KIND["v1", "Node"], node, _node_status(cluster.now()), "kubelet")
    ports = [{"name": "https", "port": 443, "targetPort": 6443}]
    _make(cluster, "v1", "Service", "default", {"metadata": {"name": "kubernetes"}, "spec": {"ports": ports}})
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    _make(
        cluster,
        f"{_RBAC}/v1",
        "ClusterRole",
        "",
        {"metadata": {"name": "cluster-admin"}, "rules": [everything]},
    )
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "Group", "name": "system:masters", "apiGroup": _RBAC}
    binding = {"metadata": {"name": "cluster-admin"}, "roleRef": role, "subjects": [subject]}
    _make(cluster, f"{_RBAC}/v1", "ClusterRoleBinding", "", binding)
    anything = [{"group": "*", "kind": "*"}]
    project = {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": anything,
    }
    _make(
        cluster,
        "argoproj.io/v1alpha1",
        "AppProject",
        argocd_namespace,
        {"metadata": {"name": "default"}, "spec": project},
    )


def _make(cluster: Cluster, api_version: str, kind_name: str, namespace: str, manifest: Json) -> None:
    kind = BY_KIND[api_version, kind_name]
    if cluster.store.get(kind, namespace, manifest["metadata"]["name"]) is None:
        cluster.create(kind, namespace, manifest, Options(manager="rehearsal"))


def _node_status(now: str) -> Json:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "rehearsal: nothing runs on this node",
    }
    capacity = {"cpu": "32", "memory": "64Gi", "pods": "500"}
    info = {
        "kubeletVersion": GIT_VERSION,
        "kubeProxyVersion": "",
        "containerRuntimeVersion": "rehearsal://none",
    }
    info |= {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "osImage": "rehearsal",
        "kernelVersion": "none",
    }
    info |= {"machineID": "", "systemUUID": "", "bootID": ""}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [ready | {"lastHeartbeatTime": now, "lastTransitionTime": now}],
        "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": NODE}],
        "nodeInfo": info,
    }


def reconcile_namespaces(cluster: Cluster) -> datetime | None:
    """Give every namespace its account and certificate; empty and remove those that go."""
    for item in cluster.store.items(NAMESPACE):
        name = item["metadata"]["name"]
        if item["metadata"].get("deletionTimestamp"):
            _empty(cluster, item)
            continue
        if cluster.store.get(_ACCOUNT, name, "default") is None:
            cluster.create(_ACCOUNT, name, {"metadata": {"name": "default"}}, Options(manager=MANAGER))
        if cluster.store.get(_CONFIG, name, "kube-root-ca.crt") is None:
            config = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": _NOTE}}
            cluster.create(_CONFIG, name, config, Options(manager=MANAGER))
    return None


def _empty(cluster: Cluster, item: Json) -> None:
    name = item["metadata"]["name"]
    left = 0
    for kind in _STORED:
        for held in cluster.store.items(kind, name) if kind.namespaced else ():
            left += bool(cluster.delete(kind, name, held["metadata"]["name"])["metadata"].get("finalizers"))
    if not left:
        cluster.store.delete(NAMESPACE, "", name)


def forget_events(cluster: Cluster) -> datetime | None:
    """Drop Events after an hour, as the real server does."""
    oldest = timestamp(cluster.clock() - _EVENTS_LIVE)
    for item in cluster.store.items(EVENT):
        if (item["lastTimestamp"] or item["metadata"]["creationTimestamp"]) < oldest:
            cluster.delete(EVENT, item["metadata"]["namespace"], item["metadata"]["name"])
    return None


def collect_garbage(cluster: Cluster) -> datetime | None:
    """Delete objects whose owners are all gone."""
    everything = [(kind, item) for kind in _STORED for item in cluster.store.items(kind)]
    living = {item["metadata"]["uid"] for _, item in everything}
    for kind, item in everything:
        references = item["metadata"].get("ownerReferences") or ()
        if references and not any(reference["uid"] in living for reference in references):
            cluster.delete(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
    return None
