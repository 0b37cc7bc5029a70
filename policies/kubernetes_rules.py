"""What a workload and its surroundings must have beyond the Pod Security Standards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from policies.finding import Finding, SetValue
from policies.kubernetes_objects import ManifestObject, mapping, sequence
from policies.pod_specs import PodSpecAt, pod_specs
from policies.rules import rule

_SECRET_NAME = re.compile(
    r"(^|[_.-])(password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?)($|[_.-])",
    re.IGNORECASE,
)
_NOT_A_SECRET = re.compile(
    r"(_FILE|_PATH|_NAME|_ARN|_URL|_TTL|_REF|_ID)$|^(true|false|\d+|/[\w./-]*|)$", re.IGNORECASE
)
SECRET_VALUE = re.compile(
    r"(AKIA|ASIA)[A-Z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50}|xox[baprs]-[\w-]{10}"
    r"|[a-z][a-z0-9+.-]*://[^\s/:@$]+:[^\s/@${}]{3,}@"
)
_WORKLOADS = frozenset({"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"})
_SERVING = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
_INTERNAL = (
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("cloud.google.com/load-balancer-type", "Internal"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
)
_DEFAULT_RESOURCES = {"requests/cpu": "100m", "requests/memory": "64Mi", "limits/memory": "128Mi"}


def workload(at: PodSpecAt) -> Iterator[Finding]:
    """Rules on one pod spec: token, resources, probes, secrets in env, root file system."""
    yield from _token(at)
    for pointer, container in at.containers():
        where = f"{at.owner.label}/{container.get('name', '?')}"
        ordinary = "/containers/" in pointer
        yield from _resources(at, pointer, where, container)
        yield from _env(at, pointer, where, container)
        if ordinary:
            yield from _root(at, pointer, where, container)
            yield from _probes(at, pointer, where, container)


def _token(at: PodSpecAt) -> Iterator[Finding]:
    if at.spec.get("automountServiceAccountToken") is False:
        return
    owner = at.owner
    edit = SetValue(pointer=f"{at.pointer}/automountServiceAccountToken", value=False)
    message = f"{owner.label} mounts a service account token"
    line = owner.line(at.pointer)
    yield rule("kubernetes/service-account-token").finding(
        owner.path, owner.label, message, line=line, remediations=owner.patch(edit)
    )


def _resources(at: PodSpecAt, pointer: str, where: str, container: dict[str, Any]) -> Iterator[Finding]:
    if "/ephemeralContainers/" in pointer:
        return  # the API forbids resources there
    resources = mapping(container.get("resources"))
    missing = [name for name in _DEFAULT_RESOURCES if not _has(resources, name)]
    if missing:
        edits = [
            SetValue(pointer=f"{pointer}/resources/{name}", value=_default(name, resources))
            for name in missing
        ]
        message = f"{where} lacks resources {', '.join(name.replace('/', '.') for name in missing)}"
        line = at.owner.line(f"{pointer}/resources")
        yield rule("kubernetes/resources").finding(
            at.owner.path, where, message, line=line, remediations=at.owner.patch(*edits)
        )


def _has(resources: dict[str, Any], name: str) -> bool:
    group, _, unit = name.partition("/")
    if unit in mapping(resources.get(group)):
        return True
    # the API server copies a limit to the missing request
    return group == "requests" and unit in mapping(resources.get("limits"))


def _default(name: str, resources: dict[str, Any]) -> Any:  # noqa: ANN401 - a quantity as the manifest wrote it
    requested = mapping(resources.get("requests")).get("memory")
    return requested if name == "limits/memory" and requested else _DEFAULT_RESOURCES[name]


def _env(at: PodSpecAt, pointer: str, where: str, container: dict[str, Any]) -> Iterator[Finding]:
    for index, item in enumerate(sequence(container.get("env"))):
        name, value = str(mapping(item).get("name", "")), mapping(item).get("value")
        if not isinstance(value, str) or "$(" in value:
            continue
        by_name = (
            _SECRET_NAME.search(name) and not _NOT_A_SECRET.search(name) and not _NOT_A_SECRET.search(value)
        )
        if by_name or SECRET_VALUE.search(value):
            line = at.owner.line(f"{pointer}/env/{index}")
            message = f"{where} has the value of {name} in the manifest"
            yield rule("kubernetes/secret-in-env").finding(
                at.owner.path, f"{where}/{name}", message, line=line
            )


def _root(at: PodSpecAt, pointer: str, where: str, container: dict[str, Any]) -> Iterator[Finding]:
    if mapping(container.get("securityContext")).get("readOnlyRootFilesystem") is not True:
        message = f"{where} has a writable root file system"
        yield rule("kubernetes/read-only-root").finding(
            at.owner.path, where, message, line=at.owner.line(pointer)
        )


def _probes(at: PodSpecAt, pointer: str, where: str, container: dict[str, Any]) -> Iterator[Finding]:
    if at.owner.kind not in _SERVING:
        return
    missing = [name for name in ("readinessProbe", "livenessProbe") if not container.get(name)]
    if missing:
        message = f"{where} has no {' and no '.join(missing)}"
        yield rule("kubernetes/probes").finding(at.owner.path, where, message, line=at.owner.line(pointer))


def surroundings(owner: ManifestObject) -> Iterator[Finding]:
    """Rules on one object that is no workload, and on any object's namespace."""
    judge = {
        ("", "Service"): _service,
        ("", "Secret"): _secret,
        ("", "ConfigMap"): _config_map,
        ("", "PersistentVolume"): _persistent_volume,
        ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    }.get((owner.group, owner.kind))
    if judge:
        yield from judge(owner)
    if owner.kind in _WORKLOADS and owner.namespace in {"", "default"}:
        message = f"{owner.label} is in namespace default"
        yield rule("kubernetes/default-namespace").finding(
            owner.path, owner.label, message, line=owner.line("/metadata")
        )


