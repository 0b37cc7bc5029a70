"""Each verb against the served cluster: finds nothing before, does it once, finds it after, and says what differs."""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

from policies.change import Destination, canonical, digest_of
from tests.fakes.served_cluster import NGINX, deployment
from tests.unit.base.kubernetes.shop import CHANGE, MARK, OTHER, Shop, namespace, signed, until
from tools.kubernetes.client import MERGE, Client, FieldConflictError, connect
from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.verbs import verbs
from tools.settings import KubernetesSettings
from tools.verbs import (
    Call,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Receipt,
    TargetError,
    UnreachableError,
    Verb,
)

Json = dict[str, Any]


def no_sleep(_: float) -> None:
    """The rehearsal works between two requests."""


def verb(shop: Shop, name: str) -> Verb:
    return verbs(shop.cluster, sleep=no_sleep)[f"kubernetes.{name}"]


@pytest.fixture(scope="module", autouse=True)
def _web(shop: Shop) -> None:
    verb(shop, "apply").perform(shop.apply(namespace("web")))


def found(shop: Shop, call: Call) -> Receipt:
    receipt = verb(shop, call.verb.partition(".")[2]).find(call)
    assert receipt is not None
    return receipt


def other_hand(shop: Shop, path: str, patch: Json) -> None:
    """Somebody else changes the object."""
    client = connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig))
    client.json("PATCH", path, query={"fieldManager": "kubectl"}, body=patch, media_type=MERGE)
    client.close()


def path_of(manifest: Json) -> str:
    return f"/apis/apps/v1/namespaces/web/deployments/{manifest['metadata']['name']}"


def test_an_object_is_found_only_after_it_was_applied(shop: Shop) -> None:
    call = shop.apply(signed(deployment("first")))
    assert verb(shop, "apply").find(call) is None
    verb(shop, "apply").perform(call)
    receipt = found(shop, call)
    assert receipt.matches
    live = shop.cluster.get("apps/v1", "Deployment", "web", "first")
    assert receipt.facts["uid"] == live["metadata"]["uid"]
    assert {k: receipt.facts[k] for k in ("api_version", "kind", "namespace", "name", "generation")} == {
        "api_version": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "first", "generation": 1,
    }  # fmt: skip
    until(
        lambda: shop.cluster.listed("v1", "Pod", "web"),
        lambda pods: [p["status"]["phase"] for p in pods] == ["Running"] * 3,
    )


def test_what_travels_is_the_canonical_json_that_was_signed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    request = urllib3.PoolManager.request

    def seen(self: urllib3.PoolManager, method: str, url: str, **options: Any) -> Any:
        if method == "PATCH":
            sent.append(options["body"])
        return request(self, method, url, **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", seen)
    call = shop.apply(
        signed(
            {
                **deployment("wire"),
                "metadata": {"name": "wire", "namespace": "web", "labels": {"app": "wire"}},
            }
        )
    )
    verb(shop, "apply").perform(call)
    [data] = call.content.values()
    assert sent == [data, data], "a dry run and the apply, each of the signed bytes"


def test_a_namespace_has_none(shop: Shop) -> None:
    receipt = found(shop, shop.apply(namespace("web")))
    assert (receipt.facts["namespace"], receipt.matches) == ("", True)


def test_an_object_of_another_change_is_not_ours(shop: Shop) -> None:
    manifest = signed(deployment("theirs"))
    manifest["metadata"]["annotations"] = {"countersign/change": OTHER}
    call = shop.apply(manifest).model_copy(update={"change_id": OTHER})
    verb(shop, "apply").perform(call)
    ours = shop.apply(signed(deployment("theirs")))
    assert verb(shop, "apply").find(ours) is None
    verb(shop, "apply").perform(ours)
    assert found(shop, ours).matches


CHANGES: dict[str, tuple[Json, str]] = {
    "replicas": ({"spec": {"replicas": 9}}, "/spec/replicas"),
    "a label": ({"metadata": {"labels": {"tier": None}}}, "/metadata/labels/tier"),
    "an image": (
        {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": f"{NGINX}:evil"}]}}}},
        "/spec/template/spec/containers/0/image",
    ),
    "one container more": (
        {
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            deployment()["spec"]["template"]["spec"]["containers"][0],
                            {"name": "miner", "image": NGINX},
                        ]
                    }
                }
            }
        },
        "/spec/template/spec/containers/1",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_else_changed_is_a_difference(shop: Shop, what: str) -> None:
    patch, pointer = CHANGES[what]
    manifest = signed(deployment(f"drift-{list(CHANGES).index(what)}"))
    manifest["metadata"]["labels"] = {"tier": "front"}
    call = shop.apply(manifest)
    verb(shop, "apply").perform(call)
    other_hand(shop, path_of(manifest), patch)
    receipt = found(shop, call)
    assert not receipt.matches
    assert receipt.difference == pointer
    assert receipt.facts["signed"] != receipt.facts["found"]


