"""When its own controllers fail the cluster says so instead of looking healthy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.served_cluster import IMAGES, TOKEN
from tools.sandbox.cluster.app import build
from tools.sandbox.cluster.cluster import Cluster
from tools.sandbox.cluster.controllers import housekeeping
from tools.sandbox.cluster.kinds import BY_KIND
from tools.sandbox.cluster.settings import ClusterSettings


async def status_of(app: object, path: str) -> tuple[int, bytes]:
    """One request, spoken in ASGI."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "server": ("x", 1), "client": ("x", 1), "http_version": "1.1", "extensions": {},
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode()), (b"host", b"x")],
    }  # fmt: skip
    await app(scope, receive, send)  # type: ignore[operator]
    return int(str(sent[0]["status"])), bytes(sent[1]["body"])  # type: ignore[arg-type]


def test_a_controller_that_fails_turns_every_answer_into_500(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = False

    def controller(_: Cluster) -> None:
        if broken:
            raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(housekeeping, "forget_events", controller)
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    app = build(ClusterSettings(state_dir=tmp_path, token_file=token, images=IMAGES), lambda _: None)

    async def scenario() -> list[tuple[int, bytes]]:
        async with app.router.lifespan_context(app):
            before = await status_of(app, "/readyz")
            nonlocal broken
            broken = True
            await asyncio.sleep(0)
            app.state.cluster.delete(BY_KIND["v1", "ServiceAccount"], "default", "default")
            for _ in range(3):
                await asyncio.sleep(0)
            return [before, await status_of(app, "/readyz"), await status_of(app, "/api/v1/pods")]

    before, health, listed = asyncio.run(scenario())
    assert before[0] == 200
    assert (health[0], listed[0]) == (500, 500)
    assert b"ZeroDivisionError: a fault of ours" in listed[1]
