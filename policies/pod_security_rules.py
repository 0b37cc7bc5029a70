"""Pod Security Standards as findings on manifests, each with the patch that sets the right values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from policies.documents import escape
from policies.finding import Finding, SetValue
from policies.kubernetes_objects import ManifestObject, mapping, sequence
from policies.pod_security import (
    LABEL,
    LATEST,
    LEVELS,
    Level,
    namespace_policy,
    violations,
)
from policies.pod_specs import PodSpecAt
from policies.rules import rule

_Edits = Callable[[PodSpecAt], Iterator[SetValue]]


def pod_security(at: PodSpecAt, level: Level, minor: int = LATEST) -> Iterator[Finding]:
    """One finding for each check of the level that the pods would fail."""
    for violation in violations(at.spec, level, metadata=at.metadata, minor=minor):
        name, edits = _BY_CHECK[violation.check]
        owner = at.owner
        yield rule(name).finding(
            owner.path,
            owner.label,
            f"{owner.label}: {violation}",
            line=owner.line(at.pointer),
            remediations=owner.patch(*edits(at)),
        )


def namespace_level(owner: ManifestObject, level: Level) -> Iterator[Finding]:
    """A Namespace of the change whose labels enforce less than the profile's level."""
    if owner.kind != "Namespace" or owner.group:
        return
    labels = {str(k): str(v) for k, v in mapping(owner.metadata.get("labels")).items()}
    enforced = namespace_policy(labels).enforce[0]
    if LEVELS.index(enforced) >= LEVELS.index(level):
        return
    pointer = f"/metadata/labels/{escape(LABEL + 'enforce')}"
    yield rule("pod-security/namespace-level").finding(
        owner.path,
        owner.label,
        f"{owner.label} enforces {enforced}, the profile asks for {level}",
        line=owner.line("/metadata"),
        remediations=owner.patch(SetValue(pointer=pointer, value=level)),
    )


def _remove(pointer: str, holder: dict[str, Any], *keys: str) -> Iterator[SetValue]:
    for key in keys:
        if key in holder:
            yield SetValue(pointer=f"{pointer}/{key}", remove=True)


def _contexts(at: PodSpecAt) -> Iterator[tuple[str, dict[str, Any]]]:
    """(pointer, securityContext) of the pod and of every container."""
    yield f"{at.pointer}/securityContext", mapping(at.spec.get("securityContext"))
    yield from _container_contexts(at)


def _container_contexts(at: PodSpecAt) -> Iterator[tuple[str, dict[str, Any]]]:
    for pointer, container in at.containers():
        yield f"{pointer}/securityContext", mapping(container.get("securityContext"))


def _everywhere(*keys: str) -> _Edits:
    """Removes keys from every securityContext."""

    def edits(at: PodSpecAt) -> Iterator[SetValue]:
        for pointer, context in _contexts(at):
            yield from _remove(pointer, context, *keys)

    return edits


def _app_armor(at: PodSpecAt) -> Iterator[SetValue]:
    yield from _everywhere("appArmorProfile")(at)
    parent = at.pointer.removesuffix("/spec")
    for key, value in mapping(at.metadata.get("annotations")).items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined":
            yield SetValue(pointer=f"{parent}/metadata/annotations/{escape(key)}", remove=True)


