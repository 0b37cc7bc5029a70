"""npm's kubernetes-mcp-server behind the gate on a real API server, with an administrator's rights. Effects are counted in the audit log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from policies.change import CHANGE_ANNOTATION, Phase, canonical
from tests.fakes.gate import World
from tests.fakes.npm import install, kubernetes_mcp_server
from tests.fakes.served_cluster import deployment
from tests.fakes.servers import KUBERNETES, ask, behind, example, present
from tests.rig.rig import Rig
from tools.gate import opening
from tools.gate.servers import adapter
from tools.gate.servers.guarded import GuardedServer
from tools.kubernetes.client import connect
from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.target import KubernetesTarget
from tools.settings import KubernetesSettings, ServerSettings

PACKAGES = Path(__file__).resolve().parents[1] / "contract/base/servers"
CHANGING = sorted(
    n for n, d in KUBERNETES.pins.definitions.items() if not d["annotations"].get("readOnlyHint")
)
NAMESPACE = "servers"


@dataclass
class Behind:
    """A gate with the gate's own account, and the server under it with an administrator's."""

    rig: Rig
    world: World
    server: GuardedServer

    def ask(self, role: str, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        return ask(self.world, role, f"k8s__{tool}", given)

    def writes(self) -> list[str]:
        """Every write of the server in the API server's own audit log; dry runs are none."""
        entries = (json.loads(line) for line in self.rig.cluster.audit_log.read_text().splitlines())
        return [
            f"{entry['verb']} {entry['requestURI'].partition('?')[0]}"
            for entry in entries
            if "kubernetes-mcp-server" in entry.get("userAgent", "") and "dryRun" not in entry["requestURI"]
        ]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kubernetes_mcp_server(install(PACKAGES, tmp_path_factory.mktemp("npm")))


@pytest.fixture
def real(rig: Rig, program: Path, tmp_path: Path) -> Iterator[Behind]:
    client = connect(KubernetesSettings(kubeconfig=rig.state / "gate.kubeconfig"))
    target: Any = KubernetesTarget(LiveCluster(client))
    world = World(tmp_path / "gate", cluster=target, rehearsal=False, clock=present())
    told = ServerSettings(
        adapter=adapter.named("kubernetes-mcp-server"),
        argv=(
            str(program), "--kubeconfig", str(rig.cluster.kubeconfig), "--cluster-provider", "kubeconfig",
            "--disable-multi-cluster", "--toolsets", "core,config,helm,kcp,kiali,kubevirt,netobserv,tekton",
        ),
        readable=(rig.cluster.kubeconfig,),
    )  # fmt: skip
    server = opening.open_server("k8s", told, world.folder / "servers", world.clock, lambda _: None)
    behind(world, {"k8s": server}, {"k8s": told})
    yield Behind(rig, world, server)
    server.close()
    client.close()


def signed(world: World, name: str) -> list[dict[str, Any]]:
    """The objects of a deposited deploy phase: a namespace, and a Deployment in it."""
    opened = world.open(Phase.DEPLOY, namespaces=(NAMESPACE,))
    mark = {"annotations": {CHANGE_ANNOTATION: opened.change_id}}
    web = deployment(name, replicas=2)
    web["metadata"] |= {"namespace": NAMESPACE, **mark}
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, **mark}}, web]
    files = {f"objects/{n}.json": canonical(each) for n, each in enumerate(made)}
    grants: list[Any] = [
        ("kubernetes", "apply", {"object": {"$artifact": path}, "namespace": NAMESPACE}, ("previous_done",))
        for path in sorted(files)
    ]
    world.desk.deposit(world.sign(world.change(opened, files, grants), files))
    return made


def test_it_serves_on_a_real_api_server_what_is_pinned(real: Behind) -> None:
    upstream = real.server.open()
    served = upstream.tools()
    upstream.close()
    assert KUBERNETES.pins.differences(served) == ()
    assert {each["name"] for each in served} >= set(CHANGING)


