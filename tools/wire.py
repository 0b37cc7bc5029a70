"""MCP over a socket that this process inherited: newline-separated JSON-RPC, in one step with the SDK's streams.

A message may have 64 MiB. A longer one is never sent: whoever asked gets a JSON-RPC error in its place.
A peer that sends one anyway has its connection closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from tools import dialect

LIMIT = 64 * 1024 * 1024
TOO_LARGE = -32010
"""JSON-RPC code of the error that stands for a message over the limit."""
_CHUNK = 256 * 1024

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]


@asynccontextmanager
async def streams(fd: int, *, limit: int = LIMIT) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """What ClientSession and Server.run want, over the socket `fd`, which is closed on leaving.

    Raises OSError when `fd` is no socket. The read side ends when the peer is gone.
    """
    channel = socket.socket(fileno=fd)
    channel.setblocking(False)
    deliver, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, waiting = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as group, incoming, outgoing:
            group.start_soon(_read, channel, deliver, limit)
            group.start_soon(_write, channel, waiting, deliver, limit)
            yield incoming, outgoing
            group.cancel_scope.cancel()
    finally:
        deliver.close()
        waiting.close()
        channel.close()


async def _read(
    channel: socket.socket, deliver: MemoryObjectSendStream[SessionMessage | Exception], limit: int
) -> None:
    loop = asyncio.get_running_loop()
    held = bytearray()
    async with deliver:
        while True:
            try:
                chunk = await loop.sock_recv(channel, _CHUNK)
            except OSError:
                return  # a reset is an end like any other
            if not chunk:
                return
            seen = len(held)
            held += chunk
            if (end := held.rfind(b"\n", seen)) < 0:
                if len(held) > limit:
                    return
                continue
            lines = bytes(held[:end]).split(b"\n")
            del held[: end + 1]
            try:
                for line in lines:
                    await deliver.send(_parsed(line))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return


def _parsed(line: bytes) -> SessionMessage | Exception:
    try:
        return dialect.parse(line)
    except ValidationError as fault:
        return fault


async def _write(
    channel: socket.socket,
    waiting: MemoryObjectReceiveStream[SessionMessage],
    deliver: MemoryObjectSendStream[SessionMessage | Exception],
    limit: int,
) -> None:
    loop = asyncio.get_running_loop()
    async with waiting:
        async for message in waiting:
            line = dialect.dump(message)
            if len(line) > limit:
                line = await _refused(message, len(line), deliver, limit)
            try:
                await loop.sock_sendall(channel, line + b"\n" if line else b"")
            except OSError:
                return  # the reader sees the end


async def _refused(
    message: SessionMessage,
    size: int,
    deliver: MemoryObjectSendStream[SessionMessage | Exception],
    limit: int,
) -> bytes:
    """Answer a request of ours with an error, or turn an answer of ours into one, which is returned."""
    body = dialect.bare(message)
    request_id = getattr(body, "id", None)
    if request_id is None:
        return b""
    text = f"a message of {size} bytes is over the limit of {limit}: ask for less, or send smaller files"
    error = dialect.failure(request_id, TOO_LARGE, text)
    if not hasattr(body, "method"):
        return dialect.dump(error)
    try:
        await deliver.send(error)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # nobody is left to hear it
    return b""
