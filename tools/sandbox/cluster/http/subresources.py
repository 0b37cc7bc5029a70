"""Scale, logs, evictions, access reviews and metrics: what is asked of an object besides itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.sandbox.cluster import errors, patch
from tools.sandbox.cluster.cluster import Answer, Cluster, Options, Patch
from tools.sandbox.cluster.http.addresses import Address
from tools.sandbox.cluster.kubelet import log_lines
from tools.sandbox.cluster.schema import root

Json = dict[str, Any]
USER = "rehearsal-admin"


def scale_of(manifest: Json) -> Json:
    """The autoscaling/v1 Scale of a workload."""
    metadata = manifest["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = manifest["spec"].get("selector", {}).get("matchLabels", {})
    status: Json = {"replicas": manifest.get("status", {}).get("replicas", 0)}
    status |= {"selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items()))}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": manifest["spec"].get("replicas", 0)},
        "status": status,
    }


def set_scale(cluster: Cluster, address: Address, how: Patch | None, body: Any, options: Options) -> Json:  # noqa: ANN401 - a JSON value
    """Replace or patch the Scale, which sets `spec.replicas` of the workload."""
    live = cluster.get(address.kind, address.namespace, address.name)
    now = scale_of(live)
    if how is None:
        wanted = body
    elif how == "json":
        wanted = patch.json_patch(now, body)
    else:
        wanted = patch.strategic_merge(now, body, root("autoscaling/v1", "Scale"))
    replicas = wanted.get("spec", {}).get("replicas", 0) if isinstance(wanted, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise errors.bad_request("spec.replicas of a Scale is a number")
    change: Json = {"spec": {"replicas": replicas}}
    answer = cluster.patch(address.kind, address.namespace, address.name, "merge", change, options)
    return scale_of(answer.manifest)


def log(cluster: Cluster, address: Address, query: Mapping[str, str]) -> str:
    """A container's log. Raises ApiError 400 for a container that has not started or is not there."""
    pod = cluster.get(address.kind, address.namespace, address.name)
    names = [container["name"] for container in pod["spec"]["containers"]]
    container = query.get("container") or names[0]
    if not query.get("container") and len(names) > 1:
        listed = " ".join(names)
        why = f"a container name must be specified for pod {address.name}, choose one of: [{listed}]"
        raise errors.bad_request(why)
    if container not in names:
        raise errors.bad_request(f"container {container} is not valid for pod {address.name}")
    statuses = {status["name"]: status for status in pod.get("status", {}).get("containerStatuses", ())}
    state = statuses.get(container, {}).get("state", {})
    if "running" not in state and "terminated" not in state:
        reason = state.get("waiting", {}).get("reason", "ContainerCreating")
        what = "trying and failing to pull image" if "ImagePull" in reason else reason
        raise errors.bad_request(
            f'container "{container}" in pod "{address.name}" is waiting to start: {what}'
        )
    lines = log_lines(pod, container)
    tail = query.get("tailLines", "")
    kept = lines[len(lines) - int(tail) :] if tail.isdigit() and int(tail) < len(lines) else lines
    stamp = pod["status"].get("startTime", "") + " " if query.get("timestamps") == "true" else ""
    return "".join(f"{stamp}{line}\n" for line in kept)


def review(kind: str, body: Json) -> Answer:
    """An access review: the one user of the rehearsal may do everything."""
    manifest = body | {"kind": kind, "metadata": body.get("metadata") or {"creationTimestamp": None}}
    if kind == "SelfSubjectReview":
        status: Json = {"userInfo": {"username": USER, "groups": ["system:masters", "system:authenticated"]}}
    elif kind == "SelfSubjectRulesReview":
        rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        status = {
            "resourceRules": [rule],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        }
    else:
        status = {"allowed": True, "reason": "the rehearsal has one user, its administrator"}
    return Answer(manifest | {"status": status}, created=True)
