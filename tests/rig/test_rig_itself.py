"""The rig is what it says: real servers that refuse what real servers refuse."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from policies.profile import load
from tests.rig import git_server, objects
from tests.rig.api import MERGE, Api
from tests.rig.rig import Rig

SECONDS = 60
BOLT_HANDSHAKE = (
    bytes.fromhex("6060b017") + bytes.fromhex("00040404") + bytes(12)
)  # offers 5.4 down to 5.0 and 4.4


@pytest.fixture
def admin(rig: Rig) -> Api:
    return rig.cluster.admin


@pytest.fixture
def namespace(admin: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A restricted namespace of this test's own; nothing is left in it."""
    name = request.node.name.replace("_", "-")[:50].rstrip("-")
    assert admin.request("POST", "/api/v1/namespaces", objects.namespace(name)).status == 201
    yield name
    admin.request("DELETE", f"/api/v1/namespaces/{name}")


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """The first answer that is wanted."""
    deadline = time.monotonic() + SECONDS
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"still {json.dumps(answer)[:2000]}"
        time.sleep(0.1)
    return answer


def running_pods(admin: Api, namespace: str) -> list[str]:
    items = admin.get(f"/api/v1/namespaces/{namespace}/pods").body["items"]
    return [each["metadata"]["name"] for each in items if each["status"]["phase"] == "Running"]


def web(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/web"


def test_a_deployment_of_the_gate_gets_three_running_pods(rig: Rig, admin: Api, namespace: str) -> None:
    made = rig.gate.apply(web(namespace), objects.deployment(), manager="countersign")
    assert (made.status, made.warnings) == (201, ())
    pods = eventually(lambda: running_pods(admin, namespace), lambda names: len(names) == 3)
    status = eventually(
        lambda: rig.gate.get(web(namespace)).body["status"],
        lambda status: status.get("availableReplicas") == 3,
    )
    assert status["observedGeneration"] == 1
    log = f"/api/v1/namespaces/{namespace}/pods/{pods[0]}/log"
    eventually(
        lambda: rig.gate.get(log).status, lambda status: status == 200
    )  # kwok's node tells its address late
    writes = [json.loads(line) for line in rig.cluster.audit_log.read_text().splitlines()]
    who = {
        write["user"]["username"] for write in writes if write["requestURI"].startswith(web(namespace) + "?")
    }
    assert who == {"system:serviceaccount:countersign:gate"}


def test_a_dry_run_persists_nothing(rig: Rig, namespace: str) -> None:
    dry = rig.gate.apply(web(namespace), objects.deployment(), manager="countersign", query="&dryRun=All")
    assert dry.status == 201
    assert "resourceVersion" not in dry.body["metadata"]
    assert rig.gate.get(web(namespace)).status == 404


def test_pod_security_admission_refuses_a_privileged_pod(admin: Api, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    refused = admin.request("POST", pods, objects.pod(privileged=True))
    assert refused.status == 403
    assert 'violates PodSecurity "restricted:latest": privileged' in refused.body["message"]
    accepted = admin.request("POST", pods, objects.pod(privileged=False))
    assert accepted.status == 201


def test_a_privileged_deployment_is_accepted_and_never_runs(admin: Api, namespace: str) -> None:
    made = admin.apply(web(namespace), objects.deployment(privileged=True), manager="countersign")
    assert made.status == 201
    assert "would violate PodSecurity" in made.warnings[0]
    body = eventually(
        lambda: admin.get(web(namespace)).body,
        lambda body: any(each["type"] == "ReplicaFailure" for each in body["status"].get("conditions", [])),
    )
    assert body["status"]["unavailableReplicas"] == 3
    assert running_pods(admin, namespace) == []


def test_another_manager_conflicts_over_a_field(rig: Rig, namespace: str) -> None:
    rig.gate.apply(web(namespace), objects.deployment(), manager="countersign")
    conflict = rig.gate.apply(web(namespace), objects.deployment(replicas=5), manager="someone-else")
    assert conflict.status == 409
    assert conflict.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "countersign"',
            "field": ".spec.replicas",
        }
    ]
    assert rig.gate.get(web(namespace)).body["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("verb", "group", "resource", "allowed"),
    [
        ("patch", "apps", "deployments", True),
        ("patch", "argoproj.io", "applications", True),
        ("create", "", "namespaces", True),
        ("get", "", "pods/log", True),
        ("list", "rbac.authorization.k8s.io", "clusterroles", True),
        ("get", "", "secrets", False),
        ("list", "", "secrets", False),
        ("create", "rbac.authorization.k8s.io", "rolebindings", False),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles", False),
        ("impersonate", "", "users", False),
        ("create", "", "pods", False),
        ("create", "", "pods/exec", False),
        ("create", "", "serviceaccounts/token", False),
        ("delete", "apps", "deployments", False),
        ("delete", "", "namespaces", False),
        ("delete", "argoproj.io", "applications", False),
    ],
)
def test_the_gate_may_what_a_signoff_can_ask_and_no_more(
    rig: Rig, verb: str, group: str, resource: str, *, allowed: bool
) -> None:
    kind, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": kind,
        "subresource": subresource,
        "namespace": "default",
    }
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = rig.gate.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
    assert answer.body["status"]["allowed"] is allowed


