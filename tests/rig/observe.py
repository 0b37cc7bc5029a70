"""Ask the rig what the rehearsal must answer, and write it down: `python3 tests/rig/observe.py > tests/rig/OBSERVED.md`.

Starts a rig of its own. Everything in the output is the servers' own word, but for what `trim` says it leaves out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a script: the tree's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.rig import git_server, objects
from tests.rig.api import MERGE, Answer, Api
from tests.rig.build import build, cache_folder
from tests.rig.rig import Rig

HEAD = """\
# What the real servers answer

Written by `python3 tests/rig/observe.py` from the rig (Kubernetes 1.36.3, Argo CD 3.2.6, kwok 0.8.0); do not edit.
Where the rehearsal in `tools/sandbox` differs, the rehearsal is wrong. Left out: `managedFields` unless it is the
point, and objects that only repeat. `PORT` stands for a port of the rig.

kwok stands for the kubelet: it sets a pod's status to Running at once and writes **no events** of its own. On a real
node there also are, per pod, in this order, `Pulling`, `Pulled`, `Created`, `Started` (Normal, from `kubelet`), and
while an image cannot be had `Failed` and `BackOff` (Warning) with the container waiting for `ErrImagePull` and
`ImagePullBackOff`: those six are not observed here.

What is easy to get wrong, each shown below:

- A privileged Deployment is **accepted** in a `restricted` namespace (201 and a `Warning` header); only its pods are
  refused. It shows as condition `ReplicaFailure` and in the ReplicaSet's `FailedCreate` events, never as an HTTP error.
- A dry-run answers like the real call (201 for a new object, with an invented uid) but without `resourceVersion`.
- Server-side apply answers a wrong type or an unknown field with **500** and no `reason`; create and update say 400, 422.
- A list in a namespace that does not exist is 200 and empty; a create there is 404.
- The Deployment's first status is `{}`; a missing counter means 0.
- Argo CD removes `operation` when it ends. `phase: Succeeded` comes **before** `sync: Synced` and before the health
  moves: all three must be read, in that order.
- With a commit that is not there `sync` is `Unknown`, and `health` is **Healthy** all the same.
- Argo CD merges `operationState` into the one before: `initiatedBy` and `syncResult.resources` of an earlier operation
  stay. Only `phase`, `message`, `startedAt`, `finishedAt` and `syncResult.revision` are surely of this one.
