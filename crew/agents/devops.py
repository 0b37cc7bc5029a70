"""DevOps: drafts a phase from its steps and receipts, revises it by the findings' own remediations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from crewai import Agent

from crew import phases
from crew.goal import Body, Declined, Draft, Drafting, Files, Objection, Proposed, Step
from crew.hands import Hands
from crew.rendering import Renderer
from crew.tasks.draft import DraftRequest, draft
from crew.tasks.revise import ReviseRequest, revise
from knowledge.parameter import BlueprintFaultError
from policies import remedy
from policies.change import Phase, canonical
from policies.finding import ParameterChange, Remediation
from policies.profile import Profile
from tools.gate.words import OpenChange, OpenedChange
from tools.internal.judging import Previews


@dataclass(frozen=True)
class DevOps:
    """The seat with its agent."""

    agent: Agent
    hands: Hands
    renderer: Renderer
    profile: Profile
    clock: Callable[[], datetime]

    def draft(self, drafting: Drafting) -> Draft:
        """Open a change at the gate and fill it. Raises ToolRefusedError, ModelFaultError, PhaseFaultError."""
        phase = drafting.phase.phase
        opened = self.hands.ask_gate(
            "open_change",
            OpenChange(
                phase=phase,
                namespaces=phases.namespaces(drafting, self.renderer),
                goal_digest=drafting.goal.digest,
                phases=drafting.phases,
            ),
            OpenedChange,
        )
        files = phases.sources(drafting, opened, self.renderer)
        title, summary, preview, written = f"{phase} {opened.change_id}", "", "", {}
        if phase is Phase.PUBLISH:
            asked = DraftRequest(goal=drafting.goal, phase=phase, steps=drafting.phase.steps, files=files)
            answer = draft(self.agent, asked)
            title, written = answer.title, {f.path: f.text for f in answer.files}
            preview = self._preview({**files, **written})
            summary = "\n\n".join(part for part in (answer.summary, preview) if part)
        existing = self._existing() if phase is Phase.PUBLISH else frozenset()
        content = {**files, **written}
        body = Body(
            opened=opened,
            title=title,
            summary=summary,
            preview=preview,
            at=self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            steps=drafting.phase.steps,
            written=written,
            content=content,
            existing=tuple(sorted(existing & set(content))),
        )
        return self._sealed(body, drafting)

    def at_table(self, drafting: Drafting) -> AtTable:
        """DevOps as a participant of one negotiation."""
        return AtTable(self, drafting)

    def rebuilt(
        self, before: Draft, drafting: Drafting, taken: tuple[Remediation, ...], written: Files
    ) -> Draft:
        """The draft rendered again with changed parameters, then every patch so far replayed.

        Raises RemedyError or BlueprintFaultError for a remediation that does not fit.
        """
        steps = before.steps
        for change in (r for r in taken if isinstance(r, ParameterChange)):
            steps = tuple(self._changed(step, change) for step in steps)
        patches = (*before.patches, *(r for r in taken if not isinstance(r, ParameterChange)))
        whole = drafting.model_copy(update={"phase": drafting.phase.model_copy(update={"steps": steps})})
        files = {**phases.sources(whole, before.opened, self.renderer), **before.written, **written}
        mended = remedy.apply(patches, {path: text.encode() for path, text in files.items()})
        content = {path: _settled(path, data) for path, data in mended.items()}
        update = {
            "steps": steps,
            "patches": patches,
            "written": {**before.written, **written},
            "content": content,
        }
        return self._sealed(before.model_copy(update=update), drafting)

    def _changed(self, step: Step, change: ParameterChange) -> Step:
        mine = step.blueprint == change.blueprint or (
            change.blueprint is None and change.parameter in self.renderer.parameters(step).values
        )
        return (
            step.model_copy(update={"parameters": {**step.parameters, change.parameter: change.value}})
            if mine
            else step
        )

    def _preview(self, files: Files) -> str:
        """What a local Terraform says of the files, one line for each folder. It only informs."""
        if not any(path.endswith(".tf") for path in files):
            return ""
        shown = self.hands.ask_here("preview_terraform", {"files": files}, Previews).previews
        return "\n".join(f"Terraform preview of {p.line()}" for p in shown)

    def _existing(self) -> frozenset[str]:
        listed = self.hands.servers.raw(self.hands.gate, "list_repository_files", {})
        return frozenset(str(path) for path in listed.get("paths", listed.get("files", ())))

    def _sealed(self, body: Body, drafting: Drafting) -> Draft:
        change = phases.changeset(body, drafting, self.profile)
        return Draft.model_validate({**body.model_dump(exclude={"change"}), "change": change})


@dataclass(frozen=True)
class AtTable:
    """DevOps in one negotiation."""

    devops: DevOps
    drafting: Drafting

    def revise(self, before: Draft, objections: tuple[Objection, ...], round_: int) -> tuple[Draft, Proposed]:
        """Take the remediations that DevOps accepts; an explicit wish of the person is declined, never changed."""
        asked = ReviseRequest(
            goal=self.drafting.goal,
            round=round_,
            steps=before.steps,
            files=before.content,
            objections=objections,
        )
        answer = revise(self.devops.agent, asked)
        wished = {rule for step in before.steps for rule in step.asks_for}
        mine = {o.id for o in objections if o.rule not in wished}
        accepted = tuple(o for o in objections if o.id in answer.accept and o.id in mine)
        declined = self._declined(objections, {d.objection: d.reason for d in answer.decline}, wished)
        taken = tuple({r.sha256(): r for o in accepted for r in o.remediations}.values())
        written = {f.path: f.text for f in answer.files}
        after, note = before, answer.note
        if not declined:
            try:
                after = self.devops.rebuilt(before, self.drafting, taken, written)
            except (remedy.RemedyError, BlueprintFaultError) as fault:
                note = f"{note} {fault}".strip()
        said = Proposed(
            round=round_,
            change_digest=after.change.sha256(),
            accepted=tuple(o.id for o in accepted),
            declined=declined,
            note=note,
        )
        return after, said

    @staticmethod
    def _declined(
        objections: tuple[Objection, ...], reasons: dict[str, str], wished: set[str]
    ) -> tuple[Declined, ...]:
        explicit = "The person asked for exactly this; it is not mine to change."
        return tuple(
            Declined(objection=o.id, rule=o.rule, reason=explicit if o.rule in wished else reasons[o.id])
            for o in objections
            if o.rule in wished or o.id in reasons
        )


def _settled(path: str, data: bytes) -> str:
    """Objects stay canonical JSON after a patch."""
    return canonical(json.loads(data)).decode() if path.startswith("objects/") else data.decode()
