"""Addresses that the server hands to Services, and what they keep on an update."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.sandbox.cluster.kinds import Kind
from tools.sandbox.cluster.store import Store

Json = dict[str, Any]
_NODE_PORTS = range(30000, 32768)


def allocate(kind: Kind, live: Json | None, manifest: Json, store: Store) -> None:
    """Give a Service its cluster IP and node ports, in place; an update that names none keeps those it has."""
    if (kind.group, kind.kind) != ("", "Service") or manifest["spec"].get("type") == "ExternalName":
        return
    spec = manifest["spec"]
    before = (live or {}).get("spec", {})
    if not spec.get("clusterIP"):
        spec["clusterIP"] = before.get("clusterIP") or _free_address(kind, store)
    spec["clusterIPs"] = [spec["clusterIP"]]
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        held = {port["port"]: port.get("nodePort") for port in before.get("ports", ())}
        taken = {
            port.get("nodePort") for service in store.items(kind) for port in service["spec"].get("ports", ())
        }
        for port in spec.get("ports", ()):
            free = (number for number in _NODE_PORTS if number not in taken)
            port.setdefault("nodePort", held.get(port["port"]) or next(free))
            taken.add(port["nodePort"])


def _free_address(kind: Kind, store: Store) -> str:
    taken = {service["spec"].get("clusterIP") for service in store.items(kind)}
    return next(address for address in _addresses() if address not in taken)


def _addresses() -> Iterator[str]:
    """10.96.0.0/12 as kubeadm has it, from its first address."""
    for number in range(1, 2**20):
        yield f"10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
