"""The checks of the Pod Security Standards, one function each: (reason, detail) when the pod fails, else None.

Wording follows k8s.io/pod-security-admission 0.36. Values of a wrong type fail a check rather than pass it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policies.kubernetes_objects import mapping, sequence

_CAPABILITIES = frozenset(
    str.split(
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP "
        "SETUID SYS_CHROOT"
    )
)
_VOLUMES = frozenset(
    str.split("configMap csi downwardAPI emptyDir ephemeral image persistentVolumeClaim projected secret")
)
_OTHER_VOLUMES = tuple(
    str.split(
        "hostPath gcePersistentDisk awsElasticBlockStore gitRepo nfs iscsi glusterfs rbd flexVolume "
        "cinder cephfs flocker fc azureFile vsphereVolume quobyte azureDisk photonPersistentDisk "
        "portworxVolume scaleIO storageos"
    )
)
_SYSCTLS = {  # since Kubernetes 1.<key>
    0: (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    ),
    27: ("net.ipv4.ip_local_reserved_ports",),
    29: (
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ),
    32: ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"


@dataclass(frozen=True)
class Pod:
    """A pod spec, the annotations of its pods and the minor of Kubernetes 1 to judge it by."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, Any]
    minor: int

    @property
    def context(self) -> dict[str, Any]:
        """The pod's own securityContext."""
        return mapping(self.spec.get("securityContext"))

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Init, ordinary and ephemeral containers."""
        names = ("initContainers", "containers", "ephemeralContainers")
        return [mapping(c) for name in names for c in sequence(self.spec.get(name))]

    @property
    def windows(self) -> bool:
        """Whether it is exempt as a Windows pod."""
        return self.minor >= 25 and mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def user_namespace(self) -> bool:
        """Whether root inside is nobody outside."""
        return self.minor >= 35 and self.spec.get("hostUsers") is False

    def bad(self, test: Callable[[dict[str, Any]], bool]) -> list[str]:
        """Names of the containers whose securityContext fails."""
        return [str(c.get("name", "")) for c in self.containers if test(mapping(c.get("securityContext")))]

    def setters(self, test: Callable[[dict[str, Any]], bool]) -> str:
        """`pod and container "a"`: who fails a test of its securityContext; empty when nobody does."""
        who = ["pod"] if test(self.context) else []
        names = self.bad(test)
        return " and ".join([*who, *([_containers(names)] if names else [])])


def _quoted(items: Iterable[object]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _containers(names: list[str], verb: tuple[str, str] | None = None) -> str:
    one = len(names) == 1
    text = f"{'container' if one else 'containers'} {_quoted(names)}"
    return f"{text} {verb[0] if one else verb[1]}" if verb else text


def _many(word: str, items: Iterable[object]) -> str:
    return word if len(list(items)) == 1 else word + "s"


def _on(value: object) -> bool:
    return value is not None and value is not False


Check = Callable[[Pod], tuple[str, str] | None]


def app_armor(pod: Pod) -> tuple[str, str] | None:
    """AppArmor profiles are RuntimeDefault or Localhost, in fields and in the old annotations."""
    values: set[str] = set()

    def bad(context: dict[str, Any]) -> bool:
        if context.get("appArmorProfile") is None:
            return False
        kind = mapping(context["appArmorProfile"]).get("type", "")
        if kind in ("RuntimeDefault", "Localhost"):
            return False
        values.add(str(kind))
        return True

    who = pod.setters(bad)
    annotations = sorted(
        f"{key}={json.dumps(value)}"
        for key, value in pod.annotations.items()
        if key.startswith(_APPARMOR)
        and value not in ("", "runtime/default")
        and not str(value).startswith("localhost/")
    )
    if annotations:
        who = " and ".join(filter(None, [who, _many("annotation", annotations)]))
    if not who:
        return None
    listed = [*sorted(values), *annotations]
    return _many(
        "forbidden AppArmor profile", listed
    ), f"{who} must not set AppArmor profile type to {_quoted(listed)}"


def _added(pod: Pod, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    added: set[str] = set()

    def bad(context: dict[str, Any]) -> bool:
        wrong = {str(c) for c in sequence(mapping(context.get("capabilities")).get("add"))} - allowed
        added.update(wrong)
        return bool(wrong)

    return pod.bad(bad), sorted(added)


def _must_not_add(names: list[str], added: list[str]) -> str:
    return f"{_containers(names)} must not include {_quoted(added)} in securityContext.capabilities.add"


def capabilities_baseline(pod: Pod) -> tuple[str, str] | None:
    """Only the runtime's default capabilities may be added."""
    names, added = _added(pod, _CAPABILITIES)
    return ("non-default capabilities", _must_not_add(names, added)) if names else None


