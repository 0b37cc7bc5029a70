"""From `countersign.toml` to the cluster: an agent at the HTTP gateway proposes, is signed, and applies through kubernetes-mcp-server."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from policies.change import CHANGE_ANNOTATION
from tests.contract.base.gateway.test_langchain import MENDED, PAGE, House
from tests.fakes.gateway import COMMAND, served
from tests.fakes.npm import install, kubernetes_mcp_server

HERE = Path(__file__).parent


@dataclass
class Client:
    """An MCP client of the gateway, as one role."""

    url: str
    token: str
    session: str = ""
    numbers: list[int] = field(default_factory=lambda: [0])

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.numbers.append(self.numbers[-1] + 1)
        body = {"jsonrpc": "2.0", "id": self.numbers[-1], "method": method, "params": params}
        headers = {
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }  # fmt: skip
        headers |= {"Mcp-Session-Id": self.session} if self.session else {}
        request = urllib.request.Request(self.url, data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            self.session = answer.headers.get("Mcp-Session-Id") or self.session
            text = answer.read().decode()
        text = text if text.startswith("{") else text.partition("data: ")[2]
        result: dict[str, Any] = json.loads(text)["result"]
        return result

    def open(self) -> Client:
        about = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        self.ask("initialize", about)
        return self

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answered: dict[str, Any] = self.ask("tools/call", {"name": tool, "arguments": arguments})[
            "structuredContent"
        ]
        return answered


def countersign(folder: Path, *arguments: str) -> str:
    command = [*COMMAND, *arguments, "--state-dir", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    program = kubernetes_mcp_server(install(HERE, tmp_path))
    sandbox = json.loads(countersign(tmp_path, "sandbox", "up", "--json"))
    try:
        config = sandbox["kubeconfig"]
        argv = [
            str(program),
            "--kubeconfig",
            config,
            "--cluster-provider",
            "kubeconfig",
            "--disable-multi-cluster",
        ]
        told = {"adapter": "kubernetes-mcp-server", "argv": argv, "readable": [config]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
        (tmp_path / "countersign.toml").write_text("[servers.k8s]\n" + "\n".join(lines) + "\n")
        tokens = {role: countersign(tmp_path, "bearer", "make", role).strip() for role in ("devops", "sre")}
        with served(tmp_path) as url:
            yield House(url, tokens, sandbox)
    finally:
        countersign(tmp_path, "sandbox", "down")


def test_an_agent_applies_what_was_signed_through_another_server(house: House) -> None:
    devops = Client(house.url, house.tokens["devops"]).open()
    raw = {"resource": json.dumps(MENDED[0])}
    assert devops.call("k8s__resources_create_or_update", **raw)["refused"] == "no-grant"
    proposal = devops.call("propose_change", goal=PAGE, phase="deploy", objects=MENDED)
    assert proposal["signoff"], proposal
    there = Client(house.url.replace("/mcp", f"/runs/{proposal['run']}/mcp"), house.tokens["devops"]).open()
    marked = [
        {**each, "metadata": {**each["metadata"], "annotations": {CHANGE_ANNOTATION: proposal["change_id"]}}}
        for each in MENDED
    ]
    assert (
        there.call("k8s__resources_create_or_update", resource=json.dumps(MENDED[0]))["refused"] == "no-grant"
    )
    text = "\n---\n".join(json.dumps(each, indent=1) for each in marked)
    answer = there.call("k8s__resources_create_or_update", resource=text)
    assert [g["state"] for g in answer.get("grants", ())] == ["done"] * 4, answer
    found = house.at_cluster("/apis/apps/v1/namespaces/web/deployments/page")
    assert isinstance(found, dict)
    assert "kubernetes-mcp-server" in {each["manager"] for each in found["metadata"]["managedFields"]}
    sre = Client(there.url, house.tokens["sre"]).open()
    assert "page" in sre.call("k8s__resources_list", apiVersion="apps/v1", kind="Deployment")["text"]
    assert (
        sre.call("k8s__resources_list", apiVersion="v1", kind="Secret")["refused"] == "argument-not-allowed"
    )
    assert sre.call("k8s__pods_delete", name="page")["refused"] == "not-allowed"
