"""Ask the rig what the rehearsal must answer, and write it down: `python3 tests/rig/observe.py > tests/rig/OBSERVED.md`.

Starts a rig of its own. Everything in the output is the servers' own word, but for what `trim` leaves out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # run as a script: the tree's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.rig import git_server, objects
from tests.rig import observe_argocd as argocd
from tests.rig import observe_kubernetes as kubernetes
from tests.rig.build import build, cache_folder, require_tools
from tests.rig.notes import Notes
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


def main() -> None:
    """Start a rig, ask, print."""
    environment = dict(os.environ)
    cache = cache_folder(environment)
    java = require_tools(cache, environment)
    binaries = build(cache, java, say=lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "git"
        root.mkdir()
        sha = git_server.commit(root, "shop.git", {"manifests/web.json": json.dumps(objects.deployment())})
        with Rig(Path(folder) / "rig", binaries, environment) as rig, git_server.serve(root) as url:
            api = rig.cluster.admin
            print(HEAD)
            notes = Notes({api.url.rpartition(":")[2]: "PORT", url.rpartition(":")[2]: "PORT"})
            api.request("POST", "/api/v1/namespaces", objects.namespace("demo"))
            kubernetes.apply_and_conflict(api, notes)
            kubernetes.second_rollout(api, notes)
            kubernetes.other_kinds(api, notes)
            kubernetes.pod_security(api, notes)
            kubernetes.refusals(api, rig.gate, notes)
            argocd.observe(api, f"{url}/shop.git", sha, notes)


if __name__ == "__main__":
    main()