def capabilities_restricted(pod: Pod) -> tuple[str, str] | None:
    """ALL is dropped and at most NET_BIND_SERVICE added."""
    if pod.windows:
        return None
    keeping = pod.bad(lambda context: "ALL" not in sequence(mapping(context.get("capabilities")).get("drop")))
    names, added = _added(pod, frozenset({"NET_BIND_SERVICE"}))
    details = (
        [f'{_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    )
    details += [_must_not_add(names, added)] if names else []
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def host_namespaces(pod: Pod) -> tuple[str, str] | None:
    """No host network, PID or IPC namespace."""
    on = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if _on(pod.spec.get(name))]
    return ("host namespaces", ", ".join(on)) if on else None


def volumes(pod: Pod) -> list[dict[str, Any]]:
    """The pod's volumes."""
    return [mapping(volume) for volume in sequence(pod.spec.get("volumes"))]


def host_path(pod: Pod) -> tuple[str, str] | None:
    """No hostPath volume."""
    names = [str(v.get("name", "")) for v in volumes(pod) if v.get("hostPath") is not None]
    return ("hostPath volumes", f"{_many('volume', names)} {_quoted(names)}") if names else None


def restricted_volumes(pod: Pod) -> tuple[str, str] | None:
    """Only the volume types of the restricted level."""
    names: list[str] = []
    kinds: set[str] = set()
    for volume in volumes(pod):
        present = {key for key, value in volume.items() if value is not None}
        if present & _VOLUMES or present <= {"name"}:  # a volume without a source is an emptyDir
            continue
        names.append(str(volume.get("name", "")))
        kinds.add(next((kind for kind in _OTHER_VOLUMES if kind in present), "unknown"))
    if not names:
        return None
    use = "uses" if len(names) == 1 else "use"
    detail = f"{_many('volume', names)} {_quoted(names)} {use} {_many('restricted volume type', kinds)} {_quoted(sorted(kinds))}"
    return "restricted volume types", detail


def host_ports(pod: Pod) -> tuple[str, str] | None:
    """No host port."""
    names: list[str] = []
    ports: set[str] = set()
    for container in pod.containers:
        wrong = {
            str(mapping(p).get("hostPort"))
            for p in sequence(container.get("ports"))
            if mapping(p).get("hostPort")
        }
        if wrong:
            names.append(str(container.get("name", "")))
            ports |= wrong
    if not names:
        return None
    return (
        "hostPort",
        f"{_containers(names, ('uses', 'use'))} {_many('hostPort', ports)} {', '.join(sorted(ports))}",
    )


def host_probes(pod: Pod) -> tuple[str, str] | None:
    """Probes and lifecycle handlers name no host."""
    names: set[str] = set()
    hosts: set[str] = set()
    for container in pod.containers:
        lifecycle = mapping(container.get("lifecycle"))
        probes = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        for probe in [*probes, lifecycle.get("postStart"), lifecycle.get("preStop")]:
            wrong = {
                str(mapping(mapping(probe).get(how)).get("host") or "") for how in ("httpGet", "tcpSocket")
            } - {""}
            if wrong:
                names.add(str(container.get("name", "")))
                hosts |= wrong
    if not names:
        return None
    what = _many("probe or lifecycle host", hosts)
    return (
        "probe or lifecycle host",
        f"{_containers(sorted(names), ('uses', 'use'))} {what} {_quoted(sorted(hosts))}",
    )


def privileged(pod: Pod) -> tuple[str, str] | None:
    """No privileged container."""
    names = pod.bad(lambda context: _on(context.get("privileged")))
    return (
        ("privileged", f"{_containers(names)} must not set securityContext.privileged=true")
        if names
        else None
    )


def proc_mount(pod: Pod) -> tuple[str, str] | None:
    """ProcMount is Default."""
    kinds: set[str] = set()

    def bad(context: dict[str, Any]) -> bool:
        kind = context.get("procMount")
        if kind in (None, "Default"):
            return False
        kinds.add(str(kind))
        return True

    names = pod.bad(bad)
    return (
        (
            "procMount",
            f"{_containers(names)} must not set securityContext.procMount to {_quoted(sorted(kinds))}",
        )
        if names
        else None
    )


def proc_mount_baseline(pod: Pod) -> tuple[str, str] | None:
    """ProcMount is Default, or the pod has a user namespace."""
    return None if pod.user_namespace else proc_mount(pod)


def se_linux(pod: Pod) -> tuple[str, str] | None:
    """Only container SELinux types; no user, no role."""
    allowed = {"", "container_t", "container_init_t", "container_kvm_t"} | (
        {"container_engine_t"} if pod.minor >= 31 else set()
    )
    kinds: set[str] = set()
    named: set[str] = set()

    def bad(context: dict[str, Any]) -> bool:
        options = mapping(context.get("seLinuxOptions"))
        kind = str(options.get("type") or "")
        kinds.update({kind} - allowed)
        fields = {name for name in ("user", "role") if options.get(name)}
        named.update(fields)
        return kind not in allowed or bool(fields)

    who = pod.setters(bad)
    if not who:
        return None
    data = [f"{_many('type', kinds)} {_quoted(sorted(kinds))}"] if kinds else []
    data += [f"{name} may not be set" for name in ("user", "role") if name in named]
    return "seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"


def _seccomp_type(context: dict[str, Any]) -> str | None:
    profile = context.get("seccompProfile")
    return None if profile is None else str(mapping(profile).get("type", ""))


_SECCOMP = (None, "RuntimeDefault", "Localhost")


def seccomp_baseline(pod: Pod) -> tuple[str, str] | None:
    """No Unconfined seccomp profile; before 1.19 by annotation."""
    if pod.minor < 19:
        return seccomp_annotations(pod)
    who = pod.setters(lambda context: _seccomp_type(context) not in _SECCOMP)
    if not who:
        return None
    contexts = [pod.context, *(mapping(c.get("securityContext")) for c in pod.containers)]
    wrong = sorted(
        {str(_seccomp_type(context)) for context in contexts if _seccomp_type(context) not in _SECCOMP}
    )
    return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {_quoted(wrong)}"


def seccomp_annotations(pod: Pod) -> tuple[str, str] | None:
    """The seccomp annotations of Kubernetes before 1.19."""
    keys = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + str(c.get("name", "")) for c in pod.containers)]
    found = {key: str(pod.annotations[key]) for key in keys if key in pod.annotations}
    wrong = sorted(
        f"{key}={json.dumps(value)}"
        for key, value in found.items()
        if value not in {"runtime/default", "docker/default"} and not value.startswith("localhost/")
    )
    return ("seccompProfile", f"forbidden {_many('annotation', wrong)} {', '.join(wrong)}") if wrong else None