ADDED: dict[str, tuple[Json, str]] = {
    "the host's network": ({"spec": {"template": {"spec": {"hostNetwork": True}}}}, "/spec/template/spec/hostNetwork"),
    "another strategy": ({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, "/spec/strategy"),
    "a label of the pods": ({"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}}, "/spec/template/metadata/labels/x"),
    "a pause": ({"spec": {"paused": True}}, "/spec/paused"),
}  # fmt: skip


@pytest.mark.parametrize("forbidden", [False, True], ids=["", "without a right to any other name"])
@pytest.mark.parametrize("what", ADDED)
def test_a_field_that_somebody_else_added_is_a_difference(shop: Shop, what: str, forbidden: bool) -> None:
    patch, pointer = ADDED[what]
    manifest = signed(deployment(f"added-{list(ADDED).index(what)}-{int(forbidden)}"))
    call = shop.apply(manifest)
    verb(shop, "apply").perform(call)
    assert found(shop, call).matches
    other_hand(shop, path_of(manifest), patch)
    client = connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig))
    cluster = LiveCluster(OneName(client, manifest["metadata"]["name"]) if forbidden else client)  # type: ignore[arg-type]
    receipt = verbs(cluster, sleep=no_sleep)["kubernetes.apply"].find(call)
    client.close()
    assert receipt is not None
    assert (receipt.matches, receipt.difference) == (False, pointer)


class OneName:
    """A client whose account may write objects of one name alone, as RBAC's resourceNames allow."""

    def __init__(self, inner: Client, name: str) -> None:
        self._inner, self._name, self.server = inner, name, inner.server

    def json(self, method: str, path: str, **more: Any) -> Json:
        if method == "PATCH" and not path.endswith(f"/{self._name}"):
            raise ForbiddenError(f"may not patch {path}")
        return self._inner.json(method, path, **more)


@pytest.mark.parametrize("forbidden", [False, True])
def test_what_the_server_fills_in_is_none(shop: Shop, forbidden: bool) -> None:
    service = signed(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"plain-{int(forbidden)}", "namespace": "web"},
            "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
        }
    )
    client = connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig))
    cluster = LiveCluster(OneName(client, service["metadata"]["name"]) if forbidden else client)  # type: ignore[arg-type]
    apply, call = verbs(cluster, sleep=no_sleep)["kubernetes.apply"], shop.apply(service)
    apply.perform(call)
    receipt = apply.find(call)
    assert receipt is not None and receipt.matches, receipt
    client.close()


def test_the_dry_run_of_another_name_leaves_nothing(shop: Shop) -> None:
    assert shop.cluster.find("apps/v1", "Deployment", "web", "countersign-dry-run") is None


def test_a_field_of_another_manager_is_not_taken(shop: Shop) -> None:
    call = shop.apply(signed(deployment("held")))
    verb(shop, "apply").perform(call)
    other_hand(shop, path_of({"metadata": {"name": "held"}}), {"spec": {"replicas": 9}})
    with pytest.raises(FieldConflictError, match="agree on one owner") as refused:
        verb(shop, "apply").perform(call)
    assert refused.value.field == ".spec.replicas"
    assert shop.cluster.get("apps/v1", "Deployment", "web", "held")["spec"]["replicas"] == 9


