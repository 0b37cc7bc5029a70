"""kubectl, as a person types it, against the served rehearsal cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.served_cluster import ServedCluster, as_json, deployment

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on this machine")
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    folder = tmp_path_factory.mktemp("kubectl")
    with ServedCluster(folder / "state") as served:

        def run(*arguments: str, given: str | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
            command = [
                str(KUBECTL),
                f"--kubeconfig={served.kubeconfig}",
                f"--cache-dir={folder / 'cache'}",
                *arguments,
            ]
            environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "KUBECTL_EXTERNAL_DIFF": "diff -u"}
            # Without the mark kubectl takes a stream that begins with a brace for one JSON document.
            stream = None if given is None else f"---\n{given}"
            done = subprocess.run(
                command,
                input=stream,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment,
            )
            assert done.returncode == code, done.stdout + done.stderr
            return done

        run("apply", "-f", "-", given=as_json(NAMESPACE, deployment(), SERVICE))
        run("rollout", "status", "-n", "web", "deployment/web", "--timeout=30s")
        yield run


def test_get_shows_what_runs(kubectl: Kubectl) -> None:
    rows = [
        line.split()
        for line in kubectl("get", "deploy,rs,pods,svc", "-n", "web", "--no-headers").stdout.splitlines()
        if line
    ]
    kinds = [row[0].partition("/")[0] for row in rows]
    assert kinds == ["deployment.apps", "replicaset.apps", "pod", "pod", "pod", "service"]
    assert rows[0][1:4] == ["3/3", "3", "3"]
    assert {row[2] for row in rows[2:5]} == {"Running"}


def test_short_names_categories_and_output_forms(kubectl: Kubectl) -> None:
    assert "service/web" in kubectl("get", "all", "-n", "web").stdout
    found = json.loads(kubectl("get", "deploy", "web", "-n", "web", "-o", "json").stdout)
    assert found["status"]["readyReplicas"] == 3
    assert kubectl("get", "po", "-A", "-o", "name", "-l", "app=web").stdout.count("pod/") == 3
    assert "IP" in kubectl("get", "pods", "-n", "web", "-o", "wide").stdout
    assert "Synced" not in kubectl("get", "app,appproj", "-n", "argocd").stdout
    assert kubectl("get", "ns", "web", "-o", "jsonpath={.status.phase}").stdout == "Active"


def test_the_same_apply_again_changes_nothing(kubectl: Kubectl) -> None:
    again = kubectl("apply", "-f", "-", given=as_json(NAMESPACE, deployment(), SERVICE)).stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in again] == ["unchanged"] * 3


def test_diff_shows_a_change_and_makes_none(kubectl: Kubectl) -> None:
    changed = as_json(deployment(image="nginx:2"))
    shown = kubectl("diff", "-f", "-", given=changed, code=1).stdout
    assert "+      - image: nginx:2" in shown
    assert "-        name: main" not in shown
    assert kubectl("diff", "-f", "-", given=as_json(deployment())).stdout == ""
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deploy", "web", "-n", "web", "-o", image).stdout != "nginx:2"


def test_server_side_apply_and_its_conflict(kubectl: Kubectl) -> None:
    other = as_json(deployment("ssa"))
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", given=other).stdout
    five = as_json(deployment("ssa", replicas=5))
    refused = kubectl(
        "apply", "--server-side", "--field-manager=intruder", "-f", "-", given=five, code=1
    ).stderr
    assert 'conflict with "kubectl"' in refused
    assert ".spec.replicas" in refused
    forced = kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=intruder", "-f", "-", given=five
    )
    assert "serverside-applied" in forced.stdout
    kubectl("delete", "deploy", "ssa", "-n", "web")


def test_dry_runs_keep_nothing(kubectl: Kubectl) -> None:
    assert (
        "created (server dry run)"
        in kubectl("apply", "--dry-run=server", "-f", "-", given=as_json(deployment("dry"))).stdout
    )
    assert "NotFound" in kubectl("get", "deploy", "dry", "-n", "web", code=1).stderr


@pytest.mark.parametrize("edit", ["replica", "imagee"])
def test_a_typo_is_refused(kubectl: Kubectl, edit: str) -> None:
    manifest: dict[str, Any] = deployment("typo")
    place = manifest["spec"] if edit == "replica" else manifest["spec"]["template"]["spec"]["containers"][0]
    place[edit] = 3
    refused = kubectl("apply", "-f", "-", given=as_json(manifest), code=1).stderr
    assert "strict decoding error: unknown field" in refused
    assert edit in refused


def test_describe_logs_and_events(kubectl: Kubectl) -> None:
    described = kubectl("describe", "deployment", "web", "-n", "web").stdout
    assert "3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in described
    assert "Scaled up replica set" in described
    assert "Node:" in kubectl("describe", "pods", "-n", "web", "-l", "app=web").stdout
    assert "no container is executed here" in kubectl("logs", "-n", "web", "deploy/web").stdout
    assert "SuccessfulCreate" in kubectl("get", "events", "-n", "web").stdout
    assert "Endpoints:" in kubectl("describe", "svc", "web", "-n", "web").stdout


def test_scale_set_image_undo_and_restart(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=as_json(deployment("rolled")))
    kubectl("scale", "-n", "web", "deploy/rolled", "--replicas=2")
    kubectl("rollout", "status", "-n", "web", "deploy/rolled", "--timeout=30s")
    kubectl("set", "image", "-n", "web", "deploy/rolled", "main=nginx:3")
    kubectl("rollout", "status", "-n", "web", "deploy/rolled", "--timeout=30s")
    kubectl("rollout", "restart", "-n", "web", "deploy/rolled")
    kubectl("rollout", "status", "-n", "web", "deploy/rolled", "--timeout=30s")
    kubectl("rollout", "undo", "-n", "web", "deploy/rolled", "--to-revision=1")
    kubectl("rollout", "status", "-n", "web", "deploy/rolled", "--timeout=30s")
    image = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"
    assert kubectl("get", "deploy", "rolled", "-n", "web", "-o", image).stdout.endswith(
        "nginx-unprivileged:1.29 2"
    )
    assert "REVISION" in kubectl("rollout", "history", "-n", "web", "deploy/rolled").stdout
    kubectl("delete", "deploy", "rolled", "-n", "web")


CREATES = {
    "namespace": ("create", "namespace", "made"),
    "configmap": ("create", "configmap", "made", "-n", "web", "--from-literal=a=b"),
    "secret": ("create", "secret", "generic", "made", "-n", "web", "--from-literal=a=b"),
    "serviceaccount": ("create", "serviceaccount", "made", "-n", "web"),
    "role": ("create", "role", "made", "-n", "web", "--verb=get", "--resource=pods"),
    "rolebinding": ("create", "rolebinding", "made", "-n", "web", "--role=made", "--serviceaccount=web:made"),
    "deployment": ("create", "deployment", "made", "-n", "web", "--image=nginx", "--replicas=2", "--port=80"),
    "service": ("create", "service", "clusterip", "made", "-n", "web", "--tcp=80:8080"),
    "job": ("create", "job", "made", "-n", "web", "--image=nginx"),
    "poddisruptionbudget": (
        "create",
        "pdb",
        "made",
        "-n",
        "web",
        "--selector=app=web",
        "--min-available=50%",
    ),
    "quota": ("create", "quota", "made", "-n", "web", "--hard=pods=9"),
    "ingress": ("create", "ingress", "made", "-n", "web", "--rule=shop.example/=web:80"),
}


@pytest.mark.parametrize("what", CREATES)
def test_create_whatever_wire_format_it_sends(kubectl: Kubectl, what: str) -> None:
    assert "created" in kubectl(*CREATES[what]).stdout
    where = () if what == "namespace" else ("-n", "web")
    assert kubectl("get", what, "made", *where, "-o", "jsonpath={.metadata.name}").stdout == "made"


def test_what_was_created_in_protobuf_is_whole(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "whole", "-n", "web", "--from-literal=key=값")
    assert kubectl("get", "cm", "whole", "-n", "web", "-o", "jsonpath={.data.key}").stdout == "값"
    kubectl("run", "alone", "-n", "web", "--image=nginx", "--port=80", "--labels=a=b")
    kubectl("wait", "-n", "web", "pod/alone", "--for=condition=Ready", "--timeout=30s")


def test_who_am_i_and_what_may_i(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "deployments", "-n", "web").stdout.strip() == "yes"
    assert "rehearsal-admin" in kubectl("auth", "whoami").stdout
    assert "deployments" in kubectl("api-resources", "--api-group=apps").stdout
    assert "argoproj.io/v1alpha1" in kubectl("api-versions").stdout


def test_patches_labels_and_annotations(kubectl: Kubectl) -> None:
    kubectl("label", "-n", "web", "svc/web", "tier=front")
    kubectl("annotate", "-n", "web", "svc/web", "note=x")
    kubectl(
        "patch",
        "-n",
        "web",
        "svc/web",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/metadata/labels/tier"}]',
    )
    kubectl("patch", "-n", "web", "svc/web", "-p", '{"spec":{"ports":[{"port":80,"name":"http"}]}}')
    found = json.loads(kubectl("get", "svc", "web", "-n", "web", "-o", "json").stdout)
    assert "tier" not in found["metadata"].get("labels", {})
    assert found["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]


def test_explain_and_metrics(kubectl: Kubectl) -> None:
    assert "replicas" in kubectl("explain", "deployment.spec.replicas").stdout
    assert "web-" in kubectl("top", "pods", "-n", "web").stdout


def test_delete_waits_until_it_is_gone(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "short-lived")
    kubectl("create", "deployment", "x", "-n", "short-lived", "--image=nginx")
    kubectl("delete", "namespace", "short-lived", "--timeout=30s")
    assert "NotFound" in kubectl("get", "namespace", "short-lived", code=1).stderr
    assert kubectl("get", "pods", "-n", "short-lived").stdout == ""


def test_an_application_through_kubectl(kubectl: Kubectl, tmp_path: Path) -> None:
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": f"https://git.example/{tmp_path.name}.git",
                "path": ".",
                "targetRevision": "main",
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
        },
    }
    kubectl("apply", "-f", "-", given=as_json(application))
    kubectl(
        "wait", "-n", "argocd", "app/shop", "--for=jsonpath={.status.sync.status}=Unknown", "--timeout=10s"
    )
    assert "Unknown" in kubectl("get", "app", "shop", "-n", "argocd").stdout
