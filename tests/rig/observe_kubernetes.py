"""What a Kubernetes API server and its controllers answer, asked in the namespace `demo`."""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from dataclasses import replace
from typing import Any

from tests.rig import objects
from tests.rig.api import Api
from tests.rig.notes import Notes, Watch, until

WEB = "/apis/apps/v1/namespaces/demo/deployments/web"


def refusals(api: Api, gate: Api, notes: Notes) -> None:
    """Every way in which the API server says no."""
    notes.title("Refusals")
    answer = notes.answer
    answer("wrong token", replace(api, token="wrong").get(WEB))
    answer("RBAC: the gate lists secrets", gate.get("/api/v1/namespaces/demo/secrets"))
    answer("object that is not there", api.get(WEB.replace("web", "absent")))
    answer("kind that is not there", api.get("/apis/apps/v1/namespaces/demo/gadgets"))
    answer("path that is not there", api.get("/apis/absent.example/v1/things"))
    answer(
        "namespace that is not there (create)",
        api.request("POST", "/apis/apps/v1/namespaces/absent/deployments", objects.deployment()),
    )
    answer("namespace that is not there (list: no error)", api.get("/api/v1/namespaces/absent/pods"))
    answer("created twice", api.request("POST", "/api/v1/namespaces", objects.namespace("demo")))
    bad = objects.deployment()
    bad["metadata"]["name"] = "Not_A_Name"
    answer("invalid name", api.request("POST", "/apis/apps/v1/namespaces/demo/deployments", bad))
    bad = objects.deployment()
    bad["spec"]["replicas"] = "three"
    answer("wrong type (apply)", api.apply(WEB, bad, manager="countersign"))
    bad = objects.deployment()
    bad["spec"]["selector"] = {"matchLabels": {"other": "x"}}
    answer("selector does not match", api.request("POST", "/apis/apps/v1/namespaces/demo/deployments", bad))
    bad = objects.deployment()
    bad["spec"]["replica"] = 3
    deployments = "/apis/apps/v1/namespaces/demo/deployments"
    answer(
        "unknown field, fieldValidation=Strict",
        api.request("POST", f"{deployments}?fieldValidation=Strict&dryRun=All", bad),
    )
    answer("unknown field, apply", api.apply(WEB, bad, manager="countersign", query="&dryRun=All"))
    answer(
        "apply without fieldManager",
        api.request("PATCH", WEB, objects.deployment(), kind="application/apply-patch+yaml"),
    )
    answer(
        "name in URL and body differ",
        api.apply(WEB.replace("web", "other"), objects.deployment(), manager="countersign"),
    )


def pod_security(api: Api, notes: Notes) -> None:
    """The `restricted` standard, enforced by a namespace label."""
    notes.title("Pod Security admission (`restricted`)")
    pods = "/api/v1/namespaces/demo/pods"
    notes.answer("a privileged pod", api.request("POST", pods, objects.pod(privileged=True)))
    notes.answer("the same, dry-run", api.request("POST", f"{pods}?dryRun=All", objects.pod(privileged=True)))
    bad = objects.deployment(privileged=True)
    bad["metadata"]["name"] = "bad"
    path = WEB.replace("web", "bad")
    made = api.apply(path, bad, manager="countersign")
    notes.say(
        "A Deployment with such a template is **accepted**, with a warning header; its pods never come:"
    )
    notes.show(
        f"privileged Deployment: HTTP {made.status}",
        {"warnings": list(made.warnings), "status": made.body["status"]},
    )
    stuck = until(lambda: api.get(path).body, lambda body: len(body["status"].get("conditions", [])) > 1)
    notes.show("its status", stuck["status"])
    events = api.get(
        "/api/v1/namespaces/demo/events?fieldSelector=involvedObject.kind%3DReplicaSet,reason%3DFailedCreate"
    )
    notes.show("one of its events", events.body["items"][0] if events.body["items"] else None)
    api.request("DELETE", path)


