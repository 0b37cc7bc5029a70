"""The three older kinds of patch: JSON merge (RFC 7386), JSON patch (RFC 6902), strategic merge."""

from __future__ import annotations

import copy
from typing import Any

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.schema import ANY, Shape

Json = dict[str, Any]


def json_merge(live: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 7386: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = json_merge(merged.get(key), value)
    return merged


def json_patch(live: Json, operations: object) -> Json:
    """RFC 6902: the operations in their order; raises ApiError 422 when one does not fit the object."""
    if not isinstance(operations, list):
        raise errors.bad_request("a JSON patch is a list of operations")
    root: Any = copy.deepcopy(live)
    for operation in operations:
        try:
            root = _operate(root, operation)
        except (KeyError, IndexError, ValueError, TypeError) as fault:
            message = (
                f"the server rejected our request due to an error in our request: {operation!r}: {fault}"
            )
            raise errors.ApiError(422, "Invalid", message, {}) from fault
    if not isinstance(root, dict):
        raise errors.bad_request("a JSON patch may not replace the object by another kind of value")
    return root


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _find(root: Any, tokens: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    for token in tokens:
        root = root[int(token)] if isinstance(root, list) else root[token]
    return root


def _operate(root: Any, operation: Json) -> Any:  # noqa: ANN401 - any JSON value
    tokens = _tokens(operation["path"])
    match operation["op"]:
        case "test":
            if _find(root, tokens) != operation["value"]:
                raise ValueError("test failed")
        case "add":
            return _put(root, tokens, copy.deepcopy(operation["value"]), insert=True)
        case "replace":
            _find(root, tokens)
            return _put(root, tokens, copy.deepcopy(operation["value"]), insert=False)
        case "remove":
            _drop(root, tokens)
        case "copy":
            return _put(root, tokens, copy.deepcopy(_find(root, _tokens(operation["from"]))), insert=True)
        case "move":
            source = _tokens(operation["from"])
            value = _find(root, source)
            _drop(root, source)
            return _put(root, tokens, value, insert=True)
        case other:
            raise ValueError(f"unknown operation {other!r}")
    return root


def _put(root: Any, tokens: list[str], value: Any, *, insert: bool) -> Any:  # noqa: ANN401 - any JSON value
    if not tokens:
        return value
    parent = _find(root, tokens[:-1])
    if isinstance(parent, dict):
        parent[tokens[-1]] = value
    elif tokens[-1] == "-":
        parent.append(value)
    else:
        index = int(tokens[-1])
        if not 0 <= index <= len(parent):
            raise IndexError(f"index {index} is outside the list")
        parent[index : index + (0 if insert else 1)] = [value]
    return root


def _drop(root: Any, tokens: list[str]) -> None:  # noqa: ANN401 - any JSON value
    parent = _find(root, tokens[:-1])
    del parent[int(tokens[-1]) if isinstance(parent, list) else tokens[-1]]


def strategic_merge(live: Any, patch: Any, shape: Shape) -> Any:  # noqa: ANN401 - any JSON value
    """Kubernetes' own: lists merge by their patch key; `$patch`, `$retainKeys`, `$deleteFromPrimitiveList`, `$setElementOrder` are obeyed."""
    if isinstance(patch, dict):
        return _strategic_map(live if isinstance(live, dict) else {}, patch, shape)
    if isinstance(patch, list) and "merge" in shape.patch:
        return _strategic_list(live if isinstance(live, list) else [], patch, shape)
    if isinstance(patch, list):
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    return patch


def _strategic_map(live: Json, patch: Json, shape: Shape) -> Json:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(live)
    if "$retainKeys" in patch:
        merged = {key: value for key, value in merged.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [item for item in merged.get(name, []) if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic_merge(merged.get(key), value, shape.child(key))
    orders = {
        key.partition("/")[2]: order for key, order in patch.items() if key.startswith("$setElementOrder/")
    }
    merged |= {
        name: _ordered(merged.get(name) or [], order, shape.child(name).merge_key)
        for name, order in orders.items()
    }
    return {key: value for key, value in merged.items() if value != [] or key in patch or key in live}


def _strategic_list(live: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    key = shape.merge_key
    if not key:
        return [*live, *(item for item in patch if item not in live)]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    merged = list(live)
    for item in patch:
        position = next((i for i, old in enumerate(merged) if old.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item.get(key)]
        elif position is None:
            merged.append(_strategic_map({}, item, shape.element or ANY))
        else:
            merged[position] = _strategic_map(merged[position], item, shape.element or ANY)
    return merged


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    wanted = [entry.get(key) if isinstance(entry, dict) else entry for entry in order]

    def rank(item: Any) -> int:  # noqa: ANN401 - any JSON value
        value = item.get(key) if isinstance(item, dict) else item
        return wanted.index(value) if value in wanted else len(wanted)

    return sorted(items, key=rank)
