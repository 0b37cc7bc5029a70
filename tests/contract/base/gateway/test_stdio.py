"""The stdio form: whoever wrote the command line chose the role."""

from __future__ import annotations

from pathlib import Path

import anyio
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.fakes.gateway import COMMAND

SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hello", "namespace": "web"},
    "data": {"a": "b"},
}
PLACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "web", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}


def test_a_client_that_starts_its_servers_itself_proposes_and_submits(tmp_path: Path) -> None:
    command, *arguments = COMMAND
    told = StdioServerParameters(
        command=command, args=[*arguments, "serve", "gate", "--state-dir", str(tmp_path)], cwd=tmp_path
    )

    async def body() -> None:
        async with stdio_client(told) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            asked = {"goal": "settings", "phase": "deploy", "objects": [PLACE, SETTINGS]}
            proposed = await session.call_tool("propose_change", asked)
            signed = proposed.structured_content
            assert signed["signed"], signed
            for seq in (1, 2):
                done = await session.call_tool("submit", {"signoff": signed["signoff"], "seq": seq})
                assert done.structured_content["state"] == "done"
            denied = await session.call_tool("confirm", {"signoff": signed["signoff"], "person": "me"})
            assert denied.structured_content["refused"] == "tool-not-granted"

    anyio.run(body)