def seccomp_restricted(pod: Pod) -> tuple[str, str] | None:
    """Every container has a seccomp profile, its own or the pod's."""
    if pod.windows:
        return None
    wrong = seccomp_baseline(pod)
    if wrong or _seccomp_type(pod.context) is not None:
        return wrong
    names = pod.bad(lambda context: _seccomp_type(context) is None)
    detail = f'pod or {_containers(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return ("seccompProfile", detail) if names else None


def sysctls(pod: Pod) -> tuple[str, str] | None:
    """Only the safe sysctls of the version."""
    allowed = {name for since, names in _SYSCTLS.items() if pod.minor >= since for name in names}
    wrong = [str(mapping(s).get("name", "")) for s in sequence(pod.context.get("sysctls"))]
    wrong = [name for name in wrong if name not in allowed]
    return ("forbidden sysctls", ", ".join(wrong)) if wrong else None


def host_process(pod: Pod) -> tuple[str, str] | None:
    """No Windows HostProcess."""
    who = pod.setters(lambda context: _on(mapping(context.get("windowsOptions")).get("hostProcess")))
    return (
        ("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")
        if who
        else None
    )


def escalation(pod: Pod) -> tuple[str, str] | None:
    """Every container sets allowPrivilegeEscalation to false."""
    names = (
        [] if pod.windows else pod.bad(lambda context: context.get("allowPrivilegeEscalation") is not False)
    )
    if not names:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_containers(names)} must set securityContext.allowPrivilegeEscalation=false",
    )


def non_root(pod: Pod) -> tuple[str, str] | None:
    """Every container runs as non-root, by its own setting or the pod's."""
    if pod.user_namespace:
        return None
    who = pod.setters(lambda context: context.get("runAsNonRoot") not in (None, True))
    if who:
        return "runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false"
    names = (
        []
        if pod.context.get("runAsNonRoot")
        else pod.bad(lambda context: context.get("runAsNonRoot") is None)
    )
    detail = f"pod or {_containers(names)} must set securityContext.runAsNonRoot=true"
    return ("runAsNonRoot != true", detail) if names else None


def user_zero(pod: Pod) -> tuple[str, str] | None:
    """Nobody sets runAsUser to 0."""

    def zero(context: dict[str, Any]) -> bool:
        return context.get("runAsUser") == 0 and context.get("runAsUser") is not False

    who = "" if pod.user_namespace else pod.setters(zero)
    return ("runAsUser=0", f"{who} must not set runAsUser=0") if who else None
