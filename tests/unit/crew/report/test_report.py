"""The report says what was read back, in the goal's language, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from crew.goal import Applied, Failed, NotUnderstood, PhaseReceipt, Receipts, Refused
from crew.observation import AppHealth, Observed, Pods, Usage
from crew.report import WORDS, Around, write
from crew.tasks.summarise import SummariseAnswer
from policies.change import Phase, digest_of

AROUND: dict[str, Any] = {
    "language": "ko",
    "run_id": "run-1",
    "trace_id": "f" * 32,
    "rehearsal": True,
    "isolation": "landlock",
}
DEPLOYED = Receipts(
    phases=(PhaseReceipt(phase=Phase.DEPLOY, change_id="cs-" + "0" * 16, signoff=digest_of(b""), grants=()),)
)


def pods(running: int, desired: int, why: str = "") -> Observed:
    return Observed(
        deployments=(Pods(namespace="web", name="nginx", running=running, desired=desired, why=why),)
    )


def report(
    outcome: Any, seen: Observed | None = None, said: SummariseAnswer | None = None, **around: Any
) -> str:
    return write(outcome, seen or Observed(), said or SummariseAnswer(), Around(**{**AROUND, **around}))


def test_running_pods_are_the_headline() -> None:
    text = report(Applied(receipts=DEPLOYED), pods(3, 3))
    assert text.splitlines()[0] == "배포 성공, Pod 3개 Running 중"
    assert report(Applied(receipts=DEPLOYED), pods(3, 3), language="en").startswith(
        "Deployed: 3 pods Running"
    )


@pytest.mark.parametrize(("running", "desired"), [(0, 3), (2, 3), (0, 0)])
def test_what_does_not_run_is_never_called_a_success(running: int, desired: int) -> None:
    text = report(Applied(receipts=DEPLOYED), pods(running, desired, "ImagePullBackOff"))
    assert "성공" not in text
    assert "ImagePullBackOff" in text


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_rehearsal_is_named_as_such(rehearsal: bool) -> None:
    assert ("리허설" in report(Applied(receipts=DEPLOYED), pods(1, 1), rehearsal=rehearsal)) is rehearsal


def test_a_rehearsed_terraform_run_made_nothing() -> None:
    seen = Observed(
        workflow_runs=({"run_id": 2, "conclusion": "success", "rehearsed": ["apply / terraform apply"]},)
    )
    text = report(Applied(receipts=Receipts()), seen)
    assert "클라우드에는 아무것도 만들어지지 않았습니다" in text
    assert "리허설만 된 단계: apply / terraform apply" in text


def test_everything_around_is_said_once() -> None:
    seen = Observed(
        deployments=pods(1, 1).deployments,
        applications=(AppHealth(name="nginx", sync="Synced", health="Degraded", revision="c" * 40),),
        metrics=(Usage(pod="p", cpu_millicores=5, memory_bytes=2**21, rehearsal=True),),
        pull_request={"number": 7, "url": "http://x/7", "state": "closed", "merged": True},
        gaps=("list_events: no answer",),
    )
    text = report(
        Applied(receipts=DEPLOYED),
        seen,
        SummariseAnswer(log="fine"),
        demanded=("a/b",),
        waived=("c/d",),
        language="en",
    )
    for part in (
        "Argo CD nginx: Synced, Degraded", "p: CPU 5m, memory 2 MiB (rehearsal)", "Pull request #7 merged", "SRE: fine",
        "Security demanded, and got: a/b", "Waived: c/d", "Isolation: landlock", "countersign trace run-1", "own sign-off",
        "Could not be read: list_events: no answer",
    ):  # fmt: skip
        assert text.count(part) == 1, part


def test_nothing_that_was_not_read_is_mentioned() -> None:
    text = report(Applied(receipts=DEPLOYED), pods(1, 1), language="en")
    for part in ("Argo CD", "Pull request", "CPU", "Workflow"):
        assert part not in text


def test_a_refusal_names_who_and_the_goal_that_would_pass() -> None:
    refused = Refused(
        by="person",
        phase=Phase.PUBLISH,
        named="refused-by-person",
        message="A person refused.",
        accepted_goal="ask nicely",
    )
    text = report(refused, language="en")
    assert text.startswith("Refused (person, publish): refused-by-person")
    assert "This goal would be accepted: ask nicely" in text


def test_a_failure_says_how_to_go_on() -> None:
    assert "--resume" in report(
        Failed(phase=Phase.DEPLOY, named="target-forbidden", message="no rights."), language="en"
    )


def test_what_is_not_understood_says_what_would_be() -> None:
    text = report(
        NotUnderstood(understood=("eks",), unknown=("quantum",), nearest=("eks-cluster",), advice="--model"),
        language="en",
    )
    assert text.splitlines() == [
        "Not understood: quantum",
        "Understood: eks",
        "Nearest blueprints: eks-cluster",
        "--model",
    ]


def test_braces_of_others_do_no_harm() -> None:
    seen = Observed(deployments=pods(1, 1).deployments, events=("Pod/x: Failed: {language} {0}",))
    assert "{language} {0}" in report(Applied(receipts=DEPLOYED), seen)


@pytest.mark.parametrize("key", sorted(WORDS))
def test_both_languages_say_the_same_things(key: str) -> None:
    import string

    fields = [{f for _, f, _, _ in string.Formatter().parse(text) if f} for text in WORDS[key]]
    assert fields[0] == fields[1]
