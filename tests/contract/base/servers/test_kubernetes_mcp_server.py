"""npm's kubernetes-mcp-server behind the gate, against the rehearsal cluster. Effects are counted at the cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from policies.change import CHANGE_ANNOTATION, Phase, canonical
from tests.fakes.gate import World
from tests.fakes.npm import install, kubernetes_mcp_server
from tests.fakes.served_cluster import ServedCluster, deployment
from tests.fakes.servers import KUBERNETES, ask, behind, example, present
from tools.gate import opening
from tools.gate.servers import adapter
from tools.gate.servers.guarded import GuardedServer
from tools.kubernetes.client import connect
from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.target import KubernetesTarget
from tools.settings import KubernetesSettings, ServerSettings

HERE = Path(__file__).parent
TOOLSETS = "core,config,helm,kcp,kiali,kubevirt,netobserv,tekton"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "web"}, "stringData": {"a": "MARKED-SECRET"}}  # fmt: skip


@dataclass
class Behind:
    """The world whose gate has the server, and what is at the cluster."""

    world: World
    server: GuardedServer
    live: LiveCluster

    def ask(self, role: str, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        return ask(self.world, role, f"k8s__{tool}", given)

    def objects(self) -> dict[str, str]:
        """uid and resourceVersion of everything that a test could change."""
        kinds = [
            ("v1", "Pod"),
            ("v1", "Service"),
            ("v1", "Namespace"),
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("apps/v1", "Deployment"),
        ]
        found = [each for version, kind in kinds for each in self.live.listed(version, kind)]
        return {
            f"{o['kind']}/{o['metadata'].get('namespace')}/{o['metadata']['name']}": o["metadata"]["uid"]
            for o in found
        }


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kubernetes_mcp_server(install(HERE, tmp_path_factory.mktemp("npm")))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCluster]:
    with ServedCluster(tmp_path_factory.mktemp("cluster") / "state") as served:
        yield served


def settings(program: Path, cluster: ServedCluster, **edits: Any) -> ServerSettings:
    argv = (
        str(program), "--kubeconfig", str(cluster.kubeconfig), "--cluster-provider", "kubeconfig", "--disable-multi-cluster",
        "--toolsets", TOOLSETS,
    )  # fmt: skip
    said: dict[str, Any] = dict(
        adapter=adapter.named("kubernetes-mcp-server"), argv=argv, readable=(cluster.kubeconfig,)
    )
    return ServerSettings(**{**said, **edits})


@pytest.fixture
def behind_gate(program: Path, cluster: ServedCluster, tmp_path: Path) -> Iterator[Behind]:
    client = connect(KubernetesSettings(kubeconfig=cluster.kubeconfig), deadline=10)
    live = LiveCluster(client)
    world = World(tmp_path / "gate", cluster=KubernetesTarget(live), clock=present())  # type: ignore[arg-type]
    told = settings(program, cluster)
    server = opening.open_server("k8s", told, world.folder / "servers", world.clock, lambda _: None)
    behind(world, {"k8s": server}, {"k8s": told})
    yield Behind(world, server, live)
    server.close()
    client.close()


def objects(change_id: str, name: str) -> list[dict[str, Any]]:
    mark = {"annotations": {CHANGE_ANNOTATION: change_id}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", **mark}}
    web = deployment(name, replicas=1)
    web["metadata"] |= mark
    return [namespace, web]


def signed(world: World, name: str = "web") -> tuple[str, list[dict[str, Any]]]:
    opened = world.open(Phase.DEPLOY, namespaces=("web",))
    made = objects(opened.change_id, name)
    files = {f"objects/{n}.json": canonical(each) for n, each in enumerate(made)}
    grants: list[Any] = [
        ("kubernetes", "apply", {"object": {"$artifact": path}, "namespace": "web"}, ("previous_done",))
        for path in sorted(files)
    ]
    return world.desk.deposit(world.sign(world.change(opened, files, grants), files)).signoff, made


def test_what_it_serves_is_what_is_pinned_and_all_of_it_is_mapped(behind_gate: Behind) -> None:
    upstream = behind_gate.server.open()
    served = upstream.tools()
    upstream.close()
    assert {each["name"] for each in served} == set(KUBERNETES.pins.definitions)
    assert KUBERNETES.pins.differences(served) == ()


MUTATING = sorted(
    n for n, d in KUBERNETES.pins.definitions.items() if not d["annotations"].get("readOnlyHint")
)


@pytest.mark.parametrize("tool", MUTATING)
def test_no_tool_changes_anything_without_a_grant(behind_gate: Behind, tool: str) -> None:
    signed(behind_gate.world)  # a live sign-off for something else changes nothing
    before = behind_gate.objects()
    given = example(KUBERNETES.pins.schema(tool))
    given |= {"resource": json.dumps(deployment("other"))} if tool == "resources_create_or_update" else {}
    for role in ("planner", "devops", "security", "sre"):
        assert behind_gate.ask(role, tool, given)["refused"] in {
            "no-grant",
            "not-allowed",
            "tool-not-granted",
        }
    assert behind_gate.objects() == before


def test_the_granted_call_is_made_and_read_back_from_the_cluster(behind_gate: Behind) -> None:
    signoff, made = signed(behind_gate.world)
    text = "\n---\n".join(json.dumps(each, indent=1) for each in made)
    answer = behind_gate.ask("devops", "resources_create_or_update", {"resource": text})
    assert [g["state"] for g in answer["grants"]] == ["done", "done"], answer
    live = behind_gate.live.get("apps/v1", "Deployment", "web", "web")
    assert {field["manager"] for field in live["metadata"]["managedFields"]} >= {"kubernetes-mcp-server"}
    assert "countersign" not in {field["manager"] for field in live["metadata"]["managedFields"]}
    assert answer["grants"][1]["receipt"]["uid"] == live["metadata"]["uid"]
    again = behind_gate.ask("devops", "resources_create_or_update", {"resource": text})
    assert again["refused"] == "grant-not-next"
    assert behind_gate.world.room.ledger().of(signoff, 2).through == "k8s"


def test_it_would_force_a_conflict_and_is_not_asked_to(behind_gate: Behind) -> None:
    """The server applies by force; our dry run before it does not, so another owner's field stays his."""
    live = behind_gate.live
    live.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}},
        "",
        dry_run=False,
        manager="setup",
    )
    live.apply(deployment("owned", replicas=7), "web", dry_run=False, manager="somebody-else")
    _, made = signed(behind_gate.world, "owned")
    first = behind_gate.ask("devops", "resources_create_or_update", {"resource": json.dumps(made[0])})
    assert "grants" in first, first
    answer = behind_gate.ask("devops", "resources_create_or_update", {"resource": json.dumps(made[1])})
    assert answer["refused"] == "target-conflict", answer
    assert live.get("apps/v1", "Deployment", "web", "owned")["spec"]["replicas"] == 7


