"""What the real API server fills in is no difference; what somebody else adds to a signed object is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.change import CHANGE_ANNOTATION, ClusterTarget, Destination, canonical, digest_of
from tests.rig.api import MERGE
from tests.rig.rig import Rig
from tools.kubernetes.client import connect
from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.verbs import verbs
from tools.settings import KubernetesSettings
from tools.verbs import Call, Receipt, Verb

CHANGE, SPACE = "cs-0123456789abcdef", "readback"
IMAGE = "docker.io/library/nginx@sha256:" + "0" * 64
LABELS = {"app": "web"}
CONTAINER = {
    "name": "web",
    "image": IMAGE,
    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
    "env": [],
}
OBJECTS: dict[str, dict[str, Any]] = {
    "Namespace": {"apiVersion": "v1", "metadata": {"name": SPACE}},
    "ServiceAccount": {"apiVersion": "v1", "automountServiceAccountToken": False},
    "ConfigMap": {"apiVersion": "v1", "data": {"a": "1"}},
    "Service": {"apiVersion": "v1", "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]}},
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
        },
    },
    "HorizontalPodAutoscaler": {
        "apiVersion": "autoscaling/v2",
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    },
    "PodDisruptionBudget": {"apiVersion": "policy/v1", "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}}},
    "NetworkPolicy": {"apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
    "AppProject": {"apiVersion": "argoproj.io/v1alpha1", "spec": {"sourceRepos": ["*"], "destinations": []}},
    "Application": {
        "apiVersion": "argoproj.io/v1alpha1",
        "spec": {
            "project": "default",
            "source": {"repoURL": "http://127.0.0.1:1/a.git", "path": "apps", "targetRevision": "1" * 40},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": SPACE},
        },
    },
}  # fmt: skip
ADDED: dict[str, tuple[str, Any, str]] = {
    "ConfigMap": ("data", {"b": "2"}, "/data/b"),
    "Service": ("spec", {"externalIPs": ["192.0.2.1"]}, "/spec/externalIPs"),
    "Deployment": ("spec", {"template": {"spec": {"hostNetwork": True}}}, "/spec/template/spec/hostNetwork"),
    "PodDisruptionBudget": ("spec", {"unhealthyPodEvictionPolicy": "AlwaysAllow"}, "/spec/unhealthyPodEvictionPolicy"),
    "NetworkPolicy": ("spec", {"egress": [{}]}, "/spec/egress"),
    "ServiceAccount": ("imagePullSecrets", [{"name": "x"}], "/imagePullSecrets"),
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(rig: Rig) -> Iterator[LiveCluster]:
    client = connect(KubernetesSettings(kubeconfig=Path(rig.cluster.kubeconfig)))
    found = LiveCluster(client)
    namespace = call_of(found, "Namespace")
    apply(found).perform(namespace)
    yield found
    client.close()


def apply(cluster: LiveCluster) -> Verb:
    return verbs(cluster, sleep=lambda _: None)["kubernetes.apply"]


def call_of(cluster: LiveCluster, kind: str, name: str = "web") -> Call:
    made = json.loads(json.dumps(OBJECTS[kind])) | {"kind": kind}
    place = {} if kind == "Namespace" else {"name": name, "namespace": SPACE}
    made["metadata"] = made.get("metadata", {}) | place | {"annotations": {CHANGE_ANNOTATION: CHANGE}}
    data = canonical(made)
    target = ClusterTarget(uid="u", server=cluster.server, namespaces=(SPACE,))
    return Call(
        change_id=CHANGE,
        verb="kubernetes.apply",
        destination=Destination(cluster=target),
        arguments={"object": {"path": "o.json", "digest": digest_of(data)}, "namespace": SPACE},
        effect_key="k",
        content={digest_of(data): data},
    )


def found(cluster: LiveCluster, call: Call) -> Receipt:
    receipt = apply(cluster).find(call)
    assert receipt is not None
    return receipt


@pytest.mark.parametrize("kind", OBJECTS)
def test_what_the_server_fills_in_is_no_difference(cluster: LiveCluster, kind: str) -> None:
    call = call_of(cluster, kind)
    apply(cluster).perform(call)
    receipt = found(cluster, call)
    assert receipt.matches, receipt.difference


@pytest.mark.parametrize("kind", ADDED)
def test_what_somebody_else_adds_is_a_difference(rig: Rig, cluster: LiveCluster, kind: str) -> None:
    call = call_of(cluster, kind, name="added")
    apply(cluster).perform(call)
    field, value, pointer = ADDED[kind]
    served = cluster.served(OBJECTS[kind]["apiVersion"], kind)
    answer = rig.cluster.admin.request("PATCH", served.path(SPACE, "added"), {field: value}, kind=MERGE)
    assert answer.status == 200, answer
    receipt = found(cluster, call)
    assert (receipt.matches, receipt.difference) == (False, pointer)
