"""The one door to the graph: Neo4j, or the embedded server, by the official driver over Bolt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, LiteralString, Self, cast

from neo4j import GraphDatabase, unit_of_work
from neo4j.exceptions import AuthError, ClientError, DriverError, Neo4jError, ServiceUnavailable

DATABASE = "neo4j"
ATTEMPTS = 5
QUERY_SECONDS = 20.0


class GraphUnavailableError(Exception):
    """The graph did not answer or refused us; what was to be written must wait."""


@dataclass(frozen=True)
class Statement:
    """Cypher written by us with its parameters; no text of anybody else ever stands in `cypher`."""

    cypher: LiteralString
    parameters: Mapping[str, Any]


class Graph:
    """An open driver. One writer at a time: concurrent MERGE on one key may otherwise raise."""

    def __init__(self, uri: str, user: str, password: str) -> None:
        logging.getLogger("neo4j").setLevel(logging.ERROR)  # its retries are ours to tell
        self._driver = GraphDatabase.driver(
            uri,
            auth=(user, password),
            connection_timeout=2.0,
            max_transaction_retry_time=0.0,
            telemetry_disabled=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.close()

    def wait(
        self, seconds: float, *, clock: Callable[[], float] = time.monotonic, pause: float = 0.1
    ) -> None:
        """Return once it answers. A server that is starting refuses connections, then refuses the user.

        Raises GraphUnavailableError after `seconds`.
        """
        end = clock() + seconds
        while True:
            try:
                self._driver.execute_query("RETURN 1", database_=DATABASE)
            except (ServiceUnavailable, AuthError, ClientError, OSError) as fault:
                if clock() >= end:
                    raise GraphUnavailableError(f"the graph does not answer: {_short(fault)}") from fault
                time.sleep(pause)
            else:
                return

    def read(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a query. Raises GraphUnavailableError."""
        try:
            with self._driver.session(database=DATABASE) as session:
                return cast(
                    "list[dict[str, Any]]",
                    session.execute_read(_bounded(lambda tx: tx.run(cypher, dict(parameters or {})).data())),
                )
        except (Neo4jError, DriverError, OSError) as fault:
            raise GraphUnavailableError(f"the graph refused a query: {_short(fault)}") from fault

    def write(self, statements: Iterable[Statement]) -> None:
        """All statements in one transaction, again after a lost race on a key. Raises GraphUnavailableError."""
        work: Sequence[Statement] = tuple(statements)

        def all_of_it(tx: Any) -> None:  # noqa: ANN401 - the driver's transaction
            for statement in work:
                tx.run(statement.cypher, dict(statement.parameters)).consume()

        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._driver.session(database=DATABASE) as session:
                    session.execute_write(_bounded(all_of_it))
            except (Neo4jError, DriverError, OSError) as fault:
                if attempt == ATTEMPTS or not _lost_race(fault):
                    raise GraphUnavailableError(f"the graph refused a write: {_short(fault)}") from fault
                time.sleep(0.05 * attempt)
            else:
                return


def _bounded(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return unit_of_work(timeout=QUERY_SECONDS)(work)


def _lost_race(fault: Exception) -> bool:
    code = str(getattr(fault, "code", ""))
    return (
        "Constraint" in code
        or "Transient" in code
        or "Concurrent" in str(fault)
        or "Duplicated" in str(fault)
    )


def _short(fault: Exception) -> str:
    return str(fault).splitlines()[0][:200] if str(fault) else type(fault).__name__
