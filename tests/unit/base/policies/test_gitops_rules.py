from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from policies.remedy import apply
from tests.fakes.scanning import CLONE_URL, COMMIT, CONTEXT, judge, rules

APPLICATION: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "web", "namespace": "argocd"},
    "spec": {
        "project": "web",
        "source": {"repoURL": CLONE_URL, "targetRevision": COMMIT, "path": "manifests/web"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
        "syncPolicy": {"syncOptions": ["ServerSideApply=true"]},
    },
}
PROJECT: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "web", "namespace": "argocd"},
    "spec": {
        "sourceRepos": [CLONE_URL],
        "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "web"}],
        "clusterResourceWhitelist": [],
        "namespaceResourceWhitelist": [{"group": "apps", "kind": "Deployment"}],
    },
}


def edited(value: dict[str, Any], edit: Callable[[Any], Any]) -> str:
    value = copy.deepcopy(value)
    edit(value["spec"])
    return json.dumps(value)


def app(edit: Callable[[Any], Any]) -> str:
    return edited(APPLICATION, edit)


def project(edit: Callable[[Any], Any]) -> str:
    return edited(PROJECT, edit)


BAD = [
    ("gitops/repository", app(lambda s: s["source"].update(repoURL="https://evil.example/x.git"))),
    ("gitops/repository", app(lambda s: s["source"].update(repoURL=CLONE_URL + "/"))),
    ("gitops/repository", app(lambda s: s.pop("source"))),
    ("gitops/revision", app(lambda s: s["source"].update(targetRevision="main"))),
    ("gitops/revision", app(lambda s: s["source"].update(targetRevision="HEAD"))),
    ("gitops/revision", app(lambda s: s["source"].update(targetRevision=COMMIT[:12]))),
    ("gitops/revision", app(lambda s: s["source"].update(targetRevision="f" * 40))),
    ("gitops/revision", app(lambda s: s["source"].pop("targetRevision"))),
    ("gitops/automated-sync", app(lambda s: s["syncPolicy"].update(automated={}))),
    ("gitops/automated-sync", app(lambda s: s["syncPolicy"].update(automated={"prune": True, "selfHeal": True}))),
    ("gitops/multi-source", app(lambda s: s.update(sources=[s.pop("source")]))),
    ("gitops/inline-values", app(lambda s: s["source"].update(helm={"values": "a: 1"}))),
    ("gitops/inline-values", app(lambda s: s["source"].update(kustomize={"patches": [{"patch": "x"}]}))),
    ("gitops/inline-values", app(lambda s: s["source"].update(directory={"jsonnet": {"tlas": []}, "x": 1}) or s["source"]["directory"].update(jsonnet={"a": 1}))),
    ("gitops/helm-chart", app(lambda s: s["source"].update(chart="nginx"))),
    ("gitops/plugin", app(lambda s: s["source"].update(plugin={}))),
    ("gitops/default-project", app(lambda s: s.update(project="default"))),
    ("gitops/destination", app(lambda s: s.pop("destination"))),
    ("gitops/destination", app(lambda s: s["destination"].pop("namespace"))),
    ("gitops/ignore-differences", app(lambda s: s.update(ignoreDifferences=[{"kind": "Deployment"}]))),
    ("gitops/project-wildcard", project(lambda s: s.update(sourceRepos=["*"]))),
    ("gitops/project-wildcard", project(lambda s: s.update(destinations=[{"server": "*", "namespace": "web"}]))),
    ("gitops/project-wildcard", project(lambda s: s.update(destinations=[{"server": "x", "namespace": "*"}]))),
    ("gitops/project-wildcard", project(lambda s: s.update(clusterResourceWhitelist=[{"group": "*", "kind": "*"}]))),
    ("gitops/project-wildcard", project(lambda s: s.pop("sourceRepos"))),
    ("gitops/generator", app(lambda s: None).replace('"Application"', '"ApplicationSet"')),
    ("gitops/unjudged-kind", '{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "x"}, "spec": {}}'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_each_rule_closes_its_way_in(rule: str, text: str) -> None:
    assert rule in rules(judge({"apps/web.json": text}))


@pytest.mark.parametrize("value", [APPLICATION, PROJECT])
def test_the_sound_objects_have_no_finding(value: dict[str, Any]) -> None:
    assert judge({"apps/web.json": json.dumps(value)}) == ()


def test_automated_sync_is_the_profiles_to_allow() -> None:
    text = app(lambda s: s["syncPolicy"].update(automated={"selfHeal": True}))
    assert judge({"apps/web.json": text}, CONTEXT.model_copy(update={"allow_automated_sync": True})) == ()


def test_before_publish_any_full_commit_will_do_but_no_branch() -> None:
    context = CONTEXT.model_copy(update={"expected_commit": None})
    assert judge({"apps/web.json": app(lambda s: s["source"].update(targetRevision="f" * 40))}, context) == ()
    assert rules(
        judge({"apps/web.json": app(lambda s: s["source"].update(targetRevision="main"))}, context)
    ) == {"gitops/revision"}


def test_without_a_known_repository_nothing_may_be_followed() -> None:
    context = CONTEXT.model_copy(update={"clone_url": None})
    assert rules(judge({"apps/web.json": json.dumps(APPLICATION)}, context)) == {"gitops/repository"}


def test_the_patches_make_the_application_follow_the_signed_commit() -> None:
    def worst(spec: Any) -> None:
        spec["source"] |= {
            "repoURL": "https://evil.example/x",
            "targetRevision": "main",
            "helm": {"values": "a"},
        }
        spec["syncPolicy"]["automated"] = {"prune": True}

    text = app(worst)
    fixes = [fix for finding in judge({"apps/web.json": text}) for fix in finding.remediations]
    repaired = apply(fixes, {"apps/web.json": text.encode()})
    assert judge({"apps/web.json": repaired["apps/web.json"].decode()}) == ()