def test_values_that_the_server_writes_differently_match(shop: Shop) -> None:
    manifest = signed(deployment("worded"))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    container["env"] = []
    call = shop.apply(manifest)
    verb(shop, "apply").perform(call)
    other_hand(
        shop,
        path_of(manifest),
        {
            "spec": {
                "template": {
                    "spec": {
                        "containers": [container | {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]
                    }
                }
            }
        },
    )
    assert found(shop, call).matches


def edited(call: Call, **changes: Any) -> Call:
    return call.model_copy(update=changes)


def refusals(shop: Shop) -> dict[str, tuple[Call, str]]:
    good = signed(deployment("never"))
    call = shop.apply(good)
    unmarked = deployment("never")
    elsewhere = signed(deployment("never"))
    elsewhere["metadata"]["namespace"] = "default"
    several = b"[" + canonical(good) + b"]"
    digest = digest_of(several)
    listed = {"object": {"path": "x.json", "digest": digest}, "namespace": "web"}
    return {
        "other bytes": (
            edited(call, content={k: v + b" " for k, v in call.content.items()}),
            "not those that were signed",
        ),
        "no bytes": (edited(call, content={}), "not those that were signed"),
        "no mark": (shop.apply(unmarked), "does not carry countersign/change"),
        "another change's mark": (edited(call, change_id=OTHER), "does not carry countersign/change"),
        "another namespace": (
            edited(call, arguments=dict(call.arguments) | {"namespace": "shop"}),
            "the call says 'shop'",
        ),
        "a namespace outside": (shop.apply(elsewhere), "not in the signed destination"),
        "no destination": (edited(call, destination=Destination()), "not in the signed destination"),
        "several objects": (
            edited(call, arguments=listed, content={digest: several}),
            "is no Kubernetes object",
        ),
        "an unknown argument": (
            edited(call, arguments=dict(call.arguments) | {"force": True}),
            "not as its contract says",
        ),
        "no arguments": (edited(call, arguments={}), "not as its contract says"),
    }


ROWS = [
    "other bytes", "no bytes", "no mark", "another change's mark", "another namespace", "a namespace outside", "no destination",
    "several objects", "an unknown argument", "no arguments",
]  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_call_that_is_not_what_was_signed_does_nothing(shop: Shop, what: str) -> None:
    call, words = refusals(shop)[what]
    with pytest.raises(TargetError, match=words):
        verb(shop, "apply").perform(call)
    with pytest.raises(TargetError, match=words):
        verb(shop, "apply").find(call)
    assert shop.cluster.find("apps/v1", "Deployment", "web", "never") is None


def test_an_object_that_the_server_refuses_leaves_nothing(shop: Shop) -> None:
    manifest = signed(deployment("broken"))
    manifest["spec"]["replica"] = 3
    with pytest.raises(TargetError, match="field not declared in schema"):
        verb(shop, "apply").perform(shop.apply(manifest))
    assert shop.cluster.find("apps/v1", "Deployment", "web", "broken") is None


def test_a_kind_that_the_cluster_does_not_serve(shop: Shop) -> None:
    odd = {
        "apiVersion": "x.example/v1",
        "kind": "Odd",
        "metadata": {"name": "o", "namespace": "web", "annotations": MARK},
    }
    with pytest.raises(NotFoundError, match=r"does not serve x.example/v1"):
        verb(shop, "apply").perform(shop.apply(odd))


class LosesAnswers:
    """A client whose real writes happen, but whose answers never come back."""

    def __init__(self, inner: Client) -> None:
        self._inner = inner
        self.server = inner.server

    def json(self, method: str, path: str, **more: Any) -> Json:
        answer = self._inner.json(method, path, **more)
        if method == "PATCH" and "dryRun" not in (more.get("query") or {}):
            raise UnreachableError("the connection broke after the request was sent")
        return answer


@pytest.mark.parametrize("what", ["apply", "sync_application"])
def test_an_answer_lost_half_way_is_settled_by_reading(shop: Shop, what: str) -> None:
    inner = connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig))
    lossy = verbs(LiveCluster(LosesAnswers(inner)), sleep=no_sleep)  # type: ignore[arg-type]
    if what == "apply":
        call = shop.apply(signed(deployment("lost")))
    else:
        verb(shop, "apply").perform(shop.apply(shop.application("lost")))
        call = shop.call("kubernetes.sync_application", namespace="argocd", name="lost", revision=shop.sha)
    with pytest.raises(UnreachableError):
        lossy[call.verb].perform(call)
    receipt = until(
        lambda: verb(shop, what).find(call),
        lambda r: r is not None and r.facts.get("phase") not in {"Pending", "Running"},
    )
    assert receipt is not None
    assert receipt.matches
    inner.close()


