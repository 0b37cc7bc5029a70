"""The runs behind a gateway: each is one signed goal, with a gate and a notary of its own that start when it is first named.

The gateway's own run has no goal and so only reads; it stays for as long as the gateway serves. Another one
ends when nobody has used it for a while, or when one of its processes has ended. What a run signed and did is in the journal, so a run that is
opened again goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from tools.gateway.front import App, Place
from tools.gateway.proposing import Proposing
from tools.gateway.relay import Relay
from tools.tool import Role, ToolRefusedError

MOST = 8
IDLE = 900.0


@dataclass
class Served:
    """One open run: its endpoints and tools by server and role, and its way to a sign-off."""

    apps: Mapping[tuple[str, Role], App]
    alive: Callable[[], bool]
    relays: Mapping[tuple[str, Role], Relay] = field(default_factory=dict)
    servers: Mapping[tuple[str, Role], Any] = field(default_factory=dict)
    proposing: Proposing | None = None
    leave: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    busy: int = 0
    used: float = 0.0

    def counted(self, app: App) -> App:
        """The same app; while it answers, the run is in use."""

        async def answering(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
            self.busy += 1
            try:
                await app(scope, receive, send)
            finally:
                self.busy -= 1
                self.used = time.monotonic()

        return answering


OpenRun = Callable[[str, "Runs"], AbstractAsyncContextManager[Served]]
"""A run's name -> its processes and endpoints, for as long as the block lasts. Raises ToolRefusedError."""


@dataclass
class Runs:
    """Which runs are open. One per gateway."""

    group: TaskGroup
    own: str
    open_run: OpenRun
    _served: dict[str, Served] = field(default_factory=dict)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def serving(self, place: Place, role: Role) -> App | None:
        """See tools.gateway.front.Serving."""
        served = await self.hold(place.run or self.own)
        app = served.apps.get((place.server, role))
        return None if app is None else served.counted(app)

    async def hold(self, name: str) -> Served:
        """The open run of that name, for calls that end within IDLE seconds. Raises ToolRefusedError."""
        async with self._lock:
            served = await self._open(name)
            served.used = time.monotonic()
            return served

    async def sweep(self) -> None:
        """End what nobody has used for a while."""
        async with self._lock:
            idle = time.monotonic() - IDLE
            for name, served in list(self._served.items()):
                if name != self.own and not served.busy and served.used < idle:
                    await self._end(name)

    async def keep_swept(self) -> None:
        """Sweep for ever."""
        while True:
            await anyio.sleep(IDLE / 15)
            await self.sweep()

    async def _open(self, name: str) -> Served:
        known = self._served.get(name)
        if known is not None and known.alive():
            return known
        if known is not None:
            await self._end(name)
        if len(self._served) >= MOST:
            message = f"{MOST} runs are open."
            raise ToolRefusedError(
                "too-many-runs", message, "Go on with one of them, or wait until one is idle."
            )
        made: Served = await self.group.start(self._live, name)
        made.used = time.monotonic()
        self._served[name] = made
        return made

    async def _end(self, name: str) -> None:
        served = self._served.pop(name)
        served.leave.set()
        await served.gone.wait()

    async def _live(self, name: str, *, task_status: TaskStatus[Served]) -> None:
        """Sessions are entered and left in one task: this one."""
        gone = anyio.Event()
        try:
            async with self.open_run(name, self) as served:
                served.gone = gone
                task_status.started(served)
                await served.leave.wait()
        finally:
            gone.set()


@asynccontextmanager
async def sweeping(own: str, open_run: OpenRun) -> AsyncIterator[Runs]:
    """Runs with the gateway's own one open; all end with the block."""
    async with anyio.create_task_group() as group:
        runs = Runs(group, own, open_run)
        await runs.hold(own)
        group.start_soon(runs.keep_swept)
        yield runs
        group.cancel_scope.cancel()
