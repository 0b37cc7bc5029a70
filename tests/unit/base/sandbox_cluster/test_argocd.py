"""Applications, from a bare git repository to pods: compared always, synced only when asked, within their project."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.served_cluster import World, as_json, bare_repository, deployment
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
URL = "https://git.example/acme/shop.git"
SERVER = "https://kubernetes.default.svc"
NAMESPACE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
CONFIG: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}


def without_namespace(manifest: Json) -> Json:
    plain = copy.deepcopy(manifest)
    plain["metadata"].pop("namespace", None)
    return plain


WEB = without_namespace(deployment())
FILES = {
    "apps/namespace.yaml": as_json(NAMESPACE),
    "apps/web.yaml": as_json(WEB, CONFIG),
    "apps/notes.md": "# no manifest",
}


class Shop:
    """A world with Argo CD and one repository."""

    def __init__(self, folder: Path, files: dict[str, str] = FILES) -> None:
        self.folder = folder
        bare, self.sha = bare_repository(folder, files)
        self.world = World(repositories={URL: bare})

    def push(self, files: dict[str, str]) -> str:
        _, sha = bare_repository(self.folder, files)
        return sha

    def application(self, **spec: Any) -> Json:
        source = {"repoURL": URL, "path": "apps", "targetRevision": self.sha} | spec.pop("source", {})
        wanted = {
            "project": "default",
            "source": source,
            "destination": {"server": SERVER, "namespace": "shop"},
        }
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": wanted | spec,
        }

    def apply(self, **spec: Any) -> Json:
        self.world.apply(self.application(**spec))
        self.world.settle()
        return self.live()

    def sync(self, **sync: Any) -> Json:
        self.world.patch(
            "Application", "shop", {"operation": {"sync": {"revision": self.sha} | sync}}, namespace="argocd"
        )
        self.world.settle()
        return self.live()

    def live(self) -> Json:
        return self.world.get("Application", "shop", "argocd")

    def state(self) -> tuple[str, str]:
        status = self.live()["status"]
        return status["sync"]["status"], status["health"]["status"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def results(application: Json) -> dict[str, tuple[str, str]]:
    listed = application["status"]["operationState"]["syncResult"].get("resources", [])
    return {row["kind"]: (row["status"], row["message"]) for row in listed}


def test_nothing_is_applied_until_a_sync_is_asked_for(shop: Shop) -> None:
    status = shop.apply()["status"]
    assert shop.state() == ("OutOfSync", "Missing")
    assert status["sync"]["revision"] == shop.sha
    assert [(row["kind"], row["status"]) for row in status["resources"]] == [
        ("Namespace", "OutOfSync"), ("Deployment", "OutOfSync"), ("ConfigMap", "OutOfSync"),
    ]  # fmt: skip
    assert not shop.world.all("Deployment", "shop")


def test_a_sync_brings_the_commit_to_pods(shop: Shop) -> None:
    shop.apply()
    application = shop.sync()
    state = application["status"]["operationState"]
    assert (state["phase"], state["message"]) == ("Succeeded", "successfully synced (all tasks run)")
    assert state["syncResult"]["revision"] == shop.sha
    assert results(application)["Deployment"] == ("Synced", "deployment.apps/web created")
    assert "operation" not in application
    assert shop.state() == ("Synced", "Healthy")
    assert len(shop.world.all("Pod", "shop")) == 3
    assert application["status"]["history"][0]["revision"] == shop.sha
    live = shop.world.get("Deployment", "web", "shop")["metadata"]["annotations"]
    assert live["argocd.argoproj.io/tracking-id"] == "shop:apps/Deployment:shop/web"


def test_a_second_sync_finds_nothing_to_do(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    assert results(shop.sync())["Deployment"] == ("Synced", "deployment.apps/web unchanged")
    assert len(shop.live()["status"]["history"]) == 2


def test_another_commit_is_followed_only_when_the_application_names_it(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    newer = shop.push(
        FILES | {"apps/web.yaml": as_json(WEB | {"spec": WEB["spec"] | {"replicas": 5}}, CONFIG)}
    )
    shop.world.settle(400)
    assert shop.state() == ("Synced", "Healthy")
    shop.sha = newer
    shop.apply()
    assert shop.state()[0] == "OutOfSync"
    shop.sync()
    assert len(shop.world.all("Pod", "shop")) == 5


def test_a_branch_is_asked_again_after_a_while_or_on_request(shop: Shop) -> None:
    shop.apply(source={"targetRevision": "main"})
    first = shop.live()["status"]["sync"]["revision"]
    newer = shop.push(FILES | {"apps/more.yaml": as_json(CONFIG | {"metadata": {"name": "more"}})})
    shop.world.settle()
    assert shop.live()["status"]["sync"]["revision"] == first
    annotation = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}
    shop.world.patch("Application", "shop", annotation, namespace="argocd")
    shop.world.settle()
    assert shop.live()["status"]["sync"]["revision"] == newer
    assert "argocd.argoproj.io/refresh" not in shop.live()["metadata"].get("annotations", {})
    last = shop.push(FILES)
    shop.world.settle(200)
    assert shop.live()["status"]["sync"]["revision"] == last


def test_drift_is_seen_and_not_touched(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    shop.world.patch("Deployment", "web", {"spec": {"replicas": 1}}, namespace="shop")
    shop.world.settle()
    assert shop.state()[0] == "OutOfSync"
    assert len(shop.world.all("Pod", "shop")) == 1
    assert results(shop.sync())["Deployment"] == ("Synced", "deployment.apps/web configured")
    assert len(shop.world.all("Pod", "shop")) == 3


def test_what_git_no_longer_has_is_pruned_only_when_asked(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    shop.sha = shop.push({"apps/namespace.yaml": as_json(NAMESPACE), "apps/web.yaml": as_json(WEB)})
    shop.apply()
    assert {row["kind"]: row.get("requiresPruning") for row in shop.live()["status"]["resources"]}[
        "ConfigMap"
    ]
    assert results(shop.sync())["ConfigMap"] == ("PruneSkipped", "ignored (requires pruning)")
    assert any(item["metadata"]["name"] == "settings" for item in shop.world.all("ConfigMap", "shop"))
    assert results(shop.sync(prune=True))["ConfigMap"] == ("Pruned", "pruned")
    assert not any(item["metadata"]["name"] == "settings" for item in shop.world.all("ConfigMap", "shop"))
    assert shop.state() == ("Synced", "Healthy")


def test_a_field_that_git_drops_is_dropped(shop: Shop) -> None:
    labelled = copy.deepcopy(WEB)
    labelled["metadata"]["labels"] = {"team": "a"}
    shop.sha = shop.push(FILES | {"apps/web.yaml": as_json(labelled, CONFIG)})
    shop.apply()
    shop.sync()
    assert shop.world.get("Deployment", "web", "shop")["metadata"]["labels"] == {"team": "a"}
    shop.sha = shop.push(FILES)
    shop.apply()
    assert shop.state()[0] == "OutOfSync"
    shop.sync()
    assert "labels" not in shop.world.get("Deployment", "web", "shop")["metadata"]


def project(**spec: Any) -> Json:
    wide = {
        "sourceRepos": [URL],
        "destinations": [{"server": SERVER, "namespace": "shop"}],
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "acme", "namespace": "argocd"},
        "spec": wide | spec,
    }


def test_a_project_that_allows_exactly_this_is_enough(shop: Shop) -> None:
    shop.world.apply(project())
    shop.apply(project="acme")
    shop.sync()
    assert shop.state() == ("Synced", "Healthy")


INVALID = {
    "another repository": (project(sourceRepos=["https://git.example/other/*"]), f"application repo {URL} is not permitted in project 'acme'"),
    "a denied repository": (project(sourceRepos=["*", f"!{URL}"]), "is not permitted in project 'acme'"),
    "no repository": (project(sourceRepos=[]), "is not permitted in project 'acme'"),
    "another namespace": (
        project(destinations=[{"server": SERVER, "namespace": "web"}]),
        f"application destination server '{SERVER}' and namespace 'shop' do not match any of the allowed destinations in project 'acme'",
    ),
    "another server": (project(destinations=[{"server": "https://other", "namespace": "*"}]), "do not match any of the allowed destinations"),
    "a denied namespace": (
        project(destinations=[{"server": "*", "namespace": "*"}, {"server": "*", "namespace": "!shop"}]),
        "do not match any of the allowed destinations",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", INVALID)
def test_what_a_project_does_not_allow_is_not_even_compared(shop: Shop, what: str) -> None:
    limits, words = INVALID[what]
    shop.world.apply(limits)
    status = shop.apply(project="acme")["status"]
    assert (status["conditions"][0]["type"], shop.state()) == ("InvalidSpecError", ("Unknown", "Unknown"))
    assert words in status["conditions"][0]["message"]
    state = shop.sync()["status"]["operationState"]
    assert (state["phase"], words in state["message"]) == ("Error", True)
    assert not shop.world.all("Deployment", "shop")


KINDS = {
    "no cluster kinds": (
        project(clusterResourceWhitelist=[]),
        "resource :Namespace is not permitted in project acme",
    ),
    "a denied cluster kind": (
        project(clusterResourceBlacklist=[{"group": "", "kind": "Namespace"}]),
        "resource :Namespace is not permitted in project acme",
    ),
    "a denied kind": (
        project(namespaceResourceBlacklist=[{"group": "apps", "kind": "*"}]),
        "resource apps:Deployment is not permitted in project acme",
    ),
    "only other kinds": (
        project(namespaceResourceWhitelist=[{"group": "", "kind": "ConfigMap"}]),
        "resource apps:Deployment is not permitted in project acme",
    ),
}


@pytest.mark.parametrize("what", KINDS)
def test_a_kind_that_the_project_does_not_allow_stops_the_whole_sync(shop: Shop, what: str) -> None:
    limits, words = KINDS[what]
    shop.world.apply(limits)
    shop.apply(project="acme")
    application = shop.sync()
    state = application["status"]["operationState"]
    assert (state["phase"], state["message"]) == ("Failed", "one or more synchronization tasks are not valid")
    assert words in {message for _, message in results(application).values()}
    assert not shop.world.all("Deployment", "shop")
    assert not any(item["metadata"]["name"] == "shop" for item in shop.world.all("Namespace"))


def test_an_object_for_another_namespace_is_not_synced(tmp_path: Path) -> None:
    stray = CONFIG | {"metadata": {"name": "stray", "namespace": "default"}}
    shop = Shop(tmp_path, {"apps/x.yaml": as_json(NAMESPACE, stray)})
    shop.world.apply(project())
    shop.apply(project="acme")
    assert ("SyncFailed", "namespace default is not permitted in project 'acme'") in results(
        shop.sync()
    ).values()


def test_an_unknown_project_is_said(shop: Shop) -> None:
    conditions = shop.apply(project="absent")["status"]["conditions"]
    assert conditions[0]["message"] == "Application referencing project absent which does not exist"


def commit(**source: Any) -> Json:
    return {"source": source}


UNREADABLE: dict[str, tuple[dict[str, str], Json, str]] = {
    "an unknown commit": ({}, commit(targetRevision="a" * 40), "not our ref " + "a" * 40),
    "an unknown branch": ({}, commit(targetRevision="absent"), "unable to resolve 'absent' to a commit SHA"),
    "an option as revision": ({}, commit(targetRevision="--all"), "unable to resolve '--all' to a commit SHA"),
    "an unknown folder": ({}, commit(path="absent"), "absent: app path does not exist"),
    "a folder outside": ({}, commit(path="../x"), "app path outside the repository"),
    "an unknown repository": ({}, commit(repoURL="https://git.example/absent.git"), "repository not found"),
    "kustomize": ({"apps/kustomization.yaml": "resources: [web.yaml]"}, {}, "Kustomize is not supported in the rehearsal"),
    "helm": ({"apps/Chart.yaml": "name: x"}, {}, "Helm is not supported in the rehearsal"),
    "a chart": ({}, commit(chart="nginx"), "Helm is not supported in the rehearsal"),
    "no YAML": ({"apps/bad.yaml": "a: [1"}, {}, 'Failed to unmarshal "bad.yaml"'),
    "no object": ({"apps/bad.yaml": "a: 1"}, {}, "Object 'Kind' is missing"),
    "an unknown kind": ({"apps/odd.yaml": "{apiVersion: x/v1, kind: Odd, metadata: {name: o}}"}, {}, "is not served in the rehearsal"),
    "a tag that runs code": ({"apps/bad.yaml": "!!python/object/apply:os.getcwd []"}, {}, 'Failed to unmarshal "bad.yaml"'),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_a_comparison_error(tmp_path: Path, what: str) -> None:
    files, spec, words = UNREADABLE[what]
    shop = Shop(tmp_path, FILES | files)
    status = shop.apply(**spec)["status"]
    assert (status["conditions"][0]["type"], shop.state()) == ("ComparisonError", ("Unknown", "Healthy"))
    assert words in status["conditions"][0]["message"]
    state = shop.sync(revision=spec.get("source", {}).get("targetRevision", shop.sha))["status"][
        "operationState"
    ]
    assert (state["phase"], words in state["message"]) == ("Error", True)
    assert not shop.world.all("Deployment", "shop")


def test_several_sources_are_refused_by_name(shop: Shop) -> None:
    application = shop.application()
    application["spec"]["sources"] = [application["spec"].pop("source")]
    shop.world.apply(application)
    shop.world.settle()
    assert "several sources are not supported" in shop.live()["status"]["conditions"][0]["message"]


def test_only_direct_files_are_read_unless_recurse_says_otherwise(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"apps/a.yaml": as_json(NAMESPACE), "apps/deep/b.yaml": as_json(CONFIG)})
    assert [row["kind"] for row in shop.apply()["status"]["resources"]] == ["Namespace"]
    found = shop.apply(source={"directory": {"recurse": True}})["status"]["resources"]
    assert [row["kind"] for row in found] == ["Namespace", "ConfigMap"]
    found = shop.apply(source={"directory": {"recurse": True, "exclude": "deep/*"}})["status"]["resources"]
    assert [row["kind"] for row in found] == ["Namespace"]


def test_a_missing_namespace_fails_the_sync_unless_it_may_be_made(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"apps/web.yaml": as_json(WEB)})
    shop.apply()
    state = shop.sync()["status"]["operationState"]
    assert state["phase"] == "Failed"
    assert 'one or more objects failed to apply, reason: namespaces "shop" not found' in state["message"]
    assert shop.sync(syncOptions=["CreateNamespace=true"])["status"]["operationState"]["phase"] == "Succeeded"
    assert len(shop.world.all("Pod", "shop")) == 3


def test_an_automated_policy_syncs_by_itself_and_heals_only_when_told(shop: Shop) -> None:
    shop.apply(syncPolicy={"automated": {}})
    assert shop.state() == ("Synced", "Healthy")
    shop.world.patch("Deployment", "web", {"spec": {"replicas": 1}}, namespace="shop")
    shop.world.settle()
    assert shop.state()[0] == "OutOfSync"
    shop.apply(syncPolicy={"automated": {"selfHeal": True}})
    assert len(shop.world.all("Pod", "shop")) == 3


def test_an_application_elsewhere_is_not_reconciled(shop: Shop) -> None:
    shop.world.namespace("web")
    application = shop.application()
    application["metadata"]["namespace"] = "web"
    shop.world.apply(application)
    shop.world.settle()
    assert "status" not in shop.world.get("Application", "shop", "web")


def test_hooks_are_refused_by_name(tmp_path: Path) -> None:
    hook = copy.deepcopy(CONFIG)
    hook["metadata"]["annotations"] = {"argocd.argoproj.io/hook": "PreSync"}
    shop = Shop(tmp_path, {"apps/x.yaml": as_json(NAMESPACE, hook)})
    shop.apply()
    assert "hooks are not supported in the rehearsal" in results(shop.sync())["ConfigMap"][1]


def test_its_finalizer_takes_along_what_it_applied(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    finalizers = {"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}
    shop.world.patch("Application", "shop", finalizers, namespace="argocd")
    shop.world.delete("Application", "shop", "argocd")
    shop.world.settle()
    assert (
        shop.world.cluster.store.get(BY_KIND["argoproj.io/v1alpha1", "Application"], "argocd", "shop") is None
    )
    assert not shop.world.all("Deployment", "shop")


def test_a_copied_tracking_mark_makes_nothing_ours(shop: Shop) -> None:
    shop.apply()
    shop.sync()
    foreign = copy.deepcopy(CONFIG)
    mark = {"argocd.argoproj.io/tracking-id": "shop:/ConfigMap:shop/settings"}
    foreign["metadata"] = {"name": "copied", "namespace": "shop", "annotations": mark}
    shop.world.apply(foreign)
    shop.world.settle()
    assert shop.state() == ("Synced", "Healthy")
