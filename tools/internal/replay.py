"""`python -m tools.internal.replay --settings-fd N`: outcomes as the gate kept them, one JSON per line, written into the graph again.

Confined before its first third-party import: it reads its own source, writes nothing and reaches the graph's port alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.parse
from typing import Any

from tools import confine

PATIENCE = 60.0
BOLT = 7687


def outcome_of(told: dict[str, Any]) -> dict[str, Any]:
    """The words, under the record and the manifests that are the gate's own."""
    own = {"run_id": told["run_id"], "record": told["record"], "changes": told["changes"]}
    return {**told["words"], **own}


def main(argv: list[str] | None = None) -> int:
    """Write each, tell the graph's numbers, and end with 0; 1 with a sentence when the graph cannot be reached."""
    parser = argparse.ArgumentParser(prog="tools.internal.replay")
    parser.add_argument("--settings-fd", type=int, required=True)
    with os.fdopen(parser.parse_args(argv).settings_fd, "rb") as pipe:
        told = json.loads(pipe.read())
    graph = told["graph"]
    port = urllib.parse.urlsplit(graph["uri"]).port or BOLT
    confine.die_with_parent()
    confine.not_dumpable()
    confine.restrict(
        readable=(*confine.SYSTEM, *confine.python_paths()),
        writable=(),
        hidden=told["hidden"],
        connect_ports=(port,),
    )
    from knowledge.graph import Graph, GraphUnavailableError  # noqa: PLC0415 - behind the walls
    from knowledge.outcomes import RunOutcome, record  # noqa: PLC0415

    written, counted = 0, (0, 0)
    try:
        with (
            os.fdopen(told["outcomes_fd"], "rb") as outcomes,
            Graph(graph["uri"], graph["user"], graph["password"]) as opened,
        ):
            opened.wait(PATIENCE)
            for line in outcomes:
                counted = record(opened, RunOutcome.model_validate(outcome_of(json.loads(line))))
                written += 1
    except GraphUnavailableError as fault:
        sys.stderr.write(f"replay: {fault}\n")
        return 1
    with os.fdopen(told["answer_fd"], "w") as answer:
        json.dump({"outcomes": written, "nodes": counted[0], "relationships": counted[1]}, answer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
