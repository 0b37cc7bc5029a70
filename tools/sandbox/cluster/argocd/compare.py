"""What git wants against what is live, object by object."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.sandbox.cluster import defaults
from tools.sandbox.cluster.apply import merge, remove
from tools.sandbox.cluster.argocd.health import health_of, worst
from tools.sandbox.cluster.argocd.projects import kind_permitted
from tools.sandbox.cluster.argocd.source import SourceError
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.fields import owned
from tools.sandbox.cluster.kinds import KINDS, Kind, of
from tools.sandbox.cluster.schema import root

Json = dict[str, Any]
TRACKING = "argocd.argoproj.io/tracking-id"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STORED = tuple(kind for kind in KINDS if "watch" in kind.verbs and kind.kind != "Event")


@dataclass(frozen=True)
class Compared:
    """One object of an application; `target` is None when git no longer has it, `live` when the cluster lacks it."""

    kind: Kind
    namespace: str
    name: str
    target: Json | None
    live: Json | None
    status: str

    def entry(self) -> Json:
        """As it stands in status.resources."""
        about = {"group": self.kind.group, "version": self.kind.version, "kind": self.kind.kind}
        about |= {"namespace": self.namespace, "name": self.name, "status": self.status}
        prune = {"requiresPruning": True} if self.target is None else {}
        return {key: value for key, value in about.items() if value} | prune


def targets(application: Json, manifests: list[Json]) -> list[tuple[Kind, Json]]:
    """The manifests as the application would apply them: with their namespace and its tracking mark. Raises SourceError."""
    name = application["metadata"]["name"]
    home = application["spec"]["destination"].get("namespace", "")
    found = []
    for manifest in manifests:
        kind = of(manifest)
        if kind is None:
            missing = f"{manifest['apiVersion']} {manifest['kind']}"
            raise SourceError(
                f"The Kubernetes API could not find {missing}: this kind is not served in the rehearsal"
            )
        target = copy.deepcopy(manifest)
        metadata = target.setdefault("metadata", {})
        if kind.namespaced:
            metadata.setdefault("namespace", home)
        else:
            metadata.pop("namespace", None)
        place = f"{metadata.get('namespace') or home}/{metadata.get('name')}"
        mark = f"{name}:{kind.group}/{kind.kind}:{place}"
        metadata["annotations"] = (metadata.get("annotations") or {}) | {TRACKING: mark}
        found.append((kind, target))
    return found


def compare(
    cluster: Cluster, application: Json, wanted: list[tuple[Kind, Json]], project: Json
) -> list[Compared]:
    """Every object that git wants or that bears the application's mark."""
    found = []
    seen = set()
    for kind, target in wanted:
        metadata = target["metadata"]
        key = (kind, metadata.get("namespace", ""), metadata.get("name", ""))
        seen.add(key)
        live = cluster.store.get(*key)
        in_sync = live is not None and not differs(live, target)
        status = "Synced" if in_sync else "OutOfSync"
        found.append(Compared(*key, target, live, status if kind_permitted(project, kind) else "Unknown"))
    for kind, live in tracked(cluster, application["metadata"]["name"]):
        key = (kind, live["metadata"].get("namespace", ""), live["metadata"]["name"])
        if key not in seen:
            found.append(Compared(*key, None, live, "OutOfSync"))
    return found


def tracked(cluster: Cluster, application: str) -> list[tuple[Kind, Json]]:
    """The live objects that bear an application's mark, each for itself: a copied mark counts for nothing."""
    found = []
    for kind in _STORED:
        for live in cluster.store.items(kind):
            metadata = live["metadata"]
            mark = (metadata.get("annotations") or {}).get(TRACKING, "")
            about = f"{application}:{kind.group}/{kind.kind}:"
            if mark.startswith(about) and mark.endswith(f"/{metadata['name']}"):
                found.append((kind, live))
    return found


def merged(live: Json, target: Json) -> Json:
    """The live object as it would be after applying: what git once set and no longer does goes, the rest is laid over."""
    shape = root(target["apiVersion"], target["kind"])
    result = live
    last = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if last:
        before = json.loads(last)
        for path in sorted(owned(before, shape) - owned(target, shape)):
            result = remove(result, path, shape) or {}
    result = copy.deepcopy(merge(result, target, shape))
    defaults.fill(result)
    return result


def differs(live: Json, target: Json) -> bool:
    """Whether applying the target would change the live object."""
    return _plain(live) != _plain(merged(live, target))


def _plain(manifest: Mapping[str, Any]) -> Json:
    metadata = {key: manifest["metadata"].get(key) or {} for key in ("labels", "annotations")}
    metadata["annotations"] = {
        key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED
    }
    return {key: value for key, value in manifest.items() if key not in {"metadata", "status"}} | {
        "metadata": metadata
    }


def overall(items: list[Compared]) -> tuple[str, str]:
    """(sync status, health) of the application."""
    sync = "Synced" if all(item.status == "Synced" for item in items) else "OutOfSync"
    healths = [
        "Missing" if item.live is None else health_of(item.live) for item in items if item.target is not None
    ]
    return sync, worst([health for health in healths if health])


def images(items: list[Compared]) -> list[str]:
    """Every image that a live object names."""
    found = set()
    for item in items:
        found.update(images_of(item.live or {}))
    return sorted(found)


def images_of(manifest: Json) -> list[str]:
    """The images of an object's pod spec."""
    spec = manifest.get("spec") or {}
    template = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
    pod = spec if manifest.get("kind") == "Pod" else template.get("spec") or {}
    groups = [pod.get(group) or [] for group in ("initContainers", "containers")]
    return [container["image"] for group in groups for container in group if container.get("image")]
