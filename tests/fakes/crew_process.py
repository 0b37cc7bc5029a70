"""`python -m crew` as the launcher starts it: a confined child whose pipes end in FakeServers, spoken to over MCP."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from pydantic import ConfigDict

from policies.change import Word
from tests.fakes.crew_servers import SANDBOX, FakeServers
from tools import catalog, serve
from tools.gate.words import OpenChange, RunRef, SignoffRef, Submit, TellOutcome
from tools.notary.words import Judge, Sign
from tools.settings import CrewSettings
from tools.tool import Effect, Nothing, Role, Tool

ROOT = Path(__file__).resolve().parent.parent.parent


class Anything(Word):
    """Whatever a tool takes or answers."""

    model_config = ConfigDict(frozen=True, extra="allow")


ARGUMENTS: dict[str, type[Word]] = {
    "describe_target": Nothing, "open_change": OpenChange, "submit": Submit, "signoff_state": SignoffRef,
    "run_record": RunRef, "tell_outcome": TellOutcome, "judge": Judge, "sign": Sign,
}  # fmt: skip


def tool(servers: FakeServers, server: str, name: str) -> Tool:
    def call(asked: Word) -> Word:
        return Anything.model_validate(servers.raw(server, name, asked.model_dump(mode="json")))

    effect = Effect.READ if name not in {"submit", "sign", "open_change"} else Effect.ANNOTATE
    return Tool(name, name, ARGUMENTS.get(name, Anything), Anything, call, effect)


@dataclass
class Ended:
    """How the process ended."""

    code: int
    events: list[dict[str, Any]]
    stderr: str


class CrewProcess:
    """One life of the crew's process over `servers`."""

    def __init__(self, folder: Path, goal: str, servers: FakeServers, **more: Any) -> None:
        self._pipes: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        gate = {
            role: self._serve(servers, "gate", Role(role))
            for role in ("planner", "devops", "security", "sre")
        }
        notary = self._serve(servers, "notary", Role.SECURITY)
        reader, progress = os.pipe()
        told = CrewSettings(
            run_id="run-1", run_dir=folder, goal=goal, profile=SANDBOX, gate=gate, notary_fd=notary, progress_fd=progress, **more
        )  # fmt: skip
        settings_read, settings_write = os.pipe()
        fds = (*gate.values(), notary, progress, settings_read)
        self.process = subprocess.Popen(
            [ROOT / ".venv-crew/bin/python", "-P", "-m", "crew", "--settings-fd", str(settings_read)],
            pass_fds=fds, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        with os.fdopen(settings_write, "w") as pipe:
            pipe.write(told.model_dump_json())
        for fd in fds:
            os.close(fd)
        self._progress = os.fdopen(reader)

    def _serve(self, servers: FakeServers, server: str, role: Role) -> int:
        ours, theirs = socket.socketpair()
        tools = [
            tool(servers, server, name)
            for name in sorted(catalog.granted(role, server))
            if hasattr(servers, f"_{name}")
        ]

        def run() -> None:
            with contextlib.suppress(Exception):  # the crew may be killed in the middle of a word
                anyio.run(lambda: serve.serve(tools, fd, name=server, role=role))

        fd = ours.detach()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)
        os.set_inheritable(theirs.fileno(), True)
        return theirs.detach()

    def ended(self, seconds: float = 90) -> Ended:
        """Wait for its end."""
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        events = [json.loads(line) for line in self._progress]
        stderr = self.process.stderr.read() if self.process.stderr else ""
        code = self.process.wait()
        watchdog.cancel()
        self._progress.close()
        if self.process.stderr:
            self.process.stderr.close()
        for thread in self._threads:
            thread.join(5)
        return Ended(code, events, stderr)


@contextlib.contextmanager
def crew(folder: Path, goal: str, servers: FakeServers, **more: Any) -> Iterator[CrewProcess]:
    """A crew's process that does not outlive the test."""
    child = CrewProcess(folder, goal, servers, **more)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait()
