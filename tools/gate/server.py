"""The gate's tools, one set per role, and the pipes that they are served on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from policies.change import Word
from policies.refusal import GateError
from policies.trust import TrustFaultError
from tools.gate import states, telling
from tools.gate.approval import Approvals
from tools.gate.cosigning import cosign
from tools.gate.drift import Drift
from tools.gate.issue import Desk
from tools.gate.journal import JournalFaultError
from tools.gate.plan import PlanOfRecord
from tools.gate.room import Room
from tools.gate.servers.tools import tools_of as foreign_tools
from tools.gate.submit import Submission
from tools.gate.words import (
    AwaitReview,
    Confirmation,
    Cosign,
    Deposit,
    DriftAsked,
    DriftReport,
    FetchChange,
    GrantState,
    IssuedChange,
    JudgePlan,
    OpenChange,
    OpenedChange,
    Pending,
    PlanVerdict,
    ReviewState,
    RunRecord,
    RunRef,
    ShownChange,
    SignoffRef,
    SignoffState,
    Submit,
    TargetDescription,
    TellOutcome,
)
from tools.serve import refusal_of, serve
from tools.session import BackgroundSessions, SessionFaultError
from tools.tool import Effect, Nothing, Role, Tool, ToolRefusedError
from tools.verbs import TargetError

A = TypeVar("A", bound=Word)
R = TypeVar("R", bound=Word)


class NotaryLine:
    """The gate's pipe to the notary, opened when the first plan of record is to be judged."""

    def __init__(self, fd: int) -> None:
        self._fd, self._lock = fd, threading.Lock()
        self._sessions: BackgroundSessions | None = None

    def judge(self, asked: JudgePlan) -> PlanVerdict:
        """Ask the notary. Raises ToolRefusedError, SessionFaultError."""
        with self._lock:
            if self._sessions is None:
                self._sessions = BackgroundSessions({"notary": self._fd}).__enter__()
        return self._sessions.call("notary", "judge_plan", asked, PlanVerdict)


def tools_of(room: Room, judge: Callable[[JudgePlan], PlanVerdict], role: Role) -> list[Tool]:
    """Every tool of the gate as `role` would call it; its belt decides which of them it may."""
    desk, submission = Desk(room), Submission(room, PlanOfRecord(room, judge))

    def signoff_state(asked: SignoffRef) -> SignoffState:
        if not room.dry_run:
            submission.look(asked.signoff)
        return states.signoff_state(room, room.ledger(), asked.signoff)

    own = [
        _tool("describe_target", "What the gate resolved from the live targets: repository, base commit, cluster, versions.", Nothing, TargetDescription, desk.describe_target),
        _tool("open_change", "A change_id for one phase, and the destination that the manifest must carry unchanged.", OpenChange, OpenedChange, desk.open_change, Effect.ANNOTATE),
        _tool("submit", "Do grant `seq` of a sign-off, once. A done grant answers with its receipt; `waiting` means ask again.", Submit, GrantState, submission.submit, Effect.MUTATE),
        _tool("await_review", "Whether the approving review that release waits for is there, as GitHub says now; waits a while for it.", AwaitReview, ReviewState, Approvals(room).wait),
        _tool("signoff_state", "Where a sign-off stands: whether a person must confirm it, and each grant with its receipt.", SignoffRef, SignoffState, signoff_state),
        _tool("run_record", "What the journal says of a run: its status, phases, receipts and denials.", RunRef, RunRecord, partial(states.run_record, room, role)),
        _tool("tell_outcome", "Keep what is said of the ended run, so that the graph can be made again; answers with the run's record.", TellOutcome, RunRecord, partial(telling.tell, room), Effect.ANNOTATE),
        _tool("fetch_change", "What was issued under a change_id, with the base tree at the signed base commit.", FetchChange, IssuedChange, desk.fetch_change),
        _tool("deposit", "Hand over a signed bundle with its manifest and bytes; it is verified before it is kept.", Deposit, SignoffState, desk.deposit, Effect.ANNOTATE),
        _tool("pending", "The sign-offs of a run that wait for the person.", RunRef, Pending, partial(states.pending, room)),
        _tool("show_change", "The whole of a change that waits: every call, the destination, and every file before and after.", SignoffRef, ShownChange, partial(states.shown, room)),
        _tool("confirm", "The person's yes to one sign-off.", Confirmation, SignoffState, partial(states.answer, room, yes=True), Effect.ANNOTATE),
        _tool("cosign", "A person's own signature over the very payload that the notary signed.", Cosign, SignoffState, partial(cosign, room), Effect.ANNOTATE),
        _tool("drift", "Compare every done effect of the live sign-offs with its target, now; each difference is an alarm on its run.", DriftAsked, DriftReport, Drift(room).compare, Effect.ANNOTATE),
        _tool("refuse", "The person's no to one sign-off.", Confirmation, SignoffState, partial(states.answer, room, yes=False), Effect.ANNOTATE),
    ]  # fmt: skip
    others = [
        replace(tool, call=_named(tool.call))
        for server in room.servers.values()
        for tool in foreign_tools(room, judge, server, role)
    ]
    return [guarded(room, tool) for tool in (*own, *room.targets.reads(), *others)]


def guarded(room: Room, tool: Tool) -> Tool:
    """The tool with what holds for every call: it is counted, and one that changes a target heeds the kill switch."""

    def call(asked: Any) -> Word:  # noqa: ANN401 - the tool's own arguments
        room.meter.take()
        if tool.effect is Effect.MUTATE:
            room.switch.check()
        return tool.call(asked)

    return replace(tool, call=call)


def _named(call: Callable[[A], R]) -> Callable[[A], R]:
    """The call, with our own faults turned into refusals with names."""

    def named(asked: A) -> R:
        try:
            return call(asked)
        except GateError as fault:
            raise ToolRefusedError(fault.name, fault.message, fault.advice) from fault
        except JournalFaultError as fault:
            raise ToolRefusedError("journal-unusable", f"{fault}.") from fault
        except TrustFaultError as fault:
            raise ToolRefusedError(
                "trust-unusable", f"{fault}.", "Mend the trust file, then ask again."
            ) from fault
        except SessionFaultError as fault:
            raise ToolRefusedError(
                "notary-unreachable", f"{fault}.", "Run again; what is signed is kept."
            ) from fault

    return named


def _tool(
    name: str,
    description: str,
    arguments: type[A],
    result: type[R],
    call: Callable[[A], R],
    effect: Effect = Effect.READ,
) -> Tool:
    return Tool(name, description, arguments, result, _named(call), effect)


async def serve_roles(room: Room, judge: Callable[[JudgePlan], PlanVerdict], roles: dict[Role, int]) -> None:
    """Reconcile what an earlier process left open and serve every role by its pipe until all are closed."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, partial(_reconcile, room, judge))
        for role, fd in roles.items():
            recorded: Callable[[str, Any, ToolRefusedError], None] = partial(room.deny, role)
            tools = tools_of(room, judge, role)
            group.start_soon(partial(serve, tools, fd, name="gate", role=role, on_refusal=recorded))


def _reconcile(room: Room, judge: Callable[[JudgePlan], PlanVerdict]) -> None:
    """What cannot be read now stays open; its next submit reads it again."""
    try:
        Submission(room, PlanOfRecord(room, judge)).reconcile()
    except (TargetError, ToolRefusedError, JournalFaultError) as fault:
        words = refusal_of(fault) if isinstance(fault, TargetError) else fault
        sys.stderr.write(f"gate: an interrupted call could not be resolved yet: {words}\n")
