"""Marked secrets in place, one whole goal in the sandbox, and a search of everything that the crew has, says and leaves behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.model_server import ModelServer, model_server

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = [str(ROOT / ".venv/bin/python"), str(ROOT / "main.py")]
GOAL = "Deploy nginx with 3 replicas to namespace web on Kubernetes and manage it with Argo CD"
MODEL_KEY = "CANARY-model-key-5d1f"
DECOYS = {
    "GITHUB_TOKEN": "CANARY-github-token-9a7c",
    "GH_TOKEN": "CANARY-gh-token-0b3e",
    "AWS_SECRET_ACCESS_KEY": "CANARY-aws-secret-77d2",
    "OPENAI_API_KEY": "CANARY-other-model-key-1c44",
    "ANTHROPIC_API_KEY": "CANARY-third-model-key-8e90",
    "KUBECONFIG": "/nowhere/CANARY-kubeconfig-3f5b",
    "SSH_AUTH_SOCK": "/nowhere/CANARY-agent-6a21",
}
KEPT = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"}


@dataclass
class Seen:
    """The crew's process as the kernel shows it, as often as it was looked at."""

    environ: set[bytes] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    looks: int = 0


@dataclass(frozen=True)
class Ran:
    """What a run left, and the secrets that were near it."""

    folder: Path
    secrets: Mapping[str, bytes]
    model: ModelServer
    crew: Seen
    said: str


def watch(seen: Seen, launcher: int, over: threading.Event) -> None:
    """Look at the crew's environment and descriptors until the run is over; only root may."""
    while not over.is_set():
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if words[2:4] != [b"-m", b"crew"] or parent != launcher:
                    continue
                found = (entry / "environ").read_bytes().split(b"\0")
                links = {str(link.readlink()) for link in (entry / "fd").iterdir()}
            except (OSError, ValueError, IndexError):
                continue  # it ended, or is not ours to look at
            seen.environ |= {each for each in found if each}
            seen.links |= links
            seen.looks += 1
        time.sleep(0.05)


def forms(secret: bytes) -> tuple[bytes, ...]:
    """As it is, and in base64 at each of three offsets."""
    return (secret, *(base64.b64encode(b"x" * n + secret)[4:-4] for n in range(3)))


def secrets_of(state: Path) -> dict[str, bytes]:
    """Every private key's own line, and the sandbox's two tokens."""
    found = {path.name: path.read_bytes().splitlines()[1] for path in sorted((state / "keys").glob("*.pem"))}
    found |= {path.name: path.read_bytes().strip() for path in sorted((state / "sandbox").glob("*.token"))}
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("canary")
    place = ["--state-dir", str(folder)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "CANARY_MODEL": MODEL_KEY, **DECOYS}
    with model_server() as model:
        (folder / "countersign.toml").write_text(
            f'[model]\nmodel = "openai/gpt-4o-mini"\nbase_url = "{model.url}"\napi_key_env = "CANARY_MODEL"\n'
        )
        up = subprocess.run(
            [*PROGRAM, "sandbox", "up", *place],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert up.returncode == 0, up.stderr
        seen, over = Seen(), threading.Event()
        try:
            run = subprocess.Popen(
                [*PROGRAM, "run", GOAL, "--json", *place], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )  # fmt: skip
            watcher = threading.Thread(target=watch, args=(seen, run.pid, over))
            watcher.start()
            said = run.communicate(timeout=400)[0]
            over.set()
            watcher.join()
            secrets = secrets_of(folder / "gate")
        finally:
            over.set()
            subprocess.run(
                [*PROGRAM, "sandbox", "down", *place],
                cwd=folder,
                env=environ,
                capture_output=True,
                check=False,
            )
        assert run.returncode == 0, said
        marked = {name: value.encode() for name, value in DECOYS.items()}
        yield Ran(folder, {**secrets, **marked}, model, seen, said)


def test_the_secrets_are_there_to_be_found(ran: Ran) -> None:
    """Otherwise the searches below would prove nothing."""
    assert {"sandbox.pem", "sandbox-person.pem", "journal.pem", "github.token", "cluster.token"} <= set(
        ran.secrets
    )
    kept = b"".join(path.read_bytes() for path in (ran.folder / "gate").rglob("*") if path.is_file())
    assert all(ran.secrets[name] in kept for name in ("sandbox.pem", "github.token", "cluster.token"))
    assert MODEL_KEY in " ".join(ran.model.keys)


def test_nothing_that_the_crew_wrote_holds_a_secret(ran: Ran) -> None:
    """Run folder, DBOS state, traces, logs, transcript, signed bundles, graph: every file outside of the gate's own folder."""
    files = [p for p in ran.folder.rglob("*") if p.is_file() and not p.is_relative_to(ran.folder / "gate")]
    names = {path.name for path in files}
    assert {"crew.log", "trace.jsonl"} <= names, names
    assert any(path.is_relative_to(ran.folder / "graph") for path in files)
    assert any(".sqlite" in name or ".db" in name for name in names), names
    wanted = {**ran.secrets, "the model's key": MODEL_KEY.encode()}
    for path in files:
        data = path.read_bytes()
        met = [name for name, secret in wanted.items() if any(form in data for form in forms(secret))]
        assert not met, f"{path.relative_to(ran.folder)} holds {met}"


def test_no_prompt_and_no_answer_on_the_terminal_holds_a_secret(ran: Ran) -> None:
    prompts = ran.model.prompts()
    assert len(ran.model.seen) > 3
    for name, secret in {**ran.secrets, "the model's key": MODEL_KEY.encode()}.items():
        assert secret.decode() not in prompts, name
        assert secret.decode() not in json.dumps(ran.said), name


def test_the_crews_environment_and_descriptors_hold_no_secret(ran: Ran) -> None:
    if not ran.crew.looks:
        pytest.skip("only root may look at a process that is not dumpable")
    names = {each.partition(b"=")[0].decode() for each in ran.crew.environ}
    assert names <= KEPT, names - KEPT
    for name, secret in {**ran.secrets, "the model's key": MODEL_KEY.encode()}.items():
        assert not any(secret in each for each in ran.crew.environ), name
    gate = str(ran.folder / "gate")
    assert not [link for link in ran.crew.links if link.startswith(gate)]
