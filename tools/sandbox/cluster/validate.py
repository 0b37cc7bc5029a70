"""Whether a body has the shape of its kind: unknown fields, wrong types, missing fields, in the server's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.sandbox.cluster.schema import ANY, Shape, fields, item_key

Json = dict[str, Any]
_QUANTITY = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?$")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_GO = {"boolean": "bool", "bytes": "[]uint8", "integer": "int64", "number": "float64", "time": "time.Time"}


_TYPED = {
    "boolean": "boolean",
    "int32": "numeric (int or float)",
    "int64": "numeric (int or float)",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
}


@dataclass(frozen=True)
class Mistyped:
    """A value of the wrong type: what was found, in which Go struct field, what belongs there."""

    path: str
    owner: str
    found: str
    wanted: str
    scalar: str = ""

    def typed(self) -> str:
        """As the parser of server-side apply says it."""
        wanted = (
            _TYPED.get(self.scalar, "string")
            if self.scalar
            else "list"
            if self.wanted.startswith("[]")
            else "map"
        )
        return f".{self.path}: expected {wanted}, got {self.found}"

    def __str__(self) -> str:
        return f"json: cannot unmarshal {self.found} into Go struct field {self.owner}.{self.path} of type {self.wanted}"


def unknown_fields(value: object, shape: Shape, path: str = "") -> Iterator[str]:
    """The paths that no type has, such as `spec.template.spec.containers[0].imagee`."""
    if isinstance(value, dict) and shape.type:
        known = fields(shape.type)
        for key, child in value.items():
            here = f"{path}.{key}" if path else key
            if key in known and not key.startswith("/"):
                yield from unknown_fields(child, known[key], here)
            else:
                yield here
    elif isinstance(value, dict) and shape.value:
        for key, child in value.items():
            yield from unknown_fields(child, shape.value, f"{path}.{key}")
    elif isinstance(value, list) and shape.element:
        for index, child in enumerate(value):
            yield from unknown_fields(child, shape.element, f"{path}[{index}]")


def without_unknown(value: Any, shape: Shape) -> Any:  # noqa: ANN401 - any JSON value
    """The value as the server would read it: fields that no type has are dropped, and so are nulls."""
    if isinstance(value, dict) and shape.type:
        known = fields(shape.type)
        return {
            key: without_unknown(child, known[key])
            for key, child in value.items()
            if key in known and child is not None and not key.startswith("/")
        }
    if isinstance(value, dict) and shape.value:
        return {key: without_unknown(child, shape.value) for key, child in value.items() if child is not None}
    if isinstance(value, list) and shape.element:
        return [without_unknown(child, shape.element) for child in value]
    return value


def mistyped(value: object, shape: Shape, path: str = "", owner: str = "") -> Iterator[Mistyped]:
    """Values of the wrong type. Null fits everywhere, as in the server's decoder."""
    if value is None or shape.scalar == "any":
        return
    if shape.type or shape.value:
        name = shape.type.rsplit(".", 1)[-1]
        if not isinstance(value, dict):
            yield Mistyped(
                path, owner, _json_type(value), f"v1.{name}" if shape.type else "map[string]string"
            )
            return
        for key, child in value.items():
            yield from mistyped(child, shape.child(key), f"{path}.{key}" if path else key, name or owner)
    elif shape.element:
        if not isinstance(value, list):
            element = shape.element.type.rsplit(".", 1)[-1] or _GO.get(
                shape.element.scalar, shape.element.scalar
            )
            yield Mistyped(path, owner, _json_type(value), f"[]{element}")
            return
        for child in value:
            yield from mistyped(child, shape.element, path, owner)
    elif not _fits(value, shape.scalar):
        yield Mistyped(path, owner, _json_type(value), _GO.get(shape.scalar, shape.scalar), shape.scalar)


def _fits(value: object, scalar: str) -> bool:
    if isinstance(value, bool):
        return scalar == "boolean"
    if isinstance(value, int):
        return scalar in _INTEGERS and (scalar != "int32" or -(2**31) <= value < 2**31)
    if isinstance(value, float):
        return scalar in {"number", "quantity"}
    if not isinstance(value, str) or scalar in _NO_TEXT:
        return False
    pattern = _PATTERNS.get(scalar)
    return pattern is None or bool(pattern.match(value))


_INTEGERS = frozenset({"int32", "int64", "integer", "number", "int-or-string", "quantity"})
_NO_TEXT = frozenset({"boolean", "int32", "int64", "integer", "number"})
_PATTERNS = {"quantity": _QUANTITY, "time": _TIME, "microtime": _TIME}


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number" if isinstance(value, int) else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"


def missing(value: object, shape: Shape, path: str = "") -> Iterator[str]:
    """The paths of required fields that are absent or empty, outside `status`."""
    if isinstance(value, dict) and shape.type:
        for key, child in fields(shape.type).items():
            here = f"{path}.{key}" if path else key
            if here == "status" or key.startswith("/"):
                continue
            if child.required and (value.get(key) is None or (value[key] == "" and not _is_custom(shape))):
                yield here
            elif key in value:
                yield from missing(value[key], child, here)
    elif isinstance(value, list) and shape.element:
        for index, child_value in enumerate(value):
            yield from missing(child_value, shape.element, f"{path}[{index}]")
    elif isinstance(value, dict) and shape.value and shape.value.type:
        for key, child_value in value.items():
            yield from missing(child_value, shape.value, f"{path}[{key}]")


def _is_custom(shape: Shape) -> bool:
    """Whether a CRD's schema speaks, for which an empty text is there."""
    return shape.type.startswith(("crd.", "argoproj."))


def not_enumerated(value: object, shape: Shape, path: str = "") -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path, value, allowed) of values outside the enumeration that a CRD declares."""
    if isinstance(value, dict) and (shape.type or shape.value):
        for key, child in value.items():
            yield from not_enumerated(child, shape.child(key), f"{path}.{key}" if path else key)
    elif isinstance(value, list) and shape.element:
        for index, child in enumerate(value):
            yield from not_enumerated(child, shape.element, f"{path}[{index}]")
    elif shape.enum and value not in shape.enum:
        yield path, str(value), shape.enum


def keyless(value: object, shape: Shape, path: str = "") -> Iterator[str]:
    """What server-side apply cannot merge: items without their key, and two items with the same key."""
    if isinstance(value, dict) and shape.is_record:
        for key, child in value.items():
            yield from keyless(child, shape.child(key), f"{path}.{key}")
    elif isinstance(value, list) and shape.is_keyed:
        seen = set()
        for index, item in enumerate(value):
            key = item_key(shape, item)
            absent = [name for name in shape.keys if name not in dict(key)]
            if absent and not shape.unique:
                yield (
                    f"{path}: element {index}: associative list with keys has an element that omits key field "
                    f'"{absent[0]}" (and doesn\'t have default value)'
                )
            elif key in seen:
                shown = ",".join(f'{name}="{found}"' for name, found in key)
                yield f"{path}: duplicate entries for key [{shown}]"
            seen.add(key)
            if not shape.unique:
                yield from keyless(item, shape.element or ANY, f"{path}[{index}]")
