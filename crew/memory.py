"""The run's memory: blueprints, rules, the live inventory and past outcomes, ready when somebody asks.

The index and the graph are built in a background thread: neither is needed before the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from crew.hands import Servers
from knowledge.blueprint import Blueprint
from knowledge.graph import Graph, GraphUnavailableError
from knowledge.inventory import Inventory, take
from knowledge.outcomes import RunOutcome, record, target_keys
from knowledge.retrieval import Memory, OutcomeRetriever, inventory_sources
from knowledge.sources import blueprint_sources, rule_sources
from policies.rules import RULES
from tools.gate.words import TargetDescription
from tools.settings import GraphSettings
from tools.tool import Nothing, ToolRefusedError

PENDING = "outcome.json"
LATE = 5.0
"""Seconds that the outcome waits for a graph which was not there for the plan."""


class Remembering:
    """Memory of one run. `pipe` is the planner's pipe to the gate; `wait` seconds for a graph that is starting."""

    def __init__(
        self,
        servers: Servers,
        pipe: str,
        graph: GraphSettings | None,
        blueprints: Mapping[str, Blueprint],
        *,
        wait: float,
    ) -> None:
        self._servers, self._pipe, self._settings, self._blueprints, self._wait = (
            servers,
            pipe,
            graph,
            blueprints,
            wait,
        )
        self._inventory: Future[Inventory] = Future()
        self._memory: Future[Memory] = Future()
        self._graph: Future[Graph | None] = Future()

    def start(self) -> None:
        """Begin to read, to index and to wait for the graph."""
        for name, work, into in (
            ("inventory", self._take, self._inventory),
            ("graph", self._open, self._graph),
            ("memory", self._index, self._memory),
        ):
            threading.Thread(target=_into, args=(into, work), name=f"countersign-{name}", daemon=True).start()

    def memory(self) -> Memory:
        """Waits for the index. Raises what building it raised."""
        return self._memory.result()

    def inventory(self) -> Inventory:
        """Waits until the target was read. Raises what reading it raised."""
        return self._inventory.result()

    def graph(self) -> Graph | None:
        """The graph, when it answers in time."""
        return self._graph.result()

    def remember(self, outcome: RunOutcome, folder: Path) -> tuple[int, int]:
        """Write the outcome; while there is no graph it waits in `folder`. Numbers of nodes and relationships.

        A graph that was late for the plan is asked once more.
        """
        waiting = folder / PENDING
        waiting.write_bytes(outcome.canonical())
        graph = self.graph() or self._open(LATE)
        if graph is None:
            return 0, 0
        try:
            counted = record(graph, outcome)
        except GraphUnavailableError:
            return 0, 0
        waiting.unlink()
        return counted

    def _take(self) -> Inventory:
        target = self._servers.call(self._pipe, "describe_target", Nothing(), TargetDescription)
        return take(self._read, target.destination)

    def _read(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._servers.raw(self._pipe, tool, arguments)
        except ToolRefusedError as no:
            raise LookupError(no.message) from no

    def _open(self, patience: float | None = None) -> Graph | None:
        if self._settings is None:
            return None
        graph = Graph(self._settings.uri, self._settings.user, self._settings.password)
        try:
            graph.wait(self._wait if patience is None else patience)
        except GraphUnavailableError:
            return None
        return graph

    def _index(self) -> Memory:
        inventory, graph = self.inventory(), self.graph()
        past = OutcomeRetriever(graph, target_keys(inventory.destination)) if graph else None
        sources = (*blueprint_sources(self._blueprints), *rule_sources(RULES), *inventory_sources(inventory))
        return Memory(sources, past)


def _into(future: Future[Any], work: Any) -> None:  # noqa: ANN401 - any callable
    try:
        future.set_result(work())
    except BaseException as fault:  # noqa: BLE001 - raised again in whoever asks for the result
        future.set_exception(fault)
