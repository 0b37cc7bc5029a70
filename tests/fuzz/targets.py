"""What is fuzzed, and what must hold of every input: a value that keeps its promise, or a refusal with a name. Nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from policies import documents, strict
from policies.change import ChangeSet, canonical, digest_of
from policies.envelope import unseal
from policies.refusal import SignoffError
from policies.trust import Trust
from tests.fakes.signed import PERSON, entry, publish, request_of
from tools import serve, wire
from tools.gate.words import OpenChange, Submit
from tools.gateway.bearers import Bearer, Bearers
from tools.gateway.words import ProposeChange
from tools.notary.words import Judge
from tools.tool import Nothing, Role, Tool, ToolRefusedError

SEEDS = Path(__file__).resolve().parents[1] / "data" / "fuzz"
TOOLS = tuple(
    Tool(kind.__name__, "", kind, Nothing, lambda _: Nothing())
    for kind in (OpenChange, Submit, ProposeChange, Judge)
)


def decode(data: bytes) -> None:
    """One value has one accepted spelling."""
    for kind in (None, ChangeSet):
        try:
            value = strict.decode(data, "it") if kind is None else strict.parse(kind, data, "it")
        except SignoffError:
            continue
        spelled = canonical(value) if kind is None else value.canonical()
        assert spelled == data, "accepted, and spelled otherwise"


@cache
def sealed() -> tuple[Trust, str]:
    trust = Trust(keys=(entry(PERSON, "person"),))
    return trust, request_of()


def envelope(data: bytes) -> None:
    """Only what the trusted key signed comes out, byte for byte."""
    trust, known = sealed()
    try:
        found = unseal(data, trust)
    except SignoffError:
        return
    assert found.payload == unseal(known.encode(), trust).payload, "a payload that nobody signed"


def files(data: bytes) -> None:
    """Documents that have a canonical form and read the same again, or findings; never both."""
    for path in ("x.yaml", "x.json"):
        reading = documents.read(path, data)
        assert not (reading.documents and reading.findings)
        for document in reading.documents:
            again = documents.read("again.json", document.canonical())
            assert [d.canonical() for d in again.documents] == [document.canonical()], path


def message(data: bytes) -> None:
    """One line of JSON-RPC: a message that can be written down again, or a validation fault."""
    found = wire._parsed(data)
    assert isinstance(found, SessionMessage | ValidationError)
    if isinstance(found, SessionMessage):
        from tools import dialect

        assert b"\n" not in dialect.dump(found)


def pipe(data: bytes) -> None:
    """Whatever a peer writes into its pipe, reading it comes to an end."""
    anyio.run(_through, data)


async def _through(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        with anyio.fail_after(10):
            async with wire.streams(theirs.detach(), limit=65536) as (read, _):
                ours.sendall(data[:60_000])
                ours.shutdown(socket.SHUT_WR)
                async for found in read:
                    assert isinstance(found, SessionMessage | ValidationError)


def arguments(data: bytes) -> None:
    """A tool's arguments as a peer sends them: exactly the tool's word, or a named refusal."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(given, dict):
        return
    for tool in TOOLS:
        try:
            found = serve._parsed(tool, given)
        except ToolRefusedError:
            continue
        assert set(given) <= set(type(found).model_fields), "a field that nobody knows"


@cache
def bearers() -> Bearers:
    known = Bearer(
        name="a", role=Role.DEVOPS, digest=digest_of(b"cs_" + b"k" * 43), made="2026-11-02T00:00:00Z"
    )
    return Bearers(bearers=(known,))


def token(data: bytes) -> None:
    """Only the very token is somebody."""
    shown = data.decode("latin-1")
    assert (bearers().of(shown) is not None) == (shown == "cs_" + "k" * 43)


TARGETS: Mapping[str, Callable[[bytes], Any]] = {
    "decode": decode, "envelope": envelope, "files": files, "message": message, "pipe": pipe, "arguments": arguments, "token": token,
}  # fmt: skip


def seeds(name: str) -> list[bytes]:
    """The kept inputs of a target, and what our own code writes for it."""
    kept = [path.read_bytes() for path in sorted((SEEDS / name).glob("*")) if path.is_file()]
    manifest = publish().canonical()
    written = {
        "decode": [manifest],
        "envelope": [sealed()[1].encode()],
        "arguments": [
            json.dumps({"phase": "deploy", "goal_digest": digest_of(b"g"), "namespaces": ["web"]}).encode(),
            json.dumps({"draft": {"change": json.loads(manifest), "content": {}}}).encode(),
        ],
        "token": [b"cs_" + b"k" * 43],
    }
    return [*kept, *written.get(name, ())]