def test_submit_performs_through_it_where_that_is_configured(
    behind_gate: Behind, program: Path, cluster: ServedCluster
) -> None:
    world = behind_gate.world
    behind(world, world.room.servers, {"k8s": settings(program, cluster, performs=("kubernetes.apply",))})
    signoff, _ = signed(world)
    assert ask(world, "devops", "submit", {"signoff": signoff, "seq": 1})["state"] == "done"
    live = behind_gate.live.get("v1", "Namespace", "", "web")
    assert "kubernetes-mcp-server" in {field["manager"] for field in live["metadata"]["managedFields"]}


def test_reads_are_answered_by_role_and_a_secret_never(behind_gate: Behind) -> None:
    live = behind_gate.live
    live.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}, "", dry_run=False)
    live.apply(SECRET, "web", dry_run=False)
    assert "web" in behind_gate.ask("planner", "namespaces_list", {})["text"]
    assert (
        "kind: Namespace"
        in behind_gate.ask("sre", "resources_get", {"apiVersion": "v1", "kind": "Namespace", "name": "web"})[
            "text"
        ]
    )
    for role in ("planner", "devops", "security", "sre"):
        for kind in ("Secret", "secret", "Secrets", "secrets", "SecretList"):
            for tool, rest in (("resources_get", {"name": "token"}), ("resources_list", {})):
                given = {"apiVersion": "v1", "kind": kind, "namespace": "web", **rest}
                answer = behind_gate.ask(role, tool, given)
                assert answer["refused"] in {"argument-not-allowed", "tool-not-granted"}
                assert "MARKED" not in json.dumps(answer)
    for tool in ("configuration_view", "helm_list", "nodes_log"):
        assert behind_gate.ask("sre", tool, {})["refused"] == "not-allowed"


READS = {
    "namespaces_list": {}, "projects_list": {}, "events_list": {"namespace": "web"}, "pods_list": {}, "pods_list_in_namespace": {"namespace": "web"},
    "resources_list": {"apiVersion": "apps/v1", "kind": "Deployment"}, "nodes_top": {}, "pods_top": {"namespace": "web"},
}  # fmt: skip


@pytest.mark.parametrize("tool", READS)
def test_each_read_reaches_the_cluster_and_changes_nothing(behind_gate: Behind, tool: str) -> None:
    before = behind_gate.objects()
    answer = behind_gate.ask("sre", tool, READS[tool])
    assert answer.get("refused") in {None, "target-error"}, answer  # OpenShift's projects are not served here
    assert behind_gate.objects() == before


def test_several_contexts_serve_other_definitions_and_are_shut_out(
    behind_gate: Behind, program: Path, cluster: ServedCluster, tmp_path: Path
) -> None:
    import yaml

    config = yaml.safe_load(cluster.kubeconfig.read_text())
    second = copy.deepcopy(config["contexts"][0]) | {"name": "second"}
    config["contexts"].append(second)
    several = tmp_path / "several.yaml"
    several.write_text(yaml.safe_dump(config))
    argv = (str(program), "--kubeconfig", str(several), "--toolsets", TOOLSETS)
    told = settings(program, cluster, argv=argv, readable=(several,))
    world = behind_gate.world
    server = opening.open_server("two", told, world.folder / "servers", world.clock, lambda _: None)
    behind(world, {"two": server})
    answer = ask(world, "sre", "two__pods_list", {})
    assert answer["refused"] == "server-quarantined", answer
    server.close()


def test_over_http_it_could_not_even_listen(
    behind_gate: Behind, program: Path, cluster: ServedCluster
) -> None:
    """It binds every interface unless told: confined, it binds none."""
    from tools import confine

    if confine.landlock_abi() < 4:
        pytest.skip("this kernel cannot keep a process from listening")
    told = settings(
        program,
        cluster,
        argv=(str(program), "--kubeconfig", str(cluster.kubeconfig), "--port", "0", "--log-file", "stderr"),
    )
    server = opening.open_server(
        "http", told, behind_gate.world.folder / "servers", behind_gate.world.clock, lambda _: None
    )
    with pytest.raises(Exception, match=r"ended during|gave no answer"):
        server.open()
