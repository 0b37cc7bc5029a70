"""The Kubernetes client's own models as a reader: misspelt fields, missing ones, wrong types. Offline."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel, ValidationError

from policies.finding import Finding
from policies.kubernetes_objects import ManifestObject
from policies.rules import rule

ENGINE = "kubernetes-models"
_SHOWN = 5


def engine_name() -> str:
    """`kubernetes-models@VERSION` of the installed client; raises PackageNotFoundError without one."""
    return f"{ENGINE}@{importlib.metadata.version('kubernetes')}"


@cache
def _model(group: str, version: str, kind: str) -> type[BaseModel] | None:
    from kubernetes.client import models  # noqa: PLC0415 - 0.24 s, and only where manifests are judged

    prefix = group.partition(".")[0].capitalize() or "Core"
    for name in (f"{version.capitalize()}{kind}", f"{prefix}{version.capitalize()}{kind}"):
        found = getattr(models, name, None)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None


def known(owner: ManifestObject) -> bool:
    """Whether the models know this kind: a custom resource is judged by its own rules or not at all."""
    group, _, version = owner.api_version.rpartition("/")
    return _builtin(group) and _model(group, version, owner.kind) is not None


def _builtin(group: str) -> bool:
    return "." not in group or group.endswith(".k8s.io")


def misfits(owner: ManifestObject) -> Iterator[Finding]:
    """What the API server would refuse or drop in an object of a built-in kind."""
    group, _, version = owner.api_version.rpartition("/")
    model = _model(group, version, owner.kind) if _builtin(group) else None
    if model is None:
        return
    try:
        model.model_validate(owner.value)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False)[:_SHOWN]:
            yield _finding(owner, tuple(fault["loc"]), fault["msg"])


def _finding(owner: ManifestObject, place: tuple[str | int, ...], what: str) -> Finding:
    pointer = "".join(f"/{part}" for part in place)
    message = f"{owner.label}{pointer}: {what}"
    return rule("kubernetes/model").finding(
        owner.path, f"{owner.label}{pointer}", message, line=owner.line(pointer), engine=ENGINE
    )
