"""The road of every write, in the server's order.

Read the body, find the live object, make the new one, fill defaults, keep what only the system writes, validate,
admit, note who owns which field, store (or, in a dry run, do not).
"""

from __future__ import annotations

import copy
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tools.sandbox.cluster import admission, apply, defaults, errors, incoming, patch, rules, validate
from tools.sandbox.cluster.fields import Owner, entries
from tools.sandbox.cluster.kinds import BY_KIND, Kind
from tools.sandbox.cluster.services import allocate
from tools.sandbox.cluster.store import Store

Json = dict[str, Any]
Clock = Callable[[], datetime]
Patch = Literal["apply", "merge", "json", "strategic"]
_RANDOM = "bcdfghjklmnpqrstvwxz2456789"
_WITHOUT_GENERATION = frozenset(
    {"v1", "rbac.authorization.k8s.io/v1", "discovery.k8s.io/v1", "autoscaling/v2"}
)
_WORKLOADS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"})
_SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


@dataclass(frozen=True)
class Options:
    """How a write is meant: the query of the request."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    validation: Literal["Strict", "Warn", "Ignore"] = "Warn"
    subresource: str = ""


@dataclass(frozen=True)
class Answer:
    """The object as it now is (or, in a dry run, would be)."""

    manifest: Json
    created: bool = False
    warnings: tuple[str, ...] = ()


def timestamp(moment: datetime) -> str:
    """`2026-11-23T09:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """The API's objects. Everything that changes one goes through here: HTTP, controllers and Argo CD."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def now(self) -> str:
        """The time as objects carry it."""
        return timestamp(self.clock())

    def create(self, kind: Kind, namespace: str, body: Json, options: Options) -> Answer:
        """POST. Raises ApiError."""
        manifest, warnings = incoming.read(kind, body, options.validation)
        metadata = incoming.addressed(kind, namespace, manifest)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_RANDOM) for _ in range(5))
        if not metadata.get("name"):
            raise errors.invalid(
                kind, "", [rules.required("metadata.name", "name or generateName is required")]
            )
        admission.namespace_exists(self.store, kind, namespace, metadata["name"])
        if metadata.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if "status" in kind.subresources:
            manifest.pop("status", None)
        owner = self._owner(kind, "Update", options)
        owners = apply.update({}, _filled(manifest), incoming.shape_of(kind), owner)
        return self._store(kind, None, manifest, owners, options, warnings)

    def replace(self, kind: Kind, namespace: str, name: str, body: Json, options: Options) -> Answer:
        """PUT. Raises ApiError."""
        live = self.get(kind, namespace, name)
        manifest, warnings = incoming.read(kind, body, options.validation)
        incoming.addressed(kind, namespace, manifest, name)
        return self._update(kind, live, manifest, options, warnings)

    def patch(self, kind: Kind, namespace: str, name: str, how: Patch, body: Any, options: Options) -> Answer:  # noqa: ANN401 - a JSON value; the request's own parts
        """PATCH; `apply` makes the object when it is missing. Raises ApiError."""
        if how == "apply":
            return self._apply(kind, namespace, name, body, options)
        live = self.get(kind, namespace, name)
        if how == "json":
            new = patch.json_patch(live, body)
        elif how == "merge":
            new = patch.json_merge(live, body)
        else:
            new = patch.strategic_merge(live, body, incoming.shape_of(kind))
        manifest, warnings = incoming.read(kind, new, options.validation)
        incoming.addressed(kind, namespace, manifest, name)
        return self._update(kind, live, manifest, options, warnings)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """The live object, not to be changed. Raises ApiError 404."""
        live = self.store.get(kind, namespace, name)
        if live is None:
            raise errors.not_found(kind, name)
        return live

    def set_status(self, kind: Kind, live: Json, status: Json, manager: str) -> None:
        """A controller's write of `status`; nothing happens when it is the same."""
        if live.get("status") != status:
            options = Options(manager=manager, subresource="status" if "status" in kind.subresources else "")
            self._update(kind, live, copy.deepcopy(live) | {"status": status}, options, [])

    def delete(
        self, kind: Kind, namespace: str, name: str, *, dry_run: bool = False, orphan: bool = False
    ) -> Json:
        """DELETE: the last form. An object with finalizers is only marked; what it owned goes with it unless `orphan`."""
        live = self.get(kind, namespace, name)
        if dry_run:
            return live
        if orphan:
            self._orphan(live["metadata"]["uid"])
        namespace_of_others = kind.kind == "Namespace"  # emptied first, by the namespace controller
        if live["metadata"].get("finalizers") or namespace_of_others:
            if not live["metadata"].get("deletionTimestamp"):
                mark = {"deletionTimestamp": self.now(), "deletionGracePeriodSeconds": 0}
                status = {"status": {"phase": "Terminating"}} if namespace_of_others else {}
                live = self.store.put(kind, live | {"metadata": live["metadata"] | mark} | status)
            return live
        return self.store.delete(kind, namespace, name)

    def _orphan(self, uid: str) -> None:
        for kind in BY_KIND.values():
            for item in self.store.items(kind):
                references = item["metadata"].get("ownerReferences") or []
                kept = [reference for reference in references if reference["uid"] != uid]
                if kept != references:
                    self.store.put(kind, item | {"metadata": item["metadata"] | {"ownerReferences": kept}})

    def _apply(self, kind: Kind, namespace: str, name: str, body: Json, options: Options) -> Answer:
        if not options.manager:
            raise errors.no_field_manager()
        wanted = incoming.appliable(kind, body)
        incoming.addressed(kind, namespace, wanted, name)
        live = self.store.get(kind, namespace, name)
        admission.namespace_exists(self.store, kind, namespace, name)
        if "status" in kind.subresources and not options.subresource:
            wanted.pop("status", None)
        base = live or {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}}
        incoming.check_version(kind, live, wanted)
        owner = self._owner(kind, "Apply", options)
        merged, owners = apply.apply(base, wanted, incoming.shape_of(kind), owner, force=options.force)
        return self._store(kind, live, copy.deepcopy(merged), owners, options, [])

    def _update(
        self, kind: Kind, live: Json, manifest: Json, options: Options, warnings: list[str]
    ) -> Answer:
        incoming.check_version(kind, live, manifest)
        if "status" in kind.subresources:
            if options.subresource == "status":
                notes = manifest["metadata"].get("annotations")
                manifest = copy.deepcopy(live) | (
                    {"status": manifest["status"]} if "status" in manifest else {}
                )
                manifest["metadata"] |= {"annotations": notes} if notes else {}
            else:
                manifest = manifest | ({"status": live["status"]} if "status" in live else {})
        manifest["metadata"] = manifest["metadata"] | {
            "managedFields": live["metadata"].get("managedFields", [])
        }
        owner = self._owner(kind, "Update", options)
        # Nobody owns a status by writing the rest: it was carried over.
        hidden = {"status"} if "status" in kind.subresources and options.subresource != "status" else set()
        owners = apply.update(
            _content(live, hidden), _content(_filled(manifest), hidden), incoming.shape_of(kind), owner
        )
        return self._store(kind, live, manifest, owners, options, warnings)

    def _store(
        self,
        kind: Kind,
        live: Json | None,
        manifest: Json,
        owners: apply.Owners,
        options: Options,
        warnings: list[str],
    ) -> Answer:
        defaults.fill(manifest)
        if live is None and (status := defaults.initial_status(manifest)) is not None:
            manifest["status"] = status
        allocate(kind, live, manifest, self.store)
        self._system(kind, live, manifest)
        causes = [rules.required(path) for path in validate.missing(manifest, incoming.shape_of(kind))]
        causes += [
            _unsupported(*found) for found in validate.not_enumerated(manifest, incoming.shape_of(kind))
        ]
        causes = causes or [*rules.faults(manifest), *(rules.changes(live, manifest) if live else ())]
        if causes:
            raise errors.invalid(kind, manifest["metadata"]["name"], dict.fromkeys(causes))
        warnings = [*warnings, *self._admit(kind, live, manifest)]
        metadata = manifest["metadata"]
        if live is None and self.store.get(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise errors.already_exists(kind, metadata["name"])
        manifest["metadata"]["managedFields"] = entries(owners)
        if live is not None and _same(live, manifest):
            return Answer(live, warnings=tuple(warnings))
        if options.dry_run:
            version = {"resourceVersion": live["metadata"]["resourceVersion"]} if live else {}
            return Answer(
                manifest | {"metadata": manifest["metadata"] | version}, live is None, tuple(warnings)
            )
        if live is not None and metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return Answer(self.store.delete(kind, metadata.get("namespace", ""), metadata["name"]))
        return Answer(self.store.put(kind, manifest), live is None, tuple(warnings))

    def _admit(self, kind: Kind, live: Json | None, manifest: Json) -> list[str]:
        if kind.kind == "Pod" and (live is None or live["spec"] != manifest["spec"]):
            if live is None:
                admission.complete_pod(manifest)
                admission.mount_token(self.store, manifest)
            return admission.admit_pod(self.store, manifest)
        if kind.kind in _WORKLOADS and (live is None or live.get("spec") != manifest.get("spec")):
            return admission.warn_template(self.store, manifest)
        return []

    def _system(self, kind: Kind, live: Json | None, manifest: Json) -> None:
        """Metadata that only the server writes, and the generation, which counts changes of what is wanted."""
        metadata = manifest["metadata"]
        before = live["metadata"] if live else {}
        for name in _SYSTEM_FIELDS:
            metadata.pop(name, None)
            if name in before:
                metadata[name] = before[name]
        metadata.pop("resourceVersion", None)
        if live is None:
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.now()}
        if kind.api_version in _WITHOUT_GENERATION and kind.kind != "Pod":
            return
        hidden = {"metadata", "status"} if "status" in kind.subresources else {"metadata"}
        if live is None or _content(live, hidden) != _content(manifest, hidden):
            metadata["generation"] = before.get("generation", 0) + 1

    def _owner(self, kind: Kind, operation: str, options: Options) -> Owner:
        return Owner(
            options.manager, operation, kind.api_version, options.subresource, self.now(), frozenset()
        )


def _filled(manifest: Json) -> Json:
    filled = copy.deepcopy(manifest)
    defaults.fill(filled)
    return filled


def _content(manifest: Mapping[str, Any], hidden: Iterable[str]) -> Json:
    return {key: value for key, value in manifest.items() if key not in hidden}


def _same(live: Json, manifest: Json) -> bool:
    version = live["metadata"]["resourceVersion"]
    return live == manifest | {"metadata": manifest["metadata"] | {"resourceVersion": version}}


def _unsupported(path: str, value: str, allowed: tuple[str, ...]) -> rules.Fault:
    listed = ", ".join(rules.shown(choice) for choice in allowed)
    return (
        "FieldValueNotSupported",
        path,
        f"Unsupported value: {rules.shown(value)}: supported values: {listed}",
    )
