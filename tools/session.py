"""One open MCP session over an inherited socket, with the trace context; the crew's only importer of mcp.

A refusal comes back as the same ToolRefusedError that the server raised. A reply that was lost is never
asked for again here: MCP has no idempotency, so the caller reads the state first.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import anyio
from mcp.client.session import ClientSession
from pydantic import ValidationError

from policies.change import Word
from tools import dialect, wire
from tools.tool import ToolRefusedError
from traces import names, spans

W = TypeVar("W", bound=Word)
T = TypeVar("T")
DEADLINE = 330.0
"""Seconds for one call: a little more than a server gives itself."""
_OPENING = 30.0
_CLOSED = -32000


class SessionFaultError(Exception):
    """The session, not the tool, failed."""


class SessionLostError(SessionFaultError):
    """The server is gone; whether the call had an effect is unknown until its state is read."""


class SessionTimeoutError(SessionFaultError):
    """No answer within the deadline; whether the call had an effect is unknown until its state is read."""


class SessionAnswerError(SessionFaultError):
    """The server answered something that its contract does not allow."""


@dataclass(frozen=True)
class ToolView:
    """A tool as a server lists it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


class Session:
    """An open session; use it from the task group that opened it."""

    def __init__(self, client: ClientSession, name: str) -> None:
        self._client, self._name = client, name

    async def call(
        self, tool: str, arguments: Word | Mapping[str, Any], result: type[W], *, deadline: float = DEADLINE
    ) -> W:
        """Call a tool and parse its answer strictly.

        Raises ToolRefusedError, SessionLostError, SessionTimeoutError, SessionAnswerError.
        """
        answer = await self.raw(tool, arguments, deadline=deadline)
        try:
            return result.model_validate(answer)
        except ValidationError as fault:
            count = fault.error_count()
            raise SessionAnswerError(
                f"{self._name}.{tool} answered no {result.__name__} ({count} faults)"
            ) from fault

    async def raw(
        self, tool: str, arguments: Word | Mapping[str, Any], *, deadline: float = DEADLINE
    ) -> dict[str, Any]:
        """Call a tool; its structured content as it came. Raises as `call` does."""
        sent = arguments.model_dump(mode="json") if isinstance(arguments, Word) else dict(arguments)
        about = {names.MCP_METHOD: names.MCP_CALL, names.TOOL_NAME: tool}
        with spans.span(f"{names.MCP_CALL} {tool}", about):
            try:
                with anyio.fail_after(deadline):
                    answer = await dialect.call_tool(self._client, tool, sent, spans.carrier())
            except TimeoutError:
                text = f"{self._name}.{tool} gave no answer within {deadline:.0f} seconds: read its state before you ask again"
                raise SessionTimeoutError(text) from None
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as fault:
                raise self._lost(tool) from fault
            except dialect.RemoteError as fault:
                raise self._remote(tool, fault) from fault
            except ValidationError as fault:
                raise SessionAnswerError(f"{self._name}.{tool} answered no tool result") from fault
        return self._content(tool, answer)

    async def tools(self) -> list[ToolView]:
        """What the server grants this pipe's role. Raises SessionLostError, SessionTimeoutError."""
        listed = await self.listed()
        return [ToolView(t["name"], t.get("description", ""), t["inputSchema"]) for t in listed]

    async def listed(self) -> list[dict[str, Any]]:
        """The same as it came. Raises SessionLostError, SessionTimeoutError."""
        try:
            with anyio.fail_after(_OPENING):
                return await dialect.list_tools(self._client)
        except TimeoutError:
            raise SessionTimeoutError(
                f"{self._name} did not list its tools within {_OPENING:.0f} seconds"
            ) from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, dialect.RemoteError) as fault:
            raise self._lost("tools/list") from fault

    def _lost(self, tool: str) -> SessionLostError:
        return SessionLostError(
            f"{self._name} is gone during {tool}: start it again and read the state first"
        )

    def _remote(self, tool: str, fault: Exception) -> Exception:
        error: Any = getattr(fault, "error")  # noqa: B009 - both SDKs have it, on different classes
        if error.code == _CLOSED:
            return self._lost(tool)
        if error.code == wire.TOO_LARGE:
            return ToolRefusedError("message-too-large", error.message)
        return SessionAnswerError(f"{self._name}.{tool} failed inside the server: {error.message}")

    def _content(self, tool: str, answer: dict[str, Any]) -> dict[str, Any]:
        content = answer.get("structuredContent")
        if not isinstance(content, dict):
            raise SessionAnswerError(f"{self._name}.{tool} answered without structured content")
        if not answer.get("isError"):
            return content
        if isinstance(content.get("refused"), str):
            raise ToolRefusedError(
                content["refused"], str(content.get("message", "")), str(content.get("advice", ""))
            )
        raise SessionAnswerError(f"{self._name}.{tool} failed without naming a refusal")


