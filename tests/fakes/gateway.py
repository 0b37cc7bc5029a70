"""`countersign serve gate --http` as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, str(ROOT / "main.py"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    folder: Path, options: Sequence[str] = ("serve", "gate"), cwd: Path | None = None
) -> Iterator[str]:
    """The address of its `/mcp`; stopped at the end by its own pid, with everything that it started."""
    port, log = free_port(), folder / "served.log"
    command = [*COMMAND, *options, "--http", str(port), "--state-dir", str(folder)]
    with _running(command, port, log, cwd or folder, None):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def listening(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """`COMMAND PORT FOLDER` as a process that serves HTTP there: its port."""
    port = free_port()
    with _running([*command, str(port), str(folder)], port, folder / "served.log", folder, env):
        yield port


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, cwd: Path, env: Mapping[str, str] | None
) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        _await(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(1200):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
