"""`countersign audit replay`: the graph made again from the journal, by a confined process of the crew's environment."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.change import Word
from tools import environments
from tools.gate.content import ContentStore
from tools.gate.journal import Journal, JournalTamperedError
from tools.gate.telling import told
from tools.launch import folders
from tools.launch.audit import examined
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
from tools.launch.processes import House
from tools.launch.wiring import graph_settings
from tools.settings import GraphSettings


class ReplaySettings(Word):
    """What `tools.internal.replay` is told: the graph, where outcomes come in, where its answer goes, what stays shut."""

    graph: GraphSettings
    outcomes_fd: int
    answer_fd: int
    hidden: tuple[Path, ...]


def replay(state_dir: Path | None, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Write every told outcome into the graph again. Raises ConfigFaultError, JournalFaultError; never from a falsified journal."""
    config = read_config(state_dir)
    _, flaws = examined(config.state_dir, {})
    if flaws:
        raise JournalTamperedError(
            f"the journal is not as it was written ({flaws[0].name}: {flaws[0].what}): nothing is made from it; see `countersign audit verify`"
        )
    journal = Journal(config.state_dir, lambda: datetime.now(UTC))
    lines = [json.dumps(one) + "\n" for one in told(journal, ContentStore(config.state_dir / "content"))]
    runs = len(journal.runs())
    journal.close()
    environments.ensure("crew", lambda _: None)
    python = environments.environment("crew").python
    folder = folders.private(config.runs_dir.parent / "replay")
    with House(folder, environ) as house:
        graph = graph_settings(house, config, python)
        if graph is None:
            raise ConfigFaultError("no graph is configured: there is nothing to write into")
        reader, writer = os.pipe()
        answer, answering = os.pipe()
        child = house.start("replay", [python, "-P", "-m", "tools.internal.replay"], [reader, answering])
        child.tell(
            ReplaySettings(graph=graph, outcomes_fd=reader, answer_fd=answering, hidden=(config.state_dir,))
        )
        threading.Thread(target=_write, args=(writer, lines), daemon=True).start()
        with os.fdopen(answer, encoding="utf-8") as pipe:
            text = pipe.read()
        if child.process.wait() != 0 or not text:
            raise ConfigFaultError(f"the graph could not be written: {child.tail(3)}")
    document = {"runs": runs, **json.loads(text)}
    return document, (
        f"{document['outcomes']} outcomes of {runs} runs are in the graph again: "
        f"{document['nodes']} nodes, {document['relationships']} relationships"
    )


def _write(fd: int, lines: list[str]) -> None:
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as pipe:
            pipe.writelines(lines)
    except BrokenPipeError:
        pass  # the child is gone; its exit code and log say why
