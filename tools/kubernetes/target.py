"""A cluster as the gate holds it: who it is, its verbs and its read tools."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from policies.change import ClusterTarget
from tools.kubernetes.client import connect
from tools.kubernetes.cluster import LiveCluster
from tools.kubernetes.reading import reads
from tools.kubernetes.verbs import Apply, verbs
from tools.settings import KubernetesSettings
from tools.tool import Tool
from tools.verbs import Verb, Way, unhindered


class KubernetesTarget:
    """Implements `tools.gate.targets.Cluster`. Nothing is called before it is asked."""

    def __init__(self, cluster: LiveCluster, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._cluster = cluster
        self._verbs = verbs(cluster, sleep=sleep)
        self.reads: tuple[Tool, ...] = reads(cluster)

    def verbs(self) -> Mapping[str, Verb]:
        """`kubernetes.apply` and `kubernetes.sync_application`."""
        return self._verbs

    def ways(self, manager: str) -> Mapping[str, Way]:
        """The verbs that another's server may perform; `manager` is the field manager that it writes as."""
        return {"kubernetes.apply": Apply(self._cluster, manager)}

    def resolve(self, namespaces: tuple[str, ...]) -> ClusterTarget:
        """The cluster by the uid of kube-system. Raises TargetError."""
        return self._cluster.resolve(namespaces)

    def version(self) -> str:
        """The cluster's version, such as v1.36.3. Raises TargetError."""
        return self._cluster.version()


def open_target(
    settings: KubernetesSettings, before_write: Callable[[], None] = unhindered
) -> KubernetesTarget:
    """The target that the settings mean. Raises TargetError when they cannot be used."""
    return KubernetesTarget(LiveCluster(connect(settings, before_write=before_write)))
