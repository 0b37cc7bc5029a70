"""One server that is held to its pins: started when it is first needed, shut out as soon as it is not what was pinned.

Its definitions are compared at its start, before every call that changes something, and before the next call after
it says that they changed. Once shut out it stays so, over restarts, until a person pins it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from policies.trust import instant
from tools.gate.servers.adapter import Adapter
from tools.gate.servers.pinning import Record, Records, text
from tools.gate.servers.upstream import Upstream
from tools.tool import ToolRefusedError
from traces import names, spans

PIN_AGAIN = "Nothing of it is called until a person has looked: `countersign servers pin {name}`."


@dataclass
class GuardedServer:
    """A configured server. Every method may be called from any thread."""

    name: str
    adapter: Adapter
    records: Records
    open: Callable[[], Upstream]
    clock: Callable[[], datetime]
    _running: Upstream | None = None
    _seen: Mapping[str, str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """The text that the tool answers.

        Raises ToolRefusedError `server-quarantined` and `tool-not-served`, TargetError, PinFaultError.
        """
        with self._lock:
            upstream = self._held(look=False)
            served = tool in self._seen
        if not served:
            message = f"{self.name} does not serve {tool} now."
            raise ToolRefusedError("tool-not-served", message, "Look at that server's own output.")
        about = {names.MCP_METHOD: names.MCP_CALL, names.TOOL_NAME: tool, names.OTHER_SERVER: self.name}
        with spans.span(f"{names.MCP_CALL} {tool}", about):
            return upstream.call(tool, arguments)

    def look(self) -> None:
        """Compare what it serves with the pins: before every call that changes something. Raises as `call` does."""
        with self._lock:
            self._held(look=True)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._running is not None:
                self._running.close()
                self._running = None

    def _held(self, *, look: bool) -> Upstream:
        record = self.records.read(self.name)
        if record.quarantine:
            self.close()
            raise self._shut(record.quarantine)
        running = self._running
        if running is None or not running.alive:
            running, self._seen, look = self.open(), {}, True
            self._running = running
            self._be_the_named(running, record)
        if look or running.listing_changed.is_set():
            self._compare(running, record)
        return running

    def _be_the_named(self, running: Upstream, record: Record) -> None:
        wanted, info = self.adapter.file.server, running.info
        name, version = str(info.get("name")), str(info.get("version"))
        if name != wanted.name or (
            wanted.versions and version not in wanted.versions and not record.definitions
        ):
            self._quarantine(record, f"it calls itself {name[:60]!r} {version[:60]!r}")

    def _compare(self, running: Upstream, record: Record) -> None:
        served = running.tools()
        found = record.pins(self.adapter.pins).differences(served)
        # What the shape leaves out is held too while the process lives: a text that changes under way is a changed tool.
        now = {str(each["name"]): text(each) for each in served if not found}
        changed = [
            f"{name!r} was changed" for name in now if self._seen and self._seen.get(name) != now[name]
        ]
        if found or changed:
            self._quarantine(record, "; ".join([*found, *changed][:10]))
        self._seen = now

    def _quarantine(self, record: Record, why: str) -> None:
        shut = {"quarantine": why[:1000], "quarantined_at": instant(self.clock())}
        self.records.write(self.name, record.model_copy(update=shut))
        self.close()
        raise self._shut(why)

    def _shut(self, why: str) -> ToolRefusedError:
        message = f"server {self.name} is not as it was pinned: {why[:500]}."
        return ToolRefusedError("server-quarantined", message, PIN_AGAIN.format(name=self.name))
