"""The gate's own work beside an ungated call: over pipes for a read, and a mutation alone at several sizes.

The targets are in memory and answer at once, so what is timed is the gate: admission, journal, content, belts.
The reads of the target that the design demands (one resolve and one look before, one look after) take no time here.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tests.fakes.gate import ROOT, World
from tests.fakes.targets import FakeVerb, Text
from tools import dialect, wire
from tools.session import BackgroundSessions

CALLS = 150
READ = "read_repository_file"
ROWS = (
    ("1 file, empty journal", 1, 0, "other"),
    ("1 file, 10,000 entries of other runs", 1, 10_000, "other"),
    ("1 file, 10,000 entries of this run", 1, 10_000, "run-1"),
    ("1,000 files, empty journal", 1000, 0, "other"),
)


@contextmanager
def world(files: int, entries: int, run_id: str) -> Iterator[tuple[World, str]]:
    """A gate with a signed change of `files` files and CALLS grants, its journal already `entries` long."""
    with tempfile.TemporaryDirectory() as folder:
        made = World(Path(folder) / "gate")
        made.repository.all["github.comment"] = FakeVerb("github.comment", lambda _: {"id": 1})
        told = {"role": "sre", "tool": "submit", "name": "tool-not-granted", "message": "no", "signoff": ""}
        for _ in range(entries):
            made.journal.append(run_id, "denied", told)
        opened = made.open()
        content = {f"manifests/{number}.json": b"{%d}" % number for number in range(files)}
        push = {
            "branch": f"countersign/{opened.change_id}",
            "base_commit": opened.destination.repository.base_commit,
            "message": "m",
            "files": [{"$artifact": path} for path in sorted(content)],
        }
        before = ("previous_done",)
        grants = [("github", "push_commit", push, before)]
        grants += [("github", "comment", {"number": 1, "body": str(n)}, before) for n in range(CALLS)]
        state = made.desk.deposit(made.sign(made.change(opened, content, grants), content))
        yield made, state.signoff
        made.journal.close()


def mutation(files: int, entries: int, run_id: str) -> tuple[float, float, float]:
    """Milliseconds of the first submit of a sign-off, then median and 99th percentile of the CALLS after it."""
    with world(files, entries, run_id) as (made, signoff):
        times = []
        for seq in range(1, CALLS + 2):
            times.append(_milliseconds(partial(made.submit, signoff, seq)))
            made.clock.sleep(1.5)  # the world's time, not ours: below the profile's rate
    first, *rest = times
    return first, statistics.median(rest), sorted(rest)[int(len(rest) * 0.99)]


def read(calls: int = 300) -> tuple[float, float]:
    """Median milliseconds of one read over a pipe: through the gate, and from a bare MCP server of the same SDK."""
    with tempfile.TemporaryDirectory() as folder:
        World(Path(folder) / "gate").journal.close()
        gated = [ROOT / "tests/fakes/gate_process.py", str(Path(folder) / "gate"), "run-1"]
        with _session(gated, "security=") as gate, _session([Path(__file__)], "") as bare:
            times = {"gate": list[float](), "bare": list[float]()}
            for _ in range(calls):  # in turn, so that a drift of the machine meets both
                for name, session in (("gate", gate), ("bare", bare)):
                    ask = partial(session.call, "server", READ, {"path": "README.md"}, Text)
                    times[name].append(_milliseconds(ask))
    return statistics.median(times["gate"]), statistics.median(times["bare"])


@contextmanager
def _session(command: list[str | Path], prefix: str) -> Iterator[BackgroundSessions]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-P", *command, f"{prefix}{theirs.fileno()}"],
        pass_fds=[theirs.fileno()],
        env={"PYTHONPATH": str(ROOT)},
    )
    theirs.close()
    try:
        with BackgroundSessions({"server": ours.detach()}) as sessions:
            yield sessions
    finally:
        process.kill()
        process.wait()


async def _serve_bare(fd: int) -> None:
    """The least that an MCP server can be: one tool, no belt, no schema, no record."""

    async def calling(_: str, __: dict[str, Any], ___: Mapping[str, Any]) -> dict[str, Any]:
        text = "base\n"
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": {"text": text},
            "isError": False,
        }

    listed = {"name": READ, "inputSchema": {"type": "object"}}
    server = dialect.server("bare", "1", lambda: [listed], calling)
    async with wire.streams(fd) as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    anyio.run(_serve_bare, int(sys.argv[1]))
