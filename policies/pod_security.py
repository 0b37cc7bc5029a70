"""The Pod Security Standards, baseline and restricted, as Kubernetes' own admission judges them.

Pure: a pod spec as JSON goes in, violations in the admission's own words and order come out. Versions are
minors of Kubernetes 1; checks and wording follow the public standard and k8s.io/pod-security-admission 0.36.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from policies.kubernetes_objects import mapping, sequence

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
LATEST = 10_000
LABEL = "pod-security.kubernetes.io/"

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
class Violation:
    """One check that a pod fails; its text is the admission's."""

    check: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True)
class _Pod:
    spec: Mapping[str, Any]
    annotations: Mapping[str, Any]
    minor: int

    @property
    def context(self) -> dict[str, Any]:
        return mapping(self.spec.get("securityContext"))

    @property
    def containers(self) -> list[dict[str, Any]]:
        names = ("initContainers", "containers", "ephemeralContainers")
        return [mapping(c) for name in names for c in sequence(self.spec.get(name))]

    @property
    def windows(self) -> bool:
        return self.minor >= 25 and mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def user_namespace(self) -> bool:
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


_Check = Callable[[_Pod], tuple[str, str] | None]


def _app_armor(pod: _Pod) -> tuple[str, str] | None:
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


def _added(pod: _Pod, allowed: frozenset[str]) -> tuple[list[str], list[str]]:
    added: set[str] = set()

    def bad(context: dict[str, Any]) -> bool:
        wrong = {str(c) for c in sequence(mapping(context.get("capabilities")).get("add"))} - allowed
        added.update(wrong)
        return bool(wrong)

    return pod.bad(bad), sorted(added)


def _must_not_add(names: list[str], added: list[str]) -> str:
    return f"{_containers(names)} must not include {_quoted(added)} in securityContext.capabilities.add"


def _capabilities_baseline(pod: _Pod) -> tuple[str, str] | None:
    names, added = _added(pod, _CAPABILITIES)
    return ("non-default capabilities", _must_not_add(names, added)) if names else None


def _capabilities_restricted(pod: _Pod) -> tuple[str, str] | None:
    if pod.windows:
        return None
    keeping = pod.bad(lambda context: "ALL" not in sequence(mapping(context.get("capabilities")).get("drop")))
    names, added = _added(pod, frozenset({"NET_BIND_SERVICE"}))
    details = (
        [f'{_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    )
    details += [_must_not_add(names, added)] if names else []
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _host_namespaces(pod: _Pod) -> tuple[str, str] | None:
    on = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if _on(pod.spec.get(name))]
    return ("host namespaces", ", ".join(on)) if on else None


def _volumes(pod: _Pod) -> list[dict[str, Any]]:
    return [mapping(volume) for volume in sequence(pod.spec.get("volumes"))]


def _host_path(pod: _Pod) -> tuple[str, str] | None:
    names = [str(v.get("name", "")) for v in _volumes(pod) if v.get("hostPath") is not None]
    return ("hostPath volumes", f"{_many('volume', names)} {_quoted(names)}") if names else None


def _restricted_volumes(pod: _Pod) -> tuple[str, str] | None:
    names: list[str] = []
    kinds: set[str] = set()
    for volume in _volumes(pod):
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


def _host_ports(pod: _Pod) -> tuple[str, str] | None:
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


def _host_probes(pod: _Pod) -> tuple[str, str] | None:
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


def _privileged(pod: _Pod) -> tuple[str, str] | None:
    names = pod.bad(lambda context: _on(context.get("privileged")))
    return (
        ("privileged", f"{_containers(names)} must not set securityContext.privileged=true")
        if names
        else None
    )


def _proc_mount(pod: _Pod) -> tuple[str, str] | None:
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


def _proc_mount_baseline(pod: _Pod) -> tuple[str, str] | None:
    return None if pod.user_namespace else _proc_mount(pod)


def _se_linux(pod: _Pod) -> tuple[str, str] | None:
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


def _seccomp_baseline(pod: _Pod) -> tuple[str, str] | None:
    if pod.minor < 19:
        return _seccomp_annotations(pod)
    who = pod.setters(lambda context: _seccomp_type(context) not in _SECCOMP)
    if not who:
        return None
    contexts = [pod.context, *(mapping(c.get("securityContext")) for c in pod.containers)]
    wrong = sorted(
        {str(_seccomp_type(context)) for context in contexts if _seccomp_type(context) not in _SECCOMP}
    )
    return "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {_quoted(wrong)}"


def _seccomp_annotations(pod: _Pod) -> tuple[str, str] | None:
    keys = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + str(c.get("name", "")) for c in pod.containers)]
    found = {key: str(pod.annotations[key]) for key in keys if key in pod.annotations}
    wrong = sorted(
        f"{key}={json.dumps(value)}"
        for key, value in found.items()
        if value not in {"runtime/default", "docker/default"} and not value.startswith("localhost/")
    )
    return ("seccompProfile", f"forbidden {_many('annotation', wrong)} {', '.join(wrong)}") if wrong else None


def _seccomp_restricted(pod: _Pod) -> tuple[str, str] | None:
    if pod.windows:
        return None
    wrong = _seccomp_baseline(pod)
    if wrong or _seccomp_type(pod.context) is not None:
        return wrong
    names = pod.bad(lambda context: _seccomp_type(context) is None)
    detail = f'pod or {_containers(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return ("seccompProfile", detail) if names else None


def _sysctls(pod: _Pod) -> tuple[str, str] | None:
    allowed = {name for since, names in _SYSCTLS.items() if pod.minor >= since for name in names}
    wrong = [str(mapping(s).get("name", "")) for s in sequence(pod.context.get("sysctls"))]
    wrong = [name for name in wrong if name not in allowed]
    return ("forbidden sysctls", ", ".join(wrong)) if wrong else None


