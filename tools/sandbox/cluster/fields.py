"""Who owns which field: sets of field paths, and their FieldsV1 form in `metadata.managedFields`.

A path is a tuple of elements as FieldsV1 spells them: `f:name` a field, `k:{"name":"web"}` an item of a keyed
list, `v:"x"` a member of a set. Ownership is plain set algebra on such paths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.sandbox.cluster.schema import ANY, Shape, item_key

Json = dict[str, Any]
Path = tuple[str, ...]
Paths = frozenset[Path]

_CONTAINER = object()
"""The value of a path that stands for a map or list itself."""
_VALUE_STRUCTS = frozenset(
    {"spec", "template", "metadata", "status", "strategy", "updateStrategy", "jobTemplate"}
)
"""Structs that exist in every object of their kind: nobody owns the bare struct."""


def element_of(shape: Shape, item: object) -> str:
    """The path element of a list item."""
    if shape.unique:
        return "v:" + json.dumps(item, separators=(",", ":"))
    return "k:" + json.dumps(dict(item_key(shape, item)), separators=(",", ":"))


def leaves(value: object, shape: Shape, path: Path = ()) -> dict[Path, Any]:
    """Every path that an owner of this value owns, with what stands there; list items count as paths of their own."""
    if shape.is_record and isinstance(value, dict) and value:
        found: dict[Path, Any] = {}
        for key, child in value.items():
            found |= leaves(child, shape.child(key), (*path, f"f:{key}"))
        return found
    if shape.is_keyed and isinstance(value, list) and value:
        found = {}
        for item in value:
            here = (*path, element_of(shape, item))
            found[here] = _CONTAINER
            if not shape.unique:
                found |= {p: v for p, v in leaves(item, shape.element or ANY, here).items() if p != here}
        return found
    return {path: value}


def containers(value: object, shape: Shape, path: Path = ()) -> set[Path]:
    """The paths of maps, lists and optional structs themselves, which an updater owns when it makes them."""
    found: set[Path] = set()
    if shape.is_record and isinstance(value, dict) and value:
        if path and (shape.value or path[-1].removeprefix("f:") not in _VALUE_STRUCTS):
            found.add(path)
        for key, child in value.items():
            found |= containers(child, shape.child(key), (*path, f"f:{key}"))
    elif shape.is_keyed and isinstance(value, list) and value:
        found.add(path)
        if not shape.unique:
            for item in value:
                found |= containers(item, shape.element or ANY, (*path, element_of(shape, item)))
    return found


def owned(value: object, shape: Shape) -> Paths:
    """What an applier of this object owns."""
    return frozenset(leaves(value, shape)) - _NEVER_OWNED


def difference(old: object, new: object, shape: Shape) -> tuple[Paths, Paths]:
    """(added or modified, removed) paths between two objects."""
    before, after = leaves(old, shape), leaves(new, shape)
    before |= dict.fromkeys(containers(old, shape), _CONTAINER)
    after |= dict.fromkeys(containers(new, shape), _CONTAINER)
    changed = frozenset(p for p, v in after.items() if p not in before or before[p] != v)
    return changed - _NEVER_OWNED, frozenset(before.keys() - after.keys())


_SYSTEM = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
)
_NEVER_OWNED: Paths = frozenset(
    {(), ("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _SYSTEM)}
)


def to_fields_v1(paths: Paths) -> Json:
    """The nested form; a node that is itself owned and has children carries `.`."""
    tree: Json = {}
    for path in sorted(paths):
        node = tree
        for step, element in enumerate(path, start=1):
            if element in node and not node[element] and path[:step] in paths and step < len(path):
                node[element]["."] = {}
            node = node.setdefault(element, {})
    return tree


def from_fields_v1(tree: Mapping[str, Any], path: Path = ()) -> Paths:
    """The inverse of `to_fields_v1`."""
    found: set[Path] = set()
    for element, below in tree.items():
        here = (*path, element)
        if element == ".":
            found.add(path)
        elif not below:
            found.add(here)
        else:
            found |= from_fields_v1(below, here)
    return frozenset(found)


def printed(path: Path) -> str:
    """`.spec.template.spec.containers[name="web"].image`, as conflict messages print it."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs = (f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            text += f"[{','.join(pairs)}]"
        else:
            text += f"[={rest}]"
    return text


@dataclass(frozen=True)
class Owner:
    """One entry of managedFields."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: Paths

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two entries the same one."""
        return (self.manager, self.operation, self.api_version, self.subresource)

    def without(self, paths: Paths) -> Owner:
        """This owner after losing paths."""
        return replace(self, paths=self.paths - paths)

    def printed(self) -> str:
        """As conflict messages print it."""
        text = json.dumps(self.manager)
        if self.subresource:
            text += f" with subresource {json.dumps(self.subresource)}"
        if self.operation == "Update":
            text += f" using {self.api_version} at {self.time}"
        return text

    def entry(self) -> Json:
        """As it stands in managedFields."""
        entry: Json = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        entry |= {"time": self.time, "fieldsType": "FieldsV1", "fieldsV1": to_fields_v1(self.paths)}
        return entry | ({"subresource": self.subresource} if self.subresource else {})


def owners_of(manifest: Mapping[str, Any]) -> dict[tuple[str, str, str, str], Owner]:
    """The owners of a stored object, by key."""
    owners = {}
    for entry in manifest.get("metadata", {}).get("managedFields", ()):
        owner = Owner(
            manager=entry["manager"],
            operation=entry["operation"],
            api_version=entry["apiVersion"],
            subresource=entry.get("subresource", ""),
            time=entry["time"],
            paths=from_fields_v1(entry["fieldsV1"]),
        )
        owners[owner.key] = owner
    return owners


def entries(owners: Mapping[tuple[str, str, str, str], Owner]) -> list[Json]:
    """The managedFields of these owners: appliers first, then by time and name; nobody who owns nothing."""
    kept = sorted(
        (o for o in owners.values() if o.paths), key=lambda o: (o.operation, o.time, o.manager, o.subresource)
    )
    return [owner.entry() for owner in kept]
