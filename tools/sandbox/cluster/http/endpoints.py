"""One request to one answer: every method on collections, objects and subresources."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from tools.sandbox.cluster import errors, metrics
from tools.sandbox.cluster.cluster import Answer, Cluster
from tools.sandbox.cluster.http import bodies, subresources
from tools.sandbox.cluster.http.addresses import Address, parse
from tools.sandbox.cluster.http.reading import as_list, formed, page, selected
from tools.sandbox.cluster.http.watching import Watch

Json = dict[str, Any]
_REVIEWS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})


async def answer(cluster: Cluster, request: Request) -> Response:
    """Dispatch by method. Raises ApiError."""
    address = parse(request.url.path)
    if request.method in {"GET", "HEAD"}:
        return _read(cluster, address, request)
    body = await request.body()
    if request.method == "POST":
        return _post(cluster, address, request, body)
    if not address.name and request.method == "DELETE":
        return _delete_collection(cluster, address, request)
    if not address.name or "update" not in address.kind.verbs:
        raise errors.method_not_allowed()
    if request.method == "PUT":
        return _put(cluster, address, request, body)
    if request.method == "PATCH":
        return _patch(cluster, address, request, body)
    if request.method == "DELETE":
        return _delete(cluster, address, request, body)
    raise errors.method_not_allowed()


def _respond(cluster: Cluster, address: Address, request: Request, found: Answer) -> Response:
    shown = formed(
        address.kind, found.manifest, request.headers.get("accept", ""), request.query_params, cluster.clock()
    )
    response = JSONResponse(shown, 201 if found.created else 200)
    for warning in found.warnings:
        text = json.dumps(warning, ensure_ascii=False)
        response.headers.append("Warning", f"299 - {text}")
    return response


def _read(cluster: Cluster, address: Address, request: Request) -> Response:
    query, accept = request.query_params, request.headers.get("accept", "")
    if address.kind.group == "metrics.k8s.io":
        return JSONResponse(
            metrics.answer(cluster, address.kind, address.namespace, address.name, selected(query))
        )
    if "get" not in address.kind.verbs:
        raise errors.method_not_allowed()
    if query.get("watch") in {"true", "1"}:
        watch = Watch(cluster, address, query, accept)
        return StreamingResponse(watch.lines(), media_type="application/json")
    if not address.name:
        items, metadata = page(cluster, address, query)
        listed = as_list(address.kind, items, metadata)
        return JSONResponse(formed(address.kind, listed, accept, query, cluster.clock()))
    if address.subresource == "log":
        return PlainTextResponse(subresources.log(cluster, address, query))
    live = cluster.get(address.kind, address.namespace, address.name)
    if address.subresource == "scale":
        return JSONResponse(subresources.scale_of(live))
    return _respond(cluster, address, request, Answer(live))


def _post(cluster: Cluster, address: Address, request: Request, body: bytes) -> Response:
    manifest = bodies.parse(body, request.headers.get("content-type", ""))
    if not isinstance(manifest, dict):
        raise errors.bad_request("the body is a JSON object")
    if address.kind.group in _REVIEWS:
        return _respond(cluster, address, request, subresources.review(address.kind.kind, manifest))
    options = bodies.options(request.query_params, request.headers.get("user-agent", ""), "")
    if address.subresource == "eviction":
        cluster.delete(address.kind, address.namespace, address.name, dry_run=options.dry_run)
        return JSONResponse(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        )
    if address.name or "create" not in address.kind.verbs:
        raise errors.method_not_allowed()
    namespace = address.namespace
    if address.kind.namespaced and not namespace:
        raise errors.bad_request("an object of this kind is made in a namespace")
    return _respond(cluster, address, request, cluster.create(address.kind, namespace, manifest, options))


def _put(cluster: Cluster, address: Address, request: Request, body: bytes) -> Response:
    manifest = bodies.parse(body, request.headers.get("content-type", ""))
    options = bodies.options(request.query_params, request.headers.get("user-agent", ""), address.subresource)
    if address.subresource == "scale":
        return JSONResponse(subresources.set_scale(cluster, address, None, manifest, options))
    found = cluster.replace(address.kind, address.namespace, address.name, manifest, options)
    return _respond(cluster, address, request, found)


def _patch(cluster: Cluster, address: Address, request: Request, body: bytes) -> Response:
    header = request.headers.get("content-type", "")
    how = bodies.patch_kind(header)
    change = bodies.parse(body, header)
    agent = request.headers.get("user-agent", "")
    options = bodies.options(request.query_params, agent, address.subresource, applying=how == "apply")
    if address.subresource == "scale":
        return JSONResponse(subresources.set_scale(cluster, address, how, change, options))
    found = cluster.patch(address.kind, address.namespace, address.name, how, change, options)
    return _respond(cluster, address, request, found)


def _delete(cluster: Cluster, address: Address, request: Request, body: bytes) -> Response:
    asked = bodies.parse(body, request.headers.get("content-type", "")) if body else {}
    dry_run = bool(request.query_params.get("dryRun") or asked.get("dryRun"))
    policy = request.query_params.get("propagationPolicy") or asked.get("propagationPolicy")
    expected = (asked.get("preconditions") or {}).get("uid")
    live = cluster.get(address.kind, address.namespace, address.name)
    if expected and expected != live["metadata"]["uid"]:
        raise errors.moved(address.kind, address.name)
    cluster.delete(address.kind, address.namespace, address.name, dry_run=dry_run, orphan=policy == "Orphan")
    about = {
        "name": address.name,
        "group": address.kind.group,
        "kind": address.kind.plural,
        "uid": live["metadata"]["uid"],
    }
    body_out = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about}
    return JSONResponse(body_out)


def _delete_collection(cluster: Cluster, address: Address, request: Request) -> Response:
    if "deletecollection" not in address.kind.verbs:
        raise errors.method_not_allowed()
    items, metadata = page(cluster, address, request.query_params)
    for item in items:
        home = item["metadata"].get("namespace", "")
        cluster.delete(
            address.kind, home, item["metadata"]["name"], dry_run=bool(request.query_params.get("dryRun"))
        )
    return JSONResponse(as_list(address.kind, items, metadata))
