"""The whole road as a person walks it: the command, its exit code, its document, the signed folders, a kill in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.kubernetes.client import MERGE, connect
from tools.settings import KubernetesSettings
from traces import waterfall

ROOT = Path(__file__).resolve().parents[4]
COMMAND = [sys.executable, str(ROOT / "main.py")]
PHASES = {
    "AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘.": ["publish", "release", "deploy"],
    "쿠버네티스의 web 네임스페이스에 nginx 파드 3개 배포해줘": ["publish", "deploy"],
    "Create an encrypted private S3 bucket for logs in ap-northeast-2, keep 90 days.": ["publish", "release"],
}


def environment() -> dict[str, str]:
    """Without terraform: what a newcomer's machine has."""
    folders = [p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "terraform").exists()]
    return {**os.environ, "PATH": os.pathsep.join(folders)}


def countersign(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments, "--state-dir", str(folder)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def run(goal: str, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    done = countersign("run", goal, "--json", *options, folder=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("goal", PHASES)
def test_a_goal_goes_all_the_way_and_each_sign_off_verifies(goal: str, tmp_path: Path) -> None:
    code, document, said = run(goal, tmp_path)
    assert (code, document["status"]) == (0, "applied"), said + document["report"]
    assert [phase["name"] for phase in document["phases"]] == PHASES[goal]
    assert {grant["state"] for phase in document["phases"] for grant in phase["grants"]} == {"done"}
    assert document["graph"]["nodes"] > 10
    spans = waterfall.read(Path(document["trace_path"]))
    assert {span.trace_id for span in spans} == {document["trace_id"]}
    assert goal not in Path(document["trace_path"]).read_text()
    if "deploy" in PHASES[goal]:
        assert document["pods"] == {"running": 3, "desired": 3}
        assert "배포 성공, Pod 3개 Running 중" in document["report"]
    for phase in document["phases"]:
        assert countersign("verify", phase["signoff"]["path"], folder=tmp_path).returncode == 0
    published = Path(document["phases"][0]["changeset"]["path"]) / "files"
    victim = next(p for p in sorted(published.rglob("*")) if p.is_file())
    victim.write_bytes(victim.read_bytes() + b" ")
    assert countersign("verify", document["phases"][0]["signoff"]["path"], folder=tmp_path).returncode == 3
    assert "invoke_workflow countersign" in countersign("trace", "last", folder=tmp_path).stdout
    assert "Security" in countersign("show", "last", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("goal", "rule"),
    [
        ("로그용 S3 버킷을 퍼블릭으로 열어줘.", "terraform/s3-public"),
        ("Run nginx as root with privileged: true.", "pod-security/privileged"),
    ],
)
def test_the_unsafe_thing_itself_is_refused_with_its_rule_and_what_would_pass(
    goal: str, rule: str, tmp_path: Path
) -> None:
    code, document, _ = run(goal, tmp_path)
    assert (code, document["status"], document["phases"]) == (3, "refused", [])
    assert rule in document["report"]
    assert "accepted" in document["report"] or "받아들여집니다" in document["report"]


def test_what_is_not_understood_is_exit_2_and_says_what_would_be(tmp_path: Path) -> None:
    code, document, _ = run("양자컴퓨터 만들어줘", tmp_path)
    assert (code, document["status"]) == (2, "not_understood")
    assert "web-app" in document["report"]
    assert "--model" in document["report"]


def test_a_dry_run_signs_and_changes_nothing(tmp_path: Path) -> None:
    code, document, _ = run("Deploy nginx to namespace web on Kubernetes", tmp_path, "--dry-run")
    assert (code, document["status"]) == (0, "signed")
    assert [g["state"] for g in document["phases"][0]["grants"]] == ["unspent"] * len(
        document["phases"][0]["grants"]
    )


def test_a_killed_run_goes_on_and_nothing_is_done_twice(tmp_path: Path) -> None:
    log = tmp_path / "first.log"
    with log.open("w") as out:
        command = [
            *COMMAND,
            "run",
            "Deploy nginx with 3 replicas to namespace web on Kubernetes",
            "--state-dir",
            str(tmp_path),
        ]
        first = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=out, stderr=out)
        end = time.monotonic() + 200
        while "github.push_commit" not in log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    done = countersign("run", "--resume", "last", "--json", folder=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "applied"), done.stderr
    pushed = [g for p in document["phases"] for g in p["grants"] if g["verb"] == "push_commit"]
    assert len(pushed) == 1
    bare = next((tmp_path / "gate" / "sandboxes").glob("*/github/repository.git"))
    branches = subprocess.run(
        ["git", "-C", bare, "branch", "--list", "countersign/*"], capture_output=True, text=True, check=True
    ).stdout
    assert len(branches.splitlines()) == 1


GRAPH_DOWN = '[graph]\nkind = "neo4j"\nuri = "bolt://127.0.0.1:1"\npassword_file = "password"\n'


@pytest.mark.parametrize("graph", ["there", "down"])
def test_the_next_plan_on_a_standing_sandbox_quotes_the_last_run_and_the_rules_it_finds(
    graph: str, tmp_path: Path
) -> None:
    """While the graph is down the run ends, and its outcome waits for a run that has one."""
    settings = tmp_path / "countersign.toml"
    (tmp_path / "password").write_text("x")
    settings.write_text(GRAPH_DOWN if graph == "down" else "")
    assert countersign("sandbox", "up", folder=tmp_path).returncode == 0
    try:
        first, _, said = run("Deploy nginx with 3 replicas to namespace web on Kubernetes", tmp_path)
        assert first == 0, said
        assert len(list(tmp_path.glob("runs/*/outcome.json"))) == (graph == "down")
        settings.unlink()
        code, document, said = run("Deploy httpd with 2 replicas to namespace web on Kubernetes", tmp_path)
    finally:
        assert countersign("sandbox", "down", folder=tmp_path).returncode == 0
    assert code == 0, said
    cited = json.dumps(document["plan"], ensure_ascii=False)
    assert "outcome:" in cited
    assert "kubernetes/image-runs-as-root" in cited
    assert "inventory:NetworkPolicy/web/nginx" in cited
    assert not list(tmp_path.glob("runs/*/outcome.json"))


@dataclass
class Hub:
    """The standing rehearsal GitHub, spoken to as a person would."""

    api: str
    state: Path
    gates_token: Path

    @classmethod
    def standing(cls, folder: Path) -> Hub:
        state = folder / "gate" / "sandbox"
        up = json.loads((state / "up.json").read_text())["rehearsal"]
        return cls(f"{up['github_api']}/repos/acme/platform", state, Path(up["github_token_file"]))

    def ask(self, method: str, path: str, body: Any = None, *, login: str | None = None) -> Any:
        file = self.state / "github" / "people" / f"{login}.token" if login else self.gates_token
        headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def approve(self, number: int) -> int:
        review = self.ask("POST", f"/pulls/{number}/reviews", {"event": "APPROVE"}, login="platform-lead")
        return int(review["id"])

    def push_on(self, number: int) -> None:
        """One more commit on the pull request's branch, with the very same tree."""
        head = self.ask("GET", f"/pulls/{number}")["head"]
        tree = self.ask("GET", f"/git/commits/{head['sha']}")["tree"]["sha"]
        made = {"message": "more", "tree": tree, "parents": [head["sha"]]}
        sha = self.ask("POST", "/git/commits", made)["sha"]
        self.ask("PATCH", f"/git/refs/heads/{head['ref']}", {"sha": sha, "force": False})


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A standing sandbox, a run that does not wait long, and a profile that asks for a reviewer."""
    profile = tmp_path / "strict.toml"
    sandbox = (ROOT / "policies" / "profiles" / "sandbox.toml").read_text()
    profile.write_text(sandbox.replace('approval = "none"', 'approval = "reviewer"'))
    (tmp_path / "countersign.toml").write_text("[github]\nreview_minutes = 0\n")
    assert countersign("sandbox", "up", folder=tmp_path).returncode == 0
    yield ("--profile", str(profile))
    assert countersign("sandbox", "down", folder=tmp_path).returncode == 0


def waiting(folder: Path, strict: tuple[str, str]) -> int:
    """A run that has published and waits for its review: the pull request's number."""
    code, document, said = run("Deploy nginx with 3 replicas to namespace web on Kubernetes", folder, *strict)
    assert (code, document["status"]) == (4, "waiting"), said
    assert "no approving review" in document["report"]
    return int(document["pull_request"]["number"])


def resumed(folder: Path, strict: tuple[str, str]) -> tuple[int, dict[str, Any]]:
    done = countersign("run", "--resume", "last", "--json", *strict, folder=folder)
    return done.returncode, json.loads(done.stdout)


def test_a_run_waits_for_the_review_of_the_signed_commit_and_goes_on_once_it_is_there(
    tmp_path: Path, strict: tuple[str, str]
) -> None:
    number, hub = waiting(tmp_path, strict), Hub.standing(tmp_path)
    taken_back = hub.approve(number)
    hub.ask("PUT", f"/pulls/{number}/reviews/{taken_back}/dismissals", {"message": "not yet"})
    assert resumed(tmp_path, strict)[0] == 4
    hub.approve(number)
    code, document = resumed(tmp_path, strict)
    assert (code, document["status"]) == (0, "applied"), document["report"]


def test_a_new_commit_on_the_pull_request_voids_the_run_even_when_it_is_approved(
    tmp_path: Path, strict: tuple[str, str]
) -> None:
    number, hub = waiting(tmp_path, strict), Hub.standing(tmp_path)
    hub.approve(number)
    hub.push_on(number)
    hub.approve(number)
    code, document = resumed(tmp_path, strict)
    assert (code, document["status"]) == (3, "refused")
    assert "review-void" in document["report"]
    assert [phase["name"] for phase in document["phases"]] == ["publish"]


def test_drift_compares_later_and_names_what_somebody_changed(tmp_path: Path) -> None:
    assert countersign("sandbox", "up", folder=tmp_path).returncode == 0
    try:
        code, document, said = run("Deploy nginx with 3 replicas to namespace web on Kubernetes", tmp_path)
        assert code == 0, said
        whole = countersign("drift", "--json", folder=tmp_path)
        assert whole.returncode == 0, whole.stdout + whole.stderr
        assert json.loads(whole.stdout)["compared"] >= 10
        up = json.loads((tmp_path / "gate" / "sandbox" / "up.json").read_text())["rehearsal"]
        client = connect(KubernetesSettings(kubeconfig=Path(up["kubeconfig"])))
        patch = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
        client.json("PATCH", "/apis/apps/v1/namespaces/web/deployments/nginx", body=patch, media_type=MERGE)
        client.close()
        found = countersign("drift", "last", folder=tmp_path)
        assert found.returncode == 3, found.stderr
        assert "/spec/template/spec/hostNetwork" in found.stdout
        assert document["run_id"] in found.stdout
        assert "there:  true" in found.stdout
    finally:
        assert countersign("sandbox", "down", folder=tmp_path).returncode == 0


def test_a_runs_own_sandbox_is_looked_at_again(tmp_path: Path) -> None:
    assert run("Deploy nginx with 3 replicas to namespace web on Kubernetes", tmp_path)[0] == 0
    found = countersign("drift", "last", "--json", folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout)["compared"] >= 10