def _host_process(pod: _Pod) -> tuple[str, str] | None:
    who = pod.setters(lambda context: _on(mapping(context.get("windowsOptions")).get("hostProcess")))
    return (
        ("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")
        if who
        else None
    )


def _escalation(pod: _Pod) -> tuple[str, str] | None:
    names = (
        [] if pod.windows else pod.bad(lambda context: context.get("allowPrivilegeEscalation") is not False)
    )
    if not names:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_containers(names)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _non_root(pod: _Pod) -> tuple[str, str] | None:
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


def _user_zero(pod: _Pod) -> tuple[str, str] | None:
    def zero(context: dict[str, Any]) -> bool:
        return context.get("runAsUser") == 0 and context.get("runAsUser") is not False

    who = "" if pod.user_namespace else pod.setters(zero)
    return ("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


@dataclass(frozen=True)
class _Row:
    check: str
    since: int
    run: _Check
    overrides: str = ""


# The admission's order: by id, baseline first. A restricted row replaces the baseline row that it names.
_BASELINE = (
    _Row("appArmorProfile", 0, _app_armor),
    _Row("capabilities_baseline", 0, _capabilities_baseline),
    _Row("hostNamespaces", 0, _host_namespaces),
    _Row("hostPathVolumes", 0, _host_path),
    _Row("hostPorts", 0, _host_ports),
    _Row("hostProbesAndHostLifecycle", 34, _host_probes),
    _Row("privileged", 0, _privileged),
    _Row("procMount", 0, _proc_mount_baseline),
    _Row("seLinuxOptions", 0, _se_linux),
    _Row("seccompProfile_baseline", 0, _seccomp_baseline),
    _Row("sysctls", 0, _sysctls),
    _Row("windowsHostProcess", 0, _host_process),
)
_RESTRICTED = (
    _Row("allowPrivilegeEscalation", 8, _escalation),
    _Row("capabilities_restricted", 22, _capabilities_restricted, "capabilities_baseline"),
    _Row("procMount_restricted", 35, _proc_mount, "procMount"),
    _Row("restrictedVolumes", 0, _restricted_volumes, "hostPathVolumes"),
    _Row("runAsNonRoot", 0, _non_root),
    _Row("runAsUser", 23, _user_zero),
    _Row("seccompProfile_restricted", 19, _seccomp_restricted, "seccompProfile_baseline"),
)


def violations(
    pod_spec: Mapping[str, Any],
    level: Level,
    *,
    metadata: Mapping[str, Any] | None = None,
    minor: int = LATEST,
) -> tuple[Violation, ...]:
    """Every check of the level that the pod fails, in the admission's order; `minor` is Kubernetes 1.<minor>."""
    if level == "privileged":
        return ()
    if level not in LEVELS:
        msg = f"{level!r} is no Pod Security level; use one of {', '.join(LEVELS)}"
        raise ValueError(msg)
    pod = _Pod(pod_spec, mapping((metadata or {}).get("annotations")), minor)
    rows = [row for row in _BASELINE if minor >= row.since]
    if level == "restricted":
        restricted = [row for row in _RESTRICTED if minor >= row.since]
        overridden = {row.overrides for row in restricted}
        rows = [row for row in rows if row.check not in overridden] + restricted
    found = ((row.check, row.run(pod)) for row in rows)
    return tuple(Violation(check, *result) for check, result in found if result)


def parse_version(text: str) -> int:
    """`latest` or `v1.36` as a minor; ValueError otherwise."""
    if text == "latest":
        return LATEST
    major, _, minor = text.partition(".")
    if major != "v1" or not minor.isdigit():
        msg = f"{text!r} is no Pod Security version; use latest or v1.N"
        raise ValueError(msg)
    return int(minor)


def forbidden(pod_name: str, level: Level, found: Iterable[Violation], version: str = "latest") -> str:
    """The 403 message that a namespace with `enforce: level` answers."""
    listed = ", ".join(map(str, found))
    return f'pods "{pod_name}" is forbidden: violates PodSecurity "{level}:{version}": {listed}'


def warning(level: Level, found: Iterable[Violation], version: str = "latest") -> str:
    """The warning that a workload gets in a namespace with `warn` or `enforce: level`."""
    return f'would violate PodSecurity "{level}:{version}": {", ".join(map(str, found))}'


@dataclass(frozen=True)
class NamespacePolicy:
    """What a namespace's labels ask for: (level, version) for each mode."""

    enforce: tuple[Level, str] = ("privileged", "latest")
    audit: tuple[Level, str] = ("privileged", "latest")
    warn: tuple[Level, str] = ("privileged", "latest")


def namespace_policy(labels: Mapping[str, str]) -> NamespacePolicy:
    """The policy of a namespace.

    An unknown enforce level counts as restricted, an unknown version as latest, as in the admission; `warn` follows
    a stricter `enforce` when it is not set.
    """
    enforce = _mode(labels, "enforce", "restricted")
    audit = _mode(labels, "audit", "privileged")
    warn = _mode(labels, "warn", "privileged")
    if f"{LABEL}warn" not in labels and LEVELS.index(enforce[0]) > LEVELS.index(warn[0]):
        warn = (enforce[0], labels.get(f"{LABEL}warn-version", enforce[1]))
    return NamespacePolicy(enforce, audit, warn)


def _mode(labels: Mapping[str, str], mode: str, fallback: Level) -> tuple[Level, str]:
    level: Level = "privileged"
    text = labels.get(LABEL + mode)
    if text is not None:
        level = next((known for known in LEVELS if known == text), fallback)
    version = labels.get(f"{LABEL}{mode}-version", "latest")
    try:
        parse_version(version)
    except ValueError:
        version = "latest"
    return level, version
