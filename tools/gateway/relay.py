"""One role's tools of a server that stands behind a session, offered again.

Nothing is decided here: what the role may call is enforced behind, where a denial is also written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from anyio import from_thread

from policies.change import Word
from tools import dialect
from tools.serve import VERSION, answered, refused
from tools.session import Session, SessionFaultError
from tools.tool import ToolRefusedError
from traces import spans

W = TypeVar("W", bound=Word)
LOST = "server-unreachable"


@dataclass(frozen=True)
class Relay:
    """`tools` are the definitions as the server behind listed them when the session was opened."""

    session: Session
    tools: tuple[dict[str, Any], ...]

    def listing(self) -> list[dict[str, Any]]:
        """What tools/list shows."""
        return list(self.tools)

    async def calling(self, name: str, arguments: dict[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one tools/call; a lost call is answered as lost and never made again."""
        context = {key: meta[key] for key in ("traceparent", "tracestate") if isinstance(meta.get(key), str)}
        with spans.remote(context) if context else nullcontext():
            try:
                return answered(await self.session.raw(name, arguments))
            except ToolRefusedError as no:
                return refused(no)
            except SessionFaultError as fault:
                return refused(ToolRefusedError(LOST, f"{fault}.", "Read the state before you ask again."))

    def server(self, name: str) -> Any:  # noqa: ANN401 - either SDK's Server
        """The MCP server that offers them and nothing else."""
        return dialect.server(f"countersign-{name}", VERSION, self.listing, self.calling)


async def relay(session: Session) -> Relay:
    """Raises SessionLostError, SessionTimeoutError."""
    return Relay(session, tuple(await session.listed()))


@dataclass(frozen=True)
class FromThread:
    """A session for a tool of ours, which is called in a thread of the loop that has the session."""

    session: Session

    def call(self, tool: str, arguments: Word | Mapping[str, Any], result: type[W]) -> W:
        """Raises as Session.call does, with a lost session as a refusal."""
        try:
            return from_thread.run(partial(self.session.call, tool, arguments, result))
        except SessionFaultError as fault:
            raise ToolRefusedError(LOST, f"{fault}.", "Read the state before you ask again.") from fault
