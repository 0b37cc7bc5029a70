"""A body on its way in: read as its kind, at the address of its request, for the version that is live."""

from __future__ import annotations

import copy
from typing import Any, Literal

from tools.sandbox.cluster import errors, schema, validate
from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]


def shape_of(kind: Kind) -> schema.Shape:
    """The shape of a kind."""
    return schema.root(kind.api_version, kind.kind)


def _of_kind(kind: Kind, body: object) -> Json:
    if not isinstance(body, dict):
        raise errors.bad_request(f"the body is no {kind.kind}: a JSON object is expected")
    if (body.get("apiVersion", kind.api_version), body.get("kind", kind.kind)) != (
        kind.api_version,
        kind.kind,
    ):
        why = f"does not match the expected {kind.kind} of {kind.api_version}"
        raise errors.bad_request(
            f"the object provided ({body.get('kind')} of {body.get('apiVersion')}) {why}"
        )
    return {"apiVersion": kind.api_version, "kind": kind.kind} | body


def appliable(kind: Kind, body: object) -> Json:
    """The body of a server-side apply, a copy. Raises ApiError in the words of the typed parser."""
    if not isinstance(body, dict) or "apiVersion" not in body or "kind" not in body:
        raise errors.bad_request("Object 'Kind' is missing in the patch of a server-side apply")
    manifest = copy.deepcopy(_of_kind(kind, body))
    if manifest.get("metadata", {}).get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    shape = shape_of(kind)
    metadata = manifest.get("metadata", {})
    about = (
        f"({metadata.get('namespace', '')}/{metadata.get('name', '')}; {kind.api_version}, Kind={kind.kind})"
    )
    faults = [f".{path}: field not declared in schema" for path in validate.unknown_fields(manifest, shape)]
    faults += [fault.typed() for fault in validate.mistyped(manifest, shape)]
    faults += validate.keyless(manifest, shape)
    if faults:
        text = faults[0] if len(faults) == 1 else "errors:\n" + "\n".join(f"  {fault}" for fault in faults)
        raise errors.ApiError(500, "", f"failed to create typed patch object {about}: {text}")
    read: Json = validate.without_unknown(manifest, shape)
    return read


def check_version(kind: Kind, live: Json | None, manifest: Json) -> None:
    """Raises ApiError 409 when the request means another version of the object than the live one."""
    metadata = manifest["metadata"]
    if live is None:
        if metadata.get("resourceVersion") or metadata.get("uid"):
            raise errors.moved(kind, metadata["name"])
        return
    version = metadata.get("resourceVersion") or live["metadata"]["resourceVersion"]
    uid = metadata.get("uid") or live["metadata"]["uid"]
    if (version, uid) != (live["metadata"]["resourceVersion"], live["metadata"]["uid"]):
        raise errors.moved(kind, metadata["name"])


def read(kind: Kind, body: object, how: Literal["Strict", "Warn", "Ignore"]) -> tuple[Json, list[str]]:
    """The body as the server would read it, and warnings. Raises ApiError 400."""
    manifest = _of_kind(kind, body)
    shape = shape_of(kind)
    claimed = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    for fault in validate.mistyped(manifest, shape):
        raise errors.bad_request(f"{claimed}: {fault}")
    unknown = [f'unknown field "{path}"' for path in validate.unknown_fields(manifest, shape)]
    if unknown and how == "Strict":
        raise errors.bad_request(f"{claimed}: strict decoding error: {', '.join(unknown)}")
    found: Json = copy.deepcopy(validate.without_unknown(manifest, shape))
    return found, unknown if how == "Warn" else []


def addressed(kind: Kind, namespace: str, manifest: Json, name: str = "") -> Json:
    """The metadata, once it agrees with the address of the request. Raises ApiError 400."""
    metadata: Json = manifest.setdefault("metadata", {})
    if name and metadata.setdefault("name", name) != name:
        why = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        raise errors.bad_request(why)
    if kind.namespaced and metadata.setdefault("namespace", namespace) != namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(why)
    if not kind.namespaced:
        metadata.pop("namespace", None)
    return metadata
