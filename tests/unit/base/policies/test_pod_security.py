from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from policies.documents import Document
from policies.finding import Remediation
from policies.kubernetes_objects import ManifestObject
from policies.pod_security import (
    Violation,
    forbidden,
    namespace_policy,
    parse_version,
    violations,
    warning,
)
from policies.pod_security_rules import namespace_level, pod_security
from policies.pod_specs import pod_specs
from policies.remedy import apply, dump_yaml

GOOD: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "initContainers": [
                    {
                        "name": "init",
                        "image": "i",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
                "containers": [
                    {
                        "name": "web",
                        "image": "i",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                        },
                        "ports": [{"containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
                    }
                ],
                "volumes": [
                    {"name": "tmp", "emptyDir": {}},
                    {"name": "c", "configMap": {"name": "c"}},
                    {"name": "bare"},
                ],
            },
        },
    },
}

Edit = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], None]


def put(where: str, path: str, value: Any) -> Edit:
    """An edit of pod, web container or init container at a dotted path."""

    def edit(pod: dict[str, Any], web: dict[str, Any], init: dict[str, Any]) -> None:
        target = {"pod": pod, "web": web, "init": init}[where]
        *parents, last = path.split(".")
        for key in parents:
            target = target.setdefault(key, {})
        target[last] = value

    return edit


