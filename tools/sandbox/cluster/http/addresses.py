"""Which object or collection a URL means."""

from __future__ import annotations

from dataclasses import dataclass

from tools.sandbox.cluster import errors
from tools.sandbox.cluster.kinds import BY_PATH, Kind


@dataclass(frozen=True)
class Address:
    """A collection when `name` is empty. `namespace` is empty for cluster kinds and for all namespaces."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse(path: str) -> Address:
    """`/apis/apps/v1/namespaces/web/deployments/nginx/scale` and its like. Raises ApiError 404."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise errors.no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in BY_PATH:
        namespace, rest = rest[1], rest[2:]
    if not any((group, version) == served[:2] for served in BY_PATH):
        raise errors.no_such_group()
    kind = BY_PATH.get((group, version, rest[0]))
    if kind is None or len(rest) > 3 or bool(namespace) > kind.namespaced:
        raise errors.no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if kind.namespaced and name and not namespace:
        raise errors.no_such_path()
    if subresource and subresource not in {*kind.subresources, "finalize"}:
        raise errors.no_such_path()
    return Address(kind, namespace, name, subresource)
