"""The crew's stages as they are done, and the same stages as durable steps that a resumed run does not do again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import JsonValue, TypeAdapter

from crew.agents.devops import DevOps
from crew.agents.planner import Planner
from crew.agents.security import Security
from crew.folder import RunFolder
from crew.goal import (
    OUTCOME,
    PLANNED,
    Draft,
    Drafting,
    Goal,
    Negotiated,
    NotUnderstood,
    Outcome,
    PhaseReceipt,
    Plan,
    SignedChange,
    Stop,
    Submission,
)
from crew.hands import Hands
from crew.negotiation import negotiate
from crew.progress import Progress
from crew.tasks.approval import Waiter
from crew.tasks.sign import sign
from crew.tasks.submit import Submitted, Submitter
from policies.change import Phase
from policies.profile import Profile
from tools.tool import ToolRefusedError
from traces import names, spans

T = TypeVar("T")
DRAFTED: TypeAdapter[Draft | Stop] = TypeAdapter(Draft | Stop)
SIGNED: TypeAdapter[SignedChange | Stop] = TypeAdapter(SignedChange | Stop)
STOP: TypeAdapter[Stop | None] = TypeAdapter(Stop | None)


class Durable(Protocol):
    """Does a stage once: its result, as JSON, outlives the process."""

    async def once(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - JSON
        """The stored result of `name`, or that of `work`."""


class Ending(Protocol):
    """Reads back, reports, remembers."""

    def __call__(self, outcome: Outcome) -> None:
        """Say how the run ended."""


@dataclass(frozen=True)
class Roles:
    """The seats of one run."""

    planner: Planner
    devops: DevOps
    security: Security
    sre: Hands


@dataclass(frozen=True)
class Stages:
    """crew.run.Crew over the roles. `seat` makes them when the first stage needs one."""

    roles: Callable[[], Roles]
    durable: Durable
    profile: Profile
    folder: RunFolder
    progress: Progress
    ending: Ending
    trace: Mapping[str, str]
    pause: Callable[[float], None]
    review_patience: float
    durations: dict[str, float] = field(default_factory=dict)
    planned: list[Plan] = field(default_factory=list)
    attempts: dict[Phase, int] = field(default_factory=dict)

    def plan_shown(self) -> Any:  # noqa: ANN401 - JSON
        """The plan for the run's document; None when there is none."""
        return self.planned[0].model_dump(mode="json") if self.planned else None

    async def plan(self, goal: Goal) -> Plan | NotUnderstood:
        """See crew.run.Crew."""

        def work() -> Plan | NotUnderstood:
            planner = self.roles().planner
            return planner.plan(goal, planner.target())

        planned = await self._stage("plan", PLANNED, work)
        if isinstance(planned, Plan):
            self.planned.append(planned)
            phases: list[JsonValue] = [phase.phase.value for phase in planned.phases]
            self.progress.tell(
                "plan", phases=phases, steps=[step.model_dump(mode="json") for step in planned.steps]
            )
        return planned

    async def reviewed(self, phase: Phase) -> Stop | None:
        """See crew.run.Crew. Raises ReviewMissingError, which is no result: a resumed run waits again."""
        if phase is Phase.PUBLISH or self.profile.approval != "reviewer":
            return None

        def work() -> Stop | None:
            waiting = self._waiting(phase)
            return Waiter(self.roles().devops.hands, waiting, self.review_patience).approved()

        return await self._stage(f"review:{phase}", STOP, work)

    async def draft(self, drafting: Drafting) -> Draft | Stop:
        """See crew.run.Crew."""
        self.progress.tell("phase", phase=drafting.phase.phase.value)
        self.attempts[drafting.phase.phase] = drafting.attempt
        return await self._stage(
            self._of("draft", drafting.phase.phase),
            DRAFTED,
            lambda: _or_stop(lambda: self.roles().devops.draft(drafting)),
        )

    async def negotiate(self, draft: Draft, drafting: Drafting) -> Negotiated:
        """See crew.run.Crew."""
        phase = drafting.phase.phase

        async def work() -> Negotiated:
            roles = self.roles()
            table = roles.devops.at_table(drafting)
            return await negotiate(
                draft,
                table,
                roles.security,
                rounds=self.profile.rounds,
                folder=self.folder.transcripts_dir,
                progress=self.progress,
            )

        return await self._awaited(self._of("negotiate", phase), TypeAdapter(Negotiated), work)

    async def sign(self, negotiated: Negotiated) -> SignedChange | Stop:
        """See crew.run.Crew."""
        phase = negotiated.draft.change.phase
        folder = self.folder.signed(phase.value)

        def work() -> SignedChange | Stop:
            roles = self.roles()
            return _or_stop(lambda: sign(roles.security.hands, roles.sre, negotiated, folder))

        signed = await self._stage(self._of("sign", phase), SIGNED, work)
        if isinstance(signed, SignedChange):
            self.progress.tell("signed", phase=phase.value, signoff=signed.signoff, expires=signed.expires)
        return signed

    async def submit(self, signed: SignedChange) -> Submission:
        """See crew.run.Crew. Each grant is a stage of its own."""
        phase = signed.phase
        receipt = PhaseReceipt(
            phase=phase, change_id=signed.change_id, signoff=signed.signoff, grants=(), tree=signed.tree
        )
        stopped = await self._stage(
            self._of("confirm", phase), STOP, lambda: self._submitter(phase).confirmed(signed)
        )
        if stopped is not None:
            return Submission(receipt=receipt, stopped=stopped)
        for seq, verb in enumerate(signed.verbs, 1):
            done = await self._one(signed, seq)
            if done.state is not None:
                receipt = receipt.model_copy(update={"grants": (*receipt.grants, done.state)})
            if done.stopped is not None:
                return Submission(receipt=receipt, stopped=done.stopped)
            facts = dict(done.state.receipt or {}) if done.state else {}
            self.progress.tell(
                "submitted", phase=phase.value, seq=seq, verb=verb, text=_facts(facts), facts=facts
            )
        return Submission(receipt=receipt)

    async def summarise(self, outcome: Outcome) -> Outcome:
        """See crew.run.Crew."""

        def work() -> Outcome:
            self.ending(outcome)
            return outcome

        return await self._stage("summarise", OUTCOME, work)

    async def _one(self, signed: SignedChange, seq: int) -> Submitted:
        name = f"{self._of('submit', signed.phase)}:{seq}"
        return await self._stage(
            name, TypeAdapter(Submitted), lambda: self._submitter(signed.phase).submit(signed, seq)
        )

    def _submitter(self, phase: str) -> Submitter:
        return Submitter(
            devops=self.roles().devops.hands,
            waiting=self._waiting(phase),
            pause=self.pause,
        )

    def _waiting(self, phase: str) -> Callable[[str], None]:
        return lambda why: self.progress.tell("waiting", phase=str(phase), text=why)

    def _of(self, stage: str, phase: Phase) -> str:
        """The name under which a stage's result is kept: another attempt at the phase is another stage."""
        attempt = self.attempts.get(phase, 1)
        return f"{stage}:{phase}" if attempt == 1 else f"{stage}:{phase}:attempt{attempt}"

    async def _stage(self, name: str, kind: TypeAdapter[T], work: Callable[[], T]) -> T:
        return await self._awaited(name, kind, lambda: asyncio.to_thread(work))

    async def _awaited(self, name: str, kind: TypeAdapter[T], work: Callable[[], Awaitable[T]]) -> T:
        """Do the stage once, in the run's trace, and read its result the way a resumed run would."""

        async def recorded() -> Any:  # noqa: ANN401 - JSON
            started = time.monotonic()
            with (
                spans.remote(self.trace),
                spans.span(f"stage {name}", {names.OPERATION_NAME: "invoke_workflow"}),
            ):
                done = kind.dump_python(await work(), mode="json")
            self.durations[name] = round(time.monotonic() - started, 3)
            return done

        return kind.validate_python(await self.durable.once(name, recorded))


def _facts(facts: Mapping[str, Any]) -> str:
    """The telling facts of a receipt on one line."""
    told = ("url", "commit", "number", "run_id", "kind", "namespace", "name", "sync", "health")
    return " ".join(f"{key}={facts[key]}" for key in told if facts.get(key))


def _or_stop(work: Callable[[], T]) -> T | Stop:
    """A refusal of a server as the end of the phase."""
    try:
        return work()
    except ToolRefusedError as no:
        fault = no.name.startswith("target-") or no.name in {"journal-unusable", "notary-unreachable"}
        return Stop(named=no.name, message=f"{no.message} {no.advice}".strip(), fault=fault)
