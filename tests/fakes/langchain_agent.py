"""Somebody else's agent, in an environment of its own: `langchain_agent.py GATEWAY TOKEN MODEL`; prints what it got as JSON.

It knows the gateway's address, its bearer and a model: nothing else of ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def work(gateway: str, token: str, model_url: str) -> dict[str, Any]:
    client = MultiServerMCPClient(
        {
            "countersign": {
                "transport": "streamable_http",
                "url": gateway,
                "headers": {"Authorization": f"Bearer {token}"},
            }
        }
    )
    tools = await client.get_tools()
    model = ChatOpenAI(model="scripted", base_url=model_url, api_key="test-key-not-a-secret", max_retries=0)
    agent = create_agent(model, tools)
    ended = await agent.ainvoke(
        {"messages": [{"role": "user", "content": "Bring the web page to the cluster."}]}
    )
    return {
        "tools": [tool.name for tool in tools],
        "said": ended["messages"][-1].content,
        "answers": [m.content for m in ended["messages"] if m.type == "tool"],
    }


def reason(fault: BaseException) -> str:
    """The innermost fault of a group."""
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return f"{type(fault).__name__}: {fault}"


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(work(*sys.argv[1:4]))))
    except (BaseExceptionGroup, OSError) as fault:
        print(json.dumps({"fault": reason(fault)}))
