"""Bodies in Kubernetes' protobuf, written here by hand from the wire format."""

from __future__ import annotations

import pytest

from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.http.protobuf import decode


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_a_config_map() -> None:
    metadata = field(1, "settings") + field(3, "web") + field(11, field(1, "app") + field(2, "web"))
    body = message("v1", "ConfigMap", field(1, metadata) + field(2, field(1, "key") + field(2, "값")))
    assert decode(body) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "web", "labels": {"app": "web"}},
        "data": {"key": "값"},
    }


def test_numbers_quantities_ports_and_inlined_messages() -> None:
    quantity = field(1, "cpu") + field(2, field(1, "250m"))
    port = field(3, 8080) + field(1, "http")
    probe = field(1, field(2, field(1, "/") + field(2, field(1, 1) + field(3, "http")))) + field(2, 5)
    container = field(1, "main") + field(6, port) + field(8, field(1, quantity)) + field(10, probe)
    template = field(2, field(2, container))
    body = message("apps/v1", "Deployment", field(2, field(1, 3) + field(3, template)))
    spec = decode(body)["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["containers"] == [
        {
            "name": "main",
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"limits": {"cpu": "250m"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "initialDelaySeconds": 5},
        }
    ]


def test_bytes_become_base64_and_negative_numbers_stay_negative() -> None:
    secret = message("v1", "Secret", field(2, field(1, "key") + field(2, b"\x00\xff")))
    assert decode(secret)["data"] == {"key": "AP8="}
    deployment = message("apps/v1", "Deployment", field(2, field(1, 2**64 - 1)))
    assert decode(deployment)["spec"] == {"replicas": -1}


BROKEN = {
    "no magic": b"{}",
    "cut off": message("v1", "ConfigMap", field(1, field(1, "x")))[:-1],
    "no kind": b"k8s\0" + field(1, field(1, "v1")),
    "no envelope": b"k8s\0",
    "an endless varint": b"k8s\0" + b"\xff" * 12,
    "a group, which is not used": b"k8s\0" + varint(1 << 3 | 3),
    "no text": message("v1", "ConfigMap", field(1, field(1, b"\xff\xfe"))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_message_is_refused(what: str) -> None:
    with pytest.raises(ApiError) as refused:
        decode(BROKEN[what])
    assert refused.value.code == 400
