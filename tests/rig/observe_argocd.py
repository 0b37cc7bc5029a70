"""What Argo CD makes of an Application, asked through the API server as Countersign asks."""

from __future__ import annotations

from typing import Any

from tests.rig import objects
from tests.rig.api import MERGE, Api
from tests.rig.notes import Notes, Watch, until

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
APPS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


def observe(api: Api, repository: str, sha: str, notes: Notes) -> None:
    """An Application from its birth to its pods, and with a commit that is not there."""
    notes.title("An Argo CD Application at a commit")
    api.request("POST", "/api/v1/namespaces", objects.namespace("shop"))
    path = f"{APPS}/shop"
    made = api.apply(path, objects.application(repository, sha, "shop"), manager="countersign")
    notes.answer("created by server-side apply", made)
    fresh = until(
        lambda: api.get(path).body,
        lambda body: body.get("status", {}).get("sync", {}).get("status") == "OutOfSync",
    )
    notes.show("before any sync (no automated policy)", fresh)
    operation = {"operation": {"initiatedBy": {"username": "countersign"}, "sync": {"revision": sha}}}
    with Watch(api, APPS) as watch:
        notes.answer(
            "sync asked for by a merge patch of `operation`",
            api.request("PATCH", f"{path}?fieldManager=countersign", operation, kind=MERGE),
        )
    notes.show(
        "every change after that, in order (operation, operationState, sync, health only)", _steps(watch)
    )
    done = until(lambda: api.get(path).body, lambda body: body["status"]["health"].get("status") == "Healthy")
    notes.show("synced and healthy", done)
    live = api.get(WEB).body["metadata"]
    notes.show("what Argo CD put on the Deployment", {key: live[key] for key in ("annotations", "labels")})
    notes.show(
        "its field managers",
        [
            {key: each.get(key) for key in ("manager", "operation", "subresource")}
            for each in live["managedFields"]
        ],
    )
    notes.show(
        "its Events",
        [
            {key: each[key] for key in ("reason", "type", "message", "source")}
            for each in api.get("/api/v1/namespaces/argocd/events").body["items"]
        ],
    )
    again = {"operation": {"sync": {"revision": sha}}}
    api.request("PATCH", path, again, kind=MERGE)
    until(
        lambda: api.get(path).body,
        lambda body: "operation" not in body and body["status"]["operationState"]["phase"] != "Running",
    )
    twice = api.get(path).body["status"]
    notes.show(
        "synced a second time: operationState, length of history",
        {"operationState": twice["operationState"], "history": len(twice["history"])},
    )
    other = {"operation": {"sync": {"revision": "b" * 40}}}
    api.request("PATCH", path, other, kind=MERGE)
    refused = until(
        lambda: api.get(path).body,
        lambda body: (
            "operation" not in body and body["status"]["operationState"]["phase"] in ("Error", "Failed")
        ),
    )
    notes.show(
        "operation that names a commit which is not there: operationState",
        refused["status"]["operationState"],
    )
    api.request("POST", "/api/v1/namespaces", objects.namespace("ghost"))
    ghost = f"{APPS}/ghost"
    api.apply(ghost, objects.application(repository, "a" * 40, "ghost"), manager="countersign")
    notes.show(
        "targetRevision that is not there: status",
        until(lambda: api.get(ghost).body, lambda body: body.get("status", {}).get("conditions"))["status"],
    )
    drift = api.request("PATCH", WEB, {"spec": {"replicas": 1}}, kind=MERGE)
    drifted = until(lambda: api.get(path).body, lambda body: body["status"]["sync"]["status"] == "OutOfSync")
    notes.show(
        f"somebody scaled the Deployment to 1 by hand (HTTP {drift.status}): sync, health, resources",
        {key: drifted["status"][key] for key in ("sync", "health", "resources")},
    )


def _steps(watch: Watch) -> list[Any]:
    steps: list[Any] = []
    for _, each in watch.seen:
        status = each.get("status", {})
        step = {
            "operation": each.get("operation"),
            "phase": status.get("operationState", {}).get("phase"),
            "message": status.get("operationState", {}).get("message"),
            "sync": status.get("sync", {}).get("status"),
            "health": status.get("health", {}).get("status"),
        }
        if not steps or steps[-1] != step:
            steps.append(step)
    return steps
