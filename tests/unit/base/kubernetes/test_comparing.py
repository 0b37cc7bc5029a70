"""What counts as a difference between a signed object and the live one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tools.kubernetes.comparing import first_difference, owned_by_another, quantity, unsigned


def spec(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": fields}


SAME: dict[str, tuple[Any, Any]] = {
    "the same": (spec(replicas=3), spec(replicas=3)),
    "defaults of the server": (spec(replicas=3), spec(replicas=3, paused=False) | {"status": {"a": 1}}),
    "a quantity in other words": (
        spec(limits={"cpu": "1000m", "memory": "1024Mi"}),
        spec(limits={"cpu": "1", "memory": "1Gi"}),
    ),
    "a number as quantity": (spec(requests={"cpu": 1}), spec(requests={"cpu": "1"})),
    "an empty map left out": (spec(nodeSelector={}), spec()),
    "an empty list left out": (spec(volumes=[]), spec()),
    "null left out": (spec(volumes=None), spec()),
    "a false that means absent": (spec(hostNetwork=False), spec()),
    "a zero that means absent": (spec(minReadySeconds=0), spec()),
    "more labels": (
        {"metadata": {"labels": {"a": "1"}}},
        {"metadata": {"labels": {"a": "1", "b": "2"}, "uid": "x", "finalizers": ["y"]}},
    ),
}
DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "a value": (spec(replicas=3), spec(replicas=4), "/spec/replicas"),
    "a missing field": (spec(replicas=3), spec(), "/spec/replicas"),
    "a false that is not absent": (
        spec(automountServiceAccountToken=False),
        spec(),
        "/spec/automountServiceAccountToken",
    ),
    "a zero that is not absent": (spec(replicas=0), spec(), "/spec/replicas"),
    "true for one": (spec(replicas=1), spec(replicas=True), "/spec/replicas"),
    "a number for its text": (spec(port="80"), spec(port=80), "/spec/port"),
    "another quantity": (spec(limits={"cpu": "1000m"}), spec(limits={"cpu": "2"}), "/spec/limits/cpu"),
    "a text that only looks like one": (spec(tag="1000m"), spec(tag="1"), "/spec/tag"),
    "an item changed": (
        spec(c=[{"name": "a", "image": "x"}]),
        spec(c=[{"name": "a", "image": "y"}]),
        "/spec/c/0/image",
    ),
    "an item added": (spec(c=[{"name": "a"}]), spec(c=[{"name": "a"}, {"name": "b"}]), "/spec/c/1"),
    "an item added to none": (spec(c=[]), spec(c=[{"name": "b"}]), "/spec/c/0"),
    "an item gone": (spec(c=["a", "b"]), spec(c=["a"]), "/spec/c/1"),
    "another order": (spec(args=["a", "b"]), spec(args=["b", "a"]), "/spec/args/0"),
    "a map for a text": (spec(a={"b": 1}), spec(a="b"), "/spec/a"),
    "a list for a text": (spec(a=["b"]), spec(a="b"), "/spec/a"),
    "a label": (
        {"metadata": {"labels": {"a/b": "1"}}},
        {"metadata": {"labels": {"a/b": "2"}}},
        "/metadata/labels/a~1b",
    ),
    "no metadata": ({"metadata": {"labels": {"a": "1"}}}, {}, "/metadata"),
    "data of a map": ({"data": {"a": "1"}}, {"data": {"a": "1 "}}, "/data/a"),
}


@pytest.mark.parametrize("what", SAME)
def test_no_difference(what: str) -> None:
    signed, live = SAME[what]
    assert first_difference(signed, live) is None


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_first_difference_by_its_pointer(what: str) -> None:
    signed, live, pointer = DIFFERENT[what]
    assert first_difference(signed, live) == pointer


QUANTITIES = {
    "1": 1,
    "500m": Decimal("0.5"),
    "1Ki": 1024,
    "2Gi": 2**31,
    "1k": 1000,
    "1e3": 1000,
    "1E": 10**18,
    "1.5": Decimal("1.5"),
}


@pytest.mark.parametrize(("text", "value"), QUANTITIES.items())
def test_quantities(text: str, value: Decimal) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "m", "1x", "1.2.3", "..", "1 Gi", "-"])
def test_what_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


UNSIGNED: dict[str, tuple[Any, Any, set[str]]] = {
    "nothing": (spec(replicas=3), spec(replicas=3), set()),
    "what is no content": (spec(), spec() | {"status": {"a": 1}, "operation": {"sync": {}}}, set()),
    "metadata": ({"metadata": {"name": "a"}}, {"metadata": {"name": "a", "uid": "u"}}, set()),
    "an empty value": (spec(), spec(a={}, b=[], c=None, d=""), set()),
    "a false": (spec(), spec(hostNetwork=False), {"/spec/hostNetwork"}),
    "a field": (spec(replicas=3), spec(replicas=3, paused=True), {"/spec/paused"}),
    "a whole part": ({"data": {"a": "1"}}, {"data": {"a": "1"}, "binaryData": {"b": "Yg=="}}, {"/binaryData"}),
    "a key of a map": ({"data": {"a": "1"}}, {"data": {"a": "1", "b/c": "2"}}, {"/data/b~1c"}),
    "a field of an item": (
        spec(c=[{"name": "a"}, {"name": "b"}]),
        spec(c=[{"name": "a"}, {"name": "b", "tty": True}]),
        {"/spec/c/1/tty"},
    ),
    "null was signed": (spec(volumes=None), spec(volumes=[{"name": "v"}]), {"/spec/volumes"}),
    "addresses": (
        spec(ports=[{"port": 80}]),
        spec(ports=[{"port": 80, "nodePort": 30000}], clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"]),
        set(),
    ),
    "an autoscaler's number": (spec(), spec(replicas=5), set()),
    "nearly an address": (spec(), spec(externalIPs=["1.2.3.4"]), {"/spec/externalIPs"}),
}  # fmt: skip


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_nobody_signed(what: str) -> None:
    signed, live, pointers = UNSIGNED[what]
    assert set(unsigned(signed, live)) == pointers


OURS = {"manager": "countersign", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
THEIRS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "our own apply": (OURS, "/spec/replicas", False),
    "our name, another way of writing": (OURS | {"operation": "Update"}, "/spec/replicas", True),
    "another": (OURS | {"manager": "kubectl"}, "/spec/replicas", True),
    "another's other field": (OURS | {"manager": "kubectl"}, "/spec/paused", False),
    "a status": (OURS | {"manager": "kube-controller-manager", "subresource": "status"}, "/spec/replicas", False),
    "a whole map": ({"manager": "x", "fieldsV1": {"f:data": {}}}, "/data/a~1b", True),
    "an item": ({"manager": "x", "fieldsV1": {"f:c": {'k:{"name":"a"}': {"f:tty": {}}}}}, "/c/0/tty", True),
    "an item's other field": ({"manager": "x", "fieldsV1": {"f:c": {'k:{"name":"a"}': {"f:tty": {}}}}}, "/c/0/env", False),
}  # fmt: skip


@pytest.mark.parametrize("what", THEIRS)
def test_whose_a_field_is(what: str) -> None:
    entry, pointer, owned = THEIRS[what]
    live = {"metadata": {"managedFields": [entry]}}
    assert owned_by_another(live, pointer, "countersign") is owned
