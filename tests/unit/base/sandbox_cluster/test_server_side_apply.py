"""Who owns which field, who may change it, and what goes when nobody wants it any more."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.fakes.served_cluster import World, deployment
from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.fields import from_fields_v1, to_fields_v1

Json = dict[str, Any]


def managers(manifest: Json) -> dict[str, Json]:
    return {entry["manager"]: entry["fieldsV1"] for entry in manifest["metadata"]["managedFields"]}


def container(manifest: Json, index: int = 0) -> Json:
    found: Json = manifest["spec"]["template"]["spec"]["containers"][index]
    return found


def with_container(manifest: Json, **fields: Any) -> Json:
    changed = copy.deepcopy(manifest)
    container(changed).update(fields)
    return changed


def test_an_applier_owns_what_it_names_and_no_default(world: World) -> None:
    made = world.apply(deployment(), manager="countersign").manifest
    assert container(made)["imagePullPolicy"] == "IfNotPresent"
    item = managers(made)["countersign"]["f:spec"]["f:template"]["f:spec"]["f:containers"][
        'k:{"name":"main"}'
    ]
    assert set(item) == {".", "f:image", "f:name", "f:ports"}
    assert set(item["f:ports"]) == {'k:{"containerPort":8080,"protocol":"TCP"}'}


def test_the_same_apply_again_changes_nothing(world: World) -> None:
    first = world.apply(deployment()).manifest
    world.clock.advance(60)
    again = world.apply(deployment())
    assert again.manifest == first
    assert not again.created


def test_a_field_of_somebody_else_is_a_conflict_by_name(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    with pytest.raises(ApiError) as refused:
        world.apply(deployment(replicas=5), manager="intruder")
    status = refused.value.status()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "countersign": .spec.replicas'
    assert status["details"]["causes"][0]["field"] == ".spec.replicas"
    assert world.get("Deployment", "web")["spec"]["replicas"] == 3


def test_several_conflicts_are_listed_by_manager(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    with pytest.raises(ApiError, match="2 conflicts") as refused:
        world.apply(deployment(replicas=5, image="other:1"), manager="intruder")
    assert '- .spec.template.spec.containers[name="main"].image' in refused.value.message


def test_an_update_takes_ownership_and_its_conflict_says_when(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    changed = world.patch("Deployment", "web", {"spec": {"replicas": 5}}, manager="kubectl-scale")
    assert "f:replicas" not in managers(changed)["countersign"]["f:spec"]
    with pytest.raises(ApiError, match='conflict with "kubectl-scale" using apps/v1 at 2026-11-23T09:00:'):
        world.apply(deployment(), manager="countersign")


def test_force_takes_the_field_from_its_owner(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    taken = world.apply(deployment(replicas=5), manager="intruder", force=True).manifest
    assert taken["spec"]["replicas"] == 5
    assert "f:replicas" not in managers(taken)["countersign"]["f:spec"]
    assert "f:replicas" in managers(taken)["intruder"]["f:spec"]


def test_two_may_own_a_field_while_they_agree(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    both = world.apply(deployment(), manager="other").manifest
    assert "f:replicas" in managers(both)["countersign"]["f:spec"]
    assert "f:replicas" in managers(both)["other"]["f:spec"]


GIVEN_UP = {
    "a label": (
        {"metadata": {"labels": {"tier": "front", "team": "a"}}},
        {"metadata": {"labels": {"tier": "front"}}},
        lambda m: m["metadata"]["labels"] == {"tier": "front"},
    ),
    "the last label": (
        {"metadata": {"labels": {"tier": "front"}}},
        {},
        lambda m: "labels" not in m["metadata"],
    ),
    "a scalar": ({"spec": {"minReadySeconds": 5}}, {}, lambda m: "minReadySeconds" not in m["spec"]),
}


def laid_over(base: Json, extra: Json) -> Json:
    merged = copy.deepcopy(base)
    for key, value in extra.items():
        merged[key] = merged.get(key, {}) | value
    return merged


@pytest.mark.parametrize("what", GIVEN_UP)
def test_what_its_only_owner_gives_up_goes(world: World, what: str) -> None:
    before, after, gone = GIVEN_UP[what]
    world.apply(laid_over(deployment(), before))
    assert gone(world.apply(laid_over(deployment(), after)).manifest)


def test_what_another_still_owns_stays(world: World) -> None:
    labelled = laid_over(deployment(), {"metadata": {"labels": {"team": "a"}}})
    world.apply(labelled, manager="countersign")
    world.apply(labelled, manager="other")
    assert world.apply(deployment(), manager="countersign").manifest["metadata"]["labels"] == {"team": "a"}


def test_a_list_item_goes_with_all_its_defaults(world: World) -> None:
    world.apply(deployment())
    renamed = with_container(deployment(), name="second")
    made = world.apply(renamed).manifest
    assert [c["name"] for c in made["spec"]["template"]["spec"]["containers"]] == ["second"]


def test_items_merge_by_their_key_and_keep_their_places(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    sidecar = {"name": "sidecar", "image": "busybox:1"}
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "web"},
        "spec": {"template": {"spec": {"containers": [sidecar]}}},
    }
    world.apply(theirs, manager="mesh")
    made = world.apply(
        with_container(deployment(), image="docker.io/library/nginx:2"), manager="countersign"
    ).manifest
    assert [(c["name"], c["image"]) for c in made["spec"]["template"]["spec"]["containers"]] == [
        ("main", "docker.io/library/nginx:2"),
        ("sidecar", "busybox:1"),
    ]


def test_env_ports_and_volumes_are_maps_by_key(world: World) -> None:
    first = with_container(
        deployment(volumes=[{"name": "tmp", "emptyDir": {}}]),
        env=[{"name": "A", "value": "1"}],
        volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}],
    )
    world.apply(first, manager="countersign")
    other = copy.deepcopy(first)
    container(other)["env"] = [{"name": "B", "value": "2"}]
    container(other).pop("volumeMounts")
    other["spec"]["template"]["spec"].pop("volumes")
    made = container(world.apply(other, manager="other").manifest)
    assert [e["name"] for e in made["env"]] == ["B", "A"] or [e["name"] for e in made["env"]] == ["A", "B"]
    assert made["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_a_dry_run_answers_like_the_real_one_and_keeps_nothing(world: World) -> None:
    revision = world.cluster.store.revision
    answer = world.apply(deployment(), dry_run=True)
    assert answer.created
    assert answer.manifest["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "resourceVersion" not in answer.manifest["metadata"]
    assert world.cluster.store.revision == revision
    assert not world.all("Deployment")


def test_a_dry_run_of_a_change_keeps_nothing_either(world: World) -> None:
    before = world.apply(deployment()).manifest
    answer = world.apply(deployment(replicas=7), dry_run=True).manifest
    assert (answer["spec"]["replicas"], answer["metadata"]["generation"]) == (7, 2)
    assert world.get("Deployment", "web") == before


def test_only_a_changed_wish_counts_a_generation(world: World) -> None:
    world.apply(deployment())
    labelled = world.apply(laid_over(deployment(), {"metadata": {"labels": {"team": "a"}}})).manifest
    assert labelled["metadata"]["generation"] == 1
    assert world.apply(deployment(replicas=4)).manifest["metadata"]["generation"] == 2


def test_a_stale_resource_version_is_a_conflict(world: World) -> None:
    first = world.apply(deployment()).manifest
    world.patch("Deployment", "web", {"metadata": {"labels": {"a": "b"}}})
    stale = laid_over(deployment(), {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}})
    with pytest.raises(ApiError, match="the object has been modified"):
        world.apply(stale)


def test_the_status_is_owned_by_whoever_writes_it(world: World) -> None:
    world.apply(deployment(), manager="countersign")
    world.settle()
    entries = world.get("Deployment", "web")["metadata"]["managedFields"]
    owners = {(e["manager"], e["operation"], e.get("subresource")): e["fieldsV1"] for e in entries}
    assert set(owners) == {("countersign", "Apply", None), ("kube-controller-manager", "Update", "status")}
    assert "f:status" not in owners["countersign", "Apply", None]
    world.patch("Deployment", "web", {"spec": {"replicas": 4}}, manager="kubectl-scale")
    entries = world.get("Deployment", "web")["metadata"]["managedFields"]
    assert next(e["fieldsV1"] for e in entries if e["manager"] == "kubectl-scale") == {
        "f:spec": {"f:replicas": {}}
    }


PATHS = {
    "a leaf": {("f:spec", "f:replicas")},
    "an item and its field": {("f:c", 'k:{"name":"x"}'), ("f:c", 'k:{"name":"x"}', "f:image")},
    "a map and its key": {("f:metadata", "f:labels"), ("f:metadata", "f:labels", "f:app")},
    "a member of a set": {("f:metadata", "f:finalizers", 'v:"keep"')},
}


@pytest.mark.parametrize("what", PATHS)
def test_fields_v1_reads_back_what_it_wrote(what: str) -> None:
    paths = frozenset(PATHS[what])
    assert from_fields_v1(to_fields_v1(paths)) == paths
