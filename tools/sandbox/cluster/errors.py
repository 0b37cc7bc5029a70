"""The API's refusals, each a `Status` object as the real server words it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]


class ApiError(Exception):
    """One refusal: HTTP code, reason, message and details of a Status."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.plain = False

    def status(self) -> Json:
        """The body."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": self.message} | ({"reason": self.reason} if self.reason else {})
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


def _about(kind: Kind, name: str) -> Json:
    return {"name": name} | ({"group": kind.group} if kind.group else {}) | {"kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _about(kind, name))


def no_such_path() -> ApiError:
    """404: nothing is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def no_such_group() -> ApiError:
    """404 in plain text: no API of that group or version."""
    fault = ApiError(404, "", "404 page not found\n")
    fault.plain = True
    return fault


def already_exists(kind: Kind, name: str) -> ApiError:
    """409: create-only met an object of that name."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _about(kind, name))


def moved(kind: Kind, name: str) -> ApiError:
    """409: the resourceVersion in the request is not the live one."""
    message = (
        f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, _about(kind, name))


def bad_request(message: str) -> ApiError:
    """400: the body cannot be read as what it claims to be."""
    return ApiError(400, "BadRequest", message)


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """403 by an admission rule."""
    named = (
        f'{kind.resource} "{name}" is forbidden: {why}' if name else f"{kind.resource} is forbidden: {why}"
    )
    return ApiError(403, "Forbidden", named, _about(kind, name))


def invalid(kind: Kind, name: str, causes: Iterable[tuple[str, str, str]]) -> ApiError:
    """422: (reason, field, message) of each fault, such as ("FieldValueRequired", "spec.selector", "Required value")."""
    found = [{"reason": reason, "message": message, "field": field} for reason, field, message in causes]
    each = [f"{cause['field']}: {cause['message']}" for cause in found]
    shown = each[0] if len(each) == 1 else f"[{', '.join(each)}]"
    named = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = _about(kind, name) | {"kind": kind.kind, "causes": found}
    return ApiError(422, "Invalid", f'{named} "{name}" is invalid: {shown}', details)


def unauthorized() -> ApiError:
    """401: no token, or not the right one."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def gone(message: str) -> ApiError:
    """410: that resourceVersion is too old to go on from."""
    return ApiError(410, "Expired", message)


def unsupported_media(accepted: str) -> ApiError:
    """415."""
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", message)


def method_not_allowed() -> ApiError:
    """405."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def field_conflict(conflicts: Iterable[tuple[str, str]]) -> ApiError:
    """409 of server-side apply: (manager as printed, field path) of each conflict."""
    found = list(conflicts)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        by_manager: dict[str, list[str]] = {}
        for manager, path in found:
            by_manager.setdefault(manager, []).append(path)
        lines = [
            "\n".join([f"conflicts with {manager}:", *(f"- {path}" for path in paths)])
            for manager, paths in sorted(by_manager.items())
        ]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def no_field_manager() -> ApiError:
    """422: server-side apply needs to know who applies."""
    cause = {
        "reason": "FieldValueRequired",
        "message": "Required value: is required for apply patch",
        "field": "fieldManager",
    }
    message = f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {cause["message"]}'
    return ApiError(
        422, "Invalid", message, {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause]}
    )