BASELINE: list[tuple[str, Edit]] = [
    ("appArmorProfile", put("pod", "securityContext.appArmorProfile", {"type": "Unconfined"})),
    ("appArmorProfile", put("web", "securityContext.appArmorProfile", {"type": "Unconfined"})),
    ("hostNamespaces", put("pod", "hostNetwork", True)),
    ("hostNamespaces", put("pod", "hostPID", True)),
    ("hostNamespaces", put("pod", "hostIPC", True)),
    ("hostPorts", put("web", "ports", [{"containerPort": 80, "hostPort": 80}])),
    ("hostPorts", put("init", "ports", [{"containerPort": 80, "hostPort": 80}])),
    (
        "hostProbesAndHostLifecycle",
        put("web", "livenessProbe", {"httpGet": {"host": "10.0.0.1", "port": 80}}),
    ),
    (
        "hostProbesAndHostLifecycle",
        put("web", "lifecycle", {"preStop": {"tcpSocket": {"host": "h", "port": 1}}}),
    ),
    ("privileged", put("web", "securityContext.privileged", True)),
    ("privileged", put("init", "securityContext.privileged", True)),
    ("seLinuxOptions", put("pod", "securityContext.seLinuxOptions", {"type": "spc_t"})),
    ("seLinuxOptions", put("web", "securityContext.seLinuxOptions", {"user": "system_u"})),
    ("seLinuxOptions", put("web", "securityContext.seLinuxOptions", {"role": "r"})),
    ("sysctls", put("pod", "securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}])),
    ("windowsHostProcess", put("pod", "securityContext.windowsOptions", {"hostProcess": True})),
    ("windowsHostProcess", put("web", "securityContext.windowsOptions", {"hostProcess": True})),
]
BOTH: list[tuple[str, str, Edit]] = [
    (
        "capabilities_baseline",
        "capabilities_restricted",
        put("web", "securityContext.capabilities.add", ["SYS_ADMIN"]),
    ),
    (
        "hostPathVolumes",
        "restrictedVolumes",
        put("pod", "volumes", [{"name": "h", "hostPath": {"path": "/"}}]),
    ),
    ("procMount", "procMount_restricted", put("web", "securityContext.procMount", "Unmasked")),
    (
        "seccompProfile_baseline",
        "seccompProfile_restricted",
        put("pod", "securityContext.seccompProfile", {"type": "Unconfined"}),
    ),
    (
        "seccompProfile_baseline",
        "seccompProfile_restricted",
        put("web", "securityContext.seccompProfile", {"type": "Unconfined"}),
    ),
]
RESTRICTED: list[tuple[str, Edit]] = [
    ("allowPrivilegeEscalation", put("web", "securityContext.allowPrivilegeEscalation", True)),
    ("allowPrivilegeEscalation", put("init", "securityContext.allowPrivilegeEscalation", None)),
    ("capabilities_restricted", put("web", "securityContext.capabilities", {"drop": ["NET_RAW"]})),
    (
        "capabilities_restricted",
        put("web", "securityContext.capabilities", {"drop": ["ALL"], "add": ["CHOWN"]}),
    ),
    ("restrictedVolumes", put("pod", "volumes", [{"name": "n", "nfs": {"server": "s", "path": "/"}}])),
    ("runAsNonRoot", put("pod", "securityContext.runAsNonRoot", False)),
    ("runAsNonRoot", put("pod", "securityContext.runAsNonRoot", None)),
    ("runAsNonRoot", put("web", "securityContext.runAsNonRoot", False)),
    ("runAsUser", put("pod", "securityContext.runAsUser", 0)),
    ("runAsUser", put("web", "securityContext.runAsUser", 0)),
    ("seccompProfile_restricted", put("pod", "securityContext.seccompProfile", None)),
]
ALL = [(check, edit) for check, edit in BASELINE] + [(r, e) for _, r, e in BOTH] + RESTRICTED
UNFIXABLE = {"restrictedVolumes"}


def edited(edit: Edit) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    pod = document["spec"]["template"]["spec"]
    edit(pod, pod["containers"][0], pod["initContainers"][0])
    return document


def failed(document: dict[str, Any], level: Any, **given: Any) -> list[str]:
    return [v.check for v in violations(document["spec"]["template"]["spec"], level, **given)]


def test_the_good_pod_passes() -> None:
    assert failed(GOOD, "restricted") == failed(GOOD, "baseline") == []


@pytest.mark.parametrize(("check", "edit"), ALL)
def test_each_check_of_restricted_closes_its_way_in(check: str, edit: Edit) -> None:
    assert failed(edited(edit), "restricted") == [check]


@pytest.mark.parametrize(("check", "edit"), BASELINE + [(b, e) for b, _, e in BOTH])
def test_each_check_of_baseline_closes_its_way_in(check: str, edit: Edit) -> None:
    assert failed(edited(edit), "baseline") == [check]


@pytest.mark.parametrize(("_check", "edit"), RESTRICTED)
def test_baseline_lets_pass_what_only_restricted_forbids(_check: str, edit: Edit) -> None:
    assert failed(edited(edit), "baseline") == []


@pytest.mark.parametrize(("check", "edit"), [row for row in ALL if row[0] not in UNFIXABLE])
def test_the_remediations_alone_make_the_pod_pass(check: str, edit: Edit) -> None:
    document = edited(edit)
    owner = ManifestObject(Document("a.yaml", 0, document, {}), "", document)
    fixes: list[Remediation] = []
    for at in pod_specs(owner):
        for finding in pod_security(at, "restricted"):
            assert finding.remediations, finding.message
            fixes += finding.remediations
    files = apply(fixes, {"a.yaml": dump_yaml([document])})
    assert apply(fixes, files) == files
    from policies import documents

    (repaired,) = documents.read("a.yaml", files["a.yaml"]).documents
    assert isinstance(repaired.value, dict)
    assert failed(repaired.value, "restricted") == []


def test_the_words_are_the_admissions_own() -> None:
    found = violations({"containers": [{"name": "nginx"}]}, "restricted")
    listed = (
        'allowPrivilegeEscalation != false (container "nginx" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "nginx" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "nginx" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "nginx" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    assert warning("restricted", found) == f'would violate PodSecurity "restricted:latest": {listed}'
    assert forbidden("web-1", "restricted", found, "v1.36") == (
        f'pods "web-1" is forbidden: violates PodSecurity "restricted:v1.36": {listed}'
    )


def test_several_containers_are_named_together() -> None:
    pod = {
        "hostNetwork": True,
        "hostPID": True,
        "containers": [{"name": n, "securityContext": {"privileged": True}} for n in "ab"],
    }
    assert [str(v) for v in violations(pod, "baseline")] == [
        "host namespaces (hostNetwork=true, hostPID=true)",
        'privileged (containers "a", "b" must not set securityContext.privileged=true)',
    ]


@pytest.mark.parametrize(
    ("check", "edit", "before", "since"),
    [
        ("allowPrivilegeEscalation", put("web", "securityContext.allowPrivilegeEscalation", True), 7, 8),
        ("runAsUser", put("pod", "securityContext.runAsUser", 0), 22, 23),
        ("seccompProfile_restricted", put("pod", "securityContext.seccompProfile", None), 18, 19),
        ("hostProbesAndHostLifecycle", put("web", "livenessProbe", {"httpGet": {"host": "h"}}), 33, 34),
    ],
)
def test_checks_begin_with_their_version(check: str, edit: Edit, before: int, since: int) -> None:
    assert check not in failed(edited(edit), "restricted", minor=before)
    assert check in failed(edited(edit), "restricted", minor=since)


def test_what_later_versions_allow() -> None:
    sysctl = edited(put("pod", "securityContext.sysctls", [{"name": "net.ipv4.tcp_rmem", "value": "1"}]))
    assert failed(sysctl, "baseline", minor=31) == ["sysctls"]
    assert failed(sysctl, "baseline", minor=32) == []
    root = edited(put("pod", "securityContext.runAsNonRoot", False))
    root["spec"]["template"]["spec"]["hostUsers"] = False
    assert failed(root, "restricted", minor=34) == ["runAsNonRoot"]
    assert failed(root, "restricted", minor=35) == []


def test_a_windows_pod_needs_no_linux_settings_since_1_25() -> None:
    pod = {
        "os": {"name": "windows"},
        "securityContext": {"runAsNonRoot": True},
        "containers": [{"name": "a"}],
    }
    assert violations(pod, "restricted", minor=25) == ()
    assert len(violations(pod, "restricted", minor=24)) == 3


@pytest.mark.parametrize("odd", ["text", 1, [1], {"securityContext": "x"}, {"capabilities": {"add": "ALL"}}])
def test_odd_types_neither_crash_nor_pass(odd: Any) -> None:
    pod = {"containers": [{"name": "a", "securityContext": odd}]}
    assert "allowPrivilegeEscalation" in [v.check for v in violations(pod, "restricted")]


def test_an_unknown_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Pod Security level"):
        violations({}, "strict")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "enforce", "warn"),
    [
        ({}, ("privileged", "latest"), ("privileged", "latest")),
        ({"enforce": "restricted"}, ("restricted", "latest"), ("restricted", "latest")),
        ({"enforce": "baseline", "warn": "restricted"}, ("baseline", "latest"), ("restricted", "latest")),
        (
            {"enforce": "restricted", "enforce-version": "v1.30"},
            ("restricted", "v1.30"),
            ("restricted", "v1.30"),
        ),
        ({"enforce": "strictest"}, ("restricted", "latest"), ("restricted", "latest")),
        ({"warn": "nonsense"}, ("privileged", "latest"), ("privileged", "latest")),
    ],
)
def test_namespace_labels(labels: dict[str, str], enforce: tuple[str, str], warn: tuple[str, str]) -> None:
    policy = namespace_policy({f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()})
    assert (policy.enforce, policy.warn) == (enforce, warn)


def test_a_namespace_that_enforces_less_than_the_profile() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}}
    owner = ManifestObject(Document("n.yaml", 0, namespace, {}), "", namespace)
    (finding,) = namespace_level(owner, "restricted")
    files = apply(finding.remediations, {"n.yaml": dump_yaml([namespace])})
    assert b"pod-security.kubernetes.io/enforce: restricted" in files["n.yaml"]
    labelled = {
        **namespace,
        "metadata": {"name": "web", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    assert (
        list(namespace_level(ManifestObject(Document("n.yaml", 0, labelled, {}), "", labelled), "restricted"))
        == []
    )


def test_versions() -> None:
    assert parse_version("v1.36") == 36
    for text in ("1.36", "v2.0", "v1", "v1.x"):
        with pytest.raises(ValueError, match="Pod Security version"):
            parse_version(text)


def test_a_violation_without_detail_is_its_reason() -> None:
    assert str(Violation("x", "reason", "")) == "reason"
