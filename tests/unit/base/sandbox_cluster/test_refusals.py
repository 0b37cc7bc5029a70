"""One valid Deployment, one edit per row, and the words in which each is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.fakes.served_cluster import World, deployment
from tools.sandbox.cluster.cluster import Options
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
POD = ("spec", "template", "spec")


def edited(path: tuple[str | int, ...], value: Any) -> Json:
    manifest = copy.deepcopy(deployment())
    place: Any = manifest
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return manifest


MAIN = (*POD, "containers", 0)
ROWS: dict[str, tuple[Json, int, str]] = {
    "wrong type": (edited(("spec", "replicas"), "3"), 400, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
    "a number too large": (edited(("spec", "replicas"), 2**31), 400, "cannot unmarshal number"),
    "a boolean as number": (edited(("spec", "replicas"), True), 400, "cannot unmarshal bool"),
    "unknown field": (edited(("spec", "replica"), 3), 400, 'strict decoding error: unknown field "spec.replica"'),
    "unknown field deep inside": (edited((*MAIN, "imagee"), "x"), 400, 'unknown field "spec.template.spec.containers[0].imagee"'),
    "no quantity": (edited((*MAIN, "resources"), {"limits": {"cpu": "much"}}), 400, "of type quantity"),
    "no selector": (edited(("spec", "selector"), None), 422, "spec.selector: Required value"),
    "no template": (edited(("spec", "template"), None), 422, "spec.template: Required value"),
    "empty selector": (edited(("spec", "selector"), {}), 422, "empty selector is invalid for deployment"),
    "selector of others": (edited(("spec", "selector"), {"matchLabels": {"app": "x"}}), 422, "`selector` does not match template `labels`"),
    "no container": (edited((*POD, "containers"), []), 422, "spec.template.spec.containers: Required value"),
    "container without name": (edited((*MAIN, "name"), None), 422, "spec.template.spec.containers[0].name: Required value"),
    "container without image": (edited((*MAIN, "image"), None), 422, "spec.template.spec.containers[0].image: Required value"),
    "odd container name": (edited((*MAIN, "name"), "Main_1"), 422, "a lowercase RFC 1123 label"),
    "port 0": (edited((*MAIN, "ports"), [{"containerPort": 0}]), 422, "must be between 1 and 65535, inclusive"),
    "mount of no volume": (edited((*MAIN, "volumeMounts"), [{"name": "v", "mountPath": "/v"}]), 422, 'volumeMounts[0].name: Not found: "v"'),
    "privileged without escalation": (edited((*MAIN, "securityContext"), {"privileged": True, "allowPrivilegeEscalation": False}), 422, "cannot set `allowPrivilegeEscalation`"),
    "negative replicas": (edited(("spec", "replicas"), -1), 422, "must be greater than or equal to 0"),
    "restart never": (edited((*POD, "restartPolicy"), "Never"), 422, 'Unsupported value: "Never": supported values: "Always"'),
    "odd name": (edited(("metadata", "name"), "Web_1"), 422, "a lowercase RFC 1123 subdomain must consist of"),
    "no name": (edited(("metadata", "name"), None), 422, "name or generateName is required"),
    "odd label": (edited(("metadata", "labels"), {"a": "b c"}), 422, "a valid label must be an empty string or consist of"),
    "odd label key": (edited(("metadata", "labels"), {"a b": "c"}), 422, "name part must consist of"),
    "resource version": (edited(("metadata", "resourceVersion"), "7"), 400, "resourceVersion should not be set"),
    "another kind": (edited(("kind",), "Pod"), 400, "does not match the expected Deployment"),
    "missing namespace": (edited(("metadata", "namespace"), "absent"), 404, 'namespaces "absent" not found'),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_create_is_refused(world: World, what: str) -> None:
    manifest, code, words = ROWS[what]
    deployments = BY_KIND["apps/v1", "Deployment"]
    with pytest.raises(ApiError) as refused:
        world.cluster.create(
            deployments, manifest["metadata"]["namespace"], manifest, Options("tester", validation="Strict")
        )
    status = refused.value.status()
    assert (status["code"], status["status"]) == (code, "Failure")
    assert words in status["message"]
    assert not world.all("Deployment")


@pytest.mark.parametrize("what", ROWS)
def test_a_refusal_is_no_accident(world: World, what: str) -> None:
    """The unedited one is accepted in the same world."""
    assert world.create(deployment(), validation="Strict").created


APPLIES: dict[str, tuple[Json, int, str]] = {
    "wrong type": (edited(("spec", "replicas"), "3"), 500, ".spec.replicas: expected numeric (int or float), got string"),
    "unknown field": (edited(("spec", "replica"), 3), 500, ".spec.replica: field not declared in schema"),
    "item without its key": (edited((*MAIN, "name"), None), 500, 'has an element that omits key field "name"'),
    "the same key twice": (
        edited((*POD, "containers"), [{"name": "a", "image": "b"}, {"name": "a", "image": "c"}]),
        500,
        "duplicate entries for key",
    ),
    "managed fields": (edited(("metadata", "managedFields"), []), 400, "metadata.managedFields must be nil"),
}  # fmt: skip


@pytest.mark.parametrize("what", APPLIES)
def test_an_apply_is_refused_in_the_words_of_the_typed_parser(world: World, what: str) -> None:
    manifest, code, words = APPLIES[what]
    with pytest.raises(ApiError) as refused:
        world.apply(manifest)
    assert refused.value.code == code
    assert words in refused.value.message
    assert not world.all("Deployment")


def test_an_apply_without_a_manager_is_refused(world: World) -> None:
    with pytest.raises(ApiError, match=r"fieldManager: Required value: is required for apply patch"):
        world.apply(deployment(), manager="")


def test_unknown_fields_warn_or_are_ignored_when_asked(world: World) -> None:
    manifest = edited(("spec", "replica"), 3)
    assert world.create(manifest, validation="Warn", dry_run=True).warnings == (
        'unknown field "spec.replica"',
    )
    made = world.create(manifest, validation="Ignore")
    assert made.warnings == ()
    assert "replica" not in made.manifest["spec"]


def test_created_twice(world: World) -> None:
    world.create(deployment())
    with pytest.raises(ApiError, match=r'deployments.apps "web" already exists'):
        world.create(deployment())


IMMUTABLE = {
    "Deployment selector": (
        "Deployment",
        "web",
        {
            "spec": {
                "selector": {"matchLabels": {"tier": "x"}},
                "template": {"metadata": {"labels": {"tier": "x"}}},
            }
        },
    ),
    "Service address": ("Service", "web", {"spec": {"clusterIP": "10.96.9.9"}}),
    "role of a binding": ("RoleBinding", "web", {"roleRef": {"name": "other"}}),
}


@pytest.mark.parametrize("what", IMMUTABLE)
def test_what_may_not_change(world: World, what: str) -> None:
    kind, name, change = IMMUTABLE[what]
    world.create(deployment())
    world.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "web"},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "web", "namespace": "web"},
    }
    world.create(binding | {"roleRef": role, "subjects": []})
    with pytest.raises(ApiError, match=r"field is immutable"):
        world.patch(kind, name, change)


def test_a_crd_enumeration_and_its_required_fields(world: World) -> None:
    application: Json = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {"project": "default"},
    }
    with pytest.raises(
        ApiError, match=r"Application.argoproj.io \"shop\" is invalid: spec.destination: Required value"
    ):
        world.create(application)
