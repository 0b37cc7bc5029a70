"""A proposal -> a change under our own words, judged and signed like the crew's, or objections.

The gate issues change id and destination, `policies.grants` writes the calls, the notary judges the resulting tree.
Nobody's model stands for Security here: the notary's own clean judgement is the verdict (docs/adr). Whatever
else the profile demands, a person's word or another signature, is demanded by the gate as for the crew.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from rfc8785 import CanonicalizationError

from policies import grants
from policies.change import (
    EMPTY_DIGEST,
    Artifact,
    ChangeSet,
    CommitSha,
    Grant,
    Operation,
    Phase,
    RepositoryTarget,
    Word,
    canonical,
    digest_of,
)
from policies.finding import Finding
from policies.profile import Profile
from policies.review import Decision, Judgement, Verdict
from tools.gate.words import OpenChange, OpenedChange, SignoffRef, SignoffState
from tools.gateway.words import STEPS, Objection, Proposal, ProposeChange, head_of
from tools.launch.goal_text import GoalFaultError, check
from tools.notary.words import Draft, Judge, Sign, Signed
from tools.tool import Effect, Tool, ToolRefusedError
from traces import spans

W = TypeVar("W", bound=Word)
VERDICT = "the notary's own judgement is clean; no model took part"


class Line(Protocol):
    """One role's session, called from a thread."""

    def call(self, tool: str, arguments: Word | Mapping[str, Any], result: type[W]) -> W:
        """Raises ToolRefusedError, SessionFaultError."""


class Listed(Word):
    """What list_repository_files answers."""

    paths: tuple[str, ...]
    commit: str


@dataclass(frozen=True)
class Made:
    """A phase's artifacts with their bytes by path."""

    artifacts: tuple[Artifact, ...]
    content: Mapping[str, bytes]


@dataclass(frozen=True)
class Proposing:
    """`devops` speaks to the gate, `security` to the notary."""

    devops: Line
    security: Line
    profile: Profile
    clock: Callable[[], datetime]

    def propose(self, asked: ProposeChange) -> Proposal:
        """Raises ToolRefusedError, SessionFaultError."""
        goal = goal_of(asked)
        opened = self.devops.call(
            "open_change",
            OpenChange(
                phase=asked.phase,
                namespaces=_namespaces(asked),
                goal_digest=digest_of(goal.encode()),
                phases=asked.phases or (asked.phase,),
            ),
            OpenedChange,
        )
        made = self._made(asked, opened)
        change = self._change(asked, goal, opened, made)
        return self._signed(change, made)

    def _made(self, asked: ProposeChange, opened: OpenedChange) -> Made:
        if asked.phase is Phase.PUBLISH:
            there = set(self.devops.call("list_repository_files", {}, Listed).paths)
            return _files(asked, there)
        return _objects(asked, opened.change_id)

    def _change(self, asked: ProposeChange, goal: str, opened: OpenedChange, made: Made) -> ChangeSet:
        try:
            return ChangeSet(
                change_id=opened.change_id,
                run_id=opened.run_id,
                phase=opened.phase,
                goal_digest=digest_of(goal.encode()),
                profile=opened.profile,
                artifacts=made.artifacts,
                destination=opened.destination,
                grants=tuple(
                    grants.after_approval(grant, asked.phase, self.profile)
                    for grant in _chosen(asked, self._grants(asked, goal, opened, made))
                ),
            )
        except ValidationError as fault:
            first = fault.errors(include_url=False, include_input=False)[0]
            raise ToolRefusedError(
                "proposal-refused", f"{first['msg']}.", "Name each path and object once."
            ) from fault

    def _grants(self, asked: ProposeChange, goal: str, opened: OpenedChange, made: Made) -> Iterable[Grant]:
        if asked.phase is Phase.PUBLISH:
            return grants.publish(
                opened.change_id,
                _repository(opened),
                made.artifacts,
                title=asked.title or f"publish {opened.change_id}",
                goal=goal,
                summary=asked.summary,
                date=self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                reviewers=self.profile.reviewers,
            )
        if asked.phase is Phase.RELEASE:
            return grants.release(opened.change_id, _repository(opened), self._commit(asked))
        objects = {path: json.loads(data) for path, data in made.content.items()}
        synced = any(found["kind"] == "Application" for found in objects.values())
        return grants.deploy(objects, self._commit(asked) if synced else None)

    def _commit(self, asked: ProposeChange) -> CommitSha:
        """The commit that an earlier sign-off produced, from the gate's journal."""
        if asked.published is None:
            raise ToolRefusedError(
                "published-missing",
                f"{asked.phase} builds on a published commit.",
                "Give the publish sign-off as `published`.",
            )
        state = self.devops.call("signoff_state", SignoffRef(signoff=asked.published), SignoffState)
        for grant in state.grants:
            commit = (grant.receipt or {}).get("commit") if grant.verb == "push_commit" else None
            if grant.state == "done" and isinstance(commit, str):
                return commit
        raise ToolRefusedError(
            "not-published", f"{asked.published[:19]} has pushed no commit yet.", "Submit its grants first."
        )

    def _signed(self, change: ChangeSet, made: Made) -> Proposal:
        content = {digest_of(data): b64encode(data) for data in made.content.values()}
        draft = Draft.model_validate({"change": change, "content": content})
        judgement = self.security.call("judge", Judge(draft=draft), Judgement)
        blocking = {finding.key for finding in judgement.blocking}
        notes = tuple(_objection(f) for f in judgement.findings if f.key not in blocking)
        if not judgement.clean:
            objections = tuple(_objection(f) for f in judgement.blocking)
            return Proposal(
                run=change.run_id,
                change_id=change.change_id,
                signed=False,
                objections=objections,
                notes=notes,
            )
        verdict = Verdict(decision=Decision.APPROVE, change_digest=change.sha256(), reasons=(VERDICT,))
        heard = {"change": change.sha256(), "judgement": judgement.sha256(), "verdict": verdict.sha256()}
        asked = Sign(
            draft=draft,
            verdict=verdict,
            transcript_digest=digest_of(canonical(heard)),
            trace_id=spans.trace_id(),
        )
        signed = self.security.call("sign", asked, Signed)
        state = self.devops.call("signoff_state", SignoffRef(signoff=signed.signoff), SignoffState)
        return Proposal.of(change.run_id, state, notes)


