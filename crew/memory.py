"""The run's memory: blueprints, rules, the live inventory and past outcomes, ready when somebody asks.

Target, index and graph are read and written in background threads: none is needed before the first question.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crew.hands import Servers
from knowledge.blueprint import Blueprint
from knowledge.graph import Graph, GraphUnavailableError
from knowledge.inventory import Inventory, keep, take
from knowledge.outcomes import RunOutcome, record, target_keys
from knowledge.retrieval import Memory, OutcomeRetriever, inventory_sources
from knowledge.sources import blueprint_sources, rule_sources
from policies.rules import RULES
from tools.gate.words import TargetDescription
from tools.settings import GraphSettings
from tools.tool import Nothing, ToolRefusedError

LOG = logging.getLogger("countersign.crew")
PENDING = "outcome.json"
LATE = 5.0
"""Seconds that the outcome waits for a graph which was not there for the plan."""
Opener = Callable[[float], Graph | None]
"""Waits so many seconds for the graph; None when it does not answer by then, or when there is none."""


def opener(settings: GraphSettings | None) -> Opener:
    """Opens the graph of these settings."""

    def opened(patience: float) -> Graph | None:
        if settings is None:
            return None
        graph = Graph(settings.uri, settings.user, settings.password)
        try:
            graph.wait(patience)
        except GraphUnavailableError:
            return None
        return graph

    return opened


class Remembering:
    """Memory of one run.

    `pipe` is the planner's pipe to the gate; `wait` seconds for a graph that is starting; `waiting` are outcomes of
    earlier runs that no graph has yet.
    """

    def __init__(
        self,
        servers: Servers,
        pipe: str,
        open_graph: Opener,
        blueprints: Mapping[str, Blueprint],
        *,
        wait: float,
        waiting: Sequence[Path] = (),
    ) -> None:
        self._servers, self._pipe, self._open, self._blueprints = servers, pipe, open_graph, blueprints
        self._wait, self._waiting = wait, waiting
        self._inventory: Future[Inventory] = Future()
        self._memory: Future[Memory] = Future()
        self._graph: Future[Graph | None] = Future()
        self._earlier: Future[tuple[Path, ...]] = Future()
        self._kept: Future[bool] = Future()

    def start(self) -> None:
        """Begin to read, to index, to wait for the graph and to write into it what stands at the target."""
        for name, work, into in (
            ("inventory", self._take, self._inventory),
            ("graph", lambda: self._open(self._wait), self._graph),
            ("earlier", self._catch_up, self._earlier),
            ("memory", self._index, self._memory),
            ("inventory-graph", self._keep, self._kept),
        ):
            run = contextvars.copy_context().run  # what the threads ask belongs to the run's trace
            threading.Thread(
                target=run, args=(_into, into, work), name=f"countersign-{name}", daemon=True
            ).start()

    def memory(self) -> Memory:
        """Waits for the index. Raises what building it raised."""
        return self._memory.result()

    def inventory(self) -> Inventory:
        """Waits until the target was read. Raises what reading it raised."""
        return self._inventory.result()

    def graph(self) -> Graph | None:
        """The graph, when it answers in time."""
        return self._graph.result()

    def caught_up(self) -> tuple[Path, ...]:
        """Which of the `waiting` outcomes the graph has now."""
        return self._earlier.result()

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
            if not self._kept.result():
                keep(graph, self.inventory())
            counted = record(graph, outcome)
        except GraphUnavailableError:
            return 0, 0
        waiting.unlink(missing_ok=True)
        return counted

    def _take(self) -> Inventory:
        target = self._servers.call(self._pipe, "describe_target", Nothing(), TargetDescription)
        return take(self._read, target.destination)

    def _read(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._servers.raw(self._pipe, tool, arguments)
        except ToolRefusedError as no:
            raise LookupError(no.message) from no

    def _catch_up(self) -> tuple[Path, ...]:
        """One writer after the other: first what earlier runs left, so that the plan can quote it."""
        graph = self.graph()
        return tuple(path for path in self._waiting if graph is not None and _recorded(graph, path))

    def _keep(self) -> bool:
        self.caught_up()
        graph, inventory = self.graph(), self.inventory()
        if graph is None:
            return False
        try:
            keep(graph, inventory)
        except GraphUnavailableError:
            return False
        return True

    def _index(self) -> Memory:
        inventory, graph = self.inventory(), self.graph()
        self.caught_up()
        past = OutcomeRetriever(graph, target_keys(inventory.destination)) if graph else None
        sources = (*blueprint_sources(self._blueprints), *rule_sources(RULES), *inventory_sources(inventory))
        return Memory(sources, past)


def _recorded(graph: Graph, path: Path) -> bool:
    try:
        record(graph, RunOutcome.model_validate_json(path.read_bytes()))
    except (GraphUnavailableError, OSError, ValidationError) as fault:
        LOG.warning("the outcome of run %s waits on: %s", path.parent.name, fault)
        return False
    return True


def _into(future: Future[Any], work: Any) -> None:  # noqa: ANN401 - any callable
    try:
        future.set_result(work())
    except BaseException as fault:  # noqa: BLE001 - raised again in whoever asks for the result
        future.set_exception(fault)
