"""What the server refuses although the shape is right (a part of k8s.io/kubernetes pkg/apis/*/validation, 1.36).

Each rule gives (reason, field, message) as they stand in the causes of a 422.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tools.sandbox.cluster.selectors import matches

Json = dict[str, Any]
Fault = tuple[str, str, str]
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_RBAC_KINDS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
_DNS_LABEL_KINDS = frozenset({"Namespace", "Service"})
_IMMUTABLE = {
    "Deployment": (("spec", "selector"),),
    "ReplicaSet": (("spec", "selector"),),
    "StatefulSet": (("spec", "selector"), ("spec", "serviceName"), ("spec", "podManagementPolicy")),
    "DaemonSet": (("spec", "selector"),),
    "Job": (("spec", "selector"), ("spec", "template"), ("spec", "completionMode")),
    "Service": (("spec", "clusterIP"),),
    "RoleBinding": (("roleRef",),),
    "ClusterRoleBinding": (("roleRef",),),
    "Secret": (("type",),),
}


def shown(value: object) -> str:
    """A value as the server prints it in a message."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def wrong(field: str, value: object, why: str) -> Fault:
    """An `Invalid value` fault."""
    return ("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def required(field: str, why: str = "") -> Fault:
    """A `Required value` fault."""
    return ("FieldValueRequired", field, f"Required value: {why}" if why else "Required value")


def faults(manifest: Json) -> Iterator[Fault]:
    """Everything that is wrong with a whole object."""
    yield from _metadata(manifest["kind"], manifest["metadata"])
    spec = manifest.get("spec") or {}
    match manifest["kind"]:
        case "Pod":
            yield from _pod("spec", spec)
        case "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet":
            yield from _workload(spec)
        case "Job":
            yield from _pod(
                "spec.template.spec", (spec.get("template") or {}).get("spec") or {}, _JOB_POLICIES
            )
        case "CronJob":
            template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
            yield from _pod("spec.jobTemplate.spec.template.spec", template.get("spec") or {}, _JOB_POLICIES)
        case "Service":
            yield from _service(spec)
        case "HorizontalPodAutoscaler":
            yield from _autoscaler(spec)
        case "PodDisruptionBudget":
            if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
                yield wrong("spec", {}, "minAvailable and maxUnavailable cannot be both set")
        case _:
            return


def changes(old: Json, new: Json) -> Iterator[Fault]:
    """Fields that may not change."""
    for path in _IMMUTABLE.get(new["kind"], ()):
        before, after = _at(old, path), _at(new, path)
        if before is not None and before != after:
            yield wrong(".".join(path), after, "field is immutable")
    if new["kind"] == "Pod":
        before, after = _frozen_pod(old), _frozen_pod(new)
        if before != after:
            why = (
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
                "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
                "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
            )
            yield ("FieldValueForbidden", "spec", f"Forbidden: {why}")


def _at(value: object, path: tuple[str, ...]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _frozen_pod(manifest: Json) -> Json:
    spec = {
        key: value
        for key, value in manifest.get("spec", {}).items()
        if key not in {"tolerations", "activeDeadlineSeconds"}
    }
    for name in ("containers", "initContainers"):
        spec[name] = [{k: v for k, v in c.items() if k != "image"} for c in spec.get(name) or ()]
    return spec


def _metadata(kind: str, metadata: Json) -> Iterator[Fault]:
    name = metadata.get("name", "")
    if kind in _DNS_LABEL_KINDS and not (_LABEL.match(name) and len(name) <= 63):
        yield wrong("metadata.name", name, _LABEL_TEXT)
    elif kind not in _RBAC_KINDS and not (_SUBDOMAIN.match(name) and len(name) <= 253):
        yield wrong("metadata.name", name, _SUBDOMAIN_TEXT)
    yield from _labels("metadata.labels", metadata.get("labels") or {})
    for key in metadata.get("annotations") or {}:
        if not _LABEL_KEY.match(key.lower()):
            yield wrong(
                "metadata.annotations",
                key,
                "name part must consist of alphanumeric characters, '-', '_' or '.'",
            )


def _labels(field: str, labels: Json) -> Iterator[Fault]:
    for key, value in labels.items():
        if not _LABEL_KEY.match(key):
            yield wrong(field, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        if not _LABEL_VALUE.match(str(value)):
            yield wrong(field, value, _LABEL_VALUE_TEXT)
        elif len(str(value)) > 63:
            yield wrong(field, value, "must be no more than 63 bytes")


def _workload(spec: Json) -> Iterator[Fault]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    selector = spec.get("selector") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield wrong("spec.selector", selector, "empty selector is invalid for deployment")
    elif not matches(selector, labels):
        yield wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
        yield wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from _labels("spec.template.labels", labels)
    yield from _pod("spec.template.spec", template.get("spec") or {}, ("Always",))


_JOB_POLICIES = ("OnFailure", "Never")


def _pod(
    field: str, spec: Json, policies: tuple[str, ...] = ("Always", "OnFailure", "Never")
) -> Iterator[Fault]:
    if not spec.get("containers"):
        yield required(f"{field}.containers")
    if spec.get("restartPolicy", policies[0]) not in policies:
        allowed = ", ".join(shown(policy) for policy in policies)
        unsupported = f"Unsupported value: {shown(spec['restartPolicy'])}: supported values: {allowed}"
        yield ("FieldValueNotSupported", f"{field}.restartPolicy", unsupported)
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            here = f"{field}.{group}[{index}]"
            name = container.get("name", "")
            if name in names:
                yield ("FieldValueDuplicate", f"{here}.name", f"Duplicate value: {shown(name)}")
            names.add(name)
            yield from _container(here, container, volumes)


def _container(field: str, container: Json, volumes: set[str]) -> Iterator[Fault]:
    name = container.get("name", "")
    if name and not (_LABEL.match(name) and len(name) <= 63):
        yield wrong(f"{field}.name", name, _LABEL_TEXT)
    if not container.get("image"):
        yield required(f"{field}.image")
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("containerPort", 0)
        if not 0 < number < 65536:
            yield wrong(
                f"{field}.ports[{index}].containerPort", number, "must be between 1 and 65535, inclusive"
            )
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            yield (
                "FieldValueNotFound",
                f"{field}.volumeMounts[{index}].name",
                f"Not found: {shown(mount.get('name'))}",
            )
    context = container.get("securityContext") or {}
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        yield wrong(
            f"{field}.securityContext",
            context,
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        )


def _service(spec: Json) -> Iterator[Fault]:
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        if not 0 < port.get("port", 0) < 65536:
            yield wrong(
                f"spec.ports[{index}].port", port.get("port"), "must be between 1 and 65535, inclusive"
            )
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{index}].name")
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec.get("type", "ClusterIP") not in kinds:
        allowed = ", ".join(shown(kind) for kind in kinds)
        yield (
            "FieldValueNotSupported",
            "spec.type",
            f"Unsupported value: {shown(spec['type'])}: supported values: {allowed}",
        )


def _autoscaler(spec: Json) -> Iterator[Fault]:
    lowest, highest = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if highest < 1:
        yield wrong("spec.maxReplicas", highest, "must be greater than 0")
    elif lowest > highest:
        yield wrong("spec.maxReplicas", highest, "must be greater than or equal to `minReplicas`")
