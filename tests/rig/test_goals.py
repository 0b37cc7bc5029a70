"""The same road on real servers: what the report says is read back from them, not from us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rig.rig import Rig
from tools.launch.config import provider_mirror

ROOT = Path(__file__).resolve().parents[2]


def run(goal: str, rig: Rig, folder: Path) -> tuple[int, dict[str, Any], str]:
    (folder / "countersign.toml").write_text(Path(rig.countersign_toml).read_text())
    program, state = [sys.executable, str(ROOT / "main.py")], ["--state-dir", str(folder / "state")]
    subprocess.run([*program, "keys", "init", *state], cwd=folder, capture_output=True, check=True)
    command = [*program, "run", goal, "--yes", "--json", *state]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def pods(rig: Rig, namespace: str) -> list[dict[str, Any]]:
    answer = rig.cluster.admin.get(f"/api/v1/namespaces/{namespace}/pods")
    return [pod for pod in answer.body["items"] if pod["status"]["phase"] == "Running"]


def writes_of_the_gate(rig: Rig) -> list[str]:
    """Every write of the gate's account in the API server's own audit log."""
    entries = (json.loads(line) for line in rig.cluster.audit_log.read_text().splitlines())
    return [
        entry["requestURI"]
        for entry in entries
        if entry["user"]["username"] == "system:serviceaccount:countersign:gate"
        and entry["verb"] in {"create", "patch", "update", "delete"}
    ]


def verified(document: dict[str, Any], folder: Path) -> None:
    for phase in document["phases"]:
        command = [
            sys.executable,
            str(ROOT / "main.py"),
            "verify",
            phase["signoff"]["path"],
            "--state-dir",
            str(folder / "state"),
        ]
        assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0, phase[
            "name"
        ]


def test_goal_2_ends_with_three_real_pods_under_restricted_admission(rig: Rig, tmp_path: Path) -> None:
    code, document, said = run("쿠버네티스의 web2 네임스페이스에 nginx 파드 3개 배포해줘", rig, tmp_path)
    assert (code, document["status"]) == (0, "applied"), said + document["report"]
    assert len(pods(rig, "web2")) == 3
    labels = rig.cluster.admin.get("/api/v1/namespaces/web2").body["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "배포 성공, Pod 3개 Running 중" in document["report"]
    assert not document["rehearsal"]
    verified(document, tmp_path)
    rows = rig.graph.query(
        f"MATCH (r:Run {{key: '{document['run_id']}'}})-[:HAS_PHASE]->(p:Phase) RETURN p.name ORDER BY p.name"
    )
    assert "deploy" in json.dumps(rows)
    assert "publish" in json.dumps(rows)


@pytest.mark.parametrize(
    "goal", ["Run nginx as root with privileged: true.", "로그용 S3 버킷을 퍼블릭으로 열어줘."]
)
def test_goal_4_is_refused_and_nothing_is_written(rig: Rig, tmp_path: Path, goal: str) -> None:
    before = writes_of_the_gate(rig)
    code, document, _ = run(goal, rig, tmp_path)
    assert (code, document["status"], document["phases"]) == (3, "refused", [])
    assert writes_of_the_gate(rig) == before


def test_goal_1_ends_with_three_pods_under_real_argo_cd(rig: Rig, tmp_path: Path) -> None:
    from shutil import which

    if which("terraform") is None or provider_mirror(os.environ) is None:
        pytest.skip("a real target needs a real plan of record: terraform with a provider mirror is not here")
    code, document, said = run("AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘.", rig, tmp_path)
    assert (code, document["status"]) == (0, "applied"), said + document["report"]
    live = rig.cluster.admin.get("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/nginx").body
    commit = next(
        g["receipt"]["commit"] for p in document["phases"] for g in p["grants"] if g["verb"] == "push_commit"
    )
    assert live["status"]["sync"] == {**live["status"]["sync"], "status": "Synced", "revision": commit}
    namespace = live["spec"]["destination"]["namespace"]
    assert len(pods(rig, namespace)) == 3
    assert "Pod 3개 Running 중" in document["report"]
    verified(document, tmp_path)
