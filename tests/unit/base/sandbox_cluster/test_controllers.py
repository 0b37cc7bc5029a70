"""From a wish to pods: rollouts, what keeps pods from running, and what goes with its owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.served_cluster import NGINX, Clock, World, deployment
from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.http.tables import pod_state
from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.loop import Loop, UnsettledError
from tools.sandbox.cluster.store import Store

Json = dict[str, Any]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def condition(manifest: Json, kind: str) -> Json:
    return next((c for c in manifest["status"].get("conditions", []) if c["type"] == kind), {})


def states(world: World) -> set[str]:
    return {pod_state(pod) for pod in world.all("Pod")}


def test_three_pods_run_after_their_delay_and_not_before(world: World) -> None:
    world.apply(deployment())
    world.loop.settle()
    assert [pod["status"]["phase"] for pod in world.all("Pod")] == ["Pending"] * 3
    world.settle()
    assert [pod["status"]["phase"] for pod in world.all("Pod")] == ["Running"] * 3
    status = world.get("Deployment", "web")["status"]
    assert {k: status[k] for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")} == {
        "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
    }  # fmt: skip
    assert "unavailableReplicas" not in status
    assert condition(world.get("Deployment", "web"), "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_a_new_template_rolls_over_within_its_budget(world: World) -> None:
    world.apply(deployment())
    world.settle()
    world.apply(deployment(image=f"{NGINX}:2"))
    fewest = 3
    for _ in range(40):
        world.loop.settle()
        world.clock.advance(0.03)
        fewest = min(fewest, world.get("Deployment", "web")["status"].get("availableReplicas", 0))
    assert fewest == 3
    assert [message.rpartition(" from ")[2] for message in world.events("ScalingReplicaSet")] == [
        "0 to 3", "0 to 1", "3 to 2", "1 to 2", "2 to 1", "2 to 3", "1 to 0",
    ]  # fmt: skip
    revisions = {
        s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: s["spec"]["replicas"]
        for s in world.all("ReplicaSet")
    }
    assert revisions == {"1": 0, "2": 3}


def test_recreate_stops_the_old_before_the_new(world: World) -> None:
    manifest = deployment()
    manifest["spec"]["strategy"] = {"type": "Recreate"}
    world.apply(manifest)
    world.settle()
    newer = deployment(image=f"{NGINX}:2")
    newer["spec"]["strategy"] = {"type": "Recreate"}
    world.apply(newer)
    world.settle()
    assert {pod["spec"]["containers"][0]["image"] for pod in world.all("Pod")} == {f"{NGINX}:2"}
    assert len(world.all("Pod")) == 3


NOT_RUNNING: dict[str, tuple[Json, str, str]] = {
    "unknown image": (
        deployment(image="registry.example/nobody/knows:1"),
        "ImagePullBackOff",
        "Back-off pulling image",
    ),
    "unknown image by digest": (
        deployment(image="registry.example/x@sha256:" + "0" * 64),
        "ImagePullBackOff",
        "Back-off",
    ),
    "root image, no root": (
        deployment(image=f"{NGINX}:1", securityContext={"runAsNonRoot": True}),
        "CreateContainerConfigError",
        "container has runAsNonRoot and image will run as root",
    ),
    "root asked for, no root": (
        deployment(securityContext={"runAsNonRoot": True, "runAsUser": 0}),
        "CreateContainerConfigError",
        "container's runAsUser breaks non-root policy",
    ),
    "missing config map": (
        deployment(
            containers=[{"name": "m", "image": NGINX, "envFrom": [{"configMapRef": {"name": "absent"}}]}]
        ),
        "CreateContainerConfigError",
        'configmap "absent" not found',
    ),
    "no such node": (
        deployment(nodeSelector={"disk": "fast"}),
        "Pending",
        "didn't match Pod's node affinity/selector",
    ),
}


@pytest.mark.parametrize("what", NOT_RUNNING)
def test_what_keeps_a_pod_from_running(world: World, what: str) -> None:
    manifest, state, words = NOT_RUNNING[what]
    world.apply(manifest)
    world.settle()
    assert states(world) == {state}
    pod = world.all("Pod")[0]
    waiting = [s["state"]["waiting"].get("message", "") for s in pod["status"].get("containerStatuses", [])]
    said = [*waiting, *(c.get("message", "") for c in pod["status"]["conditions"])]
    assert any(words in text for text in said)
    assert condition(world.get("Deployment", "web"), "Available")["status"] == "False"


RUNNING = {
    "by digest": deployment(image=f"{NGINX}@sha256:" + "b" * 64),
    "by short name": deployment(image="nginx"),
    "root image with a user": deployment(
        image=NGINX, securityContext={"runAsNonRoot": True, "runAsUser": 101}
    ),
    "container overrules pod": deployment(
        containers=[{"name": "m", "image": NGINX, "securityContext": {"runAsUser": 5}}],
        securityContext={"runAsNonRoot": True, "runAsUser": 0},
    ),
    "optional config map": deployment(
        containers=[
            {"name": "m", "image": NGINX, "envFrom": [{"configMapRef": {"name": "absent", "optional": True}}]}
        ]
    ),
}


@pytest.mark.parametrize("what", RUNNING)
def test_what_runs(world: World, what: str) -> None:
    world.apply(RUNNING[what])
    world.settle()
    assert states(world) == {"Running"}


def test_a_refused_pod_is_a_condition_an_event_and_a_warning_never_an_error() -> None:
    world = World()
    world.namespace("web", **RESTRICTED)
    answer = world.apply(
        deployment(containers=[{"name": "m", "image": NGINX, "securityContext": {"privileged": True}}])
    )
    assert answer.warnings[0].startswith('would violate PodSecurity "restricted:latest": privileged')
    world.settle()
    assert not world.all("Pod")
    failure = condition(world.get("Deployment", "web"), "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert 'is forbidden: violates PodSecurity "restricted:latest"' in failure["message"]
    assert world.events("FailedCreate")[0].startswith("Error creating: pods ")


def test_refused_pods_are_tried_again_ever_more_rarely() -> None:
    world = World()
    world.namespace("web", **RESTRICTED)
    world.apply(deployment())
    world.settle(10)
    assert len(world.events("FailedCreate")) == 6
    world.patch(
        "Namespace", "web", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    )
    world.settle(10)
    assert states(world) == {"Running"}
    assert not condition(world.get("Deployment", "web"), "ReplicaFailure")


def test_a_pod_without_its_service_account_is_refused(world: World) -> None:
    world.apply(deployment(serviceAccountName="absent"))
    world.settle()
    assert 'serviceaccount "absent" not found' in world.events("FailedCreate")[0]


def test_a_rollout_that_cannot_end_says_so_after_its_deadline(world: World) -> None:
    manifest = deployment(image="nobody/knows")
    manifest["spec"]["progressDeadlineSeconds"] = 5
    world.apply(manifest)
    world.settle(2)
    assert condition(world.get("Deployment", "web"), "Progressing")["status"] == "True"
    world.settle(6)
    late = condition(world.get("Deployment", "web"), "Progressing")
    assert (late["status"], late["reason"]) == ("False", "ProgressDeadlineExceeded")


def test_pods_go_with_their_deployment(world: World) -> None:
    world.apply(deployment())
    world.settle()
    world.delete("Deployment", "web")
    world.settle()
    assert not world.all("ReplicaSet")
    assert not world.all("Pod")


def test_orphans_stay(world: World) -> None:
    world.apply(deployment())
    world.settle()
    world.cluster.delete(BY_KIND["apps/v1", "Deployment"], "web", "web", orphan=True)
    world.settle()
    assert len(world.all("Pod")) == 3


def test_a_deleted_pod_is_replaced(world: World) -> None:
    world.apply(deployment())
    world.settle()
    gone = world.all("Pod")[0]["metadata"]["name"]
    world.delete("Pod", gone)
    world.settle()
    names = [pod["metadata"]["name"] for pod in world.all("Pod")]
    assert len(names) == 3
    assert gone not in names


def test_a_namespace_goes_with_all_it_holds(world: World) -> None:
    world.apply(deployment())
    world.settle()
    world.delete("Namespace", "web")
    assert world.get("Namespace", "web")["status"] == {"phase": "Terminating"}
    with pytest.raises(ApiError, match="because it is being terminated"):
        world.apply(deployment("late"))
    world.settle()
    assert not world.all("Pod")
    assert not world.all("Event")
    assert [item["metadata"]["name"] for item in world.all("Namespace")] == [
        "argocd", "default", "kube-node-lease", "kube-public", "kube-system",
    ]  # fmt: skip


def test_a_service_gets_an_address_and_its_ready_pods(world: World) -> None:
    world.apply(deployment())
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "web"}}
    made = world.apply(
        service | {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}
    ).manifest
    assert made["spec"]["clusterIP"].startswith("10.96.")
    world.settle()
    (subset,) = world.get("Endpoints", "web")["subsets"]
    assert len(subset["addresses"]) == 3
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_a_budget_counts_healthy_pods(world: World) -> None:
    world.apply(deployment())
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "web"},
    }
    world.apply(budget | {"spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}})
    world.settle()
    status = world.get("PodDisruptionBudget", "web")["status"]
    assert (status["expectedPods"], status["currentHealthy"], status["disruptionsAllowed"]) == (3, 3, 1)


@pytest.mark.parametrize(("lowest", "highest", "replicas"), [(5, 9, 5), (1, 2, 2), (1, 9, 3)])
def test_an_autoscaler_keeps_replicas_within_bounds(
    world: World, lowest: int, highest: int, replicas: int
) -> None:
    world.apply(deployment())
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "web"},
    }
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    world.apply(
        scaler | {"spec": {"scaleTargetRef": reference, "minReplicas": lowest, "maxReplicas": highest}}
    )
    world.settle()
    assert len(world.all("Pod")) == replicas


def workload(kind: str, api_version: str = "apps/v1", **spec: Any) -> Json:
    base = deployment()
    wanted = {"selector": base["spec"]["selector"], "template": base["spec"]["template"]} | spec
    return {"apiVersion": api_version, "kind": kind, "metadata": base["metadata"], "spec": wanted}


def test_a_stateful_set_numbers_its_pods_and_starts_them_in_order(world: World) -> None:
    world.apply(workload("StatefulSet", serviceName="web", replicas=2))
    world.loop.settle()
    assert [pod["metadata"]["name"] for pod in world.all("Pod")] == ["web-0"]
    world.settle()
    assert [pod["metadata"]["name"] for pod in world.all("Pod")] == ["web-0", "web-1"]
    assert world.get("StatefulSet", "web")["status"]["readyReplicas"] == 2


def test_a_daemon_set_runs_one_pod_a_node(world: World) -> None:
    world.apply(workload("DaemonSet"))
    world.settle()
    assert world.get("DaemonSet", "web")["status"]["numberReady"] == len(world.all("Pod")) == 1


def test_a_job_completes(world: World) -> None:
    job = workload("Job", "batch/v1")
    del job["spec"]["selector"]
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    world.apply(job)
    world.settle()
    assert condition(world.get("Job", "web"), "Complete")["status"] == "True"
    assert states(world) == {"Completed"}


def test_state_survives_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "cluster.sqlite"
    first = World(database)
    first.namespace("web")
    first.apply(deployment())
    first.settle()
    before = {pod["metadata"]["uid"] for pod in first.all("Pod")}
    first.cluster.store.close()
    second = World(database)
    second.settle()
    assert {pod["metadata"]["uid"] for pod in second.all("Pod")} == before
    assert second.get("Deployment", "web")["status"]["readyReplicas"] == 3


def test_events_are_counted_and_forgotten_after_an_hour(world: World) -> None:
    world.apply(deployment())
    world.settle()
    assert world.all("Event")
    world.clock.advance(3700)
    world.settle()
    assert not world.all("Event")


def test_controllers_that_undo_each_other_are_a_named_fault() -> None:
    cluster = Cluster(Store(":memory:"), Clock())
    kind = BY_KIND["v1", "Namespace"]
    cluster.create(kind, "", {"metadata": {"name": "web"}}, Options(manager="tester"))

    def flip(value: str) -> Any:
        def controller(at: Cluster) -> None:
            at.patch(
                kind, "", "web", "merge", {"metadata": {"labels": {"a": value}}}, Options(manager="tester")
            )

        return controller

    with pytest.raises(UnsettledError, match="Namespace"):
        Loop(cluster, [flip("1"), flip("2")]).settle()


def test_one_object_that_cannot_be_reconciled_stops_no_other(world: World) -> None:
    odd = deployment("odd")
    odd["metadata"]["name"] = "x" * 250  # a valid name, but one that leaves no room for the ReplicaSet's hash
    world.apply(odd)
    world.apply(deployment())
    world.settle()
    assert len(world.all("Pod")) == 3
    (told,) = world.events("ReconcileError")
    assert "a lowercase RFC 1123 subdomain" in told
