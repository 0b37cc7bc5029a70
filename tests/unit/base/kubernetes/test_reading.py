"""The read tools against the served cluster: typed, bounded, and never a Secret."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.served_cluster import deployment
from tests.unit.base.kubernetes.shop import Shop, namespace, signed, until
from tools.kubernetes import reading, words
from tools.kubernetes.target import KubernetesTarget
from tools.kubernetes.verbs import verbs
from tools.tool import Effect, Nothing, ToolRefusedError
from tools.verbs import NotFoundError, TargetError


@pytest.fixture(scope="module", autouse=True)
def _web(shop: Shop) -> None:
    apply = verbs(shop.cluster, sleep=lambda _: None)["kubernetes.apply"]
    strict = namespace("strict", **{"pod-security.kubernetes.io/enforce": "restricted"})
    refused = signed(deployment("refused"))
    refused["metadata"]["namespace"] = "strict"
    unknown = signed(deployment("unknown", image="nobody/knows", replicas=1))
    for manifest in (namespace("web"), strict, signed(deployment("web")), unknown, refused):
        apply.perform(shop.apply(manifest))


def tool(shop: Shop, name: str, arguments: Any) -> Any:
    found = {each.name: each for each in reading.reads(shop.cluster)}[name]
    assert isinstance(arguments, found.arguments)
    result = found.call(arguments)
    assert isinstance(result, found.result)
    return result


def test_every_tool_only_reads(shop: Shop) -> None:
    target = KubernetesTarget(shop.cluster)
    assert {each.effect for each in target.reads} == {Effect.READ}
    assert set(target.verbs()) == {"kubernetes.apply", "kubernetes.sync_application"}
    assert target.version().startswith("v1.36")


def test_resources_come_without_managed_fields_and_say_when_there_are_more(shop: Shop) -> None:
    asked = words.ListResources(api_version="apps/v1", kind="Deployment", namespace="web", limit=1)
    found = tool(shop, "list_resources", asked)
    assert (len(found.items), found.complete) == (1, False)
    assert "managedFields" not in found.items[0]["metadata"]
    everywhere = tool(shop, "list_resources", words.ListResources(api_version="apps/v1", kind="Deployment"))
    assert everywhere.complete
    assert {item["metadata"]["namespace"] for item in everywhere.items} == {"web", "strict"}
    labelled = words.ListResources(api_version="v1", kind="Pod", namespace="web", label_selector="app=web")
    assert len(tool(shop, "list_resources", labelled).items) == 3


@pytest.mark.parametrize("kind", ["Secret", "secret", " Secret ", "SecretList", "secrets"])
def test_secrets_are_never_read(shop: Shop, kind: str) -> None:
    with pytest.raises(ToolRefusedError, match="secrets-are-not-read"):
        tool(shop, "list_resources", words.ListResources(api_version="v1", kind=kind))
    with pytest.raises(ToolRefusedError, match="secrets-are-not-read"):
        tool(shop, "get_resource", words.GetResource(api_version="v1", kind=kind, namespace="web", name="x"))


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("v1", "Gadget"), ("x.example/v1", "Odd"), ("../v1", "Pod"), ("v1/secrets", "Pod")],
)
def test_an_unknown_kind_is_named(shop: Shop, api_version: str, kind: str) -> None:
    with pytest.raises(TargetError):
        tool(shop, "list_resources", words.ListResources(api_version=api_version, kind=kind))


@pytest.mark.parametrize("name", ["../../secrets/x", "web/../../x", "?watch=1", "a%2fb"])
def test_a_name_never_becomes_a_path(shop: Shop, name: str) -> None:
    with pytest.raises(NotFoundError):
        tool(
            shop,
            "get_resource",
            words.GetResource(api_version="apps/v1", kind="Deployment", namespace="web", name=name),
        )


def test_namespaces_with_their_labels(shop: Shop) -> None:
    labels = {
        item["metadata"]["name"]: item["metadata"].get("labels", {})
        for item in tool(shop, "list_namespaces", Nothing()).items
    }
    assert labels["strict"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_rollout_that_is_complete(shop: Shop) -> None:
    asked = words.RolloutStatus(namespace="web", name="web")
    found = until(lambda: tool(shop, "rollout_status", asked), lambda r: r.complete)
    assert (found.desired, found.ready, found.message) == (3, 3, "3 of 3 pods ready")
    assert {(pod.phase, pod.ready) for pod in found.pods} == {("Running", True)}


def test_a_rollout_that_cannot_pull_says_why(shop: Shop) -> None:
    asked = words.RolloutStatus(namespace="web", name="unknown")
    found = until(
        lambda: tool(shop, "rollout_status", asked),
        lambda r: r.pods and r.pods[0].reason == "ImagePullBackOff",
    )
    assert not found.complete
    assert "nobody/knows" in found.pods[0].message


def test_a_rollout_whose_pods_are_refused_says_why(shop: Shop) -> None:
    asked = words.RolloutStatus(namespace="strict", name="refused")
    found = until(lambda: tool(shop, "rollout_status", asked), lambda r: "FailedCreate" in r.message)
    assert 'violates PodSecurity "restricted:latest"' in found.message
    assert not found.complete


def test_events_logs_and_metrics(shop: Shop) -> None:
    until(
        lambda: tool(shop, "rollout_status", words.RolloutStatus(namespace="web", name="web")),
        lambda r: r.complete,
    )
    (event,) = tool(
        shop, "list_events", words.ListEvents(namespace="web", kind="Deployment", name="web")
    ).events
    assert (event.reason, event.about) == ("ScalingReplicaSet", "Deployment/web")
    assert len(tool(shop, "list_events", words.ListEvents(namespace="web", limit=2)).events) == 2
    pods = shop.cluster.listed("v1", "Pod", "web", chosen={"labelSelector": "app=web"})
    log = tool(shop, "pod_logs", words.PodLogs(namespace="web", pod=pods[0]["metadata"]["name"], tail=1))
    assert log.text.startswith("rehearsal: ")
    usage = tool(shop, "pod_metrics", words.PodMetrics(namespace="web"))
    assert usage.available
    assert {(row.cpu_millicores, row.memory_bytes, row.rehearsal) for row in usage.pods} == {
        (10, 32 * 2**20, True)
    }


def test_a_log_of_a_container_that_waits_is_a_named_refusal(shop: Shop) -> None:
    pods = until(
        lambda: shop.cluster.listed("v1", "Pod", "web", chosen={"labelSelector": "app=unknown"}),
        lambda p: bool(p and "containerStatuses" in p[0]["status"]),
    )
    with pytest.raises(TargetError, match="waiting to start"):
        tool(shop, "pod_logs", words.PodLogs(namespace="web", pod=pods[0]["metadata"]["name"]))


def test_an_application_as_argocd_says_it(shop: Shop) -> None:
    apply = verbs(shop.cluster, sleep=lambda _: None)["kubernetes.apply"]
    apply.perform(shop.apply(shop.application("seen")))
    asked = words.ApplicationStatus(name="seen")
    found = until(lambda: tool(shop, "application_status", asked), lambda a: a.sync == "OutOfSync")
    assert (found.revision, found.target_revision, found.health) == (shop.sha, shop.sha, "Missing")
    assert {row["kind"] for row in found.resources} == {"Namespace", "Deployment"}


def test_a_cluster_is_known_by_the_uid_of_kube_system(shop: Shop) -> None:
    target = shop.cluster.resolve(("web",))
    assert target.uid == shop.cluster.get("v1", "Namespace", "", "kube-system")["metadata"]["uid"]
    assert target.namespaces == ("web",)
