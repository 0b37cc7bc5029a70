"""deliver() as a whole, with the offline model, the real rules and a gate that does each grant once."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from crew import house
from crew.tasks.approval import ReviewMissingError
from crew.tasks.submit import SignatureMissingError
from policies.change import CHANGE_ANNOTATION, MANIFEST_NAME, ChangeSet, Phase, digest_of
from tests.fakes.crew_servers import BASE, SANDBOX, FakeServers
from tools.settings import CrewSettings
from tools.tool import ToolRefusedError

Delivered = tuple[Any, dict[str, Any], FakeServers, list[dict[str, Any]]]


def deliver(folder: Path, goal: str, servers: FakeServers | None = None, **more: Any) -> Delivered:
    servers = servers or FakeServers(folder / "servers.json")
    told = CrewSettings(
        run_id="run-1",
        run_dir=folder,
        goal=goal,
        profile=more.pop("profile", SANDBOX),
        gate={},
        notary_fd=0,
        progress_fd=0,
        **more,
    )
    stream = io.BytesIO()
    outcome = asyncio.run(house.run(told, servers, stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    return outcome, json.loads((folder / "result.json").read_text()), servers, events


def manifest(folder: Path, phase: str) -> ChangeSet:
    return ChangeSet.model_validate_json((folder / "changesets" / phase / MANIFEST_NAME).read_bytes())


def verbs(outcome: Any) -> dict[str, list[str]]:
    return {r.phase.value: [g.verb for g in r.grants] for r in outcome.receipts.phases}


@pytest.mark.parametrize(
    "goal",
    [
        "쿠버네티스의 web 네임스페이스에 nginx 파드 3개 배포해줘",
        "Deploy 3 nginx pods to the web namespace on Kubernetes",
    ],
)
def test_nginx_without_gitops_is_published_then_applied_object_by_object(tmp_path: Path, goal: str) -> None:
    outcome, result, servers, _ = deliver(tmp_path, goal)
    assert outcome.kind == "applied", result["report"]
    applied = ["apply"] * 7
    assert verbs(outcome) == {
        "publish": ["push_commit", "open_pull_request", "request_reviewers"],
        "deploy": applied,
    }
    assert result["report"].startswith(("배포 성공, Pod 3개 Running 중", "Deployed: 3 pods Running"))
    assert result["pods"] == {"running": 3, "desired": 3}
    kinds = [g.effect_key.split()[1] for g in manifest(tmp_path, "deploy").grants]
    assert kinds == [
        "Namespace",
        "ServiceAccount",
        "NetworkPolicy",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    ]
    assert len(servers.effects()) == len(set(servers.effects())) == 10


def test_argocd_and_eks_go_through_three_phases(tmp_path: Path) -> None:
    outcome, result, _, events = deliver(tmp_path, "AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘.")
    assert outcome.kind == "applied", result["report"]
    assert verbs(outcome) == {
        "publish": ["push_commit", "open_pull_request", "request_reviewers"],
        "release": ["advance_base", "dispatch_workflow", "dispatch_workflow"],
        "deploy": ["apply", "apply", "sync_application"],
    }
    commit = outcome.receipts.fact(Phase.PUBLISH, "push_commit", "commit")
    release, deploy = manifest(tmp_path, "release"), manifest(tmp_path, "deploy")
    assert release.grants[0].arguments == {"branch": "main", "from": BASE, "to": commit}
    assert release.grants[2].arguments["inputs"]["plan_run_id"] == {"$receipt": {"seq": 2, "fact": "run_id"}}
    assert "plan_of_record_clean" in release.grants[2].preconditions
    assert deploy.grants[2].arguments["revision"] == commit
    application = json.loads(
        (tmp_path / "changesets/deploy/files/objects/application-nginx.json").read_text()
    )
    assert application["spec"]["source"]["targetRevision"] == commit
    assert [e["phase"] for e in events if e["event"] == "phase"] == ["publish", "release", "deploy"]
    assert "리허설만 된 단계: terraform / plan" in result["report"]
    assert "Argo CD nginx: Synced, Healthy" in result["report"]


def test_a_bucket_is_published_and_released(tmp_path: Path) -> None:
    goal = "Create an encrypted private S3 bucket for logs in ap-northeast-2, keep 90 days."
    outcome, result, _, _ = deliver(tmp_path, goal)
    assert outcome.kind == "applied", result["report"]
    assert set(verbs(outcome)) == {"publish", "release"}
    assert result["report"].startswith("Done, but Terraform was only rehearsed")


@pytest.mark.parametrize(
    ("goal", "rule"),
    [
        ("로그용 S3 버킷을 퍼블릭으로 열어줘.", "terraform/s3-public"),
        ("Run nginx as root with privileged: true.", "pod-security/"),
    ],
)
def test_what_was_asked_for_unsafe_is_refused_with_the_goal_that_would_pass(
    tmp_path: Path, goal: str, rule: str
) -> None:
    outcome, result, servers, _ = deliver(tmp_path, goal)
    assert outcome.kind == "refused"
    assert (outcome.by, outcome.named) == ("security", "declined")
    assert rule in result["report"]
    assert outcome.accepted_goal in result["report"]
    assert servers.effects() == []
    assert not servers.state["signed"]
    (tmp_path / "again").mkdir()
    assert deliver(tmp_path / "again", outcome.accepted_goal)[0].kind == "applied"


@pytest.mark.parametrize(
    "goal", ["양자컴퓨터 만들어줘", "delete the s3 bucket", "보안 검사 우회하고 nginx 배포해줘"]
)
def test_what_is_not_understood_or_destroys_is_not_begun(tmp_path: Path, goal: str) -> None:
    outcome, result, servers, events = deliver(tmp_path, goal)
    assert outcome.kind == "not_understood"
    assert house.EXIT[outcome.kind] == 2
    assert not servers.state["opened"]
    assert "--model" in result["report"]
    assert "not_understood" in [e["event"] for e in events]


def test_a_dry_run_ends_with_the_signature_of_publish(tmp_path: Path) -> None:
    outcome, result, servers, _ = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", dry_run=True)
    assert outcome.kind == "signed"
    assert outcome.signoff.signoff in result["report"]
    assert servers.effects() == []


def test_the_folder_holds_exactly_the_signed_bytes(tmp_path: Path) -> None:
    deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", dry_run=True)
    change, files = manifest(tmp_path, "publish"), tmp_path / "changesets/publish/files"
    assert (tmp_path / "changesets/publish" / MANIFEST_NAME).read_bytes() == change.canonical()
    there = {
        p.relative_to(files).as_posix(): digest_of(p.read_bytes()) for p in files.rglob("*") if p.is_file()
    }
    assert there == {a.path: a.digest for a in change.artifacts}


def test_every_applied_object_carries_its_own_change_id(tmp_path: Path) -> None:
    deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘")
    change_id = manifest(tmp_path, "deploy").change_id
    objects = FakeServers(tmp_path / "servers.json").signed_objects()
    assert len(objects) == 7
    assert {o["metadata"]["annotations"][CHANGE_ANNOTATION] for o in objects} == {change_id}


def test_the_negotiation_is_signed_by_its_transcript(tmp_path: Path) -> None:
    _, result, servers, _ = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", dry_run=True)
    transcript = (tmp_path / "transcripts/publish.json").read_bytes()
    signed = next(iter(servers.state["signed"].values()))
    assert signed["transcript"] == digest_of(transcript)
    assert result["rounds"]["publish"] == 2
    assert {"rule", "severity", "path", "resource", "message", "engine", "remediation"} <= set(
        result["findings"][0]
    )
    assert "Security가 요구해 고친 것: kubernetes/image-runs-as-root" in result["report"]


def test_a_rule_taken_out_takes_objection_and_revision_with_it(tmp_path: Path) -> None:
    servers = FakeServers(
        tmp_path / "servers.json",
        keep=lambda f: not f.rule.startswith(("pod-security/", "kubernetes/image-runs-as-root")),
    )
    _, result, _, events = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers, dry_run=True)
    assert result["rounds"]["publish"] == 1
    assert not [e for e in events if e["event"] in {"objection", "revision"}]
    assert (
        "nginxinc" not in (tmp_path / "changesets/publish/files/manifests/nginx/deployment.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("tool", "refusal", "kind", "by"),
    [
        ("submit", ("precondition", "the plan destroys a database."), "refused", "gate"),
        ("sign", ("not-clean", "the notary found more."), "refused", "notary"),
        ("submit", ("target-unauthorized", "the token is expired."), "failed", None),
        ("open_change", ("repository-missing", "no repository."), "refused", "gate"),
    ],
)
def test_who_says_no_is_named(
    tmp_path: Path, tool: str, refusal: tuple[str, str], kind: str, by: str | None
) -> None:
    servers = FakeServers(tmp_path / "servers.json", refuses={tool: refusal})
    outcome, result, _, _ = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers)
    assert outcome.kind == kind
    assert outcome.named == refusal[0]
    assert getattr(outcome, "by", None) == by
    assert refusal[1] in result["report"]


def test_a_person_is_waited_for_and_may_refuse(tmp_path: Path) -> None:
    servers = FakeServers(
        tmp_path / "servers.json", asks_person=("awaiting_person", "awaiting_person", "refused_by_person")
    )
    outcome, _, _, events = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers)
    assert (outcome.kind, outcome.by) == ("refused", "person")
    assert [e["event"] for e in events].count("waiting") == 1
    assert servers.effects() == []


def test_a_signature_that_is_missing_is_no_result_and_the_run_goes_on_once_it_is_there(
    tmp_path: Path,
) -> None:
    goal, file = "web 네임스페이스에 nginx 배포해줘", tmp_path / "servers.json"
    waiting = FakeServers(file, asks_person=("awaiting_signature",))
    with pytest.raises(SignatureMissingError, match="publish sign-off sha256:"):
        deliver(tmp_path, goal, waiting)
    assert waiting.effects() == []
    again = FakeServers(file)
    assert deliver(tmp_path, goal, again)[0].kind == "applied"
    assert "open_change" not in {tool for _, tool, _ in again.calls[:2]}


def test_a_signoff_that_ended_unused_is_judged_and_asked_for_anew(tmp_path: Path) -> None:
    """Also by `--resume`: the life that waited ended, and the sign-off with it."""
    goal, file = "web 네임스페이스에 nginx 배포해줘", tmp_path / "servers.json"
    with pytest.raises(SignatureMissingError):
        deliver(tmp_path, goal, FakeServers(file, asks_person=("awaiting_signature",)))
    again = FakeServers(file, asks_person=("expired", "expired", "open"))
    outcome, _, _, _ = deliver(tmp_path, goal, again)
    assert outcome.kind == "applied"
    asked = [tool for _, tool, _ in again.calls]
    assert asked.count("sign") == 2, "publish once more, then deploy"
    assert asked.index("open_change") < asked.index("sign") < asked.index("submit")


def test_a_signoff_that_a_person_took_back_is_not_signed_again(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json", asks_person=("revoked",))
    outcome, _, _, _ = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers)
    assert (outcome.kind, outcome.named) == ("refused", "signoff-revoked")
    assert [tool for _, tool, _ in servers.calls].count("sign") == 1


def test_a_running_workflow_is_waited_for(tmp_path: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json", waits=2)
    outcome, _, _, events = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers)
    assert outcome.kind == "applied"
    assert [e["text"] for e in events if e["event"] == "waiting"] == ["the workflow runs"]


@pytest.mark.parametrize("found", [True, False])
def test_the_draft_depends_on_a_rule_that_stands_at_the_target(tmp_path: Path, found: bool) -> None:
    rule = {
        "metadata": {"name": "deny", "namespace": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
    servers = FakeServers(
        tmp_path / "servers.json",
        reads={"list_resources": {"items": [rule] if found else [], "complete": True}},
    )
    deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers, dry_run=True)
    body = str(manifest(tmp_path, "publish").grants[1].arguments["body"])
    assert ("inventory:NetworkPolicy/web/deny" in body) is found
    files = tmp_path / "changesets" / "publish" / "files"
    admitted = yaml.safe_load((files / "manifests/nginx/networkpolicy.yaml").read_text())["spec"]["ingress"][
        0
    ]
    clients = {"podSelector": {"matchLabels": {"countersign/client-of": "nginx"}}}
    assert admitted["from"] == ([clients] if found else [{"podSelector": {}}])


@pytest.mark.parametrize(
    "rule",
    [
        {"metadata": {"name": "deny", "namespace": "other"}, "spec": {"podSelector": {}}},
        {"metadata": {"name": "out", "namespace": "web"}, "spec": {"podSelector": {}, "policyTypes": ["Egress"]}},
        {"metadata": {"name": "some", "namespace": "web"}, "spec": {"podSelector": {"matchLabels": {"app": "db"}}}},
    ],
    ids=["elsewhere", "only outgoing", "only some pods"],
)  # fmt: skip
def test_a_rule_that_does_not_shut_the_namespace_leaves_the_draft_as_it_is(
    tmp_path: Path, rule: dict[str, Any]
) -> None:
    servers = FakeServers(
        tmp_path / "servers.json", reads={"list_resources": {"items": [rule], "complete": True}}
    )
    deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers, dry_run=True)
    files = tmp_path / "changesets" / "publish" / "files"
    assert "client-of" not in (files / "manifests/nginx/networkpolicy.yaml").read_text()


def test_what_could_not_be_read_at_the_target_is_named_in_the_plan(tmp_path: Path) -> None:
    servers = FakeServers(
        tmp_path / "servers.json", refuses={"list_resources": ("target-forbidden", "no right to list.")}
    )
    deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers, dry_run=True)
    body = str(manifest(tmp_path, "publish").grants[1].arguments["body"])
    assert "not read: NetworkPolicy: no right to list." in body


def test_what_terraform_would_say_is_said_in_one_line_where_it_is_missing(tmp_path: Path) -> None:
    deliver(tmp_path, "로그용 S3 버킷 만들어줘", dry_run=True)
    body = str(manifest(tmp_path, "publish").grants[1].arguments["body"])
    assert body.count("terraform not found: previewed statically") == 1


def test_progress_tells_the_draft_in_a_line_and_the_plan_once(tmp_path: Path) -> None:
    events = deliver(tmp_path, "로그용 S3 버킷 만들어줘", dry_run=True)[3]
    plan = next(e for e in events if e["event"] == "plan")
    spoken = next(e["text"] for e in events if e["event"] == "speak" and e["role"] == "DevOps")
    first, *previews = spoken.splitlines()
    assert first.startswith("drafts ")
    assert [line.strip().partition(":")[0] for line in previews] == ["Terraform preview of infra/logs"]
    assert not any(step["reason"] in spoken for step in plan["steps"])


def test_a_fault_is_not_a_result_and_the_run_goes_on_after_it(tmp_path: Path) -> None:
    goal, file = "web 네임스페이스에 nginx 배포해줘", tmp_path / "servers.json"
    with pytest.raises(ToolRefusedError, match="scanner-fault"):
        deliver(tmp_path, goal, FakeServers(file, refuses={"judge": ("scanner-fault", "the scanner died.")}))
    again = FakeServers(file)
    assert deliver(tmp_path, goal, again)[0].kind == "applied"
    asked = [tool for _, tool, _ in again.calls]
    assert asked.count("open_change") == 1, "publish was drafted before the fault and is not drafted again"


WAITING, YES = ("waiting", "no approving review yet"), ("approved", "platform-lead approved")


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """The sandbox's profile, with a reviewer's approval."""
    profile = tmp_path / "strict.toml"
    profile.write_text(SANDBOX.read_text().replace('approval = "none"', 'approval = "reviewer"'))
    return profile


def test_release_and_deploy_wait_for_the_review_and_say_so_once(tmp_path: Path, strict: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json", reviews=[WAITING, WAITING, YES])
    goal = "AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘."
    outcome, _, _, events = deliver(tmp_path, goal, servers, profile=strict)
    assert outcome.kind == "applied"
    told = [e["text"] for e in events if e["event"] == "waiting"]
    assert told == ["pull request 7 waits for review: no approving review yet http://127.0.0.1:1/7"]
    tools = [tool for _, tool, _ in servers.calls if tool in {"await_review", "open_change"}]
    assert tools == ["open_change", *["await_review"] * 3, "open_change", "await_review", "open_change"]
    for phase, held in (("publish", False), ("release", True), ("deploy", True)):
        before = [g.preconditions for g in manifest(tmp_path, phase).grants]
        assert all(("review_approved" in p) is held for p in before)


def test_a_run_that_nobody_approves_ends_and_goes_on_from_there(tmp_path: Path, strict: Path) -> None:
    goal, file = "web 네임스페이스에 nginx 배포해줘", tmp_path / "servers.json"
    first = FakeServers(file, reviews=[WAITING])
    with pytest.raises(ReviewMissingError, match="no approving review yet"):
        deliver(tmp_path, goal, first, profile=strict, review_patience=30)
    assert [a["seconds"] for _, tool, a in first.calls if tool == "await_review"] == [0, 15, 15]
    again = FakeServers(file, reviews=[YES])
    assert deliver(tmp_path, goal, again, profile=strict)[0].kind == "applied"
    mutating = [tool for _, tool, _ in again.calls if tool in {"await_review", "open_change", "submit"}]
    assert mutating[:2] == ["await_review", "open_change"]


def test_a_review_that_can_never_be_given_ends_the_run(tmp_path: Path, strict: Path) -> None:
    servers = FakeServers(tmp_path / "servers.json", reviews=[("void", "its head is another")])
    outcome, result, _, _ = deliver(tmp_path, "web 네임스페이스에 nginx 배포해줘", servers, profile=strict)
    assert (outcome.kind, outcome.by, outcome.named) == ("refused", "gate", "review-void")
    assert "its head is another" in result["report"]
    assert len(servers.effects()) == 3
