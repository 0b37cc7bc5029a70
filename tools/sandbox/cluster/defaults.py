"""What the server fills in when a field is absent (k8s.io/kubernetes pkg/apis/*/defaults.go, 1.36)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def fill(manifest: Json) -> None:
    """Fill defaults into a manifest, in place."""
    table: dict[tuple[str, str], Callable[[Json], object]] = {
        ("v1", "Pod"): lambda m: pod_spec(m.setdefault("spec", {})),
        ("v1", "Service"): lambda m: _service(m.setdefault("spec", {})),
        ("v1", "Secret"): lambda m: _put(m, type="Opaque"),
        ("v1", "Namespace"): _namespace,
        ("v1", "Event"): _event,
        ("apps/v1", "Deployment"): _deployment,
        ("apps/v1", "ReplicaSet"): lambda m: _template(_put(m.setdefault("spec", {}), replicas=1)),
        ("apps/v1", "StatefulSet"): _stateful_set,
        ("apps/v1", "DaemonSet"): _daemon_set,
        ("batch/v1", "Job"): lambda m: _job(m.setdefault("spec", {})),
        ("batch/v1", "CronJob"): _cron_job,
        ("autoscaling/v2", "HorizontalPodAutoscaler"): lambda m: _put(
            m.setdefault("spec", {}), minReplicas=1
        ),
        ("networking.k8s.io/v1", "NetworkPolicy"): lambda m: _network_policy(m.setdefault("spec", {})),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"): _binding,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): _binding,
    }
    default = table.get((manifest["apiVersion"], manifest["kind"]))
    if default is not None:
        default(manifest)


def _put(target: Json, **values: object) -> Json:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value
    return target


def _namespace(manifest: Json) -> None:
    labels = manifest["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = manifest["metadata"]["name"]
    _put(manifest.setdefault("spec", {}), finalizers=["kubernetes"])


def _event(manifest: Json) -> None:
    for name in ("eventTime", "firstTimestamp", "lastTimestamp"):
        manifest.setdefault(name, None)


def _deployment(manifest: Json) -> None:
    spec = _put(
        manifest.setdefault("spec", {}),
        replicas=1,
        revisionHistoryLimit=10,
        progressDeadlineSeconds=600,
        strategy={},
    )
    strategy = _put(spec["strategy"], type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_put(strategy, rollingUpdate={})["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _stateful_set(manifest: Json) -> None:
    spec = _put(
        manifest.setdefault("spec", {}),
        replicas=1,
        revisionHistoryLimit=10,
        podManagementPolicy="OrderedReady",
    )
    _put(
        spec,
        updateStrategy={},
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )
    strategy = _put(spec["updateStrategy"], type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_put(strategy, rollingUpdate={})["rollingUpdate"], partition=0)
    _template(spec)


def _daemon_set(manifest: Json) -> None:
    spec = _put(manifest.setdefault("spec", {}), revisionHistoryLimit=10, updateStrategy={})
    strategy = _put(spec["updateStrategy"], type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _put(_put(strategy, rollingUpdate={})["rollingUpdate"], maxUnavailable=1, maxSurge=0)
    _template(spec)


def _job(spec: Json) -> None:
    _put(spec, completions=1, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    _put(spec, podReplacementPolicy="TerminatingOrFailed")
    _template(spec)


def _cron_job(manifest: Json) -> None:
    spec = _put(manifest.setdefault("spec", {}), concurrencyPolicy="Allow", suspend=False)
    _put(spec, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    template = spec.get("jobTemplate", {}).get("spec", {}).get("template")
    if isinstance(template, dict):
        pod_spec(_put(template, spec={})["spec"])


def _network_policy(spec: Json) -> None:
    _put(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            _put(port, protocol="TCP")


def _binding(manifest: Json) -> None:
    _put(manifest.get("roleRef", {}), apiGroup="rbac.authorization.k8s.io")
    for subject in manifest.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"}:
            _put(subject, apiGroup="rbac.authorization.k8s.io")


def _service(spec: Json) -> None:
    _put(spec, sessionAffinity="None", type="ClusterIP")
    for port in spec.get("ports") or ():
        _put(port, protocol="TCP")
        _put(port, targetPort=port.get("port"))
    if spec["type"] != "ExternalName":
        _put(spec, internalTrafficPolicy="Cluster", ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"])
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        _put(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _put(spec, allocateLoadBalancerNodePorts=True)


def _template(spec: Json) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        pod_spec(_put(template, spec={})["spec"])


def pod_spec(spec: Json) -> None:
    """Defaults of a pod spec, wherever it stands."""
    _put(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _put(spec, terminationGracePeriodSeconds=30, securityContext={})
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: Json) -> None:
    image = str(container.get("image", ""))
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    latest = "@" not in image and tag in {"", "latest"}
    _put(container, imagePullPolicy="Always" if latest else "IfNotPresent", resources={})
    _put(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for port in container.get("ports") or ():
        _put(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            probe = _put(
                container[name], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3
            )
            if isinstance(probe.get("httpGet"), dict):
                _put(probe["httpGet"], path="/", scheme="HTTP")
    resources = container["resources"]
    if isinstance(resources.get("limits"), dict):
        _put(_put(resources, requests={})["requests"], **resources["limits"])
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if isinstance(source.get("fieldRef"), dict):
            _put(source["fieldRef"], apiVersion="v1")


def _volume(volume: Json) -> None:
    for name in ("configMap", "secret", "projected", "downwardAPI"):
        if isinstance(volume.get(name), dict):
            _put(volume[name], defaultMode=420)
    if isinstance(volume.get("hostPath"), dict):
        _put(volume["hostPath"], type="")
    if not set(volume) - {"name"}:
        volume["emptyDir"] = {}


def initial_status(manifest: Json) -> Json | None:
    """The status that a new object begins with, or None for kinds that begin without one."""
    spec = manifest.get("spec") or {}
    budget = {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}
    table: dict[str, Json] = {
        "Namespace": {"phase": "Active"},
        "Pod": {"phase": "Pending", "qosClass": qos_class(spec)},
        "Service": {"loadBalancer": {}},
        "Deployment": {},
        "ReplicaSet": {"replicas": 0},
        "StatefulSet": {"replicas": 0, "availableReplicas": 0},
        "DaemonSet": dict.fromkeys(
            ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"), 0
        ),
        "Job": {},
        "CronJob": {},
        "Ingress": {"loadBalancer": {}},
        "PodDisruptionBudget": budget,
        "HorizontalPodAutoscaler": {"desiredReplicas": 0, "currentMetrics": None},
    }
    return table.get(manifest["kind"])


def qos_class(spec: Json) -> str:
    """Guaranteed, Burstable or BestEffort, by the containers' requests and limits."""
    resources = [container.get("resources") or {} for container in spec.get("containers") or ()]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    full = all(
        set(r.get("limits") or {}) >= {"cpu", "memory"} and (r.get("requests") or r["limits"]) == r["limits"]
        for r in resources
    )
    return "Guaranteed" if full else "Burstable"
