"""The shape of every stored kind, read from `fields.json` (made by extract.py from Kubernetes 1.36 and Argo CD's CRDs).

One table serves validation, server-side apply (which lists are maps, and by which keys), strategic merge
and the decoding of protobuf bodies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """What may stand in a field: exactly one of `scalar`, `type`, `element` (a list), `value` (a map) is set."""

    scalar: str = ""
    type: str = ""
    element: Shape | None = None
    value: Shape | None = None
    keys: tuple[str, ...] = ()
    unique: bool = False
    atomic: bool = False
    required: bool = False
    default: Any = None
    patch: str = ""
    merge_key: str = ""
    enum: tuple[str, ...] = ()
    number: int = 0
    inlined: str = ""

    @property
    def is_record(self) -> bool:
        """A struct or a map whose fields are owned one by one."""
        return not self.atomic and bool(self.type or self.value)

    @property
    def is_keyed(self) -> bool:
        """A list whose items are owned one by one."""
        return self.element is not None and bool(self.keys or self.unique)

    def child(self, field: str) -> Shape:
        """The shape below a field; ANY where the table knows nothing."""
        if self.type:
            return fields(self.type).get(field, ANY)
        return self.value or ANY


ANY = Shape(scalar="any")
_KEY_DEFAULTS = {"protocol": "TCP"}
"""Kubernetes fills these before it compares list keys."""


def _shape(raw: Json) -> Shape:
    return Shape(
        scalar=raw.get("scalar", ""),
        type=raw.get("type", ""),
        element=_shape(raw["list"]) if "list" in raw else None,
        value=_shape(raw["map"]) if "map" in raw else None,
        keys=tuple(raw.get("keys", ())),
        unique=raw.get("set", False),
        atomic=raw.get("atomic", False),
        required=raw.get("required", False),
        default=raw.get("default"),
        patch=raw.get("patch", ""),
        merge_key=raw.get("mergeKey", ""),
        enum=tuple(raw.get("enum", ())),
        number=raw.get("number", 0),
        inlined=raw.get("inlined", ""),
    )


@cache
def _table() -> Json:
    table: Json = json.loads((Path(__file__).parent / "fields.json").read_text())
    return table


@cache
def fields(type_name: str) -> Mapping[str, Shape]:
    """Field name -> shape of a type; a name that starts with `/` is a protobuf message that JSON inlines."""
    return {name: _shape(raw) for name, raw in _table()["types"].get(type_name, {}).items()}


def root(api_version: str, kind: str) -> Shape:
    """The shape of a whole object; ANY for a kind that the table lacks."""
    name = _table()["kinds"].get(f"{api_version}/{kind}")
    return Shape(type=name) if name else ANY


def item_key(shape: Shape, item: object) -> tuple[tuple[str, Any], ...]:
    """What identifies an item of a keyed list: ((field, value), ...), sorted, with Kubernetes' defaults."""
    if not isinstance(item, dict):
        return (("", item),)
    return tuple(
        (key, item.get(key, _KEY_DEFAULTS.get(key)))
        for key in sorted(shape.keys)
        if key in item or key in _KEY_DEFAULTS
    )
