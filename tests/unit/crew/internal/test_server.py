"""`python -m tools.internal` over stdio, as any MCP client meets it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).resolve().parents[4]


async def _asked(role: str, calls: list[tuple[str, dict[str, Any]]]) -> tuple[set[str], list[Any]]:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "tools.internal", "--role", role], cwd=ROOT
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        names = {tool.name for tool in (await session.list_tools()).tools}
        return names, [await session.call_tool(name, arguments) for name, arguments in calls]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_role_sees_its_belt_and_is_refused_the_rest() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_blueprints", {}),
        ("search_knowledge", {"query": "S3 버킷 암호화"}),
        ("check_policy", {"files": {}}),
    ]
    names, (listed, found, refused) = anyio.run(_asked, "planner", calls)
    assert names == {"search_knowledge", "find_resources", "list_blueprints", "query_outcomes"}
    assert len(listed.structuredContent["blueprints"]) == 5
    assert found.structuredContent["passages"][0]["source"] == "blueprint:s3-bucket"
    assert refused.isError
    assert "tool-not-granted" in refused.content[0].text
