"""What the crew says of a run that ended, kept beside what the journal says: from both the graph can be made again.

The record in it is the gate's own, computed at this moment; the crew's words are words, and nothing here reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from policies.change import canonical
from tools.gate import ledger, states
from tools.gate.content import ContentStore
from tools.gate.journal import Journal
from tools.gate.room import Room
from tools.gate.words import RunRecord, RunRef, TellOutcome
from tools.tool import Role, ToolRefusedError

MOST_BYTES = 4 * 2**20


def tell(room: Room, asked: TellOutcome) -> RunRecord:
    """Keep it; the record that belongs to it. Raises ToolRefusedError, JournalFaultError."""
    record = states.run_record(room, Role.SRE, RunRef(run_id=room.run_id))
    changes: list[JsonValue] = [room.change(kept).model_dump(mode="json") for kept in room.ledger().live()]
    said: dict[str, JsonValue] = {
        "words": dict(asked.words),
        "record": record.model_dump(mode="json"),
        "changes": changes,
    }
    data = canonical(said)
    if len(data) > MOST_BYTES:
        message = f"an outcome has {len(data)} bytes, the limit is {MOST_BYTES}."
        raise ToolRefusedError("outcome-too-large", message, "Say less of the run.")
    digest = room.content.keep(data)
    room.content.sync()
    room.append("told", {"outcome": digest})
    return record


def told(journal: Journal, content: ContentStore) -> Iterator[dict[str, Any]]:
    """Every outcome that was told, oldest first: `words`, `record`, `changes`. Raises JournalFaultError."""
    entries = [entry for run in journal.runs() for entry in journal.entries(run) if entry.kind == ledger.TOLD]
    for entry in sorted(entries, key=lambda entry: entry.number):
        said = json.loads(content.read(str(entry.body["outcome"])))
        yield {**said, "run_id": entry.run_id}
