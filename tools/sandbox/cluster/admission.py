"""Admission: the namespace must exist, pods meet its Pod Security level and have a service account."""

from __future__ import annotations

import secrets
from typing import Any

from policies.pod_security import (
    NamespacePolicy,
    forbidden,
    namespace_policy,
    parse_version,
    violations,
    warning,
)
from tools.sandbox.cluster import errors
from tools.sandbox.cluster.kinds import BY_KIND, Kind
from tools.sandbox.cluster.store import Store

Json = dict[str, Any]
NAMESPACE = BY_KIND["v1", "Namespace"]
SERVICE_ACCOUNT = BY_KIND["v1", "ServiceAccount"]


def namespace_exists(store: Store, kind: Kind, namespace: str, name: str) -> None:
    """404 for an object in a namespace that is missing, 403 in one that is going away."""
    if not kind.namespaced:
        return
    home = store.get(NAMESPACE, "", namespace)
    if home is None:
        raise errors.not_found(NAMESPACE, namespace)
    if home["metadata"].get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        raise errors.forbidden(kind, name, why)


def complete_pod(manifest: Json) -> None:
    """What the server's admission adds to a new pod, in place: account, its token, tolerations, priority."""
    spec = manifest["spec"]
    account = spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", account)
    spec.setdefault("tolerations", []).extend(
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for state in ("not-ready", "unreachable")
    )
    spec |= {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    spec.setdefault("enableServiceLinks", True)


def mount_token(store: Store, manifest: Json) -> None:
    """Mount the account's token, in place, unless pod or account say not to."""
    spec = manifest["spec"]
    account = store.get(SERVICE_ACCOUNT, manifest["metadata"]["namespace"], spec["serviceAccountName"]) or {}
    if not spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        return
    name = "kube-api-access-" + "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources: list[Json] = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]
    sources += [{"configMap": certificate}, {"downwardAPI": {"items": [namespace]}}]
    spec.setdefault("volumes", []).append(
        {"name": name, "projected": {"sources": sources, "defaultMode": 420}}
    )
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        mount = {"name": name, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        container.setdefault("volumeMounts", []).append(mount)


def admit_pod(store: Store, manifest: Json) -> list[str]:
    """Refuse a pod that the namespace's level forbids or that has no service account; warnings otherwise."""
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    account = manifest["spec"]["serviceAccountName"]
    if store.get(SERVICE_ACCOUNT, namespace, account) is None:
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise errors.forbidden(BY_KIND["v1", "Pod"], name, why)
    level, version = _policy(store, namespace).enforce
    found = violations(manifest["spec"], level, metadata=manifest["metadata"], minor=parse_version(version))
    if found:
        details = {"name": name, "kind": "pods"}
        raise errors.ApiError(403, "Forbidden", forbidden(name, level, found, version), details)
    return _warnings(store, namespace, manifest["spec"], manifest["metadata"])


def warn_template(store: Store, manifest: Json) -> list[str]:
    """The warnings that a workload gets for its pod template; only its pods are refused."""
    spec = manifest.get("spec") or {}
    template = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
    return _warnings(
        store, manifest["metadata"]["namespace"], template.get("spec") or {}, template.get("metadata") or {}
    )


def _policy(store: Store, namespace: str) -> NamespacePolicy:
    home = store.get(NAMESPACE, "", namespace) or {}
    return namespace_policy(home.get("metadata", {}).get("labels") or {})


def _warnings(store: Store, namespace: str, spec: Json, metadata: Json) -> list[str]:
    level, version = _policy(store, namespace).warn
    found = violations(spec, level, metadata=metadata, minor=parse_version(version))
    return [warning(level, found, version)] if found else []
