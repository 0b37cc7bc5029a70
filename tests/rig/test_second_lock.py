"""The second lock on a real API server: wide rights do not pass it, controllers do, and the road ends as without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig import objects
from tests.rig.api import MERGE, Api
from tests.rig.cluster import apply_manifest, service_account
from tests.rig.rig import Rig
from tests.rig.test_goals import pods, run
from tests.rig.test_rig_itself import eventually, running_pods, web

LOCK = Path(__file__).resolve().parents[2] / "deploy/kubernetes/second-lock.yaml"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
MARK = {"countersign/change": "cs-0123456789abcdef"}
SHA = "0123456789abcdef0123456789abcdef01234567"
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
MANAGED, SOURCES = {"countersign.dev/managed": "true"}, {"countersign.dev/sources": "true"}


def marked(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "metadata": {**made["metadata"], "annotations": MARK}}


def application(revision: str = SHA, **spec: Any) -> dict[str, Any]:
    source = {"repoURL": "http://127.0.0.1:1/x.git", "path": "x", "targetRevision": revision}
    place = {"server": "https://kubernetes.default.svc", "namespace": "locked"}
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "locked", "namespace": "argocd", "annotations": MARK},
        "spec": {"project": "default", "source": source, "destination": place, **spec},
    }  # fmt: skip


@pytest.fixture(scope="module")
def admin(rig: Rig) -> Api:
    return rig.cluster.admin


@pytest.fixture(scope="module")
def wide(rig: Rig) -> Api:
    """A service account that may do everything, and is not the gate."""
    api = rig.cluster.admin
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "wide"}}
    api.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "wide"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "wide", "namespace": "default"}],
    }  # fmt: skip
    api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    return service_account(api, "default", "wide")


@pytest.fixture(scope="module", autouse=True)
def lock(rig: Rig, admin: Api, wide: Api) -> Iterator[None]:
    """The policy as it ships, but that the rig's kubelet is its administrator; taken off again afterwards."""
    apply_manifest(rig.cluster, rig.binaries, LOCK)
    place = "/api/v1/namespaces/countersign/configmaps/second-lock"
    assert admin.request("PATCH", place, {"data": {"nodes": "admin"}}, kind=MERGE).status == 200
    admin.request(
        "DELETE", f"{APPLICATIONS}/nginx"
    )  # what another test's goal left there was made without the lock
    admin.request("DELETE", "/api/v1/namespaces/nginx")
    eventually(lambda: admin.get("/api/v1/namespaces/nginx").status, lambda status: status == 404)
    for name in ("locked", "nginx"):
        made = objects.namespace(name)
        made["metadata"]["labels"] |= MANAGED
        admin.request("POST", "/api/v1/namespaces", made)
    admin.request("PATCH", "/api/v1/namespaces/argocd", {"metadata": {"labels": SOURCES}}, kind=MERGE)
    probe = "/api/v1/namespaces/locked/configmaps?dryRun=All"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
    eventually(lambda: wide.request("POST", probe, config).status, lambda status: status == 403)
    eventually(
        lambda: wide.request("POST", APPLICATIONS + "?dryRun=All", application()).status,
        lambda status: status == 403,
    )
    yield
    for name in ("countersign-objects", "countersign-sources", "countersign-namespaces"):
        admin.request("DELETE", f"{BINDINGS}/{name}")
        admin.request("DELETE", f"{POLICIES}/{name}")
    gone = {"metadata": {"labels": {"countersign.dev/sources": None}}}
    eventually(
        lambda: admin.request("PATCH", "/api/v1/namespaces/argocd", gone, kind=MERGE).status,
        lambda code: code == 200,
    )
    admin.request("DELETE", "/api/v1/namespaces/locked")


def locked_out(answer: Any) -> bool:
    return answer.status in {403, 422} and "countersign second lock" in answer.body["message"]


def test_the_policies_compile(admin: Api) -> None:
    for name in ("countersign-objects", "countersign-sources", "countersign-namespaces"):
        body = eventually(
            lambda n=name: admin.get(f"{POLICIES}/{n}").body, lambda b: "typeChecking" in b.get("status", {})
        )
        assert "spec" in body


