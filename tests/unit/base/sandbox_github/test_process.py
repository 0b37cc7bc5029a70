"""The sandbox as a process: one ready line, one stop, everything found again, and no life after its parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
COMMAND = [sys.executable, "-P", "-m", "tools.sandbox"]


def start(settings: dict[str, Any], ready: int) -> subprocess.Popen[bytes]:
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [*COMMAND, "--settings-fd", str(reader)],
        cwd=ROOT,
        pass_fds=(reader, ready),
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        json.dump({**settings, "ready_fd": ready}, pipe)
    return child


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    reader, writer = os.pipe()
    child = start(
        {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}, writer
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            line = pipe.readline()
        assert line, (child.stderr.read() if child.stderr else b"").decode()
        yield child, json.loads(line)
    finally:
        child.terminate()
        assert child.wait(10) == 0
        if child.stderr:
            child.stderr.close()


def get(url: str, token: Path, context: ssl.SSLContext | None = None) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token.read_text().strip()}"})
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)


def test_both_apis_answer_at_the_ready_line_with_tokens_that_nobody_else_reads(tmp_path: Path) -> None:
    with running(state_dir=tmp_path / "state", pins=ROOT / "knowledge" / "pins.toml") as (_, ready):
        assert set(ready) == {
            "github_api",
            "repository",
            "clone_url",
            "github_token_file",
            "cluster_url",
            "cluster_token_file",
            "kubeconfig",
        }
        found = get(f"{ready['github_api']}/repos/{ready['repository']}", Path(ready["github_token_file"]))
        assert found["clone_url"] == ready["clone_url"]
        authority = ssl.create_default_context(cafile=str(tmp_path / "state" / "cluster" / "ca.crt"))
        version = get(f"{ready['cluster_url']}/version", Path(ready["cluster_token_file"]), authority)
        assert version["gitVersion"].startswith("v1.")
        for name in ("github_token_file", "cluster_token_file", "kubeconfig"):
            assert stat.S_IMODE(Path(ready[name]).stat().st_mode) == 0o600, name
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(ready["github_api"] + "/user", timeout=10)
        refused.value.close()


def test_a_second_start_on_the_same_state_is_the_same_sandbox(tmp_path: Path) -> None:
    with running(state_dir=tmp_path) as (_, first):
        before = get(f"{first['github_api']}/repos/acme/platform", Path(first["github_token_file"]))
        token = Path(first["github_token_file"]).read_text()
        port = int(first["github_api"].split(":")[2].split("/")[0])
    with running(state_dir=tmp_path, github_port=port) as (_, second):
        after = get(f"{second['github_api']}/repos/acme/platform", Path(second["github_token_file"]))
        assert (after["id"], Path(second["github_token_file"]).read_text()) == (before["id"], token)
        assert second["github_api"] == first["github_api"]


def test_two_sandboxes_have_different_tokens(tmp_path: Path) -> None:
    with running(state_dir=tmp_path / "a") as (_, one), running(state_dir=tmp_path / "b") as (_, other):
        assert Path(one["github_token_file"]).read_text() != Path(other["github_token_file"]).read_text()


FAULTS = [
    ("a taken port", lambda port: {"github_port": port}, "cannot be had"),
    ("no pins file", lambda _: {"pins": "/nonexistent/pins.toml"}, "pins.toml cannot be used"),
    ("no git", lambda _: {"search_path": "/nonexistent"}, "install git"),
    ("damaged records", lambda _: {}, "remove that folder"),
    ("a state folder that is a file", lambda _: {"state_dir": "/dev/null"}, "sandbox:"),
]


@pytest.mark.parametrize(("what", "settings", "words"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_at_the_start_is_one_sentence_and_exit_2(
    tmp_path: Path, what: str, settings: Any, words: str
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        reader, writer = os.pipe()
        told = {"state_dir": str(tmp_path / "state"), **settings(taken.getsockname()[1])}
        if what == "damaged records":
            (tmp_path / "state" / "github").mkdir(parents=True)
            (tmp_path / "state" / "github" / "github.sqlite").write_bytes(b"no database" * 99)
        child = start(told, writer)
        os.close(writer)
        _, said = child.communicate(timeout=20)
        with os.fdopen(reader) as pipe:
            assert pipe.read() == ""
    assert child.returncode == 2
    assert words in said.decode()
    assert "Traceback" not in said.decode()


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    script = (
        "import os, sys, time; sys.path.insert(0, '.');"
        "from tests.unit.base.sandbox_github import test_process as t;"
        f"child = t.start({{'state_dir': {str(tmp_path)!r}, 'die_with_parent': True}}, 1);"
        "print(child.pid, file=sys.stderr, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", _boot() + script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert parent.stderr and parent.stdout
    pid = int(parent.stderr.readline())
    assert json.loads(parent.stdout.readline())["repository"] == "acme/platform"
    parent.send_signal(signal.SIGKILL)
    parent.wait(5)
    end = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    alive = _alive(pid)
    parent.stderr.close()
    parent.stdout.close()
    assert not alive


def _boot() -> str:
    """pytest is not in the trusted environment: the child finds it as tests/run.py does."""
    return f"import glob, site; [site.addsitedir(d) for d in glob.glob({str(ROOT)!r} + '/.venv-dev/lib/python3*/site-packages')];"


def _alive(pid: int) -> bool:
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