def _service(owner: ManifestObject) -> Iterator[Finding]:
    spec = mapping(owner.value.get("spec"))
    kind, line = spec.get("type"), owner.line("/spec/type")
    if spec.get("externalIPs"):
        message = f"{owner.label} claims externalIPs"
        edit = owner.patch(SetValue(pointer="/spec/externalIPs", remove=True))
        yield rule("kubernetes/external-ips").finding(
            owner.path, owner.label, message, line=owner.line("/spec/externalIPs"), remediations=edit
        )
    cluster_ip = owner.patch(SetValue(pointer="/spec/type", value="ClusterIP"))
    if (
        kind == "LoadBalancer"
        and not _internal(owner)
        and _everybody(sequence(spec.get("loadBalancerSourceRanges")))
    ):
        message = f"{owner.label} is a LoadBalancer that the whole internet can reach"
        yield rule("kubernetes/load-balancer").finding(
            owner.path, owner.label, message, line=line, remediations=cluster_ip
        )
    if kind == "NodePort":
        edits = [SetValue(pointer="/spec/type", value="ClusterIP")]
        edits += [
            SetValue(pointer=f"/spec/ports/{i}/nodePort", remove=True)
            for i, port in enumerate(sequence(spec.get("ports")))
            if "nodePort" in mapping(port)
        ]
        message = f"{owner.label} is a NodePort"
        yield rule("kubernetes/node-port").finding(
            owner.path, owner.label, message, line=line, remediations=owner.patch(*edits)
        )


def _internal(owner: ManifestObject) -> bool:
    annotations = mapping(owner.metadata.get("annotations"))
    return any(str(annotations.get(key, "")).lower() == value.lower() for key, value in _INTERNAL)


def _everybody(ranges: Sequence[object]) -> bool:
    return not ranges or any(str(cidr).endswith("/0") for cidr in ranges)


def _secret(owner: ManifestObject) -> Iterator[Finding]:
    if owner.value.get("data") or owner.value.get("stringData"):
        message = f"{owner.label} has its values in the manifest"
        yield rule("kubernetes/secret-object").finding(owner.path, owner.label, message, line=owner.line())


def _config_map(owner: ManifestObject) -> Iterator[Finding]:
    for key, value in mapping(owner.value.get("data")).items():
        if isinstance(value, str) and SECRET_VALUE.search(value):
            message = f"{owner.label} holds a secret in {key}"
            yield rule("kubernetes/secret-object").finding(
                owner.path, f"{owner.label}/{key}", message, line=owner.line(f"/data/{key}")
            )


def _persistent_volume(owner: ManifestObject) -> Iterator[Finding]:
    if mapping(owner.value.get("spec")).get("hostPath") is not None:
        message = f"{owner.label} is a directory of the node"
        yield rule("kubernetes/host-path-volume").finding(
            owner.path, owner.label, message, line=owner.line("/spec/hostPath")
        )


def _network_policy(owner: ManifestObject) -> Iterator[Finding]:
    spec = mapping(owner.value.get("spec"))
    for index, entry in enumerate(sequence(spec.get("ingress"))):
        peers = sequence(mapping(entry).get("from"))
        blocks = [mapping(mapping(peer).get("ipBlock")) for peer in peers]
        anyone = not peers or any(
            str(b.get("cidr", "")).endswith("/0") and not b.get("except") for b in blocks
        )
        if anyone and not sequence(mapping(entry).get("ports")):
            message = f"{owner.label} admits everybody to every port"
            line = owner.line(f"/spec/ingress/{index}")
            yield rule("kubernetes/network-policy-open").finding(owner.path, owner.label, message, line=line)


def unguarded(objects: Sequence[ManifestObject], elsewhere: Sequence[ManifestObject]) -> Iterator[Finding]:
    """Workloads that no NetworkPolicy among these objects, or `elsewhere` in the tree, selects for ingress."""
    policies = [
        o for o in (*objects, *elsewhere) if o.kind == "NetworkPolicy" and o.group == "networking.k8s.io"
    ]
    for owner in objects:
        if owner.kind not in _WORKLOADS:
            continue
        for at in pod_specs(owner):
            labels = mapping(at.metadata.get("labels"))
            if not any(p.namespace == owner.namespace and _guards(p, labels) for p in policies):
                message = f"no NetworkPolicy selects the pods of {owner.label}"
                yield rule("kubernetes/network-policy").finding(
                    owner.path, owner.label, message, line=owner.line()
                )


def _guards(policy: ManifestObject, labels: dict[str, Any]) -> bool:
    spec = mapping(policy.value.get("spec"))
    kinds = sequence(spec.get("policyTypes"))
    return (not kinds or "Ingress" in kinds) and selects(mapping(spec.get("podSelector")), labels)


def selects(selector: dict[str, Any], labels: dict[str, Any]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) selects these labels; an unknown operator does not."""
    if any(labels.get(key) != value for key, value in mapping(selector.get("matchLabels")).items()):
        return False
    for expression in map(mapping, sequence(selector.get("matchExpressions"))):
        key, values = expression.get("key"), sequence(expression.get("values"))
        match = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not match.get(str(expression.get("operator")), False):
            return False
    return True
