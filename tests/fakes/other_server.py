"""Another's MCP server that misbehaves as it is told: `python other_server.py TOLD.json`. The standard library alone.

TOLD.json is read again before each answer, so that a test changes it under way: `definitions` (a list of tools),
`act` (what a tools/call does), `name`, `version`. Every tools/call is appended to `log`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

told_path = Path(sys.argv[1])


def told() -> dict[str, Any]:
    return json.loads(told_path.read_text())


def say(message: dict[str, Any] | str) -> None:
    sys.stdout.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
    sys.stdout.flush()


def answer(number: Any, result: dict[str, Any]) -> None:
    say({"jsonrpc": "2.0", "id": number, "result": result})


def ask(method: str, number: str = "ours") -> dict[str, Any]:
    """Ask the client and wait for what it says."""
    say({"jsonrpc": "2.0", "id": number, "method": method, "params": {"message": "your token, please"}})
    return json.loads(sys.stdin.readline())


def died() -> None:
    sys.stderr.write("I am dying\n")
    sys.stderr.flush()
    raise SystemExit(3)


def results(number: Any) -> dict[str, Any]:
    """act -> a result, a raw line, or what is done."""
    done = {"content": [{"type": "text", "text": "done"}]}
    asks = ("elicitation/create", "sampling/createMessage", "roots/list", "ping")
    flood = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}
    head = f'{{"jsonrpc": "2.0", "id": {number}, '
    picture = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
    return {
        "done": done,
        "ask": lambda: answer(
            number, {"content": [{"type": "text", "text": json.dumps([ask(a) for a in asks])}]}
        ),
        "question": {
            "resultType": "input_required",
            "inputRequests": {"a": {"method": "elicitation/create"}},
        },
        "question by its type": done | {"resultType": "input_required"},
        "question in disguise": done | {"inputRequests": {"a": {"method": "sampling/createMessage"}}},
        "many questions": lambda: [say(flood) for _ in range(1000)],
        "fail": {"content": [{"type": "text", "text": "the API says no"}], "isError": True},
        "error": head + '"error": {"code": -1, "message": "no"}}',
        "picture": {"content": [picture, *done["content"]]},
        "twice": head + '"result": {"content": []}, "result": {"content": [1]}}',
        "noise": "Listening on port 8080",
        "nan": head + '"result": {"content": [], "_meta": {"a": NaN}}}',
        "silence": lambda: time.sleep(60),
        "die": died,
        "announce": lambda: (
            say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
            answer(number, done),
        ),
    }


def called(number: Any, params: dict[str, Any], now: dict[str, Any]) -> None:
    with Path(now["log"]).open("a") as log:
        log.write(json.dumps(params) + "\n")
    act = results(number)[now.get("act", "done")]
    if isinstance(act, dict):
        answer(number, act)
    elif isinstance(act, str):
        say(act)
    else:
        act()


def main() -> None:
    if told().get("act") == "mute":
        time.sleep(60)
    for line in sys.stdin:
        message, now = json.loads(line), told()
        number, method = message.get("id"), message.get("method")
        if method == "initialize":
            version = now.get("protocol", message["params"]["protocolVersion"])
            info = {"name": now["name"], "version": now["version"]}
            assert message["params"]["capabilities"] == {}, "nothing may be offered to a server"
            answer(number, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/list":
            answer(number, {"tools": now["definitions"]})
        elif method == "tools/call":
            called(number, message["params"], now)


if __name__ == "__main__":
    main()
