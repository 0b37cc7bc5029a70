"""Every pod spec in any object: the known kinds by their path, everything else by its shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from policies.documents import escape
from policies.finding import Finding
from policies.kubernetes_objects import ManifestObject, mapping
from policies.rules import rule

_TEMPLATE = "/spec/template"
_KNOWN = {
    "Pod": "",
    "PodTemplate": "/template",
    "Deployment": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": "/spec/jobTemplate/spec/template",
}
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_HIDDEN = re.compile(r"""(^|[\s{,"'])(containers|initContainers|podSpec)["']?\s*:""")
_DATA_ONLY = frozenset({"ConfigMap", "Secret"})


@dataclass(frozen=True)
class PodSpecAt:
    """A pod spec at `pointer` of an object, with the metadata that its pods get."""

    owner: ManifestObject
    pointer: str
    spec: dict[str, Any]
    metadata: dict[str, Any]

    def containers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(pointer in the object, container) of init, ordinary and ephemeral containers."""
        for name in CONTAINER_LISTS:
            listed = self.spec.get(name)
            for index, container in enumerate(listed if isinstance(listed, list) else ()):
                if isinstance(container, dict):
                    yield f"{self.pointer}/{name}/{index}", container


def pod_specs(owner: ManifestObject) -> list[PodSpecAt]:
    """The pod specs of an object: its own, and any mapping that has a list of containers."""
    found: dict[str, PodSpecAt] = {}
    template_at = _KNOWN.get(owner.kind)
    if template_at is not None and owner.group in {"", "apps", "batch", "extensions"}:
        template: Any = owner.value
        for key in template_at.split("/")[1:]:
            template = mapping(mapping(template).get(key))
        pointer = template_at + "/spec"
        found[pointer] = PodSpecAt(
            owner, pointer, mapping(template.get("spec")), mapping(template.get("metadata"))
        )
    for pointer, spec, parent in _by_shape(owner.value, "", {}):
        found.setdefault(pointer, PodSpecAt(owner, pointer, spec, mapping(parent.get("metadata"))))
    return [found[pointer] for pointer in sorted(found)]


def _by_shape(
    value: object, pointer: str, parent: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    if isinstance(value, dict):
        if any(_containers(value.get(name)) for name in CONTAINER_LISTS):
            yield pointer, value, parent
        for key, child in value.items():
            if key not in CONTAINER_LISTS:
                yield from _by_shape(child, f"{pointer}/{escape(key)}", value)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _by_shape(child, f"{pointer}/{index}", parent)


def _containers(value: object) -> bool:
    return isinstance(value, list) and any(
        isinstance(item, dict) and ("image" in item or "securityContext" in item) for item in value
    )


def hidden_pod_specs(owner: ManifestObject) -> Iterator[Finding]:
    """Strings that hold a pod spec as text (podSpecPatch, inline manifests): nobody could judge them."""
    if owner.group == "" and owner.kind in _DATA_ONLY:
        return
    for pointer, text in _texts(owner.value, ""):
        if pointer.endswith("/podSpecPatch") or (("\n" in text or "{" in text) and _HIDDEN.search(text)):
            message = f"{owner.label} holds a pod spec as text at {pointer}"
            yield rule("reading/hidden-pod-spec").finding(
                owner.path, owner.label, message, line=owner.line(pointer)
            )


def _texts(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _texts(child, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, f"{pointer}/{index}")
