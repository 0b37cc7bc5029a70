"""The table: DevOps and Security as an AutoGen team, until Security approves or it makes no sense to go on.

Each seat lets the CrewAI agent of its role speak. DevOps begins with the draft; Security asks the notary for
its judgement and objects; DevOps revises or declines. Blocking findings are objections whatever the model says,
and no decision of a model makes an unclean judgement clean.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import FunctionalTermination
from autogen_agentchat.messages import BaseChatMessage, StructuredMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken

from crew.folder import MET, TEAM
from crew.goal import Draft, Met, Negotiated, Objection, Proposed, Reviewed, Transcript, Turn
from crew.progress import Event, Progress
from policies.finding import Finding
from policies.review import Decision, Judgement, Review, Verdict

Ended = Literal["", "approved", "vetoed", "declined", "no_remedy", "broken_again"]


class Proposer(Protocol):
    """DevOps at the table."""

    def revise(self, draft: Draft, objections: tuple[Objection, ...], round_: int) -> tuple[Draft, Proposed]:
        """The next draft and how it answers each objection."""


class Reviewer(Protocol):
    """Security at the table."""

    def review(self, draft: Draft, round_: int) -> tuple[Judgement, Reviewed]:
        """The notary's judgement of the draft and Security's decision on it."""


@dataclass
class _Table:
    """What lies on the table; written by one seat at a time."""

    draft: Draft
    judgement: Judgement | None = None
    turns: list[Turn] = field(default_factory=list)
    found: dict[tuple[str, ...], Finding] = field(default_factory=dict)
    objected: dict[tuple[str, ...], Finding] = field(default_factory=dict)
    fixed: set[tuple[str, ...]] = field(default_factory=set)
    open: set[tuple[str, ...]] = field(default_factory=set)
    ended: Ended = ""
    fault: BaseException | None = None

    def judged(self, judgement: Judgement) -> None:
        """Note the judgement; the negotiation ends when a fault is back that an earlier round had mended."""
        self.found |= {finding.key: finding for finding in judgement.findings}
        self.objected |= {finding.key: finding for finding in judgement.blocking}
        now: set[tuple[str, ...]] = {finding.key for finding in judgement.blocking}
        self.fixed |= self.open - now
        self.open, self.judgement = now, judgement
        if now & self.fixed:
            self.ended = "broken_again"


class _Seat(BaseChatAgent):
    """A participant; its work runs in a thread, and a cancellation does not wait for it."""

    def __init__(self, name: str, description: str, table: _Table) -> None:
        super().__init__(name, description)
        self.table = table

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        del messages  # the table holds what was said
        work = asyncio.ensure_future(asyncio.to_thread(self.turn))
        cancellation_token.link_future(work)
        try:
            return Response(chat_message=await work)
        except BaseException as fault:
            self.table.fault = fault
            raise

    def turn(self) -> BaseChatMessage:
        """This seat's next message."""
        raise NotImplementedError

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """A negotiation is never reset: each phase has its own table."""


class _DevOpsSeat(_Seat):
    def __init__(self, table: _Table, devops: Proposer, progress: Progress) -> None:
        super().__init__("DevOps", "drafts and revises the change", table)
        self._devops, self._progress = devops, progress

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (StructuredMessage[Proposed],)

    def turn(self) -> BaseChatMessage:
        table = self.table
        last = table.turns[-1] if table.turns else None
        if not isinstance(last, Reviewed):
            change = table.draft.change
            note = table.draft.summary or f"{len(change.artifacts)} files, {len(change.grants)} calls"
            said = Proposed(round=1, change_digest=change.sha256(), note=note)
        else:
            before = table.draft.change.sha256()
            table.draft, said = self._devops.revise(table.draft, last.objections, last.round + 1)
            if said.declined:
                table.ended = "declined"
            elif table.draft.change.sha256() == before:
                table.ended = "no_remedy"
        table.turns.append(said)
        kind: Event = "speak" if said.round == 1 else "revision"
        reasons = " ".join(f"declines {d.rule}: {d.reason}" for d in said.declined)
        text = (
            f"takes {len(said.accepted)} remediations. {said.note} {reasons}"
            if said.round > 1
            else _drafted(table.draft)
        )
        self._progress.tell(kind, role="DevOps", round=said.round, text=text.strip())
        return StructuredMessage[Proposed](content=said, source=self.name)


