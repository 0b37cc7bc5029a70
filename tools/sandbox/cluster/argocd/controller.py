"""Applications: compare with git, say how they stand, and sync only when `operation` (or an automated policy) asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tools.sandbox.cluster.argocd import projects, sync
from tools.sandbox.cluster.argocd.compare import Compared, compare, images, overall, targets, tracked
from tools.sandbox.cluster.argocd.source import Repositories, Source, SourceError
from tools.sandbox.cluster.cluster import Cluster, Options
from tools.sandbox.cluster.controllers.common import event
from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.patch import json_merge
from tools.sandbox.cluster.settings import ClusterSettings

Json = dict[str, Any]
APPLICATION = BY_KIND["argoproj.io/v1alpha1", "Application"]
PROJECT = BY_KIND["argoproj.io/v1alpha1", "AppProject"]
REFRESH = "argocd.argoproj.io/refresh"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
COMPONENT = "argocd-application-controller"
_KEPT_HISTORY = 10
_LOAD = "Failed to load target state: failed to generate manifest for source 1 of 1: "


@dataclass(frozen=True)
class _State:
    """One comparison: the commit that was read, the objects, or why not."""

    revision: str
    items: list[Compared]
    condition: tuple[str, str] | None = None


class ArgoCd:
    """Remembers which commit a moving revision meant, and the manifests of a commit."""

    def __init__(self, settings: ClusterSettings, repositories: Repositories) -> None:
        self._settings = settings
        self._repositories = repositories
        self._commits: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._manifests: dict[tuple[str, str], list[Json]] = {}

    def step(self, cluster: Cluster, application: Json) -> datetime | None:
        """Take the next step of an Application in Argo CD's namespace; when to ask git again."""
        metadata = application["metadata"]
        if metadata["namespace"] != self._settings.argocd_namespace:
            return None
        if metadata.get("deletionTimestamp"):
            _finalize(cluster, application)
            return None
        self._commits = {key: held for key, held in self._commits.items() if held[0] > cluster.clock()}
        if REFRESH in (metadata.get("annotations") or {}):
            url = (application["spec"].get("source") or {}).get("repoURL")
            self._commits = {key: held for key, held in self._commits.items() if key[0] != url}
            annotations = {key: value for key, value in metadata["annotations"].items() if key != REFRESH}
            application = _write(cluster, application, metadata=metadata | {"annotations": annotations})
        project = cluster.store.get(
            PROJECT, metadata["namespace"], application["spec"].get("project") or "default"
        )
        if application.get("operation"):
            application = self._operate(cluster, application, project)
        state = self._compare(
            cluster, application, project, application["spec"].get("source", {}).get("targetRevision", "")
        )
        application = _say(cluster, application, state)
        _automate(cluster, application, state)
        return min((moment for moment, _ in self._commits.values()), default=None)

    def _compare(self, cluster: Cluster, application: Json, project: Json | None, revision: str) -> _State:
        faults = projects.spec_faults(application, project)
        if faults or project is None:
            return _State(revision, [], ("InvalidSpecError", "; ".join(faults)))
        try:
            commit, manifests = self._load(cluster, application["spec"], revision)
            wanted = targets(application, manifests)
        except SourceError as fault:
            return _State(revision, [], ("ComparisonError", f"{_LOAD}{fault}"))
        return _State(commit, compare(cluster, application, wanted, project))

    def _load(self, cluster: Cluster, spec: Json, revision: str) -> tuple[str, list[Json]]:
        if spec.get("sources"):
            raise SourceError("several sources are not supported in the rehearsal: use spec.source")
        url = spec["source"]["repoURL"]
        repository = self._repositories(url)
        if repository is None:
            raise SourceError(
                f"rpc error: code = Unknown desc = failed to list refs: repository not found: {url}"
            )
        source = Source(self._settings.git, repository)
        held = self._commits.get((url, revision))
        if held is None:
            until = cluster.clock() + timedelta(seconds=self._settings.poll_seconds)
            held = self._commits[url, revision] = (until, source.resolve(revision))
        key = (held[1], json.dumps([url, spec["source"]], sort_keys=True))
        if key not in self._manifests:
            if len(self._manifests) > _KEPT_HISTORY:
                self._manifests.clear()
            self._manifests[key] = source.manifests(held[1], spec["source"])
        return held[1], self._manifests[key]

    def _operate(self, cluster: Cluster, application: Json, project: Json | None) -> Json:
        """Begin the operation, or (a round later) run it to its end."""
        operation, status = application["operation"], application.get("status") or {}
        running = status.get("operationState") or {}
        if running.get("phase") != "Running":
            begun = {"operation": {"retry": {}} | operation, "phase": "Running", "startedAt": cluster.now()}
            # Argo CD patches the state of the operation before: what the new one does not name stays.
            merged = json_merge(running, begun | {"message": None, "finishedAt": None})
            return _write(cluster, application, status=status | {"operationState": merged})
        asked = operation.get("sync") or {}
        revision = asked.get("revision") or application["spec"]["source"].get("targetRevision", "")
        state = self._compare(cluster, application, project, revision)
        if state.condition or project is None:
            kind, message = state.condition or ("InvalidSpecError", "the project does not exist")
            done = sync.Synced("Error", f"{kind}: {message}", [])
        elif "sync" not in operation:
            done = sync.Synced("Error", "Invalid operation request: sync must be specified", [])
        else:
            done = sync.run(cluster, application, project, state.items, operation)
        return _finish(cluster, application, done, state.revision)