def _capabilities(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, context in _container_contexts(at):
        capabilities = mapping(context.get("capabilities"))
        if sequence(capabilities.get("drop")) != ["ALL"]:
            yield SetValue(pointer=f"{pointer}/capabilities/drop", value=["ALL"])
        added = sequence(capabilities.get("add"))
        kept = [name for name in added if name == "NET_BIND_SERVICE"]
        if kept and kept != added:
            yield SetValue(pointer=f"{pointer}/capabilities/add", value=kept)
        elif added and not kept:
            yield SetValue(pointer=f"{pointer}/capabilities/add", remove=True)


def _host_namespaces(at: PodSpecAt) -> Iterator[SetValue]:
    yield from _remove(at.pointer, at.spec, "hostNetwork", "hostPID", "hostIPC")


def _host_ports(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, container in at.containers():
        for index, port in enumerate(sequence(container.get("ports"))):
            yield from _remove(f"{pointer}/ports/{index}", mapping(port), "hostPort", "hostIP")


def _host_probes(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, container in at.containers():
        lifecycle = mapping(container.get("lifecycle"))
        holders = [
            (f"{pointer}/{name}", container.get(name))
            for name in ("livenessProbe", "readinessProbe", "startupProbe")
        ]
        holders += [(f"{pointer}/lifecycle/{name}", lifecycle.get(name)) for name in ("postStart", "preStop")]
        for place, holder in holders:
            for how in ("httpGet", "tcpSocket"):
                yield from _remove(f"{place}/{how}", mapping(mapping(holder).get(how)), "host")


def _se_linux(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, context in _contexts(at):
        yield from _remove(
            f"{pointer}/seLinuxOptions", mapping(context.get("seLinuxOptions")), "type", "user", "role"
        )


def _seccomp(at: PodSpecAt) -> Iterator[SetValue]:
    pod = mapping(at.spec.get("securityContext"))
    if mapping(pod.get("seccompProfile")).get("type") not in ("RuntimeDefault", "Localhost"):
        yield SetValue(
            pointer=f"{at.pointer}/securityContext/seccompProfile", value={"type": "RuntimeDefault"}
        )
    for pointer, context in _container_contexts(at):
        if mapping(context.get("seccompProfile")).get("type") not in ("RuntimeDefault", "Localhost"):
            yield from _remove(pointer, context, "seccompProfile")


def _sysctls(at: PodSpecAt) -> Iterator[SetValue]:
    listed = sequence(mapping(at.spec.get("securityContext")).get("sysctls"))
    safe = [s for s in listed if not violations({"securityContext": {"sysctls": [s]}}, "baseline")]
    yield SetValue(pointer=f"{at.pointer}/securityContext/sysctls", value=safe or None, remove=not safe)


def _host_process(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, context in _contexts(at):
        yield from _remove(f"{pointer}/windowsOptions", mapping(context.get("windowsOptions")), "hostProcess")


def _escalation(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, context in _container_contexts(at):
        if context.get("allowPrivilegeEscalation") is not False:
            yield SetValue(pointer=f"{pointer}/allowPrivilegeEscalation", value=False)


def _non_root(at: PodSpecAt) -> Iterator[SetValue]:
    if mapping(at.spec.get("securityContext")).get("runAsNonRoot") is not True:
        yield SetValue(pointer=f"{at.pointer}/securityContext/runAsNonRoot", value=True)
    for pointer, context in _container_contexts(at):
        if context.get("runAsNonRoot") is not True:
            yield from _remove(pointer, context, "runAsNonRoot")


def _user_zero(at: PodSpecAt) -> Iterator[SetValue]:
    for pointer, context in _contexts(at):
        if context.get("runAsUser") == 0:
            yield from _remove(pointer, context, "runAsUser")


def _by_hand(_: PodSpecAt) -> Iterator[SetValue]:
    """What the volume held is not ours to guess."""
    yield from ()


_BY_CHECK: dict[str, tuple[str, _Edits]] = {
    "appArmorProfile": ("pod-security/app-armor-profile", _app_armor),
    "capabilities_baseline": ("pod-security/capabilities", _capabilities),
    "capabilities_restricted": ("pod-security/capabilities", _capabilities),
    "hostNamespaces": ("pod-security/host-namespaces", _host_namespaces),
    "hostPathVolumes": ("pod-security/host-path-volumes", _by_hand),
    "hostPorts": ("pod-security/host-ports", _host_ports),
    "hostProbesAndHostLifecycle": ("pod-security/host-probes", _host_probes),
    "privileged": ("pod-security/privileged", _everywhere("privileged")),
    "procMount": ("pod-security/proc-mount", _everywhere("procMount")),
    "procMount_restricted": ("pod-security/proc-mount", _everywhere("procMount")),
    "seLinuxOptions": ("pod-security/se-linux-options", _se_linux),
    "seccompProfile_baseline": ("pod-security/seccomp-profile", _seccomp),
    "seccompProfile_restricted": ("pod-security/seccomp-profile", _seccomp),
    "sysctls": ("pod-security/sysctls", _sysctls),
    "windowsHostProcess": ("pod-security/windows-host-process", _host_process),
    "allowPrivilegeEscalation": ("pod-security/allow-privilege-escalation", _escalation),
    "restrictedVolumes": ("pod-security/restricted-volumes", _by_hand),
    "runAsNonRoot": ("pod-security/run-as-non-root", _non_root),
    "runAsUser": ("pod-security/run-as-user", _user_zero),
}
