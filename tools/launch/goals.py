"""The goals that a gateway may work on: each signed with a person's key, each a run.

In the sandbox, where a profile lets nobody be asked, the gateway signs an agent's goal with the sandbox's own key, as
`countersign run` does. For a real target a person signs it first: `countersign request GOAL`.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies import request, trust
from policies.change import digest_of
from policies.refusal import GateError
from policies.request import SignedRequest
from tools.gateway.front import NO_RUN
from tools.gateway.words import OpenRun, RunOpened
from tools.launch import folders, goal_text, requesting
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.notary.keys import TRUST_FILE, ensure_keys
from tools.tool import ToolRefusedError

_PREFIX = "gw-"


def new_run(now: datetime) -> str:
    """A name for a run behind a gateway."""
    return f"{_PREFIX}{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class SignedGoals:
    """The requests below the gate's folder."""

    config: Config
    _runs: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run_of(self, goal: str) -> str:
        """See tools.gateway.reception.Goals."""
        digest = digest_of(goal.encode())
        with self._lock:
            if digest not in self._runs:
                self._runs[digest] = self._signed_here(goal) if self._may_sign else self._signed_by(digest)
            return self._runs[digest]

    def request_of(self, run: str) -> str:
        """The bundle of a run. Raises ToolRefusedError where nobody asked for it."""
        try:
            return requesting.kept(self.config, run)
        except ConfigFaultError as fault:
            raise ToolRefusedError(NO_RUN, f"nobody asked for a run {run}.") from fault

    def accept(self, asked: OpenRun) -> RunOpened:
        """See tools.gateway.reception.Goals."""
        try:
            signed = self._verified(asked.request)
            signed.covers(run_id=asked.run_id, goal_digest=signed.request.goal_digest)
        except GateError as no:
            raise ToolRefusedError(no.name, no.message, no.advice) from no
        with self._lock:
            if self._known(asked.run_id) not in {None, asked.request}:
                message = f"run {asked.run_id} was asked for with another signature."
                raise ToolRefusedError("run-taken", message, "Start a new run.")
            requesting.keep(self.config, asked.run_id, asked.request)
        return RunOpened(run_id=asked.run_id, goal_digest=signed.request.goal_digest)

    def _known(self, run: str) -> str | None:
        try:
            return requesting.kept(self.config, run)
        except ConfigFaultError:
            return None

    def _verified(self, bundle: str) -> SignedRequest:
        return request.verify(
            bundle,
            trust=trust.load(self.config.state_dir / TRUST_FILE),
            now=datetime.now(UTC),
            profile=self.config.profile.name,
            rehearsal=self.config.rehearsal,
        )

    @property
    def _may_sign(self) -> bool:
        return self.config.rehearsal and self.config.profile.unattended

    def _signed_here(self, goal: str) -> str:
        now = datetime.now(UTC)
        run = new_run(now)
        requesting.ask(self.config, run, goal, requesting.requester(self.config), now)
        return run

    def _signed_by(self, digest: str) -> str:
        """The newest run behind a gateway whose goal this is. What cannot be verified is none; the gate verifies again."""
        for path in sorted(
            (self.config.state_dir / "requests").glob(f"{_PREFIX}*.sigstore.json"), reverse=True
        ):
            run = path.name.removesuffix(".sigstore.json")
            try:
                self._verified(self.request_of(run)).covers(run_id=run, goal_digest=digest)
            except GateError:
                continue  # another goal, or a request that counts no more
            return run
        raise ToolRefusedError(
            "goal-unsigned",
            "no person's key signed this goal.",
            "Ask a person to run `countersign request GOAL` with exactly these words, then propose again.",
        )


def sign_goal(goal: str, profile: str | None, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """`countersign request`: a person's signature on a goal for agents behind a gateway. Raises ConfigFaultError, KeyFaultError."""
    config, text = read_config(state_dir, profile), goal_text.check(goal)
    ensure_keys(folders.private(config.state_dir), config.rehearsal)
    now = datetime.now(UTC)
    run = new_run(now)
    requesting.ask(config, run, text, requesting.requester(config), now)
    document = {
        "run": run,
        "goal": text,
        "goal_digest": digest_of(text.encode()),
        "profile": config.profile.name,
    }
    return (
        document,
        f"signed: {text}\nrun {run} under profile {config.profile.name}, for `propose_change` with exactly this goal",
    )