def apply_and_conflict(api: Api, notes: Notes) -> None:
    """Server-side apply: dry-run against real, no change, conflict, stale write."""
    notes.title("Server-side apply")
    dry = api.apply(WEB, objects.deployment(), manager="countersign", query="&dryRun=All")
    notes.say(
        f"Dry-run of a new Deployment: HTTP {dry.status}; afterwards it is {api.get(WEB).status} to a GET."
    )
    notes.show("dry-run answer (complete)", dry.body)
    with Watch(
        api,
        "/apis/apps/v1/namespaces/demo/deployments",
        "/apis/apps/v1/namespaces/demo/replicasets",
        "/api/v1/namespaces/demo/pods",
    ) as watch:
        made = api.apply(WEB, objects.deployment(), manager="countersign")
    notes.show(
        f"real answer to the first apply (HTTP {made.status}): metadata and status",
        {"metadata": made.body["metadata"], "status": made.body["status"]},
    )
    notes.show("managedFields of that answer", made.body["metadata"]["managedFields"])
    rolling(watch, api, notes)
    before = api.get(WEB).body["metadata"]
    again = api.apply(WEB, objects.deployment(), manager="countersign")
    same = again.body["metadata"]["resourceVersion"] == before["resourceVersion"]
    notes.say(
        f"The same apply again: HTTP {again.status}, resourceVersion {'unchanged' if same else 'changed'}, generation {again.body['metadata']['generation']}."
    )
    notes.answer(
        "another manager applies 5 replicas",
        api.apply(WEB, objects.deployment(replicas=5), manager="someone-else"),
    )
    both = objects.deployment(replicas=5)
    both["spec"]["template"]["spec"]["containers"][0]["image"] = objects.IMAGE.replace("0" * 64, "1" * 64)
    notes.answer("another manager applies two fields", api.apply(WEB, both, manager="someone-else"))
    forced = api.apply(
        WEB, objects.deployment(replicas=5), manager="someone-else", query="&force=true&dryRun=All"
    )
    notes.show(
        f"the same with force=true (dry-run), HTTP {forced.status}: managers",
        [{k: each[k] for k in ("manager", "operation")} for each in forced.body["metadata"]["managedFields"]],
    )
    stale = api.get(WEB).body
    stale["metadata"]["resourceVersion"] = "1"
    stale["spec"]["replicas"] = 4
    notes.answer("PUT with an old resourceVersion", api.request("PUT", WEB, stale))
    changed = objects.deployment()
    changed["metadata"]["resourceVersion"] = "1"
    changed["spec"]["replicas"] = 4
    notes.answer("apply with an old resourceVersion", api.apply(WEB, changed, manager="countersign"))
    moved = objects.deployment()
    moved["spec"]["selector"] = {"matchLabels": {"app.kubernetes.io/name": "moved"}}
    moved["spec"]["template"]["metadata"]["labels"] = {"app.kubernetes.io/name": "moved"}
    notes.answer("apply that changes the immutable selector", api.apply(WEB, moved, manager="countersign"))


def rolling(watch: Watch, api: Api, notes: Notes) -> None:
    """A rollout as a watcher saw it."""
    notes.title("A Deployment of 3 becomes ready")
    started = time.monotonic()
    until(lambda: api.get(WEB).body["status"], lambda status: status.get("availableReplicas") == 3)
    notes.say(f"(asked after the watch closed, ready {time.monotonic() - started:.1f} s later at the latest)")
    for kind in ("Deployment", "ReplicaSet"):
        notes.show(f"{kind}: every status in order", _statuses(watch, kind))
    first = next((each["metadata"]["name"] for _, each in watch.seen if each["kind"] == "Pod"), "")
    notes.show(
        "one Pod: every status in order",
        [each["status"] for _, each in watch.seen if each["metadata"]["name"] == first],
    )
    ready = api.get(f"/api/v1/namespaces/demo/pods/{first}").body
    notes.show("that Pod, complete, when ready", ready)
    sets = api.get("/apis/apps/v1/namespaces/demo/replicasets").body["items"]
    notes.show(
        "its ReplicaSet's metadata and spec without template",
        {
            "metadata": sets[-1]["metadata"],
            "spec": {k: v for k, v in sets[-1]["spec"].items() if k != "template"},
        },
    )
    notes.show("the Deployment, complete, when ready", api.get(WEB).body)
    notes.title("Events of that rollout")
    events = api.get("/api/v1/namespaces/demo/events").body["items"]
    about = ("web", first)
    kept = [
        each
        for each in events
        if each["involvedObject"]["name"] in about
        or (
            each["involvedObject"]["kind"] == "ReplicaSet"
            and each["involvedObject"]["name"].startswith("web-")
        )
    ]
    notes.show("core/v1 Events: of the Deployment, its ReplicaSet (3) and one Pod", kept)