def tool(propose: Callable[[ProposeChange], Proposal]) -> Tool:
    """What DevOps is offered."""
    return Tool(
        "propose_change",
        "Hand in one phase of a change. You get a sign-off with its grants, which `submit` then does one by one, or "
        "objections: each names the rule, where, why and what would satisfy it. Mend them and propose the phase again.",
        ProposeChange,
        Proposal,
        propose,
        Effect.ANNOTATE,
    )


def goal_of(asked: ProposeChange) -> str:
    """The goal's text, when the phase has what it needs and nothing else. Raises ToolRefusedError."""
    try:
        goal = check(asked.goal)
    except GoalFaultError as fault:
        raise ToolRefusedError("goal-refused", f"{fault}.", "Say in words what is wanted.") from fault
    wants = {Phase.PUBLISH: asked.files, Phase.DEPLOY: asked.objects}
    for phase, name, given in (
        (Phase.PUBLISH, "files", asked.files),
        (Phase.DEPLOY, "objects", asked.objects),
    ):
        if given and asked.phase is not phase:
            raise ToolRefusedError(
                "not-of-this-phase", f"{asked.phase} takes no {name}.", f"Propose them as {phase}."
            )
    if asked.phase in wants and not wants[asked.phase]:
        raise ToolRefusedError("nothing-proposed", f"{asked.phase} was proposed with nothing in it.")
    return goal


def _namespaces(asked: ProposeChange) -> tuple[str, ...]:
    found = set()
    for each in asked.objects:
        head = head_of(each)
        found.add(head.metadata.name if head.kind == "Namespace" else head.metadata.namespace or "")
    return tuple(sorted(found - {""}))


def _files(asked: ProposeChange, there: set[str]) -> Made:
    artifacts, content = [], {}
    for file in sorted(asked.files, key=lambda file: file.path):
        if file.text is None:
            artifacts.append(Artifact(path=file.path, digest=EMPTY_DIGEST, operation=Operation.DELETE))
            continue
        content[file.path] = file.text.encode()
        artifacts.append(
            Artifact(
                path=file.path,
                digest=digest_of(content[file.path]),
                operation=Operation.MODIFY if file.path in there else Operation.ADD,
                mode=file.mode,
            )
        )
    return Made(tuple(artifacts), content)


def _objects(asked: ProposeChange, change_id: str) -> Made:
    heads = [head_of(found) for found in asked.objects]
    if len(set(heads)) != len(heads):
        raise ToolRefusedError("object-twice", "an object is proposed twice.", "Send each object once.")
    content: dict[str, bytes] = {}
    for found in asked.objects:
        try:
            path, data = grants.object_file(found, change_id)
        except CanonicalizationError as fault:
            message = f"an object has no canonical form: {fault}."
            raise ToolRefusedError("object-refused", message, "Quote large numbers as text.") from fault
        if path in content:  # the same name in another namespace
            path = path.replace("objects/", f"objects/{grants.namespace_of(found) or 'cluster'}-", 1)
        if path in content:
            raise ToolRefusedError(
                "object-twice", f"two objects would be {path}.", "Propose one of them by itself."
            )
        content[path] = data
    artifacts = tuple(
        Artifact(path=path, digest=digest_of(data), operation=Operation.ADD)
        for path, data in sorted(content.items())
    )
    return Made(artifacts, content)


def _chosen(asked: ProposeChange, offered: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants of the asked steps: the phase's row from its first on. Raises ToolRefusedError."""
    every = tuple(offered)
    if not asked.steps:
        return every
    if strange := set(asked.steps) - set(STEPS[asked.phase]):
        known = ", ".join(STEPS[asked.phase])
        raise ToolRefusedError(
            "not-of-this-phase", f"{asked.phase} has no step {min(strange)}.", f"Its steps are: {known}."
        )
    chosen = tuple(grant for grant in every if _step(grant) in asked.steps)
    if not chosen or chosen != every[: len(chosen)]:
        message = f"{asked.phase} cannot leave out a step before {asked.steps[-1]}."
        raise ToolRefusedError("steps-apart", message, "Name the steps from the first on, or none for all.")
    return chosen


def _step(grant: Grant) -> str:
    if grant.verb != "dispatch_workflow":
        return grant.verb
    inputs = grant.arguments["inputs"]
    return "plan" if isinstance(inputs, Mapping) and inputs["mode"] == "plan" else "apply_plan"


def _repository(opened: OpenedChange) -> RepositoryTarget:
    if opened.destination.repository is None:
        raise ToolRefusedError("repository-missing", f"{opened.phase} needs a repository.")
    return opened.destination.repository


def _objection(finding: Finding) -> Objection:
    where = f"{finding.path} {finding.resource}".strip()
    line = None if finding.path.endswith(".json") else finding.line  # ours has one line
    return Objection(
        rule=finding.rule,
        severity=finding.severity,
        where=where if line is None else f"{where} line {line}",
        why=f"{finding.message} {finding.why}".strip(),
        remedy=finding.remedy,
    )
