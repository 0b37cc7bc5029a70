"""The rehearsal against the real servers' recorded word: the questions that made tests/rig/OBSERVED.md are asked again.

Where an answer differs, the rehearsal is wrong, but for what DIFFERENT names with its reason.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from policies.finding import ImageFacts
from tests.fakes import served_cluster
from tests.fakes.served_cluster import TOKEN, ServedCluster
from tests.rig import git_server, objects, observe_argocd, observe_kubernetes
from tests.rig.api import Api
from tests.rig.notes import Notes

OBSERVED = Path(__file__).parents[3] / "rig" / "OBSERVED.md"
Key = tuple[str, str]
KUBELET = "kwok sets a pod to Running at once; the rehearsal shows the kubelet's own steps and events"
CONTROLLER = "asked before or after a controller's next step, which is a matter of moments"
ONE_USER = "the rehearsal has one user, who may do everything"
DIFFERENT: dict[str, str] = {
    "one Pod: every status in order": KUBELET,
    "that Pod, complete, when ready": KUBELET,
    "core/v1 Events: of the Deployment, its ReplicaSet (3) and one Pod": KUBELET,
    "Deployment: every status in order": CONTROLLER,
    "ReplicaSet: every status in order": CONTROLLER,
    "PodDisruptionBudget": CONTROLLER,
    "HorizontalPodAutoscaler": CONTROLLER,
    "the ReplicaSets afterwards": "listed by name, and names come from another hash",
    "every change after that, in order (operation, operationState, sync, health only)": CONTROLLER,
    "its Events": CONTROLLER,
    "RBAC: the gate lists secrets: HTTP 403": ONE_USER,
    "its field managers": CONTROLLER,
}  # fmt: skip


def blocks(page: str) -> dict[Key, Any]:
    """(section, label) -> what was shown."""
    found: dict[Key, Any] = {}
    section = ""
    for match in re.finditer(
        r"^## ([^\n]*)$|^\*\*([^\n]*?)\*\*\n\n```json\n(.*?)\n```", page, re.MULTILINE | re.DOTALL
    ):
        if match[1] is not None:
            section = match[1]
        else:
            found[section, match[2]] = json.loads(neutral(match[3]))
    return found


NEUTRAL = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
    (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r'"resourceVersion": "\d+"', '"resourceVersion": "N"'),
    (r'"(generation|priority)": \d+', r'"\1": 0'),
    (r"\b(web|bad|stuck)-[0-9a-z]{8,10}-[0-9a-z]{5}\b", r"\1-HASH-POD"),
    (r"\b(web|bad|stuck)-[0-9a-z]{8,10}\b", r"\1-HASH"),
    (r"(web|bad|HASH|POD)\.[0-9a-z]{16}", r"\1.EVENT"),
    (r'"pod-template-hash": "\w+"', '"pod-template-hash": "HASH"'),
    (r"\b(?!a{40}|b{40})[0-9a-f]{40}\b", "SHA"),
    (r"\b10(\.\d+){3}\b", "ADDRESS"),
    (r"rig-node|rehearsal-node", "NODE"),
    (r'"description": ".*"', '"description": ""'),
    (r'"continue": ".*"', '"continue": "TOKEN"'),
    (r'"\d+s"', '"AGE"'),
    (r"git fetch origin (\w+).*?(\"|$)", r"git fetch origin \1\2"),
)


def neutral(text: str) -> str:
    """The text without names, moments and addresses that differ from run to run."""
    for pattern, word in NEUTRAL:
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Any]:
    folder = tmp_path_factory.mktemp("observed")
    root = folder / "git"
    root.mkdir()
    sha = git_server.commit(root, "shop.git", {"manifests/web.json": json.dumps(objects.deployment())})
    page = io.StringIO()
    patch = pytest.MonkeyPatch()
    facts = ImageFacts(repository="docker.io/library/nginx", user=101)
    patch.setattr(served_cluster, "IMAGES", {facts.repository: facts})
    with (
        git_server.serve(root) as git,
        ServedCluster(folder / "state", {f"{git}/shop.git": root / "shop.git"}) as served,
    ):
        api = Api(served.url, TOKEN, served.authority)
        with contextlib.redirect_stdout(page):
            notes = Notes({served.url.rpartition(":")[2]: "PORT", git.rpartition(":")[2]: "PORT"})
            api.request("POST", "/api/v1/namespaces", objects.namespace("demo"))
            observe_kubernetes.apply_and_conflict(api, notes)
            observe_kubernetes.second_rollout(api, notes)
            observe_kubernetes.other_kinds(api, notes)
            observe_kubernetes.pod_security(api, notes)
            observe_kubernetes.refusals(api, api, notes)
            observe_argocd.observe(api, f"{git}/shop.git", sha, notes)
    patch.undo()
    return blocks(page.getvalue())


REAL = blocks(OBSERVED.read_text())


@pytest.mark.parametrize("key", [key for key in REAL if key[1] not in DIFFERENT], ids=" | ".join)
def test_the_rehearsal_answers_as_the_real_servers_did(rehearsed: dict[Key, Any], key: Key) -> None:
    assert rehearsed.get(key) == REAL[key]


def test_every_named_difference_is_still_one_of_the_questions() -> None:
    assert set(DIFFERENT) <= {label for _, label in REAL}


ROLLOUT = ("A Deployment of 3 becomes ready", "Deployment: every status in order")


def test_both_end_in_the_same_status(rehearsed: dict[Key, Any]) -> None:
    assert rehearsed[ROLLOUT][-1] == REAL[ROLLOUT][-1]


def test_both_scale_in_the_same_steps(rehearsed: dict[Key, Any]) -> None:
    key = ("A changed template rolls over", "ScalingReplicaSet messages in order")
    assert rehearsed[key] == REAL[key]
