"""Runs the controllers: again and again until nothing changes, then until something does or a step is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.store import Change

Controller = Callable[[Cluster], datetime | None]
_ROUNDS = 200
"""More rounds without rest than any real change needs: two controllers undo each other's work."""


class UnsettledError(Exception):
    """The controllers never come to rest; the message names the kinds that keep changing."""


class Loop:
    """The controllers over one cluster. `settle` is the whole work; `run` calls it for ever."""

    def __init__(self, cluster: Cluster, controllers: Sequence[Controller]) -> None:
        self._cluster = cluster
        self._controllers = tuple(controllers)
        self._changed = asyncio.Event()
        self._stop = cluster.store.listen(self._heard)

    def _heard(self, _: Change) -> None:
        self._changed.set()

    def settle(self) -> datetime | None:
        """Step until nothing changes; when the next step is due. Raises UnsettledError."""
        for _ in range(_ROUNDS):
            before = self._cluster.store.revision
            due = [moment for controller in self._controllers if (moment := controller(self._cluster))]
            if self._cluster.store.revision == before:
                return min(due, default=None)
        last = sorted({change.kind.kind for change in self._cluster.store.last(20)})
        raise UnsettledError(f"after {_ROUNDS} rounds these kinds still change: {', '.join(last)}")

    async def run(self) -> None:
        """Settle on every change and when a step is due, until cancelled."""
        try:
            while True:
                self._changed.clear()
                due = self.settle()
                left = None if due is None else max(0.0, (due - self._cluster.clock()).total_seconds())
                # The writes of settle itself have set the event.
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue
        finally:
            self._stop()