def test_the_gate_writes_and_its_pods_run(rig: Rig, admin: Api) -> None:
    """ReplicaSets, pods, status, events and endpoints are the work of the cluster's own controllers."""
    assert locked_out(
        rig.gate.apply(web("locked"), objects.deployment(), manager="countersign")
    )  # without the mark
    assert rig.gate.apply(web("locked"), marked(objects.deployment()), manager="countersign").status == 201
    eventually(lambda: running_pods(admin, "locked"), lambda names: len(names) == 3)
    eventually(
        lambda: admin.get(web("locked")).body["status"], lambda status: status.get("availableReplicas") == 3
    )
    assert admin.get("/api/v1/namespaces/locked/events").body["items"]
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "annotations": MARK},
        "spec": {"selector": {"app.kubernetes.io/name": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }  # fmt: skip
    assert (
        rig.gate.apply("/api/v1/namespaces/locked/services/web", service, manager="countersign").status == 201
    )
    slices = "/apis/discovery.k8s.io/v1/namespaces/locked/endpointslices"
    eventually(
        lambda: admin.get(slices).body["items"], lambda items: any(item["endpoints"] for item in items)
    )


def test_the_autoscaler_scales_and_nobody_else(admin: Api, wide: Api) -> None:
    scale, two = f"{web('locked')}/scale", {"spec": {"replicas": 2}}
    assert locked_out(wide.request("PATCH", scale, two, kind=MERGE))
    autoscaler = service_account(admin, "kube-system", "horizontal-pod-autoscaler")
    wanted = autoscaler.get(scale).body
    wanted["spec"]["replicas"] = 2
    assert autoscaler.request("PUT", scale, wanted).status == 200  # its role may update, not patch
    eventually(lambda: running_pods(admin, "locked"), lambda names: len(names) == 2)


DIRECT: list[tuple[str, str, str, Any]] = [
    ("a deployment", "POST", "/apis/apps/v1/namespaces/locked/deployments", {**objects.deployment(), "metadata": {"name": "mine"}}),
    ("a deployment with a forged mark", "POST", "/apis/apps/v1/namespaces/locked/deployments", marked({**objects.deployment(), "metadata": {"name": "mine"}})),
    ("a bare pod", "POST", "/api/v1/namespaces/locked/pods", objects.pod(privileged=False)),
    ("configuration", "POST", "/api/v1/namespaces/locked/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
    ("a role", "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/locked/roles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "x"}, "rules": []}),
    ("an edit of what the gate applied", "PATCH", web("locked"), {"spec": {"replicas": 9}}),
    ("taking away what the gate applied", "DELETE", web("locked"), None),
    ("an Application", "POST", APPLICATIONS, application()),
    ("a project", "POST", APPLICATIONS.replace("applications", "appprojects"), {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "x"}, "spec": {}}),
    ("taking the label off", "PATCH", "/api/v1/namespaces/locked", {"metadata": {"labels": {"countersign.dev/managed": None}}}),
    ("taking the namespace away", "DELETE", "/api/v1/namespaces/locked", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body"), [row[1:] for row in DIRECT], ids=[row[0] for row in DIRECT]
)
def test_a_direct_write_with_wide_rights_is_turned_away(wide: Api, method: str, path: str, body: Any) -> None:
    kind = MERGE if method == "PATCH" else "application/json"
    answer = wide.request(method, path, body, kind=kind)
    assert locked_out(answer), answer


MOVING: list[tuple[str, dict[str, Any]]] = [
    ("a branch", application("main")),
    ("a short SHA", application(SHA[:12])),
    ("by itself", application(syncPolicy={"automated": {}})),
    ("more than one source", application(sources=[{"repoURL": "http://127.0.0.1:1/x.git", "path": "x", "targetRevision": SHA}])),
    ("an operation of its own", {**application(), "operation": {"sync": {"revision": "main"}}}),
]  # fmt: skip


@pytest.mark.parametrize("body", [row[1] for row in MOVING], ids=[row[0] for row in MOVING])
def test_argo_cd_follows_nothing_that_moves_even_for_the_gate(rig: Rig, body: dict[str, Any]) -> None:
    place, dry = f"{APPLICATIONS}/locked", "&dryRun=All"
    assert rig.gate.apply(place, application(), manager="countersign", query=dry).status == 201
    assert locked_out(rig.gate.apply(place, body, manager="countersign"))


def test_a_gitops_controller_writes_only_what_it_tracks(rig: Rig, admin: Api) -> None:
    argo = service_account(admin, "argocd", "argocd-application-controller")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-argo"}}
    place = "/api/v1/namespaces/locked/configmaps"
    assert locked_out(argo.request("POST", place, config))
    tracked = {"argocd.argoproj.io/tracking-id": "nginx:/ConfigMap:locked/of-argo"}
    config["metadata"] = {"name": "of-argo", "annotations": tracked}
    assert argo.request("POST", place, config).status == 201
    assert locked_out(argo.request("POST", APPLICATIONS, application()))


def test_goal_1_ends_with_its_pods_with_the_lock_on(rig: Rig, admin: Api, tmp_path: Path) -> None:
    from shutil import which

    goal = "쿠버네티스의 nginx 네임스페이스에 nginx 파드 3개 배포하고 ArgoCD로 관리해줘."
    if which("terraform") is not None:
        goal = "AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘."
    code, document, said = run(goal, rig, tmp_path)
    assert (code, document["status"]) == (0, "applied"), said + document["report"]
    live = admin.get(f"{APPLICATIONS}/nginx").body
    namespace = live["spec"]["destination"]["namespace"]
    labels = admin.get(f"/api/v1/namespaces/{namespace}").body["metadata"]["labels"]
    assert labels["countersign.dev/managed"] == "true", json.dumps(labels)
    assert len(pods(rig, namespace)) == 3
