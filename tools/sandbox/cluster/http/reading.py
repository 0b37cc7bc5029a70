"""Lists with selectors and pages, and the forms in which an answer may be asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tools.sandbox.cluster import errors, selectors
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.http.addresses import Address
from tools.sandbox.cluster.http.tables import table
from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]


def selected(query: Mapping[str, str], name: str = "") -> selectors.Test:
    """The label and field selectors of a query as one test."""
    by_labels = selectors.by_labels(query.get("labelSelector", ""))
    by_fields = selectors.by_fields(query.get("fieldSelector", ""))
    return lambda item: by_labels(item) and by_fields(item) and (not name or item["metadata"]["name"] == name)


def page(cluster: Cluster, address: Address, query: Mapping[str, str]) -> tuple[list[Json], Json]:
    """The items of one page and the list's metadata. A `continue` token names the last item that was given."""
    test = selected(query)
    items = [item for item in cluster.store.items(address.kind, address.namespace) if test(item)]
    metadata: Json = {"resourceVersion": str(cluster.store.revision)}
    start = _start(query.get("continue", ""), items)
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else 0
    items = items[start:]
    if limit and len(items) > limit:
        last = items[limit - 1]["metadata"]
        token = json.dumps([last.get("namespace", ""), last["name"]]).encode()
        metadata |= {
            "continue": base64.urlsafe_b64encode(token).decode(),
            "remainingItemCount": len(items) - limit,
        }
        items = items[:limit]
    return items, metadata


def _start(token: str, items: list[Json]) -> int:
    if not token:
        return 0
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as fault:
        raise errors.bad_request(f"continue key is not valid: {fault}") from fault
    after = (item["metadata"].get("namespace", "") for item in items)
    keys = list(zip(after, (item["metadata"]["name"] for item in items), strict=True))
    return sum(1 for key in keys if key <= (namespace, name))


def as_list(kind: Kind, items: list[Json], metadata: Json) -> Json:
    """A `DeploymentList`; items of built-in kinds carry no kind of their own, as on the real server."""
    custom = kind.group == "argoproj.io"
    bare = (
        items
        if custom
        else [{k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} for item in items]
    )
    return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": bare}


def wanted_form(accept: str) -> str:
    """`Table`, `PartialObjectMetadata`, `PartialObjectMetadataList` or "" for the object itself."""
    for choice in accept.split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in choice.split(";")[1:])
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1":
            return parameters.get("as", "")
        if choice.strip().startswith("application/json"):
            return ""
    return ""


def formed(kind: Kind, manifest: Json, accept: str, query: Mapping[str, str], now: datetime) -> Json:
    """An object, or a list with `items`, in the form that the client accepts."""
    form = wanted_form(accept)
    items = manifest["items"] if "items" in manifest and kind.kind + "List" == manifest.get("kind") else None
    if form == "Table":
        shown = table(
            kind, [manifest] if items is None else items, now, query.get("includeObject") or "Metadata"
        )
        metadata = (
            manifest["metadata"]
            if items is not None
            else {"resourceVersion": manifest["metadata"].get("resourceVersion", "")}
        )
        return shown | {"metadata": metadata}
    if form.startswith("PartialObjectMetadata"):
        partial = {"apiVersion": "meta.k8s.io/v1"}
        if items is None:
            return partial | {"kind": "PartialObjectMetadata", "metadata": manifest["metadata"]}
        each = [{"metadata": item["metadata"]} for item in items]
        return partial | {
            "kind": "PartialObjectMetadataList",
            "metadata": manifest["metadata"],
            "items": each,
        }
    return manifest
