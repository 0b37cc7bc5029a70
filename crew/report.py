"""Outcome and what was read back -> what the person reads, in the goal's language. States nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from crew.goal import Applied, Failed, NotUnderstood, Outcome, Receipts, Refused, Signed
from crew.observation import Observed
from crew.tasks.summarise import SummariseAnswer
from policies.change import Phase, Word
from policies.finding import Finding

Language = Literal["ko", "en"]
WORDS: dict[str, tuple[str, str]] = {
    "rehearsal": ("리허설입니다: 실제 GitHub나 클러스터는 바뀌지 않았습니다.", "This was a rehearsal: no real GitHub or cluster was touched."),
    "deployed": ("배포 성공, Pod {running}개 Running 중", "Deployed: {running} pods Running"),
    "waiting": ("배포했지만 Pod {running}/{desired}개만 Running: {why}", "Deployed, but only {running} of {desired} pods are Running: {why}"),
    "published": ("적용 성공: 모든 단계가 서명되고 실행되었습니다.", "Applied: every phase was signed and done."),
    "rehearsed_run": ("적용 끝: Terraform 단계는 리허설만 되었고 클라우드에는 아무것도 만들어지지 않았습니다.",
                      "Done, but Terraform was only rehearsed: nothing was made in the cloud."),
    "signed": ("서명까지 마쳤습니다(dry run). 아무것도 제출되지 않았습니다. 서명: {signoff}, 만료 {expires}",
               "Signed (dry run), nothing was submitted. Sign-off {signoff}, expires {expires}"),
    "refused": ("거부됨 ({by}, {phase}): {named}", "Refused ({by}, {phase}): {named}"),
    "failed": ("실패 ({phase}): {named}. {message} --resume 으로 이어서 할 수 있습니다.",
               "Failed ({phase}): {named}. {message} `--resume` goes on from here."),
    "rule": ("- {rule}: {message} 이유: {why} 해결: {remedy}", "- {rule}: {message} Why: {why} What would satisfy: {remedy}"),
    "accepted": ("이렇게 요청하면 받아들여집니다: {goal}", "This goal would be accepted: {goal}"),
    "not_understood": ("이해하지 못했습니다: {unknown}", "Not understood: {unknown}"),
    "understood": ("이해한 것: {understood}", "Understood: {understood}"),
    "nearest": ("가까운 청사진: {nearest}", "Nearest blueprints: {nearest}"),
    "pull_request": ("풀 리퀘스트 #{number} {state}: {url}", "Pull request #{number} {state}: {url}"),
    "run": ("워크플로 실행 {id}: {conclusion}", "Workflow run {id}: {conclusion}"),
    "rehearsed_steps": ("  리허설만 된 단계: {steps}", "  Only rehearsed: {steps}"),
    "log": ("SRE 요약: {log}", "SRE: {log}"),
    "argo": ("Argo CD {name}: {sync}, {health}, 커밋 {revision}", "Argo CD {name}: {sync}, {health}, commit {revision}"),
    "metrics": ("{pod}: CPU {cpu}m, 메모리 {memory} MiB{mark}", "{pod}: CPU {cpu}m, memory {memory} MiB{mark}"),
    "event": ("경고: {event}", "Warning: {event}"),
    "demanded": ("Security가 요구해 고친 것: {rules}", "Security demanded, and got: {rules}"),
    "waived": ("면제된 규칙: {rules}", "Waived: {rules}"),
    "no_waiver": ("면제된 규칙 없음", "Nothing was waived"),
    "isolation": ("격리: {isolation}", "Isolation: {isolation}"),
    "trace": ("추적 {trace_id}: countersign trace {run_id}", "Trace {trace_id}: countersign trace {run_id}"),
    "undo": ("되돌리기도 새 목표이고, 따로 서명을 받습니다.", "An undo is a new goal with its own sign-off."),
    "gap": ("읽지 못한 것: {gap}", "Could not be read: {gap}"),
    "done_before": ("그 전에 끝난 단계: {phases}", "Done before that: {phases}"),
}  # fmt: skip


class Around(Word):
    """What stands around the outcome."""

    language: Language
    run_id: str
    trace_id: str
    rehearsal: bool
    isolation: str
    demanded: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()


def write(outcome: Outcome, seen: Observed, said: SummariseAnswer, around: Around) -> str:
    """The report, headline first."""
    return "\n".join(line for line in _lines(outcome, seen, said, around) if line)


def _lines(outcome: Outcome, seen: Observed, said: SummariseAnswer, around: Around) -> Iterator[str]:
    def word(key: str, **values: object) -> str:
        return WORDS[key][0 if around.language == "ko" else 1].format(**values)

    if isinstance(outcome, NotUnderstood):
        yield word("not_understood", unknown=", ".join(outcome.unknown))
        yield word("understood", understood=", ".join(outcome.understood)) if outcome.understood else ""
        yield word("nearest", nearest=", ".join(outcome.nearest)) if outcome.nearest else ""
        yield outcome.advice
        return
    yield from _headline(outcome, seen, around)
    yield word("rehearsal") if around.rehearsal else ""
    if isinstance(outcome, Applied | Failed | Refused):
        yield from _read_back(seen, said, around)
    yield word("demanded", rules=", ".join(around.demanded)) if around.demanded else ""
    yield word("waived", rules=", ".join(around.waived)) if around.waived else word("no_waiver")
    yield word("isolation", isolation=around.isolation)
    yield word("trace", trace_id=around.trace_id, run_id=around.run_id)
    if isinstance(outcome, Applied):
        yield word("undo")
    for gap in seen.gaps:
        yield word("gap", gap=gap)


def _headline(outcome: Applied | Signed | Refused | Failed, seen: Observed, around: Around) -> Iterator[str]:
    def word(key: str, **values: object) -> str:
        return WORDS[key][0 if around.language == "ko" else 1].format(**values)

    if isinstance(outcome, Applied):
        running, desired = sum(d.running for d in seen.deployments), sum(d.desired for d in seen.deployments)
        if outcome.receipts.of(Phase.DEPLOY) is None:
            yield word("rehearsed_run" if _rehearsed(seen) else "published")
        elif running == desired and running:
            yield word("deployed", running=running)
        else:
            why = next((d.why for d in seen.deployments if d.why), "-")
            yield word("waiting", running=running, desired=desired, why=why)
    elif isinstance(outcome, Signed):
        yield word("signed", signoff=outcome.signoff.signoff, expires=outcome.signoff.expires)
    elif isinstance(outcome, Failed):
        yield word("failed", phase=outcome.phase.value, named=outcome.named, message=outcome.message)
        yield from _before(outcome.receipts, word("done_before", phases="{}"))
    else:
        yield word("refused", by=outcome.by, phase=outcome.phase.value, named=outcome.named)
        blocking: tuple[Finding, ...] = outcome.judgement.blocking if outcome.judgement else ()
        for finding in blocking:
            yield word(
                "rule", rule=finding.rule, message=finding.message, why=finding.why, remedy=finding.remedy
            )
        yield outcome.message if not blocking else ""
        yield word("accepted", goal=outcome.accepted_goal) if outcome.accepted_goal else ""
        yield from _before(outcome.receipts, word("done_before", phases="{}"))


def _before(receipts: Receipts, text: str) -> Iterator[str]:
    done = [receipt.phase.value for receipt in receipts.phases if receipt.grants]
    if done:
        yield text.format(", ".join(done))


def _rehearsed(seen: Observed) -> bool:
    return any(run.get("rehearsed") for run in seen.workflow_runs)


def _read_back(seen: Observed, said: SummariseAnswer, around: Around) -> Iterator[str]:
    def word(key: str, **values: object) -> str:
        return WORDS[key][0 if around.language == "ko" else 1].format(**values)

    if seen.pull_request:
        read = seen.pull_request
        number, url = read.get("number"), read.get("url", "")
        state = "merged" if read.get("merged") else read.get("state", "")
        yield word("pull_request", number=number, state=state, url=url)
    for run in seen.workflow_runs:
        yield word(
            "run", id=run.get("run_id", run.get("id")), conclusion=run.get("conclusion") or run.get("status")
        )
        steps = run.get("rehearsed")
        if isinstance(steps, list) and steps:
            yield word("rehearsed_steps", steps="; ".join(map(str, steps)))
    yield word("log", log=said.log) if said.log else ""
    for app in seen.applications:
        yield word("argo", name=app.name, sync=app.sync, health=app.health, revision=app.revision)
    for use in seen.metrics:
        mark = "" if not use.rehearsal else (" (리허설)" if around.language == "ko" else " (rehearsal)")
        yield word(
            "metrics", pod=use.pod, cpu=use.cpu_millicores, memory=use.memory_bytes // 2**20, mark=mark
        )
    for event in seen.events[:5]:
        yield word("event", event=event)
    yield said.remarks
