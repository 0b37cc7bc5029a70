"""Scheduler and kubelet of the rehearsal: pods are bound, their images looked up, and they run without being run.

No container is executed. A pod is Running after `pod_delay`; a readiness probe passes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from policies.finding import ImageTable
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.controllers.common import POD, binding_event, condition, event, with_condition
from tools.sandbox.cluster.images import facts_of, image_id
from tools.sandbox.cluster.kinds import BY_KIND

Json = dict[str, Any]
NODE = "rehearsal-node"
ADDRESS = "127.0.0.1"
_NODES = BY_KIND["v1", "Node"]
_SOURCES = {"configMapKeyRef": BY_KIND["v1", "ConfigMap"], "configMapRef": BY_KIND["v1", "ConfigMap"]}
_SOURCES |= {"secretKeyRef": BY_KIND["v1", "Secret"], "secretRef": BY_KIND["v1", "Secret"]}
_UNSCHEDULABLE = (
    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, "
    "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
_UNKNOWN_IMAGE = "the rehearsal does not know its repository; on a real cluster the registry would be asked"


def log_lines(pod: Json, container: str) -> list[str]:
    """What `kubectl logs` shows: that nothing was executed."""
    image = next(c["image"] for c in pod["spec"]["containers"] if c["name"] == container)
    return [
        f"rehearsal: container {container} of pod {pod['metadata']['name']} stands for image {image}",
        "rehearsal: no container is executed here, so there is no output of its own",
    ]


class Kubelet:
    """Moves each pod one step when its time has come."""

    def __init__(self, images: ImageTable, delay: timedelta) -> None:
        self._images = images
        self._delay = delay
        self._due: dict[str, datetime] = {}

    def step(self, cluster: Cluster, pod: Json) -> datetime | None:
        """Take the next step of a pod; when the one after it is due."""
        uid = pod["metadata"]["uid"]
        if pod["status"]["phase"] in {"Succeeded", "Failed"}:
            return None
        if not pod["spec"].get("nodeName"):
            self._schedule(cluster, pod)
            return None
        if uid not in self._due and not self._settled(pod):
            self._due[uid] = cluster.clock() + self._delay
        if uid in self._due and cluster.clock() >= self._due[uid]:
            del self._due[uid]
            self._advance(cluster, pod)
        return self._due.get(uid)

    @staticmethod
    def _settled(pod: Json) -> bool:
        """Running for good, or waiting for what will not come."""
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        stuck = {"ImagePullBackOff", "CreateContainerConfigError"}
        reasons = {status["state"].get("waiting", {}).get("reason") for status in statuses}
        running = pod["status"]["phase"] == "Running" and pod["spec"]["restartPolicy"] == "Always"
        return running or (bool(reasons & stuck) and reasons <= {*stuck, None})

    def _schedule(self, cluster: Cluster, pod: Json) -> None:
        node = cluster.store.get(_NODES, "", NODE)
        wanted = pod["spec"].get("nodeSelector") or {}
        labels = node["metadata"].get("labels", {}) if node else {}
        fits = node is not None and all(labels.get(key) == value for key, value in wanted.items())
        if not fits:
            why = _UNSCHEDULABLE
            held = condition(pod.get("status", {}), "PodScheduled")
            if held.get("status") != "False":
                blocked = _condition("PodScheduled", met=False) | {
                    "observedGeneration": pod["metadata"]["generation"]
                }
                blocked |= {"reason": "Unschedulable", "message": why}
                _set(cluster, pod, {"conditions": with_condition([], blocked, cluster.now())})
                event(cluster, pod, "FailedScheduling", why, "default-scheduler", warning=True)
            return
        bound = cluster.store.put(POD, pod | {"spec": pod["spec"] | {"nodeName": NODE}})
        conditions = with_condition([], _condition("PodScheduled", met=True), cluster.now())
        _set(cluster, bound, {"conditions": conditions})
        binding_event(cluster, bound, NODE)

    def _advance(self, cluster: Cluster, pod: Json) -> None:
        """Creating -> running, or -> the reason why not; a pod that may end has ended one step later."""
        if pod["status"]["phase"] == "Running":
            _finish(cluster, pod)
            return
        if not pod["status"].get("containerStatuses"):
            waiting = [_waiting(c, "ContainerCreating", "") for c in pod["spec"]["containers"]]
            _set(cluster, pod, _status(cluster, pod, waiting) | {"startTime": cluster.now()})
            return
        held = {status["name"]: status for status in pod["status"]["containerStatuses"]}
        statuses = [self._container(cluster, pod, c, held[c["name"]]) for c in pod["spec"]["containers"]]
        _set(cluster, pod, _status(cluster, pod, statuses))

    def _container(self, cluster: Cluster, pod: Json, container: Json, held: Json) -> Json:
        name, image = container["name"], container["image"]
        facts = facts_of(image, self._images)
        say = _teller(cluster, pod)
        if facts is None:
            if held["state"].get("waiting", {}).get("reason") != "ErrImagePull":
                text = f'Failed to pull image "{image}": {_UNKNOWN_IMAGE}'
                say("Pulling", f'Pulling image "{image}"', False)
                say("Failed", text, True)
                say("Failed", "Error: ErrImagePull", True)
                return _waiting(container, "ErrImagePull", text)
            say("BackOff", f'Back-off pulling image "{image}"', False)
            say("Failed", "Error: ImagePullBackOff", True)
            text = f'Back-off pulling image "{image}": ErrImagePull: {_UNKNOWN_IMAGE}'
            return _waiting(container, "ImagePullBackOff", text)
        fault = _config_fault(cluster, pod, container, facts.user)
        if fault:
            say("Failed", f"Error: {fault}", True)
            return _waiting(container, "CreateContainerConfigError", fault)
        if container["imagePullPolicy"] == "Always":
            say("Pulling", f'Pulling image "{image}"', False)
            say("Pulled", f'Successfully pulled image "{image}" (rehearsal: nothing was downloaded)', False)
        else:
            say("Pulled", f'Container image "{image}" already present on machine (rehearsal)', False)
        say("Created", f"Container created: {name} (rehearsal: nothing is executed)", False)
        say("Started", f"Container started: {name} (rehearsal: nothing is executed)", False)
        return {
            "name": name,
            "state": {"running": {"startedAt": cluster.now()}},
            "lastState": {},
            "ready": True,
            "started": True,
            "restartCount": 0,
            "image": image,
            "imageID": image_id(image, facts),
            "containerID": f"rehearsal://{pod['metadata']['uid']}/{name}",
        }


def _teller(cluster: Cluster, pod: Json) -> Callable[[str, str, bool], None]:
    return lambda reason, message, warning: event(cluster, pod, reason, message, "kubelet", warning=warning)


def _config_fault(cluster: Cluster, pod: Json, container: Json, image_user: int | None) -> str:
    """Why a container could not be created: it would run as root although that is forbidden, or a source is missing."""
    contexts = [pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}]
    merged = contexts[0] | contexts[1]
    user = merged.get("runAsUser", image_user)
    where = f'(pod: "{pod["metadata"]["name"]}_{pod["metadata"]["namespace"]}({pod["metadata"]["uid"]})", container: {container["name"]})'
    if merged.get("runAsNonRoot") and user == 0:
        what = (
            "container's runAsUser breaks non-root policy"
            if "runAsUser" in merged
            else "container has runAsNonRoot and image will run as root"
        )
        return f"{what} {where}"
    references = [
        source
        for entry in container.get("envFrom") or ()
        for source in entry.items()
        if source[0] in _SOURCES
    ]
    references += [
        s for e in container.get("env") or () for s in (e.get("valueFrom") or {}).items() if s[0] in _SOURCES
    ]
    for how, reference in references:
        kind = _SOURCES[how]
        name = reference.get("name", "")
        if (
            not reference.get("optional")
            and cluster.store.get(kind, pod["metadata"]["namespace"], name) is None
        ):
            return f'{kind.singular} "{name}" not found'
    return ""


def _waiting(container: Json, reason: str, message: str) -> Json:
    state = {"reason": reason} | ({"message": message} if message else {})
    status: Json = {"name": container["name"], "state": {"waiting": state}, "lastState": {}, "ready": False}
    return status | {"restartCount": 0, "image": container["image"], "imageID": "", "started": False}


def _condition(kind: str, *, met: bool) -> Json:
    return {"type": kind, "status": "True" if met else "False", "lastProbeTime": None}


def _status(cluster: Cluster, pod: Json, statuses: list[Json]) -> Json:
    """Phase, conditions and addresses that follow from the containers' states."""
    ready = all(status["ready"] for status in statuses)
    running = any("running" in status["state"] for status in statuses)
    unready = " ".join(status["name"] for status in statuses if not status["ready"])
    why = (
        {}
        if ready
        else {"reason": "ContainersNotReady", "message": f"containers with unready status: [{unready}]"}
    )
    held = pod["status"].get("conditions") or []
    conditions: list[Json] = []
    for kind, met, reason in (
        ("Initialized", True, {}),
        ("Ready", ready, why),
        ("ContainersReady", ready, why),
    ):
        before = [c for c in held if c["type"] == kind]
        conditions += with_condition(before, _condition(kind, met=met) | reason, cluster.now())
    conditions += [c for c in held if c["type"] == "PodScheduled"]
    status: Json = {
        "phase": "Running" if running else "Pending",
        "conditions": conditions,
        "containerStatuses": statuses,
    }
    status |= {"hostIP": ADDRESS, "hostIPs": [{"ip": ADDRESS}]}
    if running:
        address = pod["status"].get("podIP") or _free_address(cluster)
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return status


def _free_address(cluster: Cluster) -> str:
    taken = {pod.get("status", {}).get("podIP") for pod in cluster.store.items(POD)}
    addresses = (f"10.244.{number >> 8}.{number & 255}" for number in range(1, 2**16))
    return next(address for address in addresses if address not in taken)


def _finish(cluster: Cluster, pod: Json) -> None:
    """A pod that need not be restarted completes; nothing was executed, so nothing failed."""
    now = cluster.now()
    ended = [
        status
        | {"ready": False, "started": False}
        | {
            "state": {
                "terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now, "startedAt": now}
            }
        }
        for status in pod["status"]["containerStatuses"]
    ]
    conditions = pod["status"]["conditions"]
    for kind in ("Ready", "ContainersReady"):
        done = _condition(kind, met=False) | {"reason": "PodCompleted"}
        conditions = with_condition(conditions, done, now)
    _set(cluster, pod, {"phase": "Succeeded", "containerStatuses": ended, "conditions": conditions})


def _set(cluster: Cluster, pod: Json, status: Json) -> None:
    cluster.set_status(POD, pod, pod.get("status", {}) | status, "kubelet")
