"""What a session of ours must do, whichever versions of the SDK sit at its two ends."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

from policies.change import Word
from tools.session import (
    BackgroundSessions,
    Session,
    SessionAnswerError,
    SessionLostError,
    SessionTimeoutError,
    open_session,
)
from tools.tool import ToolRefusedError

ROOT = Path(__file__).resolve().parent.parent.parent


class Said(Word):
    text: str
    thread: str = ""
    nothing: str | None = None


class Otherwise(Word):
    number: int


@contextlib.contextmanager
def server(environment: str, role: str = "devops") -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server process of that environment and our end of its pipe."""
    ours, theirs = socket.socketpair()
    command = [
        str(ROOT / environment / "bin/python"),
        "-P",
        str(ROOT / "tests/fakes/mcp_server.py"),
        str(theirs.fileno()),
        role,
    ]
    with theirs:
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        )
    try:
        yield ours.detach(), process
    finally:
        process.kill()
        process.wait()


async def told(
    session: Session,
    act: str,
    text: str = "",
    count: int = 0,
    *,
    tool: str = "submit",
    deadline: float = 10.0,
) -> object:
    """The text that came back, or the fault."""
    try:
        return (
            await session.call(tool, {"act": act, "text": text, "count": count}, Said, deadline=deadline)
        ).text
    except (ToolRefusedError, SessionLostError, SessionTimeoutError, SessionAnswerError) as fault:
        return fault


async def every_answer(fd: int) -> dict[str, Any]:
    """One session through all the ways an answer can go."""
    found: dict[str, Any] = {}
    async with open_session(fd, name="gate") as session:
        found["tools"] = await session.tools()
        found["echo"] = await told(session, "echo", '안녕 \u2028 \\ "')
        for act in ("refuse", "limited", "conflict", "fault", "other", "thread"):
            found[act] = await told(session, act)
        found["other role's"] = await told(session, "echo", tool="deposit")
        found["unknown"] = await told(session, "echo", tool="nothing")
        found["uncatalogued"] = await told(session, "echo", tool="unheard_of")
        for name, arguments in {
            "unknown field": {"act": "echo", "role": "notary"},
            "missing": {},
            "text for number": {"act": "echo", "count": "1"},
            "null": {"act": None},
        }.items():
            try:
                found[name] = await session.raw("submit", arguments, deadline=10)
            except ToolRefusedError as fault:
                found[name] = fault
        try:
            found["contract"] = await session.call("submit", {"act": "echo"}, Otherwise)
        except SessionAnswerError as fault:
            found["contract"] = fault
        found["large"] = await told(session, "echo", "x" * 1_000_000, 20)
        found["too large to send"] = await told(session, "echo", "x" * (65 * 1024 * 1024))
        found["too large to answer"] = await told(session, "echo", "x" * 1_000_000, 70)
        found["afterwards"] = await told(session, "echo", "alive")
    return found


async def slow_beside_quick(fd: int) -> list[str]:
    """The order in which a slow and a quick call end."""
    order: list[str] = []

    async def one(name: str, count: int) -> None:
        await told(session, "sleep", count=count)
        order.append(name)

    async with open_session(fd, name="gate") as session, anyio.create_task_group() as group:
        group.start_soon(one, "slow", 400)
        await anyio.sleep(0.05)
        group.start_soon(one, "quick", 1)
    return order


async def hang(fd: int) -> tuple[object, object]:
    """A call that outlives our deadline, and one that outlives the server's own of 0.8 seconds."""
    async with open_session(fd, name="gate") as session:
        ours = await told(session, "sleep", count=1000, deadline=0.1)
        theirs = await told(session, "sleep", count=1200)
    return ours, theirs


async def death(fd: int, process: subprocess.Popen[bytes]) -> tuple[object, object]:
    """The server is killed during a call, and asked once more."""
    async with open_session(fd, name="gate") as session, anyio.create_task_group() as group:

        async def kill() -> None:
            await anyio.sleep(0.1)
            process.kill()

        group.start_soon(kill)
        first = await told(session, "sleep", count=700)
        return first, await told(session, "echo")


def in_the_background(fd: int) -> tuple[list[str], str]:
    """The same from a thread."""
    with BackgroundSessions({"gate": fd}) as sessions:
        names = [tool.name for tool in sessions.tools("gate")]
        return names, sessions.call("gate", "submit", {"act": "echo", "text": "hi"}, Said).text
