"""What the tests of the client talk about: signed objects, calls, and a cluster with one git repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from policies.change import Destination, canonical, digest_of
from tests.fakes.served_cluster import ServedCluster, as_json, deployment
from tools.kubernetes.cluster import LiveCluster
from tools.verbs import Call

Json = dict[str, Any]
CHANGE = "cs-0123456789abcdef"
OTHER = "cs-fedcba9876543210"
URL = "https://git.example/acme/shop.git"
MARK = {"countersign/change": CHANGE}
NAMESPACES = ("web", "shop", "argocd", "strict")
_web = deployment()
_web["metadata"].pop("namespace")
FILES = {
    "apps/namespace.yaml": as_json({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
    "apps/web.yaml": as_json(_web),
}


@dataclass(frozen=True)
class Shop:
    """The served cluster, read through the client under test; `sha` is the repository's commit."""

    served: ServedCluster
    cluster: LiveCluster
    sha: str

    def call(self, verb: str, **arguments: Any) -> Call:
        """A call of `verb` with these arguments."""
        destination = Destination(cluster=self.cluster.resolve(NAMESPACES))
        return Call(
            change_id=CHANGE,
            verb=verb,
            destination=destination,
            arguments=arguments,
            effect_key="k",
            content={},
        )

    def apply(self, manifest: Json, namespace: str | None = None) -> Call:
        """The signed apply of one object."""
        data = canonical(manifest)
        where = namespace or manifest["metadata"].get("namespace") or manifest["metadata"]["name"]
        call = self.call(
            "kubernetes.apply", object={"path": "objects/x.json", "digest": digest_of(data)}, namespace=where
        )
        return call.model_copy(update={"content": {digest_of(data): data}})

    def application(self, name: str, **spec: Any) -> Json:
        """A signed Application of the repository."""
        source = {"repoURL": URL, "path": "apps", "targetRevision": self.sha}
        destination = {"server": "https://kubernetes.default.svc", "namespace": "shop"}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd", "annotations": MARK},
            "spec": {"project": "default", "source": source, "destination": destination} | spec,
        }


def namespace(name: str = "web", **labels: str) -> Json:
    """A signed Namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": MARK, "labels": labels},
    }


def signed(manifest: Json) -> Json:
    """The manifest with this change's mark."""
    marked = manifest["metadata"] | {"annotations": MARK}
    return manifest | {"metadata": marked}


T = TypeVar("T")


def until(ask: Callable[[], T], wanted: Callable[[T], bool], seconds: float = 10) -> T:
    """The first answer that is wanted; fails with the last one."""
    end = time.monotonic() + seconds
    while not wanted(found := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"still {found!r} after {seconds} s")
        time.sleep(0.02)
    return found