@asynccontextmanager
async def open_session(fd: int, *, name: str) -> AsyncIterator[Session]:
    """A session over the inherited socket `fd`, which is closed on leaving; enter and leave in one task.

    Raises SessionLostError or SessionTimeoutError when nobody answers.
    """
    try:
        async with wire.streams(fd) as (read, write), ClientSession(read, write) as client:
            await opened(client, name)
            yield Session(client, name)
    except BaseExceptionGroup as group:  # the SDK's task groups wrap whatever the caller's block raises
        raise alone(group) from None


async def opened(client: ClientSession, name: str) -> None:
    """Shake hands. Raises SessionLostError, SessionTimeoutError."""
    try:
        with anyio.fail_after(_OPENING):
            await client.initialize()
    except TimeoutError:
        raise SessionTimeoutError(
            f"{name} did not answer within {_OPENING:.0f} seconds of its start"
        ) from None
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, dialect.RemoteError) as fault:
        raise SessionLostError(f"{name} ended before it answered: its own output says why") from fault


def alone(fault: BaseException) -> BaseException:
    """What a group of one wraps, however deep."""
    while isinstance(fault, BaseExceptionGroup) and len(fault.exceptions) == 1:
        fault = fault.exceptions[0]
    return fault


class BackgroundSessions:
    """Sessions that live in one background event loop, for callers that are threads, such as CrewAI's tools.

    `pipes` is name -> descriptor. Use it as a context manager; every method may be called from any thread.
    """

    def __init__(self, pipes: Mapping[str, int]) -> None:
        self._pipes = dict(pipes)
        self._sessions: dict[str, Session] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread()

    def __enter__(self) -> Self:
        # a thread begins without context; with this one's, the sessions' opening stays in the run's trace
        work = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=work, args=(self._run,), name="countersign-sessions", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            self._thread.join()
            raise self._fault
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._leave is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def call(
        self,
        server: str,
        tool: str,
        arguments: Word | Mapping[str, Any],
        result: type[W],
        *,
        deadline: float = DEADLINE,
    ) -> W:
        """Block until the answer is there. Raises as Session.call does."""
        return self._wait(self._session(server).call(tool, arguments, result, deadline=deadline))

    def raw(
        self, server: str, tool: str, arguments: Mapping[str, Any], *, deadline: float = DEADLINE
    ) -> dict[str, Any]:
        """Block until the structured content is there. Raises as Session.call does."""
        return self._wait(self._session(server).raw(tool, arguments, deadline=deadline))

    def tools(self, server: str) -> list[ToolView]:
        """What `server` grants this process through that pipe."""
        return self._wait(self._session(server).tools())

    def _session(self, server: str) -> Session:
        if server not in self._sessions:
            raise SessionLostError(
                f"there is no session named {server!r}; open are: {', '.join(self._sessions) or 'none'}"
            )
        return self._sessions[server]

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise SessionLostError("the sessions are closed")
        # run_coroutine_threadsafe copies this thread's context, so spans keep their parent
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as fault:  # noqa: BLE001 - handed to the thread that waits in __enter__
            self._fault = fault
        finally:
            self._ready.set()

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            for name, fd in self._pipes.items():
                self._sessions[name] = await stack.enter_async_context(open_session(fd, name=name))
            self._leave = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._leave.wait()
            self._sessions.clear()
