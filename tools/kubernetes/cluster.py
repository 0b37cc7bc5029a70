"""A live cluster, read: which one it is, what it serves, what is there and how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from policies.change import ClusterTarget, canonical
from tools.kubernetes.client import APPLY, MERGE, Client
from tools.verbs import NotFoundError, TargetError

Json = dict[str, Any]
MANAGER = "countersign"
_PAGE = 250


@dataclass(frozen=True)
class Served:
    """A kind as the cluster serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of an object or a collection."""
        base = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        place = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{base}{place}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


class LiveCluster:
    """Reads and the two writes of the verbs, over one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._served: dict[str, list[Served]] = {}

    @property
    def server(self) -> str:
        """The address."""
        return self._client.server

    def version(self) -> str:
        """gitVersion, such as v1.36.3. Raises TargetError."""
        return str(self._client.json("GET", "/version").get("gitVersion", ""))

    def resolve(self, namespaces: tuple[str, ...]) -> ClusterTarget:
        """The cluster by the uid of its namespace kube-system, and the namespaces that a change may touch. Raises TargetError."""
        system = self._client.json("GET", "/api/v1/namespaces/kube-system")
        uid = (system.get("metadata") or {}).get("uid")
        if not isinstance(uid, str) or not uid:
            raise TargetError(f"{self.server} has no uid for namespace kube-system: is it a Kubernetes API?")
        return ClusterTarget(uid=uid, server=self.server, namespaces=namespaces)

    def served(self, api_version: str, kind: str) -> Served:
        """How the cluster serves a kind. Raises NotFoundError when it does not."""
        if api_version not in self._served:
            base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                listed = self._client.json("GET", base).get("resources") or []
            except NotFoundError as fault:
                raise NotFoundError(
                    f"the cluster does not serve {api_version}: install what defines {kind}, or correct it"
                ) from fault
            self._served[api_version] = [
                Served(api_version, row["kind"], row["name"], bool(row["namespaced"]))
                for row in listed
                if "/" not in row["name"]
            ]
        for found in self._served[api_version]:
            if found.kind == kind:
                return found
        raise NotFoundError(f"the cluster serves no {kind} in {api_version}: correct apiVersion or kind")

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Json:
        """One object. Raises NotFoundError and other TargetErrors."""
        return self._client.json("GET", self.served(api_version, kind).path(namespace, name))

    def find(self, api_version: str, kind: str, namespace: str, name: str) -> Json | None:
        """One object, or None when it is not there. Raises TargetError for everything else."""
        served = self.served(api_version, kind)
        try:
            return self._client.json("GET", served.path(namespace, name))
        except NotFoundError:
            return None

    def listed(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        chosen: Mapping[str, str] = {},
        most: int = 1000,
    ) -> list[Json]:
        """The objects of a kind, in all namespaces without one, page by page up to `most`; `chosen` holds labelSelector, fieldSelector."""
        path = self.served(api_version, kind).path(namespace)
        found: list[Json] = []
        query = {"limit": str(min(most, _PAGE))} | {key: value for key, value in chosen.items() if value}
        while True:
            page = self._client.json("GET", path, query=query)
            found += [{"apiVersion": api_version, "kind": kind} | item for item in page.get("items") or []]
            token = (page.get("metadata") or {}).get("continue")
            if not token or len(found) >= most:
                return found[:most]
            query["continue"] = token

    def events(self, namespace: str, *, name: str = "", kind: str = "", most: int = 100) -> list[Json]:
        """core/v1 Events of a namespace, of one object if named, oldest first."""
        chosen = {"involvedObject.name": name, "involvedObject.kind": kind}
        fields = ",".join(f"{key}={value}" for key, value in chosen.items() if value)
        found = self.listed("v1", "Event", namespace, chosen={"fieldSelector": fields})
        found.sort(key=_moment)
        return found[-most:]

    def log(self, namespace: str, pod: str, container: str, tail: int) -> str:
        """The last lines of a container's log."""
        path = Served("v1", "Pod", "pods", namespaced=True).path(namespace, pod) + "/log"
        query = {"tailLines": str(tail)} | ({"container": container} if container else {})
        return self._client.text(path, query=query)

    def pod_metrics(self, namespace: str) -> list[Json] | None:
        """metrics.k8s.io of a namespace's pods; None when the cluster has no metrics."""
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{quote(namespace, safe='')}/pods"
        try:
            return list(self._client.json("GET", path).get("items") or [])
        except NotFoundError:
            return None

    def apply(
        self, manifest: Mapping[str, Any], namespace: str, *, dry_run: bool, manager: str = MANAGER
    ) -> Json:
        """Server-side apply as `manager`, never forced, of the manifest's canonical JSON: the very bytes that were signed.

        Raises FieldConflictError and other TargetErrors.
        """
        served = self.served(str(manifest["apiVersion"]), str(manifest["kind"]))
        query = {"fieldManager": manager, "force": "false", "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        path = served.path(namespace, manifest["metadata"]["name"])
        return self._client.json("PATCH", path, query=query, body=canonical(dict(manifest)), media_type=APPLY)

    def merge(self, served: Served, namespace: str, name: str, patch: Json) -> Json:
        """A JSON merge patch as `countersign`; with metadata.resourceVersion in it, only if the object has not moved."""
        return self._client.json(
            "PATCH",
            served.path(namespace, name),
            query={"fieldManager": MANAGER},
            body=patch,
            media_type=MERGE,
        )


def _moment(event: Json) -> str:
    return str(
        event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
