"""The objects that the proofs put on the rig: small, restricted, and one of each kind that Countersign applies."""

from __future__ import annotations

from typing import Any

# Real digests of nothing that runs here: kwok starts no container, and the API server reads no registry.
IMAGE = "docker.io/library/nginx@sha256:" + "0" * 64

Object = dict[str, Any]


def namespace(name: str) -> Object:
    """A namespace that enforces the `restricted` Pod Security Standard."""
    label = "pod-security.kubernetes.io/enforce"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {label: "restricted"}},
    }


def pod_spec(*, privileged: bool = False) -> Object:
    """One container that `restricted` accepts; or the same, privileged."""
    context: Object = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    return {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "web",
                "image": IMAGE,
                "ports": [{"containerPort": 8080}],
                "securityContext": {"privileged": True} if privileged else context,
            }
        ],
    }


def pod(*, privileged: bool) -> Object:
    """A bare pod."""
    spec = pod_spec(privileged=privileged)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"}, "spec": spec}


def deployment(*, replicas: int = 3, privileged: bool = False) -> Object:
    """A Deployment of `web` pods."""
    labels = {"app.kubernetes.io/name": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(privileged=privileged)},
        },
    }


def application(repository: str, revision: str, target: str) -> Object:
    """An Argo CD Application that names one commit and is synced by nobody but who asks."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": target},
        "spec": {
            "project": "default",
            "source": {"repoURL": repository, "targetRevision": revision, "path": "manifests"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": target},
        },
    }
