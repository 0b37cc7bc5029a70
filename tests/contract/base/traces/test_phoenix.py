"""A run's spans read back from arize-phoenix, to which its processes sent them over OTLP."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from traces import waterfall

HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[4]
FOLDER, REQUIREMENTS = ROOT / ".venv-phoenix", HERE / "phoenix.txt"
GOAL = "쿠버네티스의 web 네임스페이스에 nginx 파드 3개 배포해줘"


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """Python with arize-phoenix, in an environment that nothing else shares; made once."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "phoenix.stamp"
    wanted = hashlib.sha256(f"{sys.version_info[:3]}".encode() + REQUIREMENTS.read_bytes()).hexdigest()
    uv = ROOT / ".venv" / "bin" / "uv"
    with FOLDER.with_name(".venv-phoenix.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (stamp.is_file() and stamp.read_text() == wanted):
            install = [
                uv,
                "pip",
                "install",
                "-q",
                "--compile-bytecode",
                "--require-hashes",
                "-r",
                REQUIREMENTS,
            ]
            for command in (
                [uv, "venv", "-q", "--clear", "--python", sys.executable, FOLDER],
                [*install, "--python", python],
            ):
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
                if done.returncode != 0:
                    pytest.skip(f"arize-phoenix cannot be installed: {done.stderr.strip()[-200:]}")
            stamp.write_text(wanted)
    return python


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def phoenix(interpreter: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a phoenix of this test's own."""
    port, grpc = free_ports()
    told = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(tmp_path / "phoenix"),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    log = tmp_path / "phoenix.log"
    with log.open("w") as out:
        command = [interpreter, "-m", "phoenix.server.main", "serve"]
        server = subprocess.Popen(command, env=told, cwd=tmp_path, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 240
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def spans_of(phoenix: str, trace_id: str) -> list[dict[str, Any]]:
    """What phoenix holds of a trace."""
    address = f"{phoenix}/v1/projects/default/spans/otlpv1?limit=1000&trace_id={trace_id}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return list(json.load(answer)["data"])


def test_a_run_is_read_back_whole_and_as_one_trace(phoenix: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "main.py"), "run", GOAL, "--json", "--state-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": phoenix},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    own = waterfall.read(Path(document["trace_path"]))
    assert {span.trace_id for span in own} == {document["trace_id"]}
    assert {"launcher", "crew", "gate", "notary"} <= {span.service for span in own}

    wanted = {(span.span_id, span.parent, span.name) for span in own}
    end = time.monotonic() + 30
    while len(held := spans_of(phoenix, document["trace_id"])) < len(wanted) and time.monotonic() < end:
        time.sleep(0.2)
    assert {(s["span_id"], s["parent_span_id"] or "", s["name"]) for s in held} == wanted
    names = {name for _, _, name in wanted}
    assert {"policy.scan", "signoff.sign", "gate.admit", "chat offline"} <= names
    assert any(name.startswith("gate.submit") for name in names)
    told = json.dumps(held, ensure_ascii=False)
    assert not any(content in told for content in (GOAL, "apiVersion", "replicas"))
