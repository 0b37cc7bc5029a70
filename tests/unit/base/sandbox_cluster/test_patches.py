"""The three older patches, on values."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.patch import json_merge, json_patch, strategic_merge
from tools.sandbox.cluster.schema import root

LIVE: dict[str, Any] = {
    "metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
    "spec": {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {
            "spec": {"containers": [{"name": "one", "image": "i:1"}, {"name": "two", "image": "i:2"}]}
        },
    },
}
CONTAINERS = ("spec", "template", "spec", "containers")


def at(value: Any, *path: str | int) -> Any:
    for step in path:
        value = value[step]
    return value


def test_a_merge_patch_removes_by_null_and_replaces_lists() -> None:
    patched = json_merge(LIVE, {"metadata": {"labels": {"a": None, "c": "3"}, "finalizers": ["z"]}})
    assert patched["metadata"] == {"labels": {"b": "2", "c": "3"}, "finalizers": ["z"]}
    assert LIVE["metadata"]["labels"] == {"a": "1", "b": "2"}


OPERATIONS = {
    "add a key": ([{"op": "add", "path": "/metadata/labels/c", "value": "3"}], ("metadata", "labels", "c"), "3"),
    "append": ([{"op": "add", "path": "/metadata/finalizers/-", "value": "z"}], ("metadata", "finalizers", 2), "z"),
    "insert": ([{"op": "add", "path": "/metadata/finalizers/0", "value": "z"}], ("metadata", "finalizers", 0), "z"),
    "replace": ([{"op": "replace", "path": "/metadata/labels/a", "value": "9"}], ("metadata", "labels", "a"), "9"),
    "remove": ([{"op": "remove", "path": "/metadata/labels/a"}], ("metadata", "labels"), {"b": "2"}),
    "copy": ([{"op": "copy", "from": "/metadata/labels/a", "path": "/metadata/labels/z"}], ("metadata", "labels", "z"), "1"),
    "move": ([{"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/z"}], ("metadata", "labels"), {"b": "2", "z": "1"}),
    "test, then replace": (
        [{"op": "test", "path": "/metadata/labels/a", "value": "1"}, {"op": "replace", "path": "/metadata/labels/a", "value": "2"}],
        ("metadata", "labels", "a"),
        "2",
    ),
    "escaped": ([{"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "3"}], ("metadata", "labels", "a/b~c"), "3"),
}  # fmt: skip


@pytest.mark.parametrize("what", OPERATIONS)
def test_json_patch(what: str) -> None:
    operations, path, expected = OPERATIONS[what]
    before = copy.deepcopy(LIVE)
    assert at(json_patch(LIVE, operations), *path) == expected
    assert before == LIVE


UNFIT: dict[str, Any] = {
    "a test that fails": [{"op": "test", "path": "/metadata/labels/a", "value": "2"}],
    "a path that is not there": [{"op": "replace", "path": "/metadata/labels/z", "value": "2"}],
    "an index outside": [{"op": "add", "path": "/metadata/finalizers/9", "value": "z"}],
    "an unknown operation": [{"op": "destroy", "path": "/metadata"}],
    "no pointer": [{"op": "remove", "path": "metadata"}],
    "no path": [{"op": "remove"}],
    "no list": {"op": "remove", "path": "/metadata"},
    "another kind of value": [{"op": "replace", "path": "", "value": 7}],
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_json_patch_that_does_not_fit_is_refused(what: str) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch(LIVE, UNFIT[what])
    assert refused.value.code in {400, 422}


def containers(*items: Any, **more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(items)} | more}}}


STRATEGIC: dict[str, tuple[Any, tuple[str | int, ...], Any]] = {
    "items merge by name": (
        containers({"name": "two", "image": "i:3"}),
        (*CONTAINERS, 1),
        {"name": "two", "image": "i:3"},
    ),
    "a new item is appended": (
        containers({"name": "three", "image": "i"}),
        (*CONTAINERS, 2, "name"),
        "three",
    ),
    "an item is deleted": (containers({"name": "one", "$patch": "delete"}), (*CONTAINERS, 0, "name"), "two"),
    "a list is replaced": (containers({"$patch": "replace"}, {"name": "new"}), CONTAINERS, [{"name": "new"}]),
    "null removes": ({"metadata": {"labels": {"a": None}}}, ("metadata", "labels"), {"b": "2"}),
    "retainKeys": (
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        ("spec", "strategy"),
        {"type": "Recreate"},
    ),
    "a set grows": ({"metadata": {"finalizers": ["z"]}}, ("metadata", "finalizers"), ["x", "y", "z"]),
    "a set shrinks": (
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}},
        ("metadata", "finalizers"),
        ["y"],
    ),
    "the order is set": (
        containers(**{"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}) | {},
        (*CONTAINERS, 0, "name"),
        "two",
    ),
    "a map is replaced": (
        {"metadata": {"labels": {"$patch": "replace", "c": "3"}}},
        ("metadata", "labels"),
        {"c": "3"},
    ),
}


@pytest.mark.parametrize("what", STRATEGIC)
def test_strategic_merge(what: str) -> None:
    patch, path, expected = STRATEGIC[what]
    before = copy.deepcopy(LIVE)
    assert at(strategic_merge(LIVE, patch, root("apps/v1", "Deployment")), *path) == expected
    assert before == LIVE
