"""Serving over stdio and HTTP, belts and the catalog."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import catalog
from tools.catalog import CatalogFaultError
from tools.tool import Effect, Nothing, Role, Tool

ROOT = Path(__file__).resolve().parents[4]
CHILD = """
import sys, anyio
sys.path.insert(0, {root!r})
from tests.fakes.mcp_server import TOOLS
from tools import serve
from tools.tool import Role
anyio.run(lambda: {call})
"""
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}  # fmt: skip


def child(call: str, **pipes: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-P", "-c", CHILD.format(root=str(ROOT), call=call)], **pipes)


def test_stdio_serves_one_role() -> None:
    call = "serve.serve_stdio(TOOLS, name='gate', role=Role.DEVOPS)"
    lines = [
        HELLO,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    with child(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in lines:
            process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
        answers = {}
        while 2 not in answers:
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
        process.stdin.close()
        assert process.wait(10) == 0
    tool = answers[2]["result"]["tools"][0]
    assert tool["name"] == "submit"
    assert tool["annotations"] == {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": True}
    assert tool["outputSchema"]["properties"]["text"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    process = child(
        f"serve.serve_http(TOOLS, name='gate', role=Role.DEVOPS, port={number})", stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield number
    finally:
        process.kill()
        process.wait()


def post(port: int, **headers: str) -> int:
    told = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/mcp", json.dumps(HELLO).encode(), told)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        fault.close()
        return fault.code


def test_http_answers_on_loopback(port: int) -> None:
    assert post(port) == 200
    assert post(port, Origin=f"http://127.0.0.1:{port}") == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "127.0.0.1:1"}, 421),
    ],
)
def test_http_turns_foreign_hosts_and_origins_away(port: int, headers: dict[str, str], code: int) -> None:
    assert post(port, **headers) == code


def _tool(name: str, effect: Effect = Effect.READ) -> Tool:
    return Tool(name, "", Nothing, Nothing, lambda asked: asked, effect)


def test_every_belt_entry_is_in_the_catalog() -> None:
    belts = catalog.load()
    assert set(belts) <= set(Role)
    for role, servers in belts.items():
        for server, names in servers.items():
            assert all(catalog.effect(server, name) for name in names), role


@pytest.mark.parametrize(
    "text",
    [
        '[wizard]\ngate = ["submit"]', '[devops]\nmoon = ["submit"]', '[devops]\ngate = ["fly"]', '[devops]\ngate = "submit"',
        "devops = 1", "[devops", "[devops]\ngate = [1]",
    ],
)  # fmt: skip
def test_a_belt_file_that_says_something_unknown_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "toolbelts.toml"
    path.write_text(text)
    with pytest.raises(CatalogFaultError, match=r"toolbelts\.toml"):
        catalog.load(path)


def test_a_tool_that_claims_more_than_the_catalog_allows_is_not_mounted() -> None:
    with pytest.raises(CatalogFaultError, match="the catalog says read"):
        catalog.mounted("gate", Role.DEVOPS, [_tool("signoff_state", Effect.MUTATE)])


def test_a_tool_that_is_mounted_twice_is_refused() -> None:
    with pytest.raises(CatalogFaultError, match="twice"):
        catalog.mounted("gate", Role.DEVOPS, [_tool("submit"), _tool("submit")])


def test_what_no_belt_names_is_not_mounted() -> None:
    assert not catalog.mounted("gate", Role.SRE, [_tool("submit"), _tool("unheard_of")])
    assert not catalog.granted(Role.GATE, "gate")
    assert not catalog.granted(Role.DEVOPS, "nothing")
    assert catalog.effect("gate", "nothing") is None


def test_only_submit_can_change_a_target() -> None:
    mutating = {
        (server, name)
        for server, tools in catalog.EFFECTS.items()
        for name, effect in tools.items()
        if effect is Effect.MUTATE
    }
    assert mutating == {("gate", "submit")}
