"""Server-side apply (KEP-555, the rules of sigs.k8s.io/structured-merge-diff).

What a manager wants is merged into the live object, what it no longer wants is given up, what another one holds is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.fields import Owner, Path, Paths, difference, element_of, owned, owners_of, printed
from tools.sandbox.cluster.schema import ANY, Shape, item_key

Json = dict[str, Any]
Owners = dict[tuple[str, str, str, str], Owner]


def merge(live: Any, wanted: Any, shape: Shape) -> Any:  # noqa: ANN401 - any JSON value
    """The live value with the wanted one laid over it: records by field, keyed lists by item, all else replaced."""
    if shape.is_record and isinstance(live, dict) and isinstance(wanted, dict):
        merged = dict(live)
        for key, value in wanted.items():
            merged[key] = merge(live.get(key), value, shape.child(key))
        return merged
    if shape.is_keyed and isinstance(live, list) and isinstance(wanted, list):
        return _merge_items(live, wanted, shape)
    return wanted


def _merge_items(live: list[Any], wanted: list[Any], shape: Shape) -> list[Any]:
    """Wanted items in their order; items that only the live list has stay behind the neighbour they had."""
    new = {item_key(shape, item): item for item in wanted}
    old = {item_key(shape, item): item for item in live}
    order = list(new)
    for position, key in enumerate(old):
        if key not in new:
            before = [k for k in list(old)[:position] if k in order]
            order.insert(order.index(before[-1]) + 1 if before else 0, key)
    element = shape.element or ANY
    return [
        merge(old[key], new[key], element) if key in new and key in old else new.get(key, old.get(key))
        for key in order
    ]


def remove(value: Any, path: Path, shape: Shape) -> Any:  # noqa: ANN401 - any JSON value
    """The value without what stands at `path`; a container that becomes empty goes with it (None)."""
    element, rest = path[0], path[1:]
    if element.startswith("f:") and isinstance(value, dict):
        key = element[2:]
        if key not in value:
            return value
        kept = remove(value[key], rest, shape.child(key)) if rest else None
        left = {k: v for k, v in value.items() if k != key} | ({} if kept is None else {key: kept})
        return left or None
    if isinstance(value, list):
        items = []
        for item in value:
            if element_of(shape, item) != element:
                items.append(item)
            elif rest:
                kept = remove(item, rest, shape.element or ANY)
                items += [] if kept is None else [kept]
        return items or None
    return value


def apply(live: Json, wanted: Json, shape: Shape, owner: Owner, *, force: bool) -> tuple[Json, Owners]:
    """The merged object and its owners; raises ApiError 409 when a field that would change belongs to somebody else."""
    owners = owners_of(live)
    before = owners.pop(owner.key, None)
    owner = replace(owner, paths=owned(wanted, shape))
    merged: Json = merge(live, wanted, shape)
    if before is not None:
        held = owner.paths.union(*(other.paths for other in owners.values()))
        for path in sorted(before.paths - held):
            if not _is_key(path) and not _held_below(path, held):
                merged = remove(merged, path, shape) or {}
    changed, removed = difference(live, merged, shape)
    conflicts = [(other, path) for other in owners.values() for path in sorted(other.paths & changed)]
    if conflicts and not force:
        raise errors.field_conflict((other.printed(), printed(path)) for other, path in conflicts)
    owners = {key: other.without(changed | removed) for key, other in owners.items()}
    if before is not None and before.paths == owner.paths and not (changed or removed):
        owner = replace(owner, time=before.time)
    return merged, owners | {owner.key: owner}


def _held_below(path: Path, held: Paths) -> bool:
    return any(other[: len(path)] == path for other in held)


def _is_key(path: Path) -> bool:
    """Whether the path is a key field of a list item, which goes only with its item."""
    return (
        len(path) > 1
        and path[-2].startswith("k:")
        and path[-1].removeprefix("f:") in json.loads(path[-2][2:])
    )


def update(live: Mapping[str, Any], new: Mapping[str, Any], shape: Shape, owner: Owner) -> Owners:
    """The owners after a create, replace or patch: whoever writes a field takes it."""
    owners = owners_of(live)
    changed, removed = difference(live, new, shape)
    before = owners.pop(owner.key, None)
    owners = {key: other.without(changed | removed) for key, other in owners.items()}
    mine = (before.paths if before else frozenset()) - removed | changed
    if before is not None and before.paths == mine and not (changed or removed):
        owner = replace(owner, time=before.time)
    return owners | {owner.key: replace(owner, paths=frozenset(mine))}
