r"""Kubernetes' protobuf bodies, which kubectl sends for some objects: decoded by the field numbers in fields.json.

The envelope is `k8s\0` and a runtime.Unknown {1: TypeMeta {1: apiVersion, 2: kind}, 2: raw, ...}.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tools.sandbox.cluster import errors, schema

Json = dict[str, Any]
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
Value = int | bytes


def decode(body: bytes) -> Json:
    """The object as JSON. Raises ApiError 400 when the bytes are not what they claim to be."""
    if not body.startswith(_MAGIC):
        raise errors.bad_request("the body does not begin as a Kubernetes protobuf message does")
    try:
        envelope = dict(_wire(body[4:]))
        about = dict(_wire(_bytes(envelope[1])))
        api_version, kind = _bytes(about[1]).decode(), _bytes(about[2]).decode()
        root = schema.root("meta.k8s.io/v1" if kind == "DeleteOptions" else api_version, kind)
        decoded = _message(_bytes(envelope.get(2, b"")), root.type)
    except (KeyError, IndexError, ValueError, TypeError) as fault:
        raise errors.bad_request(f"the protobuf body cannot be decoded: {fault}") from fault
    return {"apiVersion": api_version, "kind": kind} | decoded


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a message was expected")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a varint is too long")


def _wire(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, how = tag >> 3, tag & 7
        value: Value
        if how == 0:
            value, at = _varint(data, at)
        elif how == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than its message")
            value, at = data[at : at + size], at + size
        elif how in {1, 5}:
            size = 8 if how == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {how} is not used by Kubernetes")
        yield number, value


def _message(data: bytes, type_name: str) -> Json:
    by_number = {
        shape.number: (name, shape) for name, shape in schema.fields(type_name).items() if shape.number
    }
    found: Json = {}
    for number, value in _wire(data):
        name, shape = by_number.get(number, ("", schema.ANY))
        if shape.inlined:
            found |= _message(_bytes(value), shape.inlined)
        elif shape.element:
            found.setdefault(name, []).append(_value(value, shape.element))
        elif shape.value:
            pair = dict(_wire(_bytes(value)))
            found.setdefault(name, {})[_bytes(pair[1]).decode()] = _value(pair.get(2, b""), shape.value)
        elif name:
            found[name] = _value(value, shape)
    return {name: value for name, value in found.items() if value not in ("", {}, None)}


def _value(value: Value, shape: schema.Shape) -> Any:  # noqa: ANN401 - any JSON value
    if shape.type:
        return _message(_bytes(value), shape.type)
    decoder = _DECODERS.get(shape.scalar)
    return decoder(value) if decoder else _bytes(value).decode()


def _integer(value: Value) -> int:
    number = int(value)
    return number - 2**64 if number >= 2**63 else number


def _int_or_string(value: Value) -> int | str:
    parts = dict(_wire(_bytes(value)))
    return _bytes(parts.get(3, b"")).decode() if parts.get(1) else int(parts.get(2, 0))


def _time(value: Value) -> str | None:
    seconds = dict(_wire(_bytes(value))).get(1)
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


_DECODERS: Mapping[str, Callable[[Value], Any]] = {
    "boolean": bool,
    "int32": _integer,
    "int64": _integer,
    "integer": _integer,
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "quantity": lambda value: _bytes(dict(_wire(_bytes(value)))[1]).decode(),
    "int-or-string": _int_or_string,
    "time": _time,
    "microtime": _time,
    "any": lambda value: json.loads(_bytes(dict(_wire(_bytes(value))).get(1, b"null"))),
}
"""scalar -> how its wire value becomes JSON; everything else is text."""