def sync(shop: Shop, name: str, **changes: Any) -> Call:
    return shop.call(
        "kubernetes.sync_application",
        **({"namespace": "argocd", "name": name, "revision": shop.sha} | changes),
    )


def test_an_application_is_synced_at_the_signed_commit(shop: Shop) -> None:
    verb(shop, "apply").perform(shop.apply(shop.application("shop")))
    call = sync(shop, "shop")
    until(
        lambda: shop.cluster.get("argoproj.io/v1alpha1", "Application", "argocd", "shop"),
        lambda a: "sync" in a.get("status", {}),
    )
    verb(shop, "sync_application").perform(call)
    receipt = found(shop, call)
    assert receipt.matches
    assert (receipt.facts["phase"], receipt.facts["sync"], receipt.facts["revision"]) == (
        "Succeeded",
        "Synced",
        shop.sha,
    )
    pods = until(lambda: shop.cluster.listed("v1", "Pod", "shop"), lambda found: len(found) == 3)
    assert pods
    assert until(lambda: found(shop, call), lambda r: r.facts["health"] == "Healthy").matches


@pytest.mark.parametrize("at_once", [False, True])
def test_two_gates_that_both_found_nothing_sync_once(shop: Shop, *, at_once: bool) -> None:
    name = f"raced-{at_once}".lower()
    manifest = shop.application(
        name, destination={"server": "https://kubernetes.default.svc", "namespace": "strict"}
    )
    verb(shop, "apply").perform(shop.apply(manifest))
    until(
        lambda: shop.cluster.get("argoproj.io/v1alpha1", "Application", "argocd", name),
        lambda a: "sync" in a.get("status", {}),
    )
    clients = [connect(KubernetesSettings(kubeconfig=shop.served.kubeconfig)) for _ in range(2)]
    gates = [
        verbs(LiveCluster(client), sleep=time.sleep)["kubernetes.sync_application"] for client in clients
    ]
    call = sync(shop, name)
    assert [gate.find(call) for gate in gates] == [None, None]

    def perform(gate: Verb) -> str:
        try:
            gate.perform(call)
        except ConflictError as fault:
            return str(fault)
        return ""

    with ThreadPoolExecutor(2 if at_once else 1) as pool:
        said = list(pool.map(perform, gates))
    assert sum(not words for words in said) == 1, said
    live = shop.cluster.get("argoproj.io/v1alpha1", "Application", "argocd", name)
    assert len(live["status"].get("history") or [1]) == 1
    assert [gate.find(call) is not None for gate in gates] == [True, True]
    for client in clients:
        client.close()


def test_a_sync_before_it_was_asked_for_is_not_found(shop: Shop) -> None:
    assert verb(shop, "sync_application").find(sync(shop, "absent")) is None
    manifest = shop.application(
        "waiting", destination={"server": "https://kubernetes.default.svc", "namespace": "strict"}
    )
    verb(shop, "apply").perform(shop.apply(manifest))
    assert verb(shop, "sync_application").find(sync(shop, "waiting")) is None


def test_a_sync_that_failed_says_why(shop: Shop) -> None:
    project = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "narrow", "namespace": "argocd"},
    }
    limits = {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "shop"}],
        "clusterResourceWhitelist": [],
    }
    verb(shop, "apply").perform(shop.apply(signed(project | {"spec": limits})))
    verb(shop, "apply").perform(shop.apply(shop.application("narrow", project="narrow")))
    verb(shop, "sync_application").perform(sync(shop, "narrow"))
    receipt = until(lambda: found(shop, sync(shop, "narrow")), lambda r: r.facts["phase"] == "Failed")
    assert not receipt.matches
    assert "one or more synchronization tasks are not valid" in receipt.difference


