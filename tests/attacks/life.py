"""One life of a run without a model: launcher, real gate, signing notary and submitting crew, each a process of its own.

`python -m tests.attacks.life` is the place where lives begin: it has everything imported, forks a launcher for each line
that it reads, and tells the processes' ids and how the launcher ended. Everybody dies with the launcher.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from securesystemslib.signer import CryptoSigner

from policies import profile
from policies.change import Phase
from tests.fakes import scripted_run
from tests.fakes.gate import GOAL, World
from tools import confine
from tools.gate import __main__ as gate_process
from tools.gate.words import GrantState, OpenChange, OpenedChange, SignoffState, Submit
from tools.notary.keys import load_signer
from tools.session import BackgroundSessions, SessionFaultError
from tools.settings import GateSettings, GitHubSettings, KubernetesSettings
from tools.tool import ToolRefusedError

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "policies/profiles/sandbox.toml"
AGAIN = frozenset({"effect-unknown", "target-busy", "target-conflict", "target-unreachable"})
PATIENCE = 150.0


class RealClock:
    """The moment that it is."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    @property
    def now(self) -> datetime:
        return self()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def gate(told: Mapping[str, Any], devops: socket.socket, notary: socket.socket) -> int:
    """The real one."""
    idle, _kept = socket.socketpair()
    settings = GateSettings(
        state_dir=Path(told["folder"]) / "gate",
        run_id=told["run_id"],
        profile=PROFILE,
        rehearsal=True,
        isolation="none",
        github=GitHubSettings.model_validate(told["github"]),
        kubernetes=KubernetesSettings(kubeconfig=Path(told["kubeconfig"])),
        ask_person=False,
        roles={"devops": devops.detach(), "notary": notary.detach()},
        notary_fd=idle.detach(),
        request=told["request"],
    )
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        pipe.write(settings.model_dump_json())
    sys.argv = ["tools.gate", "--settings-fd", str(reader)]
    return gate_process.main()


def notary(told: Mapping[str, Any], pipe: socket.socket, line: socket.socket) -> int:
    """Signs what it is asked to sign and deposits it."""
    confine.die_with_parent()
    folder = Path(told["folder"])
    signer: CryptoSigner = load_signer(folder / "gate/keys/sandbox.pem")
    limits = profile.load(PROFILE).limits
    world = World(folder / "notary", clock=RealClock(), signer=signer, run_id=told["run_id"], limits=limits)
    with line.makefile("rw") as asked, BackgroundSessions({"gate": pipe.detach()}) as sessions:
        for text in asked:
            words = json.loads(text)
            opened = OpenedChange.model_validate(words["opened"])
            more = (words["commit"],) if opened.phase is Phase.RELEASE else ()
            make: Callable[..., scripted_run.Signing] = getattr(scripted_run, opened.phase.value)
            signing = make(world, opened, *more)
            kept = sessions.call("gate", "deposit", signing.deposit(world), SignoffState)
            asked.write(
                json.dumps({"signoff": kept.signoff, "change_id": kept.change_id, "grants": len(kept.grants)})
                + "\n"
            )
            asked.flush()
    return 0


def crew(told: Mapping[str, Any], pipe: socket.socket, line: socket.socket) -> int:
    """Every phase, each signed once and submitted grant by grant; what is signed it remembers."""
    confine.die_with_parent()
    state = Path(told["folder"]) / "crew.json"
    done: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    with line.makefile("rw") as ask, BackgroundSessions({"devops": pipe.detach()}) as sessions:
        for phase in scripted_run.PHASES:
            if phase.value not in done:
                namespaces = (told["namespace"],) if phase is Phase.DEPLOY else ()
                wanted = OpenChange(phase=phase, goal_digest=GOAL, namespaces=namespaces)
                opened = sessions.call("devops", "open_change", wanted, OpenedChange)
                words = {"opened": opened.model_dump(mode="json"), "commit": done.get("commit")}
                ask.write(json.dumps(words) + "\n")
                ask.flush()
                answer = ask.readline()
                if not answer:
                    return 1  # the notary is gone
                done[phase.value] = json.loads(answer)
                _keep(state, done)
            signed = done[phase.value]
            for seq in range(1, signed["grants"] + 1):
                ended = _submit(sessions, Submit(signoff=signed["signoff"], seq=seq))
                if ended.verb == "push_commit" and ended.receipt:
                    done["commit"] = ended.receipt["commit"]
                    _keep(state, done)
    return 0


def _keep(path: Path, value: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


def _submit(sessions: BackgroundSessions, asked: Submit) -> GrantState:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            state = sessions.call("devops", "submit", asked, GrantState)
        except ToolRefusedError as no:
            if no.name not in AGAIN or time.monotonic() > end:
                raise
        else:
            if state.state == "done":
                return state
            if state.state != "waiting" or time.monotonic() > end:
                raise RuntimeError(f"grant {asked.seq} is {state.state}: {state.detail}")
        time.sleep(0.05)


def launch(told: Mapping[str, Any]) -> int:
    """Fork gate, notary and crew, tell their ids, and end with the crew; the others end then too."""
    os.setsid()
    said = os.dup(1)
    log = os.open(Path(told["folder"]) / "life.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    crew_end, gate_devops = socket.socketpair()
    notary_end, gate_notary = socket.socketpair()
    crew_line, notary_line = socket.socketpair()
    ends = (crew_end, gate_devops, notary_end, gate_notary, crew_line, notary_line)

    def child(work: Callable[..., int], one: socket.socket, two: socket.socket) -> int:
        if (pid := os.fork()) == 0:
            os.close(said)
            for end in ends:
                if end not in (one, two):
                    end.close()
            _leave(work, told, one, two)
        return pid

    pids = {
        "gate": child(gate, gate_devops, gate_notary),
        "notary": child(notary, notary_end, notary_line),
        "crew": child(crew, crew_end, crew_line),
    }
    for end in ends:
        end.close()
    os.write(said, (json.dumps({**pids, "launcher": os.getpid()}) + "\n").encode())
    os.close(said)
    codes: dict[int, int] = {}
    while pids["crew"] not in codes:
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
    for name in ("notary", "gate"):
        if pids[name] not in codes:
            os.kill(pids[name], signal.SIGTERM)
            os.waitpid(pids[name], 0)
    return 0 if codes[pids["crew"]] == 0 else 1


def _leave(work: Callable[..., int], *given: Any) -> NoReturn:
    code = 1
    try:
        code = work(*given)
    except (SessionFaultError, ToolRefusedError, RuntimeError, OSError) as fault:
        sys.stderr.write(f"{work.__name__}: {fault!r}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """A life per line of JSON; each is answered by two lines: the ids, and the launcher's exit code."""
    for line in sys.stdin:
        told = json.loads(line)
        if (pid := os.fork()) == 0:
            _leave(launch, told)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