def test_ungated_it_writes_and_the_audit_log_says_so(real: Behind) -> None:
    before = real.writes()
    upstream = real.server.open()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ungated", "namespace": "default"}}
    upstream.call("resources_create_or_update", {"resource": json.dumps(body)})
    upstream.close()
    assert real.writes()[len(before) :] == ["patch /api/v1/namespaces/default/configmaps/ungated"]


@pytest.mark.parametrize("tool", CHANGING)
def test_no_tool_writes_without_a_grant(real: Behind, tool: str) -> None:
    signed(real.world, "never")
    before = real.writes()
    given = example(KUBERNETES.pins.schema(tool))
    given |= {"resource": json.dumps(deployment("other"))} if tool == "resources_create_or_update" else {}
    for role in ("planner", "devops", "security", "sre"):
        assert real.ask(role, tool, given)["refused"] in {"no-grant", "not-allowed", "tool-not-granted"}
    assert real.writes() == before


def test_what_was_signed_is_written_once_each_and_its_pods_run(real: Behind) -> None:
    made = signed(real.world, "web")
    before = real.writes()
    text = "\n---\n".join(json.dumps(each, indent=2) for each in made)
    answer = real.ask("devops", "resources_create_or_update", {"resource": text})
    assert [g["state"] for g in answer.get("grants", ())] == ["done", "done"], answer
    assert real.ask("devops", "resources_create_or_update", {"resource": text})["refused"] == "grant-not-next"
    assert real.writes()[len(before) :] == [
        f"patch /api/v1/namespaces/{NAMESPACE}",
        f"patch /apis/apps/v1/namespaces/{NAMESPACE}/deployments/web",
    ]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Dweb"
    end = time.monotonic() + 60
    while True:
        pods = real.rig.cluster.admin.get(path).body["items"]
        if [pod["status"].get("phase") for pod in pods] == ["Running", "Running"]:
            return
        assert time.monotonic() < end, pods
        time.sleep(0.2)


def test_anothers_field_is_not_taken_by_force(real: Behind) -> None:
    made = signed(real.world, "owned")
    real.ask("devops", "resources_create_or_update", {"resource": json.dumps(made[0])})
    admin = LiveCluster(connect(KubernetesSettings(kubeconfig=real.rig.cluster.kubeconfig)))
    theirs = deployment("owned", replicas=7)
    theirs["metadata"]["namespace"] = NAMESPACE
    admin.apply(theirs, NAMESPACE, dry_run=False, manager="somebody-else")
    before = real.writes()
    answer = real.ask("devops", "resources_create_or_update", {"resource": json.dumps(made[1])})
    assert (answer["refused"], real.writes()) == ("target-conflict", before)
    assert admin.get("apps/v1", "Deployment", NAMESPACE, "owned")["spec"]["replicas"] == 7


def test_a_secret_that_the_server_could_read_reaches_nobody(real: Behind) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "marked"},
        "stringData": {"a": "MARKED-SECRET"},
    }
    assert real.rig.cluster.admin.request("POST", "/api/v1/namespaces/default/secrets", secret).status in {
        201,
        409,
    }
    upstream = real.server.open()
    wanted = {"apiVersion": "v1", "kind": "Secret", "name": "marked", "namespace": "default"}
    assert "TUFSS0VELVNFQ1JFVA==" in upstream.call("resources_get", wanted), "ungated it can"
    upstream.close()
    for role in ("planner", "devops", "security", "sre"):
        for kind in ("Secret", "secret", "secrets", "SecretList"):
            for tool, rest in (("resources_get", {"name": "marked"}), ("resources_list", {})):
                given = {"apiVersion": "v1", "kind": kind, "namespace": "default", **rest}
                assert real.ask(role, tool, given)["refused"] in {"argument-not-allowed", "tool-not-granted"}
    assert "kube-system" in real.ask("planner", "namespaces_list", {})["text"]
    assert real.ask("devops", "namespaces_list", {})["refused"] == "tool-not-granted"