UNREADY: dict[str, tuple[Json, Json, str]] = {
    "another revision": ({"source": {"targetRevision": "main"}}, {}, "follows 'main', not the signed commit"),
    "several sources": ({"sources": [{"repoURL": "x"}]}, {}, "has several sources"),
    "an operation in progress": ({}, {"status": {"operationState": {"phase": "Running", "operation": {}, "startedAt": "2026-11-23T09:00:00Z"}}}, "has an operation in progress"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADY)
def test_an_application_that_is_not_ready_is_not_synced(shop: Shop, what: str) -> None:
    spec, patch, words = UNREADY[what]
    name = f"unready-{list(UNREADY).index(what)}"
    manifest = copy.deepcopy(shop.application(name))
    for key, value in spec.items():
        manifest["spec"][key] = manifest["spec"].get(key, {}) | value if isinstance(value, dict) else value
    verb(shop, "apply").perform(shop.apply(manifest))
    if patch:
        other_hand(shop, f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}", patch)
    with pytest.raises(ConflictError, match=words):
        verb(shop, "sync_application").perform(sync(shop, name))
    assert "operation" not in shop.cluster.get("argoproj.io/v1alpha1", "Application", "argocd", name)


@pytest.mark.parametrize("revision", ["main", "a" * 39, "HEAD", "v1.0", ""])
def test_only_a_full_commit_can_be_synced(shop: Shop, revision: str) -> None:
    with pytest.raises(TargetError, match="not as its contract says"):
        verb(shop, "sync_application").perform(sync(shop, "shop", revision=revision))


def test_an_application_outside_the_destination_is_not_synced(shop: Shop) -> None:
    with pytest.raises(TargetError, match="not in the signed destination"):
        verb(shop, "sync_application").perform(sync(shop, "shop", namespace="default"))


def test_the_options_of_the_signed_application_go_along(shop: Shop) -> None:
    manifest = shop.application("optional", syncPolicy={"syncOptions": ["CreateNamespace=true"]})
    verb(shop, "apply").perform(shop.apply(manifest))
    verb(shop, "sync_application").perform(sync(shop, "optional"))
    state = shop.cluster.get("argoproj.io/v1alpha1", "Application", "argocd", "optional")["status"][
        "operationState"
    ]
    assert state["operation"]["sync"] == {"revision": shop.sha, "syncOptions": ["CreateNamespace=true"]}
    assert state["operation"]["info"] == [{"name": "countersign/change", "value": CHANGE}]


class Moments:
    """A cluster whose Application is read in a row of states, the last one for ever."""

    def __init__(self, *states: Json) -> None:
        self._states = list(states)
        self.reads = 0

    def find(self, *_: str) -> Json:
        self.reads += 1
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]


def ended(sha: str, sync: str) -> Json:
    operation = {"info": [{"name": "countersign/change", "value": CHANGE}], "sync": {"revision": sha}}
    state = {"phase": "Succeeded", "message": "successfully synced (all tasks run)", "operation": operation}
    status = {
        "operationState": state,
        "sync": {"status": sync, "revision": sha},
        "health": {"status": "Healthy"},
    }
    return {"spec": {"source": {"targetRevision": sha}}, "status": status}


@pytest.mark.parametrize(("later", "matches"), [("Synced", True), ("OutOfSync", False)])
def test_succeeded_before_it_was_compared_again_is_read_once_more(
    shop: Shop, later: str, matches: bool
) -> None:
    cluster = Moments(ended(shop.sha, "OutOfSync"), ended(shop.sha, later))
    paused: list[float] = []
    verb_ = verbs(cluster, sleep=paused.append)["kubernetes.sync_application"]  # type: ignore[arg-type]
    receipt = verb_.find(sync(shop, "shop"))
    assert receipt is not None
    assert receipt.matches is matches
    assert cluster.reads == 1 + len(paused)
    assert 0 < sum(paused) < 11