def _drafted(draft: Draft) -> str:
    """The draft in a line for a person, who has read the plan; the previews stand under it."""
    count = f"drafts {len(draft.change.artifacts)} files and {len(draft.change.grants)} calls"
    return "\n".join([count, *(f"    {line}" for line in draft.preview.splitlines())])


class _SecuritySeat(_Seat):
    def __init__(self, table: _Table, security: Reviewer, progress: Progress) -> None:
        super().__init__("Security", "judges the change; approves or objects", table)
        self._security, self._progress = security, progress

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (StructuredMessage[Reviewed],)

    def turn(self) -> BaseChatMessage:
        table = self.table
        round_ = table.turns[-1].round
        judgement, said = self._security.review(table.draft, round_)
        table.judged(judgement)
        if judgement.clean and said.decision is Decision.APPROVE:
            table.ended = "approved"
        elif said.decision is Decision.ESCALATE:
            table.ended = "vetoed"
        table.turns.append(said)
        for o in said.objections:
            why = o.why.removeprefix(f"{o.where.rpartition(' ')[2]}: ")  # the resource stands in `where`
            about = {"rule": o.rule, "path": o.where, "text": why, "severity": o.severity.value}
            self._progress.tell("objection", role="Security", round=round_, **about)
        self._progress.tell(
            "speak", role="Security", round=round_, text=f"{said.decision.value}: {said.note}"
        )
        return StructuredMessage[Reviewed](content=said, source=self.name)


async def negotiate(
    draft: Draft, devops: Proposer, security: Reviewer, *, rounds: int, folder: Path, progress: Progress
) -> Negotiated:
    """Let the two talk, at most `rounds` rounds; transcript and team state are kept in `folder`.

    Raises what a seat raises: ModelFaultError, ToolRefusedError, SessionFaultError.
    """
    table = _Table(draft)
    team = RoundRobinGroupChat(
        [_DevOpsSeat(table, devops, progress), _SecuritySeat(table, security, progress)],
        termination_condition=FunctionalTermination(lambda _: bool(table.ended)),
        max_turns=2 * rounds,
        custom_message_types=[StructuredMessage[Proposed], StructuredMessage[Reviewed]],
    )
    cancellation = CancellationToken()
    talk = asyncio.ensure_future(team.run(cancellation_token=cancellation))
    try:
        await asyncio.shield(talk)
    except asyncio.CancelledError:
        cancellation.cancel()  # the seat's turn is let go, then the team ends by itself
        await asyncio.wait({talk})
        raise
    except RuntimeError:
        if table.fault is not None:  # the team passes a seat's exception on as text
            raise table.fault from None
        raise
    judgement = table.judgement
    if judgement is None:
        raise RuntimeError("the negotiation ended before Security had spoken")
    transcript = Transcript(
        run_id=draft.change.run_id,
        change_id=draft.change.change_id,
        phase=draft.change.phase,
        turns=tuple(table.turns),
        ended=table.ended or "rounds_exhausted",
    )
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs in this loop
    name = draft.change.phase.value
    (folder / f"{name}.json").write_bytes(transcript.canonical())
    (folder / f"{name}{TEAM}").write_text(json.dumps(await team.save_state(), default=str), encoding="utf-8")
    met = Met(
        findings=tuple(table.found.values()), objected=tuple(table.objected.values()), waived=judgement.waived
    )
    (folder / f"{name}{MET}").write_bytes(met.canonical())
    verdict = Verdict(
        decision=Decision.APPROVE if transcript.ended == "approved" else _last_no(table),
        change_digest=judgement.change_digest,
        reasons=tuple(f"{o.rule}: {o.why}"[:500] for o in _last_review(table).objections),
        rounds=min(rounds, _last_review(table).round),
    )
    return Negotiated(
        draft=table.draft, review=Review(judgement=judgement, verdict=verdict), transcript=transcript
    )


def _last_review(table: _Table) -> Reviewed:
    return next(turn for turn in reversed(table.turns) if isinstance(turn, Reviewed))


def _last_no(table: _Table) -> Decision:
    decision = _last_review(table).decision
    return Decision.REJECT if decision is Decision.APPROVE else decision
