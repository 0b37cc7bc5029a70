"""Progress to the launcher: one typed JSON line per event. Words to show, no facts."""

from __future__ import annotations

import json
import threading
from typing import IO, Literal

from pydantic import JsonValue

Event = Literal[
    "plan",
    "phase",
    "speak",
    "objection",
    "revision",
    "signed",
    "submitted",
    "waiting",
    "report",
    "not_understood",
    "outcome",
]


class Progress:
    """Writes events to a stream; a reader that went away is no fault of the run."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._lock, self._open = stream, threading.Lock(), True

    def tell(self, event: Event, **words: JsonValue) -> None:
        """Write `{"event": event, ...words}` as one line."""
        line = json.dumps({"event": event, **words}, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if not self._open:
                return
            try:
                self._stream.write(line)
                self._stream.flush()
            except BrokenPipeError:
                self._open = False
