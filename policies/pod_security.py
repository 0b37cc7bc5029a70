"""The Pod Security Standards, baseline and restricted, as Kubernetes' own admission judges them.

Pure: a pod spec as JSON goes in, violations in the admission's own words and order come out. Versions are
minors of Kubernetes 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from policies import pod_security_checks as checks
from policies.kubernetes_objects import mapping
from policies.pod_security_checks import Check, Pod

Level = Literal["privileged", "baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
LATEST = 10_000
LABEL = "pod-security.kubernetes.io/"


@dataclass(frozen=True)
class Violation:
    """One check that a pod fails; its text is the admission's."""

    check: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


@dataclass(frozen=True)
class _Row:
    check: str
    since: int
    run: Check
    overrides: str = ""


# The admission's order: by id, baseline first. A restricted row replaces the baseline row that it names.
_BASELINE = (
    _Row("appArmorProfile", 0, checks.app_armor),
    _Row("capabilities_baseline", 0, checks.capabilities_baseline),
    _Row("hostNamespaces", 0, checks.host_namespaces),
    _Row("hostPathVolumes", 0, checks.host_path),
    _Row("hostPorts", 0, checks.host_ports),
    _Row("hostProbesAndHostLifecycle", 34, checks.host_probes),
    _Row("privileged", 0, checks.privileged),
    _Row("procMount", 0, checks.proc_mount_baseline),
    _Row("seLinuxOptions", 0, checks.se_linux),
    _Row("seccompProfile_baseline", 0, checks.seccomp_baseline),
    _Row("sysctls", 0, checks.sysctls),
    _Row("windowsHostProcess", 0, checks.host_process),
)
_RESTRICTED = (
    _Row("allowPrivilegeEscalation", 8, checks.escalation),
    _Row("capabilities_restricted", 22, checks.capabilities_restricted, "capabilities_baseline"),
    _Row("procMount_restricted", 35, checks.proc_mount, "procMount"),
    _Row("restrictedVolumes", 0, checks.restricted_volumes, "hostPathVolumes"),
    _Row("runAsNonRoot", 0, checks.non_root),
    _Row("runAsUser", 23, checks.user_zero),
    _Row("seccompProfile_restricted", 19, checks.seccomp_restricted, "seccompProfile_baseline"),
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
    pod = Pod(pod_spec, mapping((metadata or {}).get("annotations")), minor)
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
