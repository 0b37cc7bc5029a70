"""The kinds that the rehearsal cluster serves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One row of the API: where it is served and what kubectl calls it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """`deployment`."""
        return self.kind.lower()


_READ = ("get", "list")
_CREATE = ("create",)
_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "ConfigMap", "configmaps", short=("cm",)),
    Kind("", "v1", "Endpoints", "endpoints", short=("ep",)),
    Kind("", "v1", "Event", "events", short=("ev",)),
    Kind("", "v1", "LimitRange", "limitranges", short=("limits",)),
    Kind("", "v1", "Namespace", "namespaces", namespaced=False, short=("ns",), subresources=("status",)),
    Kind("", "v1", "Node", "nodes", namespaced=False, short=("no",), subresources=("status",)),
    Kind(
        "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short=("pvc",), subresources=("status",)
    ),
    Kind("", "v1", "Pod", "pods", short=("po",), categories=_ALL, subresources=("log", "status", "eviction")),
    Kind("", "v1", "ResourceQuota", "resourcequotas", short=("quota",), subresources=("status",)),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "Service", "services", short=("svc",), categories=_ALL, subresources=("status",)),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", short=("sa",)),
    Kind("apps", "v1", "ControllerRevision", "controllerrevisions"),
    Kind("apps", "v1", "DaemonSet", "daemonsets", short=("ds",), categories=_ALL, subresources=("status",)),
    Kind(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        short=("deploy",),
        categories=_ALL,
        subresources=("scale", "status"),
    ),
    Kind(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        short=("rs",),
        categories=_ALL,
        subresources=("scale", "status"),
    ),
    Kind(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        short=("sts",),
        categories=_ALL,
        subresources=("scale", "status"),
    ),
    Kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short=("hpa",),
        categories=_ALL,
        subresources=("status",),
    ),
    Kind("batch", "v1", "CronJob", "cronjobs", short=("cj",), categories=_ALL, subresources=("status",)),
    Kind("batch", "v1", "Job", "jobs", categories=_ALL, subresources=("status",)),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses", short=("ing",), subresources=("status",)),
    Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short=("netpol",)),
    Kind(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        short=("pdb",),
        subresources=("status",),
    ),
    Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind(_RBAC, "v1", "Role", "roles"),
    Kind(_RBAC, "v1", "RoleBinding", "rolebindings"),
    Kind("argoproj.io", "v1alpha1", "Application", "applications", short=("app", "apps")),
    Kind("argoproj.io", "v1alpha1", "AppProject", "appprojects", short=("appproj", "appprojs")),
    Kind(
        "authentication.k8s.io",
        "v1",
        "SelfSubjectReview",
        "selfsubjectreviews",
        namespaced=False,
        verbs=_CREATE,
    ),
    Kind(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        namespaced=False,
        verbs=_CREATE,
    ),
    Kind(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        namespaced=False,
        verbs=_CREATE,
    ),
    Kind("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", namespaced=False, verbs=_READ),
    Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", verbs=_READ),
)

BY_PATH = {(k.group, k.version, k.plural): k for k in KINDS}
BY_KIND = {(k.api_version, k.kind): k for k in KINDS}
"""(apiVersion, kind) -> row."""


def of(manifest: object) -> Kind | None:
    """The row that an object's apiVersion and kind name, or None."""
    if not isinstance(manifest, dict):
        return None
    return BY_KIND.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
