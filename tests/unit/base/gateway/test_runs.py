"""Runs behind a gateway: opened once, ended when idle or dead, and never more than there is room for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from tools.gateway import runs
from tools.gateway.front import Place
from tools.gateway.runs import Served, sweeping
from tools.tool import Role, ToolRefusedError


@dataclass
class Doors:
    """Opens runs that are nothing, and remembers."""

    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def open_run(self, name: str, _: runs.Runs) -> AsyncIterator[Served]:
        if name == "broken":
            raise ToolRefusedError("gate-unreachable", "it ended.")
        self.opened.append(name)
        self.dead.discard(name)
        try:
            yield Served({("gate", Role.DEVOPS): _app}, lambda: name not in self.dead)
        finally:
            self.closed.append(name)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await scope["wait"].wait()


def run(body: Callable[[Doors, runs.Runs], Any]) -> Doors:
    doors = Doors()

    async def main() -> None:
        async with sweeping("own", doors.open_run) as open_runs:
            await body(doors, open_runs)

    anyio.run(main)
    return doors


def place(run_: str | None = None) -> Place:
    return Place(run_, "gate")


def test_a_run_is_opened_once_and_all_end_with_the_gateway() -> None:
    async def body(doors: Doors, open_runs: runs.Runs) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(open_runs.serving, place("a"), Role.DEVOPS)
        assert await open_runs.serving(place(), Role.DEVOPS)
        assert await open_runs.serving(place(), Role.SRE) is None
        assert doors.opened == ["own", "a"]

    assert sorted(run(body).closed) == ["a", "own"]


def test_a_run_whose_process_ended_is_opened_again() -> None:
    async def body(doors: Doors, open_runs: runs.Runs) -> None:
        await open_runs.serving(place("a"), Role.DEVOPS)
        doors.dead.add("a")
        await open_runs.serving(place("a"), Role.DEVOPS)
        assert doors.opened == ["own", "a", "a"]
        assert doors.closed == ["a"]

    run(body)


def test_there_is_room_for_so_many_and_a_broken_one_takes_none() -> None:
    async def body(_: Doors, open_runs: runs.Runs) -> None:
        for _ in range(2):
            with pytest.raises(ToolRefusedError, match="gate-unreachable"):
                await open_runs.serving(place("broken"), Role.DEVOPS)
        for number in range(runs.MOST - 1):
            await open_runs.serving(place(f"r{number}"), Role.DEVOPS)
        with pytest.raises(ToolRefusedError, match="too-many-runs"):
            await open_runs.serving(place("more"), Role.DEVOPS)
        assert await open_runs.serving(place("r0"), Role.DEVOPS)

    run(body)


def test_what_nobody_uses_ends_and_what_answers_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(doors: Doors, open_runs: runs.Runs) -> None:
        release = anyio.Event()
        app = await open_runs.serving(place("busy"), Role.DEVOPS)
        await open_runs.serving(place("idle"), Role.DEVOPS)
        await open_runs.sweep()
        assert doors.closed == []
        monkeypatch.setattr(runs, "IDLE", 0.0)
        async with anyio.create_task_group() as group:
            group.start_soon(app, {"wait": release}, None, None)
            await anyio.wait_all_tasks_blocked()
            await open_runs.sweep()
            assert doors.closed == ["idle"]
            release.set()
        await open_runs.sweep()
        assert doors.closed == ["idle", "busy"]

    run(body)