def test_kubectl_speaks_to_it_with_the_gates_kubeconfig(rig: Rig) -> None:
    command: list[str | Path] = [
        rig.binaries.kubernetes,
        "kubectl",
        f"--kubeconfig={rig.state / 'gate.kubeconfig'}",
        "--context=rig",
    ]
    said = subprocess.run(
        [*command, "version", "-o", "json"], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(said)["serverVersion"]["gitVersion"] == "v1.36.3"
    refused = subprocess.run([*command, "get", "secrets"], capture_output=True, text=True, check=False)
    assert "Forbidden" in refused.stderr


def test_argocd_brings_a_signed_commit_to_running_pods_only_when_told(
    rig: Rig, admin: Api, namespace: str, tmp_path: Path
) -> None:
    sha = git_server.commit(tmp_path, "shop.git", {"manifests/web.json": json.dumps(objects.deployment())})
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{namespace}"
    with git_server.serve(tmp_path) as url:
        draft = objects.application(f"{url}/shop.git", sha, namespace)
        assert rig.gate.apply(path, draft, manager="countersign").status == 201
        before = eventually(
            lambda: rig.gate.get(path).body.get("status", {}),
            lambda status: "status" in status.get("sync", {}),
        )
        assert (before["sync"]["status"], before["sync"]["revision"]) == ("OutOfSync", sha)
        assert rig.gate.get(web(namespace)).status == 404  # nobody synced it by himself

        operation = {"operation": {"initiatedBy": {"username": "countersign"}, "sync": {"revision": sha}}}
        asked = rig.gate.request("PATCH", f"{path}?fieldManager=countersign", operation, kind=MERGE)
        assert asked.status == 200
        status = eventually(
            lambda: rig.gate.get(path).body["status"],
            lambda status: (
                status.get("operationState", {}).get("phase") == "Succeeded"
                and status["sync"]["status"] == "Synced"
                and status["health"]["status"] == "Healthy"
            ),
        )
        assert status["operationState"]["syncResult"]["revision"] == sha
        assert status["history"][-1]["revision"] == sha
        assert len(running_pods(admin, namespace)) == 3
        admin.request("DELETE", path)


def test_argocd_does_not_find_a_commit_that_nobody_made(
    rig: Rig, admin: Api, namespace: str, tmp_path: Path
) -> None:
    git_server.commit(tmp_path, "shop.git", {"manifests/web.json": json.dumps(objects.deployment())})
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{namespace}"
    with git_server.serve(tmp_path) as url:
        rig.gate.apply(
            path, objects.application(f"{url}/shop.git", "a" * 40, namespace), manager="countersign"
        )
        status = eventually(
            lambda: rig.gate.get(path).body.get("status", {}),
            # Argo CD writes the conditions first and the comparison's result in a second patch.
            lambda status: bool(status.get("conditions")) and "sync" in status,
        )
        assert status["conditions"][0]["type"] == "ComparisonError"
        assert status["sync"]["status"] == "Unknown"
        admin.request("DELETE", path)


def test_neo4j_answers_bolt_and_cypher(rig: Rig) -> None:
    address = urlsplit(rig.graph.bolt)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(BOLT_HANDSHAKE)
        minor, major = connection.recv(4)[2:]
    assert (major, minor) == (4, 4)
    rig.graph.query("CREATE (:RigProof {word: '서명'})")
    assert rig.graph.query("MATCH (each:RigProof) RETURN each.word") == [["서명"]]
    assert rig.graph.query("MATCH (each:RigProof) DELETE each") == []
    wrong = urllib.request.Request(f"{rig.graph.http}/db/neo4j/query/v2", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(wrong, timeout=10)
    refused.value.close()


def test_the_settings_point_at_what_was_started(rig: Rig) -> None:
    settings = tomllib.loads(rig.countersign_toml.read_text())
    assert Path(settings["kubernetes"]["kubeconfig"]) == rig.state / "gate.kubeconfig"
    assert settings["graph"]["uri"] == rig.graph.bolt
    profile = load(Path(settings["profile"]))
    assert (profile.rehearsal, profile.unattended, profile.automated_sync) == (False, True, False)
    assert Path(settings["graph"]["password_file"]).read_text() == rig.graph.password


def test_what_is_secret_is_the_owners_alone_and_every_server_is_alive(rig: Rig) -> None:
    assert stat.S_IMODE(rig.state.stat().st_mode) == 0o700
    assert all(child.is_alive() for child in rig.children)


def test_the_api_servers_certificate_is_verified(rig: Rig) -> None:
    stranger = ssl.create_default_context()
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{rig.gate.url}/version", context=stranger, timeout=10)
