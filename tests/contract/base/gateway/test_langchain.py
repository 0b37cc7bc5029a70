"""Somebody else's agent behind our gate: refused with objections, mended, signed, submitted; and others get nowhere."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from policies import pins
from tests.fakes.chat_server import Answer, chat_server
from tests.fakes.gateway import COMMAND, ROOT, served

IMAGE = "docker.io/nginxinc/nginx-unprivileged"
AGENT = ROOT / ".venv-clients" / "bin" / "python"
PAGE = "a web page in the cluster"


def pinned() -> str:
    found = pins.load(ROOT / "knowledge/pins.toml").image_table()[IMAGE]
    return f"{IMAGE}@{found.digest}"


def objects(image: str, security: dict[str, Any], more: dict[str, Any]) -> list[dict[str, Any]]:
    labels = {"app.kubernetes.io/name": "page"}
    container = {"name": "page", "image": image, "securityContext": security, **more}
    pod = {"containers": [container], **({"automountServiceAccountToken": False} if more else {})}
    where = {"name": "page", "namespace": "web", "labels": labels}
    isolated = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": where, "spec": isolated},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": where, "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": where,
         "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}},
    ]  # fmt: skip


UNSAFE = objects("nginx:latest", {"privileged": True}, {})
MENDED = objects(
    pinned(),
    {
        "privileged": False, "allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 101,
        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    },
    {
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
    },
)  # fmt: skip


@dataclass
class Model:
    """A scripted model: proposes, mends what is objected to, submits each grant, stops. It decides by what it is answered."""

    proposals: int = 0
    offered: set[str] = field(default_factory=set)

    def __call__(self, body: dict[str, Any], _: str) -> Answer:
        self.offered |= {tool["function"]["name"] for tool in body.get("tools", ())}
        answers = [_json(m["content"]) for m in body["messages"] if m["role"] == "tool"]
        if "propose_change" not in self.offered:
            return "I have no way to change anything."
        if not answers:
            return self._propose(UNSAFE)
        if answers[-1].get("objections"):
            return self._propose(MENDED) if self.proposals == 1 else f"Stuck: {answers[-1]['objections']}"
        signed = next((a for a in answers if a.get("signoff")), None)
        if signed is None:
            return f"Stuck: {answers[-1]}"
        done = sum(a.get("state") == "done" for a in answers)
        if done == len(signed["grants"]):
            return f"Done: {done} grants."
        return _call("submit", {"signoff": signed["signoff"], "seq": done + 1}, len(answers))

    def _propose(self, found: list[dict[str, Any]]) -> Answer:
        self.proposals += 1
        return _call("propose_change", {"goal": PAGE, "phase": "deploy", "objects": found}, self.proposals)


def _call(name: str, arguments: dict[str, Any], number: int) -> Answer:
    return [
        {
            "id": f"call-{name}-{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
    ]


def _json(content: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        return json.loads(found[0]) if found else {"text": text}
    except ValueError:
        return {"text": text}


def countersign(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments, "--state-dir", str(folder)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


@dataclass(frozen=True)
class House:
    """A standing sandbox and a gateway before it, with a bearer for DevOps and one for SRE."""

    url: str
    tokens: dict[str, str]
    sandbox: dict[str, Any]

    def _trusting(self) -> ssl.SSLContext:
        told = yaml.safe_load(Path(self.sandbox["kubeconfig"]).read_text())
        authority = base64.b64decode(told["clusters"][0]["cluster"]["certificate-authority-data"])
        return ssl.create_default_context(cadata=authority.decode())

    def at_cluster(self, path: str) -> int | dict[str, Any]:
        token = Path(self.sandbox["cluster_token_file"]).read_text().strip()
        request = urllib.request.Request(
            self.sandbox["cluster_url"] + path, headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=self._trusting()) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as fault:
            fault.close()
            return fault.code


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("gateway")
    sandbox = json.loads(countersign(folder, "sandbox", "up", "--json"))
    try:
        tokens = {role: countersign(folder, "bearer", "make", role).strip() for role in ("devops", "sre")}
        with served(folder) as url:
            yield House(url, tokens, sandbox)
    finally:
        countersign(folder, "sandbox", "down")


def agent(house: House, token: str, model: Model) -> dict[str, Any]:
    with chat_server(model) as url:
        done = subprocess.run(
            [AGENT, ROOT / "tests/fakes/langchain_agent.py", house.url, token, url],
            capture_output=True, text=True, check=False, timeout=180,
            env={"PATH": os.defpath, "HOME": "/nonexistent"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("token", "words"), [("WRONG", "401"), ("sre", "I have no way to change anything.")])
def test_an_agent_with_another_bearer_or_role_gets_nowhere(house: House, token: str, words: str) -> None:
    ended = agent(house, house.tokens.get(token, "cs_" + "x" * 43), Model())
    assert words in ended.get("fault", "") + ended.get("said", "")
    assert house.at_cluster("/apis/apps/v1/namespaces/web/deployments/page") == 404


def test_an_agent_is_refused_mends_is_signed_and_its_object_is_at_the_cluster(house: House) -> None:
    model = Model()
    ended = agent(house, house.tokens["devops"], model)
    assert model.proposals == 2, ended
    first, second, *submitted = [_json(answer) for answer in ended["answers"]]
    rules = {objection["rule"] for objection in first["objections"]}
    assert {"pod-security/privileged", "kubernetes/image-digest"} <= rules
    assert second["signed"], second
    assert [answer["state"] for answer in submitted] == ["done"] * 4
    assert ended["said"] == "Done: 4 grants."
    there = house.at_cluster("/apis/apps/v1/namespaces/web/deployments/page")
    assert there["metadata"]["annotations"]["countersign/change"] == second["change_id"]
    assert there["spec"]["template"]["spec"]["containers"][0]["image"] == pinned()