- Argo CD applies client-side (annotation `last-applied-configuration`), under its own field manager.
"""
WEB = "/apis/apps/v1/namespaces/demo/deployments/web"
APPS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"


class Notes:
    """The page, printed as it grows."""

    def __init__(self, secret_ports: dict[str, str]) -> None:
        self._ports = secret_ports

    def title(self, text: str) -> None:
        print(f"\n## {text}\n")

    def say(self, text: str) -> None:
        print(f"{text}\n", flush=True)

    def show(self, label: str, value: Any) -> None:
        text = json.dumps(trim(value), indent=1, ensure_ascii=False)
        for port, name in self._ports.items():
            text = text.replace(f":{port}", f":{name}")
        print(f"**{label}**\n\n```json\n{text}\n```\n", flush=True)

    def answer(self, label: str, answer: Answer) -> None:
        heard = "".join(f"; `Warning: {each}`" for each in answer.warnings)
        self.show(f"{label}: HTTP {answer.status}{heard}", answer.body)


def trim(value: Any) -> Any:
    """The same without managedFields, at any depth."""
    if isinstance(value, dict):
        return {key: trim(each) for key, each in value.items() if key != "managedFields"}
    return [trim(each) for each in value] if isinstance(value, list) else value


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 30) -> Any:
    """The first answer that is wanted; the last one after the deadline, for the page to show what it was instead."""
    deadline = time.monotonic() + seconds
    while not wanted(answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


class Watch:
    """Collects what a watch of these paths says within the block, in the order of arrival."""

    def __init__(self, api: Api, *paths: str) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._api, self._paths = api, paths
        self._threads = [threading.Thread(target=self._follow, args=(path,), daemon=True) for path in paths]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _follow(self, path: str) -> None:
        import ssl

        context = ssl.create_default_context(cafile=str(self._api.authority))
        request = urllib.request.Request(
            f"{self._api.url}{path}?watch=true&timeoutSeconds=6", headers={"Authorization": f"Bearer {self._api.token}"}
        )
        with urllib.request.urlopen(request, context=context, timeout=30) as stream:
            for line in stream:
                event = json.loads(line)
                self.seen.append((event["type"], event["object"]))


def refusals(api: Api, gate: Api, notes: Notes) -> None:
    """Every way in which the API server says no."""
    notes.title("Refusals")
    answer = notes.answer
    answer("wrong token", replace(api, token="wrong").get(WEB))
    answer("RBAC: the gate lists secrets", gate.get("/api/v1/namespaces/demo/secrets"))
    answer("object that is not there", api.get(WEB.replace("web", "absent")))
    answer("kind that is not there", api.get("/apis/apps/v1/namespaces/demo/gadgets"))
    answer("path that is not there", api.get("/apis/absent.example/v1/things"))
    answer("namespace that is not there (create)", api.request("POST", "/apis/apps/v1/namespaces/absent/deployments", objects.deployment()))
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
    answer("unknown field, fieldValidation=Strict", api.request("POST", f"{deployments}?fieldValidation=Strict&dryRun=All", bad))
    answer("unknown field, apply", api.apply(WEB, bad, manager="countersign", query="&dryRun=All"))
    answer("apply without fieldManager", api.request("PATCH", WEB, objects.deployment(), kind="application/apply-patch+yaml"))
    answer("name in URL and body differ", api.apply(WEB.replace("web", "other"), objects.deployment(), manager="countersign"))


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
    notes.say("A Deployment with such a template is **accepted**, with a warning header; its pods never come:")
    notes.show(f"privileged Deployment: HTTP {made.status}", {"warnings": list(made.warnings), "status": made.body["status"]})
    stuck = until(lambda: api.get(path).body, lambda body: len(body["status"].get("conditions", [])) > 1)
    notes.show("its status", stuck["status"])
    events = api.get("/api/v1/namespaces/demo/events?fieldSelector=involvedObject.kind%3DReplicaSet,reason%3DFailedCreate")
    notes.show("one of its events", events.body["items"][0] if events.body["items"] else None)
    api.request("DELETE", path)


def apply_and_conflict(api: Api, notes: Notes) -> None:
    """Server-side apply: dry-run against real, no change, conflict, stale write."""
    notes.title("Server-side apply")
    dry = api.apply(WEB, objects.deployment(), manager="countersign", query="&dryRun=All")
    notes.say(f"Dry-run of a new Deployment: HTTP {dry.status}; afterwards it is {api.get(WEB).status} to a GET.")
    notes.show("dry-run answer (complete)", dry.body)
    with Watch(api, "/apis/apps/v1/namespaces/demo/deployments", "/apis/apps/v1/namespaces/demo/replicasets", "/api/v1/namespaces/demo/pods") as watch:
        made = api.apply(WEB, objects.deployment(), manager="countersign")
    notes.show(f"real answer to the first apply (HTTP {made.status}): metadata and status", {"metadata": made.body["metadata"], "status": made.body["status"]})
    notes.show("managedFields of that answer", made.body["metadata"]["managedFields"])
    rolling(watch, api, notes)
    before = api.get(WEB).body["metadata"]
    again = api.apply(WEB, objects.deployment(), manager="countersign")
    same = again.body["metadata"]["resourceVersion"] == before["resourceVersion"]
    notes.say(f"The same apply again: HTTP {again.status}, resourceVersion {'unchanged' if same else 'changed'}, generation {again.body['metadata']['generation']}.")
    notes.answer("another manager applies 5 replicas", api.apply(WEB, objects.deployment(replicas=5), manager="someone-else"))
    both = objects.deployment(replicas=5)
    both["spec"]["template"]["spec"]["containers"][0]["image"] = objects.IMAGE.replace("0" * 64, "1" * 64)
    notes.answer("another manager applies two fields", api.apply(WEB, both, manager="someone-else"))
    forced = api.apply(WEB, objects.deployment(replicas=5), manager="someone-else", query="&force=true&dryRun=All")
    notes.show(f"the same with force=true (dry-run), HTTP {forced.status}: managers", [{k: each[k] for k in ("manager", "operation")} for each in forced.body["metadata"]["managedFields"]])
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
    notes.show("one Pod: every status in order", [each["status"] for _, each in watch.seen if each["metadata"]["name"] == first])
    ready = api.get(f"/api/v1/namespaces/demo/pods/{first}").body
    notes.show("that Pod, complete, when ready", ready)
    sets = api.get("/apis/apps/v1/namespaces/demo/replicasets").body["items"]
    notes.show("its ReplicaSet's metadata and spec without template", {"metadata": sets[-1]["metadata"], "spec": {k: v for k, v in sets[-1]["spec"].items() if k != "template"}})
    notes.show("the Deployment, complete, when ready", api.get(WEB).body)
    notes.title("Events of that rollout")
    events = api.get("/api/v1/namespaces/demo/events").body["items"]
    about = ("web", first)
    kept = [each for each in events if each["involvedObject"]["name"] in about or (each["involvedObject"]["kind"] == "ReplicaSet" and each["involvedObject"]["name"].startswith("web-"))]
    notes.show("core/v1 Events: of the Deployment, its ReplicaSet (3) and one Pod", kept)


def _statuses(watch: Watch, kind: str) -> list[Any]:
    """The statuses that differ from the one before."""
    found: list[Any] = []
    for _, each in watch.seen:
        if each["kind"] == kind and each["metadata"]["name"].startswith("web") and (not found or found[-1] != each.get("status")):
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
    notes.show("the ReplicaSets afterwards", [{"name": each["metadata"]["name"], "revision": each["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "replicas": each["spec"]["replicas"], "status": each["status"]} for each in sets])
    events = api.get("/api/v1/namespaces/demo/events?fieldSelector=involvedObject.kind%3DDeployment").body["items"]
    notes.show("ScalingReplicaSet messages in order", [each["message"] for each in events])
    notes.title("A rollout that cannot end")
    stuck = objects.deployment(replicas=1)
    stuck["metadata"]["name"] = "stuck"
    stuck["spec"]["progressDeadlineSeconds"] = 2
    stuck["spec"]["template"]["spec"]["nodeSelector"] = {"absent": "node"}
    path = WEB.replace("web", "stuck")
    api.apply(path, stuck, manager="countersign")
    over = until(lambda: api.get(path).body, lambda body: any(each.get("reason") == "ProgressDeadlineExceeded" for each in body["status"].get("conditions", [])))
    notes.show("status after progressDeadlineSeconds", over["status"])
    pods = [each for each in api.get("/api/v1/namespaces/demo/pods").body["items"] if each["metadata"]["name"].startswith("stuck")]
    notes.show("its pod's status", pods[0]["status"])
    api.request("DELETE", path)


def other_kinds(api: Api, notes: Notes) -> None:
    """Defaults that the server fills into what a web app needs besides."""
    notes.title("What the server adds to other kinds")
    labels = {"app.kubernetes.io/name": "web"}
    drafts = {
        "/api/v1/namespaces/demo/services/web": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}},
        "/api/v1/namespaces/demo/serviceaccounts/web": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}, "automountServiceAccountToken": False},
        "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/web": {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"}, "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8080}]}]}},
        "/apis/policy/v1/namespaces/demo/poddisruptionbudgets/web": {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": labels}}},
        "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers/web": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 3, "maxReplicas": 6, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]}},
    }
    for path, draft in drafts.items():
        api.apply(path, draft, manager="countersign")
        notes.show(draft["kind"], api.get(path).body)
    notes.show("Namespace", api.get("/api/v1/namespaces/demo").body)
    time.sleep(1)
    notes.show("PodDisruptionBudget status a second later", api.get("/apis/policy/v1/namespaces/demo/poddisruptionbudgets/web").body.get("status"))
    notes.show("kubectl's table of pods (Accept: ...as=Table;v=v1;g=meta.k8s.io), first row without object", _table(api))
    api.request("DELETE", "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers/web")


def _table(api: Api) -> Any:
    import ssl

    request = urllib.request.Request(f"{api.url}/api/v1/namespaces/demo/pods?limit=1", headers={"Authorization": f"Bearer {api.token}", "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(api.authority))) as response:
        table = json.load(response)
    for row in table["rows"]:
        row.pop("object")
    return table


def argocd(api: Api, repository: str, sha: str, notes: Notes) -> None:
    """An Application from its birth to its pods, and with a commit that is not there."""
    notes.title("An Argo CD Application at a commit")
    api.request("POST", "/api/v1/namespaces", objects.namespace("shop"))
    path = f"{APPS}/shop"
    made = api.apply(path, objects.application(repository, sha, "shop"), manager="countersign")
    notes.answer("created by server-side apply", made)
    fresh = until(lambda: api.get(path).body, lambda body: body.get("status", {}).get("sync", {}).get("status") == "OutOfSync")
    notes.show("before any sync (no automated policy)", fresh)
    operation = {"operation": {"initiatedBy": {"username": "countersign"}, "sync": {"revision": sha}}}
    with Watch(api, APPS) as watch:
        notes.answer("sync asked for by a merge patch of `operation`", api.request("PATCH", f"{path}?fieldManager=countersign", operation, kind=MERGE))
    notes.show("every change after that, in order (operation, operationState, sync, health only)", _steps(watch))
    done = until(lambda: api.get(path).body, lambda body: body["status"]["health"].get("status") == "Healthy")
    notes.show("synced and healthy", done)
    live = api.get(WEB.replace("demo", "shop")).body["metadata"]
    notes.show("what Argo CD put on the Deployment", {key: live[key] for key in ("annotations", "labels")})
    notes.show("its field managers", [{key: each.get(key) for key in ("manager", "operation", "subresource")} for each in live["managedFields"]])
    notes.show("its Events", [{key: each[key] for key in ("reason", "type", "message", "source")} for each in api.get("/api/v1/namespaces/argocd/events").body["items"]])
    again = {"operation": {"sync": {"revision": sha}}}
    api.request("PATCH", path, again, kind=MERGE)
    until(lambda: api.get(path).body, lambda body: "operation" not in body and body["status"]["operationState"]["phase"] != "Running")
    twice = api.get(path).body["status"]
    notes.show("synced a second time: operationState, length of history", {"operationState": twice["operationState"], "history": len(twice["history"])})
    other = {"operation": {"sync": {"revision": "b" * 40}}}
    api.request("PATCH", path, other, kind=MERGE)
    refused = until(lambda: api.get(path).body, lambda body: "operation" not in body and body["status"]["operationState"]["phase"] in ("Error", "Failed"))
    notes.show("operation that names a commit which is not there: operationState", refused["status"]["operationState"])
    api.request("POST", "/api/v1/namespaces", objects.namespace("ghost"))
    ghost = f"{APPS}/ghost"
    api.apply(ghost, objects.application(repository, "a" * 40, "ghost"), manager="countersign")
    notes.show("targetRevision that is not there: status", until(lambda: api.get(ghost).body, lambda body: body.get("status", {}).get("conditions"))["status"])
    drift = api.request("PATCH", WEB.replace("demo", "shop"), {"spec": {"replicas": 1}}, kind=MERGE)
    drifted = until(lambda: api.get(path).body, lambda body: body["status"]["sync"]["status"] == "OutOfSync")
    notes.show(f"somebody scaled the Deployment to 1 by hand (HTTP {drift.status}): sync, health, resources", {key: drifted["status"][key] for key in ("sync", "health", "resources")})


def _steps(watch: Watch) -> list[Any]:
    steps: list[Any] = []
    for _, each in watch.seen:
        status = each.get("status", {})
        step = {"operation": each.get("operation"), "phase": status.get("operationState", {}).get("phase"), "message": status.get("operationState", {}).get("message"), "sync": status.get("sync", {}).get("status"), "health": status.get("health", {}).get("status")}
        if not steps or steps[-1] != step:
            steps.append(step)
    return steps


def main() -> None:
    """Start a rig, ask, print."""
    environment = dict(os.environ)
    binaries = build(cache_folder(environment), environment, say=lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "git"
        root.mkdir()
        sha = git_server.commit(root, "shop.git", {"manifests/web.json": json.dumps(objects.deployment())})
        with Rig(Path(folder) / "rig", binaries, environment) as rig, git_server.serve(root) as url:
            api = rig.cluster.admin
            print(HEAD)
            notes = Notes({api.url.rpartition(":")[2]: "PORT", url.rpartition(":")[2]: "PORT"})
            api.request("POST", "/api/v1/namespaces", objects.namespace("demo"))
            apply_and_conflict(api, notes)
            second_rollout(api, notes)
            other_kinds(api, notes)
            pod_security(api, notes)
            refusals(api, rig.gate, notes)
            argocd(api, f"{url}/shop.git", sha, notes)


if __name__ == "__main__":
    main()
