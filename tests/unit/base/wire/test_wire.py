"""The pipe itself: odd bytes, long lines, ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tools import dialect, wire
from tools.session import Session, SessionAnswerError
from tools.tool import ToolRefusedError

PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


def run(body: Callable[[socket.socket, Any, Any], Awaitable[Any]], limit: int = 1000) -> Any:
    async def main() -> Any:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            async with wire.streams(theirs.detach(), limit=limit) as (read, write):
                with anyio.fail_after(5):
                    return await body(ours, read, write)

    return anyio.run(main)


async def send(channel: socket.socket, data: bytes) -> None:
    await anyio.wait_writable(channel)
    channel.send(data)


def test_messages_are_lines_however_they_arrive() -> None:
    async def body(channel: socket.socket, read: Any, _: Any) -> list[object]:
        for part in (PING[:5], PING[5:] + b"\n" + PING, b"\n"):
            await send(channel, part)
        return [dialect.bare(await read.receive()).method for _ in range(2)]

    assert run(body) == ["ping", "ping"]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"jsonrpc":"1.0","id":1,"method":"x"}', b"\xff\xfe", b"", b'"' + b"[" * 900]
)
def test_a_line_that_is_no_message_is_passed_on_as_a_fault_and_the_next_one_heard(line: bytes) -> None:
    async def body(channel: socket.socket, read: Any, _: Any) -> tuple[object, object]:
        await send(channel, line + b"\n" + PING + b"\n")
        return await read.receive(), dialect.bare(await read.receive()).method

    fault, method = run(body)
    assert isinstance(fault, ValueError)
    assert method == "ping"


def test_a_peer_that_sends_more_than_the_limit_is_cut_off() -> None:
    async def body(channel: socket.socket, read: Any, _: Any) -> None:
        await send(channel, b"x" * 1500)
        await read.receive()

    with pytest.raises(BaseExceptionGroup) as group:
        run(body)
    assert group.group_contains(anyio.EndOfStream)


def test_a_long_request_is_answered_here_and_never_sent() -> None:
    async def body(channel: socket.socket, read: Any, write: Any) -> tuple[Any, bytes]:
        await write.send(
            dialect.parse(
                json.dumps({"jsonrpc": "2.0", "id": 9, "method": "x", "params": {"t": "y" * 2000}}).encode()
            )
        )
        refused = dialect.bare(await read.receive())
        await write.send(dialect.parse(PING))
        await anyio.wait_readable(channel)
        return refused, channel.recv(4096)

    refused, sent = run(body)
    assert (refused.id, refused.error.code) == (9, wire.TOO_LARGE)
    assert json.loads(sent) == json.loads(PING)


def test_a_long_answer_is_sent_as_an_error_with_the_same_id() -> None:
    async def body(channel: socket.socket, _: Any, write: Any) -> Any:
        await write.send(
            dialect.parse(json.dumps({"jsonrpc": "2.0", "id": 9, "result": {"t": "y" * 2000}}).encode())
        )
        await anyio.wait_readable(channel)
        return json.loads(channel.recv(4096))

    answer = run(body)
    assert (answer["id"], answer["error"]["code"]) == (9, wire.TOO_LARGE)


def test_the_end_of_the_peer_is_the_end_of_the_stream() -> None:
    async def body(channel: socket.socket, read: Any, _: Any) -> None:
        channel.close()
        await read.receive()

    with pytest.raises(BaseExceptionGroup) as group:
        run(body)
    assert group.group_contains(anyio.EndOfStream)


def test_an_answer_without_structure_is_no_answer() -> None:
    """A foreign server may say isError with text alone."""
    session = Session(None, "other")  # type: ignore[arg-type]
    for wire_form in (
        {"content": []},
        {"structuredContent": [], "isError": False},
        {"structuredContent": {"refused": 7}, "isError": True},
    ):
        with pytest.raises(SessionAnswerError):
            session._content("x", wire_form)
    with pytest.raises(ToolRefusedError):
        session._content("x", {"structuredContent": {"refused": "no"}, "isError": True})
