"""What the API serves: group lists, aggregated discovery, version, OpenAPI."""

from __future__ import annotations

from functools import cache
from typing import Any

from tools.sandbox.cluster import schema
from tools.sandbox.cluster.kinds import KINDS, Kind

Json = dict[str, Any]
GIT_VERSION = "v1.36.3+rehearsal"
"""The API level that fields.json was made from, and that this is a rehearsal."""
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def version() -> Json:
    """`/version`."""
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": "rehearsal",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "rehearsal/python",
    }


def groups() -> list[str]:
    """The named groups, in the order of the table."""
    return list(dict.fromkeys(kind.group for kind in KINDS if kind.group))


def versions_of(group: str) -> list[str]:
    """The versions that are served of a group."""
    return list(dict.fromkeys(kind.version for kind in KINDS if kind.group == group))


def core_versions() -> Json:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group(name: str) -> Json:
    """One APIGroup."""
    served = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions_of(name)]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def group_list() -> Json:
    """`/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(name) for name in groups()]}


def resource_list(group_name: str, version_name: str) -> Json:
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group_name, version_name)]
    resources: list[Json] = []
    for kind in kinds:
        row: Json = {"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced}
        row |= {"kind": kind.kind, "verbs": list(kind.verbs)}
        row |= {"shortNames": list(kind.short)} if kind.short else {}
        resources.append(row | ({"categories": list(kind.categories)} if kind.categories else {}))
        resources += [_subresource(kind, name) for name in kind.subresources]
    together = f"{group_name}/{version_name}" if group_name else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": together, "resources": resources}


_SUBRESOURCE_KINDS = {"scale": ("autoscaling", "v1", "Scale"), "eviction": ("policy", "v1", "Eviction")}


def _subresource(kind: Kind, name: str) -> Json:
    verbs = {"log": ["get"], "eviction": ["create"]}.get(name, ["get", "patch", "update"])
    row: Json = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    if name in _SUBRESOURCE_KINDS:
        row |= dict(zip(("group", "version"), _SUBRESOURCE_KINDS[name][:2], strict=True))
    return row | {"kind": _SUBRESOURCE_KINDS.get(name, ("", "", kind.kind))[2], "verbs": verbs}


def aggregated(*, core: bool) -> Json:
    """`/api` or `/apis` as one document."""
    names = [""] if core else groups()
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": v,
                    "freshness": "Current",
                    "resources": [_aggregated(k) for k in KINDS if (k.group, k.version) == (name, v)],
                }
                for v in versions_of(name)
            ],
        }
        for name in names
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated(kind: Kind) -> Json:
    about = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    row: Json = {
        "resource": kind.plural,
        "responseKind": about,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
    }
    row |= {"singularResource": kind.singular, "verbs": list(kind.verbs)}
    row |= {"shortNames": list(kind.short)} if kind.short else {}
    row |= {"categories": list(kind.categories)} if kind.categories else {}
    below = []
    for name in kind.subresources:
        found = _subresource(kind, name)
        target = {
            "group": found.get("group", kind.group),
            "version": found.get("version", kind.version),
            "kind": found["kind"],
        }
        below.append({"subresource": name, "responseKind": target, "verbs": found["verbs"]})
    return row | ({"subresources": below} if below else {})


def openapi_index() -> Json:
    """`/openapi/v3`."""
    paths = {}
    for name in ["", *groups()]:
        for served in versions_of(name):
            path = f"apis/{name}/{served}" if name else f"api/{served}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={GIT_VERSION}"}
    return {"paths": paths}


@cache
def openapi(group_name: str, version_name: str) -> Json:
    """The OpenAPI 3 document of a group version: enough for field validation, patches and `kubectl explain`."""
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group_name, version_name)]
    paths: Json = {}
    schemas: dict[str, Json] = {}
    for kind in kinds:
        about = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        query = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        base = f"/apis/{group_name}/{version_name}" if group_name else f"/api/{version_name}"
        where = (
            f"{base}/namespaces/{{namespace}}/{kind.plural}/{{name}}"
            if kind.namespaced
            else f"{base}/{kind.plural}/{{name}}"
        )
        paths[where] = {
            "patch": {"parameters": query, "responses": {}, "x-kubernetes-group-version-kind": about}
        }
        root = schema.root(kind.api_version, kind.kind)
        if root.type:
            _describe(root.type, schemas)
            schemas[root.type] |= {"x-kubernetes-group-version-kind": [about]}
    info = {"title": "Kubernetes (rehearsal)", "version": GIT_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _describe(name: str, schemas: dict[str, Json]) -> None:
    if name in schemas:
        return
    schemas[name] = {"type": "object"}
    properties = {}
    for field, shape in schema.fields(name).items():
        if not field.startswith("/"):
            properties[field] = _property(shape, schemas)
    schemas[name] |= {"properties": properties}


def _property(shape: schema.Shape, schemas: dict[str, Json]) -> Json:
    extensions: Json = {}
    if shape.patch:
        extensions["x-kubernetes-patch-strategy"] = shape.patch
    if shape.merge_key:
        extensions["x-kubernetes-patch-merge-key"] = shape.merge_key
    if shape.type:
        _describe(shape.type, schemas)
        return {"allOf": [{"$ref": f"#/components/schemas/{shape.type}"}], "default": {}} | extensions
    if shape.element:
        return {"type": "array", "items": _property(shape.element, schemas)} | extensions
    if shape.value:
        return {"type": "object", "additionalProperties": _property(shape.value, schemas)} | extensions
    return _SCALARS.get(shape.scalar, {"type": "string"}) | extensions


_SCALARS: dict[str, Json] = {
    "boolean": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "any": {"type": "object"},
    "int-or-string": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
}
