"""Whether a live object holds every signed field: the first difference by JSON pointer, or None.

The server writes some values in another way (`1000m` is `1`) and leaves out empty ones; neither is a difference.
A list that grew is one: what was added was not signed. A field that was not signed is none where the server fills it in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$")
_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_QUANTITIES = frozenset(
    {"limits", "requests", "hard", "capacity", "averageValue", "value", "sizeLimit", "storage", "min", "max"}
)
_LEFT_OUT = frozenset({
    "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "paused", "publishNotReadyAddresses",
    "minReadySeconds", "initialDelaySeconds", "hostPort", "nodePort", "immutable",
})  # fmt: skip
"""Fields that the server leaves out when they are false or zero, which is their meaning when absent."""
_NEVER_SIGNED = frozenset({"apiVersion", "kind", "metadata", "status", "operation"})
"""Top-level fields besides which an object says what it does: `operation` is how Argo CD is asked to sync."""
_ALLOCATED = re.compile(
    r"/secrets|/spec/(replicas|clusterIPs?|healthCheckNodePort|volumeName|ports/\d+/nodePort)"
)
"""Fields that the cluster itself gives each object when nobody signed them: addresses, ports, what an autoscaler sets."""
_SERVER_METADATA = frozenset({"labels", "annotations", "name", "namespace"})


def quantity(text: object) -> Decimal | None:
    """A Kubernetes quantity as a number, None if it is none."""
    match = _QUANTITY.match(str(text))
    if match is None or match[1].count(".") > 1 or not any(c.isdigit() for c in match[1]):
        return None
    number: Decimal = Decimal(match[1])
    unit = match[2] or ""
    if unit in _BINARY:
        return number * Decimal(1024 ** _BINARY[unit])
    if unit in _POWERS:
        return number.scaleb(_POWERS[unit])
    return Decimal(match[1] + unit)


def first_difference(signed: Mapping[str, object], live: Mapping[str, object]) -> str | None:
    """The pointer of the first field of a signed object that the live one does not hold."""
    for key, value in signed.items():
        if key == "metadata" and isinstance(value, Mapping) and isinstance(live.get(key), Mapping):
            held = live[key]
            chosen = {name: item for name, item in value.items() if name in _SERVER_METADATA}
            found = _difference(chosen, held, "/metadata", "metadata")
        else:
            found = _difference(value, live.get(key), f"/{key}", key)
        if found is not None:
            return found
    return None


def unsigned(signed: Mapping[str, object], live: Mapping[str, object]) -> dict[str, object]:
    """Pointer -> value of what the live object says and the signed one does not; empty values say nothing."""
    said = {key: value for key, value in live.items() if key not in _NEVER_SIGNED}
    return {p: value for p, value in _unsigned(signed, said, "") if not _ALLOCATED.fullmatch(p)}


def _unsigned(signed: object, live: object, pointer: str) -> Iterator[tuple[str, object]]:
    if isinstance(signed, Mapping) and isinstance(live, Mapping):
        for key, value in live.items():
            where = f"{pointer}/{_escaped(key)}"
            if key in signed and signed[key] is not None:
                yield from _unsigned(signed[key], value, where)
            elif value not in (None, "", {}, []):
                yield where, value
    elif isinstance(signed, list) and isinstance(live, list):
        for index, (one, other) in enumerate(zip(signed, live, strict=False)):
            yield from _unsigned(one, other, f"{pointer}/{index}")


def alike(one: object, other: object, pointer: str) -> bool:
    """Whether two values of a field mean the same; a quantity may be written in two ways."""
    tokens = pointer.split("/")
    name = next((token for token in tokens if token in _QUANTITIES), tokens[-1])
    return all(
        _difference(left, right, pointer, name) is None for left, right in ((one, other), (other, one))
    )


def owned_by_another(live: Mapping[str, Any], pointer: str, manager: str) -> bool:
    """Whether managedFields name somebody else than `manager`'s applies for a field; what the server fills in, nobody owns.

    Items of a list are not told apart, so that a doubt counts as a yes.
    """
    entries = (live.get("metadata") or {}).get("managedFields") or ()
    others = (
        entry.get("fieldsV1") or {}
        for entry in entries
        if not entry.get("subresource")
        and (entry.get("manager"), entry.get("operation")) != (manager, "Apply")
    )
    path = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    return any(_owns(fields, path) for fields in others)


def _owns(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    if not path:
        return True
    if path[0].isdecimal():
        items = [inner for key, inner in fields.items() if key[:2] in {"k:", "v:", "i:"}]
        return any(_owns(inner, path[1:]) for inner in items)
    inner = fields.get(f"f:{path[0]}")
    return inner is not None and (not inner or _owns(inner, path[1:]))


def _difference(signed: object, live: object, pointer: str, name: str) -> str | None:
    if isinstance(signed, Mapping):
        if live is None and not signed:
            return None
        if not isinstance(live, Mapping):
            return pointer
        for key, value in signed.items():
            inner = name if name in _QUANTITIES else key
            found = _difference(value, live.get(key), f"{pointer}/{_escaped(key)}", inner)
            if found is not None:
                return found
        return None
    if isinstance(signed, Sequence) and not isinstance(signed, str):
        return _list_difference(signed, live, pointer, name)
    return None if _same(signed, live, name) else pointer


def _list_difference(signed: Sequence[object], live: object, pointer: str, name: str) -> str | None:
    held = [] if live is None else live
    if not isinstance(held, Sequence) or isinstance(held, str):
        return pointer
    for index, value in enumerate(signed):
        if index >= len(held):
            return f"{pointer}/{index}"
        found = _difference(value, held[index], f"{pointer}/{index}", name)
        if found is not None:
            return found
    return None if len(held) == len(signed) else f"{pointer}/{len(signed)}"


def _same(signed: object, live: object, name: str) -> bool:
    if type(signed) is type(live) and signed == live:
        return True
    if live is None:
        return signed is None or signed == "" or (not signed and name in _LEFT_OUT)
    if name in _QUANTITIES and not isinstance(signed, bool) and not isinstance(live, bool):
        left, right = quantity(signed), quantity(live)
        return left is not None and left == right
    return False


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