def _statuses(watch: Watch, kind: str) -> list[Any]:
    """The statuses that differ from the one before."""
    found: list[Any] = []
    for _, each in watch.seen:
        if (
            each["kind"] == kind
            and each["metadata"]["name"].startswith("web")
            and (not found or found[-1] != each.get("status"))
        ):
            found.append(each.get("status"))
    return found


def second_rollout(api: Api, notes: Notes) -> None:
    """A new image replaces the old one, then a rollout that cannot end."""
    notes.title("A changed template rolls over")
    new = objects.deployment()
    new["spec"]["template"]["spec"]["containers"][0]["image"] = objects.IMAGE.replace("0" * 64, "1" * 64)
    with Watch(api, "/apis/apps/v1/namespaces/demo/deployments") as watch:
        api.apply(WEB, new, manager="countersign")
    notes.show("Deployment: every status in order", _statuses(watch, "Deployment"))
    sets = api.get("/apis/apps/v1/namespaces/demo/replicasets").body["items"]
    notes.show(
        "the ReplicaSets afterwards",
        [
            {
                "name": each["metadata"]["name"],
                "revision": each["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
                "replicas": each["spec"]["replicas"],
                "status": each["status"],
            }
            for each in sets
        ],
    )
    events = api.get("/api/v1/namespaces/demo/events?fieldSelector=involvedObject.kind%3DDeployment").body[
        "items"
    ]
    notes.show("ScalingReplicaSet messages in order", [each["message"] for each in events])
    notes.title("A rollout that cannot end")
    stuck = objects.deployment(replicas=1)
    stuck["metadata"]["name"] = "stuck"
    stuck["spec"]["progressDeadlineSeconds"] = 2
    stuck["spec"]["template"]["spec"]["nodeSelector"] = {"absent": "node"}
    path = WEB.replace("web", "stuck")
    api.apply(path, stuck, manager="countersign")
    over = until(
        lambda: api.get(path).body,
        lambda body: any(
            each.get("reason") == "ProgressDeadlineExceeded" for each in body["status"].get("conditions", [])
        ),
    )
    notes.show("status after progressDeadlineSeconds", over["status"])
    pods = [
        each
        for each in api.get("/api/v1/namespaces/demo/pods").body["items"]
        if each["metadata"]["name"].startswith("stuck")
    ]
    notes.show("its pod's status", pods[0]["status"])
    api.request("DELETE", path)


def other_kinds(api: Api, notes: Notes) -> None:
    """Defaults that the server fills into what a web app needs besides."""
    notes.title("What the server adds to other kinds")
    labels = {"app.kubernetes.io/name": "web"}
    drafts: dict[str, objects.Object] = {
        "/api/v1/namespaces/demo/services/web": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        "/api/v1/namespaces/demo/serviceaccounts/web": {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "web"},
            "automountServiceAccountToken": False,
        },
        "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/web": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web"},
            "spec": {
                "podSelector": {"matchLabels": labels},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": 8080}]}],
            },
        },
        "/apis/policy/v1/namespaces/demo/poddisruptionbudgets/web": {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": labels}},
        },
        "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers/web": {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 3,
                "maxReplicas": 6,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 70},
                        },
                    }
                ],
            },
        },
    }
    for path, draft in drafts.items():
        api.apply(path, draft, manager="countersign")
        notes.show(draft["kind"], api.get(path).body)
    notes.show("Namespace", api.get("/api/v1/namespaces/demo").body)
    time.sleep(1)
    notes.show(
        "PodDisruptionBudget status a second later",
        api.get("/apis/policy/v1/namespaces/demo/poddisruptionbudgets/web").body.get("status"),
    )
    notes.show(
        "kubectl's table of pods (Accept: ...as=Table;v=v1;g=meta.k8s.io), first row without object",
        _table(api),
    )
    api.request("DELETE", "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers/web")


def _table(api: Api) -> Any:
    request = urllib.request.Request(
        f"{api.url}/api/v1/namespaces/demo/pods?limit=1",
        headers={
            "Authorization": f"Bearer {api.token}",
            "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
        },
    )
    with urllib.request.urlopen(
        request, context=ssl.create_default_context(cafile=str(api.authority))
    ) as response:
        table = json.load(response)
    for row in table["rows"]:
        row.pop("object")
    return table
