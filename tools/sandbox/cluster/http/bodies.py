"""Request bodies and query options, parsed at the edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tools.sandbox.cluster import documents, errors
from tools.sandbox.cluster.cluster import Options, Patch
from tools.sandbox.cluster.http import protobuf

Json = dict[str, Any]
MAX_BODY = 3 * 2**20
"""The real server's limit."""
_PATCHES: Mapping[str, Patch] = {
    "application/apply-patch+yaml": "apply",
    "application/merge-patch+json": "merge",
    "application/json-patch+json": "json",
    "application/strategic-merge-patch+json": "strategic",
}


def media_type(header: str) -> str:
    """`application/json; charset=utf-8` -> `application/json`."""
    return header.partition(";")[0].strip().lower()


def patch_kind(header: str) -> Patch:
    """Which patch a Content-Type means. Raises ApiError 415."""
    kind = _PATCHES.get(media_type(header))
    if kind is None:
        raise errors.unsupported_media(", ".join(_PATCHES))
    return kind


def parse(body: bytes, header: str) -> Any:  # noqa: ANN401 - any JSON value
    """The body as JSON. Raises ApiError 400, 413 or 415."""
    if len(body) > MAX_BODY:
        raise errors.ApiError(413, "RequestEntityTooLarge", f"limit is {MAX_BODY}", {})
    kind = media_type(header) or "application/json"
    try:
        if kind == protobuf.MEDIA_TYPE:
            return protobuf.decode(body)
        if kind.endswith("yaml"):
            return json.loads(body) if body.lstrip().startswith(b"{") else documents.load(body)
        if kind.endswith("json"):
            return json.loads(body) if body else {}
    except (ValueError, yaml.YAMLError, RecursionError) as fault:
        raise errors.bad_request(f"the body cannot be decoded: {fault}") from fault
    raise errors.unsupported_media(f"application/json, application/yaml, {protobuf.MEDIA_TYPE}")


def options(query: Mapping[str, str], agent: str, subresource: str, *, applying: bool = False) -> Options:
    """The write options of a request; the manager defaults to the client's name, as on the real server."""
    dry_run = query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise errors.bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
    validation = query.get("fieldValidation") or "Warn"
    manager = query.get("fieldManager") or ("" if applying else agent.partition("/")[0] or "unknown")
    match validation:
        case "Strict" | "Warn" | "Ignore":
            return Options(
                manager[:128], dry_run == "All", query.get("force") == "true", validation, subresource
            )
        case _:
            allowed = '"Ignore", "Strict", "Warn"'
            raise errors.bad_request(
                f'fieldValidation: Unsupported value: "{validation}": supported values: {allowed}'
            )