def _finish(cluster: Cluster, application: Json, done: sync.Synced, revision: str) -> Json:
    now, source = cluster.now(), application["spec"].get("source", {})
    running = application["status"]["operationState"]
    result: Json = {"revision": revision, "source": source} | (
        {"resources": done.resources} if done.resources else {}
    )
    ended = json_merge(
        running, {"phase": done.phase, "message": done.message, "finishedAt": now, "syncResult": result}
    )
    status: Json = application["status"] | {"operationState": ended}
    if done.phase == "Succeeded":
        history = application["status"].get("history") or []
        entry = {"id": history[-1]["id"] + 1 if history else 0, "revision": revision, "source": source}
        entry |= {"deployStartedAt": running["startedAt"], "deployedAt": now}
        entry |= (
            {"initiatedBy": running["operation"]["initiatedBy"]}
            if running["operation"].get("initiatedBy")
            else {}
        )
        status["history"] = [*history, entry][
            -(application["spec"].get("revisionHistoryLimit") or _KEPT_HISTORY) :
        ]
    said = "succeeded" if done.phase == "Succeeded" else f"failed: {done.message}"
    event(
        cluster,
        application,
        "OperationCompleted",
        f"Sync operation to {revision} {said}",
        COMPONENT,
        warning=said != "succeeded",
    )
    return _write(cluster, application, operation=None, status=status)


def _say(cluster: Cluster, application: Json, state: _State) -> Json:
    """Write how the application stands; `reconciledAt` moves only with the rest."""
    spec, before = application["spec"], application.get("status") or {}
    status = {
        key: value for key, value in before.items() if key in {"history", "operationState", "reconciledAt"}
    }
    compared = {"source": spec.get("source", {}), "destination": spec["destination"]}
    if spec.get("ignoreDifferences"):
        compared["ignoreDifferences"] = spec["ignoreDifferences"]
    status |= {"controllerNamespace": application["metadata"]["namespace"], "resourceHealthSource": "appTree"}
    if state.condition:
        kind, message = state.condition
        said = [c["lastTransitionTime"] for c in before.get("conditions") or () if c["message"] == message]
        moment = said[0] if said else cluster.now()
        status["conditions"] = [{"type": kind, "message": message, "lastTransitionTime": moment}]
        sync_status, health = "Unknown", "Unknown" if kind == "InvalidSpecError" else "Healthy"
    else:
        sync_status, health = overall(state.items)
        status |= {"sourceType": "Directory", "resources": [item.entry() for item in state.items]}
        found = images(state.items)
        status |= {"summary": {"images": found}} if found else {}
    status["sync"] = {"status": sync_status, "revision": state.revision, "comparedTo": compared}
    held = before.get("health") or {}
    moment = held["lastTransitionTime"] if held.get("status") == health else cluster.now()
    status["health"] = {"status": health, "lastTransitionTime": moment}
    if before == status:
        return application
    _tell(cluster, application, "sync", (before.get("sync") or {}).get("status", ""), sync_status)
    _tell(cluster, application, "health", held.get("status", ""), health)
    status["reconciledAt"] = cluster.now()
    return _write(cluster, application, status=status)


def _tell(cluster: Cluster, application: Json, what: str, before: str, after: str) -> None:
    if before != after:
        event(
            cluster, application, "ResourceUpdated", f"Updated {what} status: {before} -> {after}", COMPONENT
        )


def _automate(cluster: Cluster, application: Json, state: _State) -> None:
    """Ask for a sync as the automated policy would: once a revision, and again after drift only with selfHeal."""
    policy = (application["spec"].get("syncPolicy") or {}).get("automated")
    status = application.get("status") or {}
    if policy is None or policy.get("enabled") is False or application.get("operation") or state.condition:
        return
    if status["sync"]["status"] != "OutOfSync":
        return
    prunes_only = all(item.status == "Synced" or item.target is None for item in state.items)
    if prunes_only and not policy.get("prune"):
        return
    last = status.get("operationState") or {}
    tried = (last.get("syncResult") or {}).get("revision") == state.revision
    if tried and not (policy.get("selfHeal") and last.get("phase") == "Succeeded"):
        return
    asked: Json = {"revision": state.revision} | ({"prune": True} if policy.get("prune") else {})
    _write(
        cluster,
        application,
        operation={"initiatedBy": {"automated": True}, "retry": {"limit": 5}, "sync": asked},
    )


def _finalize(cluster: Cluster, application: Json) -> None:
    """Delete what the application applied if its finalizer says so, then let it go."""
    finalizers = application["metadata"].get("finalizers") or []
    if FINALIZER not in finalizers:
        return
    for kind, live in tracked(cluster, application["metadata"]["name"]):
        cluster.delete(kind, live["metadata"].get("namespace", ""), live["metadata"]["name"])
    kept = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
    _write(cluster, application, metadata=application["metadata"] | {"finalizers": kept})


def _write(cluster: Cluster, application: Json, **fields: Json | None) -> Json:
    """Replace top-level fields as the controller, None taking one away; the application as it then is."""
    manifest = {key: value for key, value in (application | fields).items() if value is not None}
    metadata = application["metadata"]
    options = Options(manager=COMPONENT, validation="Ignore")
    return cluster.replace(APPLICATION, metadata["namespace"], metadata["name"], manifest, options).manifest
