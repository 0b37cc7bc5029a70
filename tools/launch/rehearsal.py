"""The sandbox: started for one run, or kept up between runs; found, asked for its addresses, stopped by its own pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from policies.change import Word
from tools import environments
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.processes import House
from tools.sandbox.settings import SandboxSettings

READY_SECONDS = 30.0


class Rehearsal(Word):
    """Where a running sandbox is; its own ready line."""

    github_api: str
    repository: str
    clone_url: str
    github_token_file: Path
    cluster_url: str
    cluster_token_file: Path
    kubeconfig: Path


class Up(Word):
    """`up.json`: a sandbox that stays."""

    pid: int
    rehearsal: Rehearsal


def rehearsal_of(house: House, config: Config, run_id: str) -> Rehearsal | None:
    """The sandbox for this run: the one that is up, or one of its own. None when both targets are real, or another gate has them.

    Raises ConfigFaultError when it does not come up.
    """
    real = config.file.github.kind != "sandbox" and config.file.kubernetes.kind != "sandbox"
    if real or config.file.gate.url is not None:
        return None
    standing = standing_of(config)
    if standing is not None:
        return standing.rehearsal
    folder = folders.private(config.state_dir / "sandboxes" / run_id)
    settings, ready, said = _settings(config, folder, die_with_parent=True)
    base = environments.environment("base").python
    child = house.start("sandbox", [base, "-P", "-m", "tools.sandbox"], [said])
    child.tell(settings)
    return _ready(ready, child.log)


def sandbox_up(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Start it, detached, unless it runs already."""
    config = read_config(state_dir)
    folders.private(config.state_dir)
    standing = standing_of(config)
    if standing is None:
        folder = folders.private(config.state_dir / "sandbox")
        settings, ready, said = _settings(config, folder, die_with_parent=False)
        reader, writer = os.pipe()
        log = folder / "sandbox.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [
                    environments.environment("base").python,
                    "-P",
                    "-m",
                    "tools.sandbox",
                    "--settings-fd",
                    str(reader),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(reader, said),
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "PYTHONUTF8": "1"},
                cwd=folder,
                start_new_session=True,
            )
        os.close(reader)
        os.close(said)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(settings.model_dump_json().encode())
        standing = Up(pid=process.pid, rehearsal=_ready(ready, log))
        folders.write_json(_up_file(config), standing.model_dump(mode="json"))
    return _told(standing, running=True)


def sandbox_down(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Stop it by its own pid."""
    config = read_config(state_dir)
    standing = standing_of(config)
    _up_file(config).unlink(missing_ok=True)
    if standing is None:
        return {"running": False}, "the sandbox is not running"
    os.kill(standing.pid, signal.SIGTERM)
    for _ in range(100):
        if not _alive(standing.pid):
            break
        time.sleep(0.05)
    return {
        "running": False
    }, "the sandbox is down; what it holds stays for the next `countersign sandbox up`"


def sandbox_status(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Whether it runs, and where."""
    standing = standing_of(read_config(state_dir))
    if standing is None:
        return {"running": False}, "the sandbox is not running; `countersign sandbox up` starts it"
    return _told(standing, running=True)


def _told(standing: Up, *, running: bool) -> tuple[dict[str, Any], str]:
    where = standing.rehearsal
    text = (
        "the sandbox is up: a rehearsal GitHub and a rehearsal cluster, nothing real\n"
        f"git clone {where.clone_url}\n"
        f"export KUBECONFIG={where.kubeconfig}"
    )
    return {"running": running, "pid": standing.pid, **where.model_dump(mode="json")}, text


def _up_file(config: Config) -> Path:
    return config.state_dir / "sandbox" / "up.json"


def standing_of(config: Config) -> Up | None:
    """The sandbox that is up and answers; a stale note of one is none."""
    try:
        standing = Up.model_validate_json(_up_file(config).read_bytes())
    except (OSError, ValidationError):
        return None
    port = _port(standing.rehearsal.github_api)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return standing if _alive(standing.pid) else None
    except OSError:
        return None


def _alive(pid: int) -> bool:
    """Whether that process still is a sandbox of ours, not a stranger with its number."""
    try:
        return b"tools.sandbox" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _settings(config: Config, folder: Path, *, die_with_parent: bool) -> tuple[SandboxSettings, int, int]:
    """Its settings, and both ends of its ready line: ours, its own. A sandbox that was stopped comes back on the same ports."""
    ports = folder / "ports.json"
    try:
        known = json.loads(ports.read_text())
    except (OSError, ValueError):
        known = {"github": 0, "cluster": 0}
    reader, writer = os.pipe()
    settings = SandboxSettings(
        state_dir=folder,
        repository=config.file.github.repository if config.file.github.kind == "sandbox" else "acme/platform",
        github_port=known["github"],
        cluster_port=known["cluster"],
        pins=environments.SOURCE / "knowledge" / "pins.toml",
        terraform=config.terraform,
        provider_mirror=config.provider_mirror,
        ready_fd=writer,
        die_with_parent=die_with_parent,
    )
    return settings, reader, writer


def _ready(reader: int, log: Path) -> Rehearsal:
    """Wait for its ready line. Raises ConfigFaultError with the end of its log."""
    with os.fdopen(reader, encoding="utf-8") as pipe:
        line = pipe.readline()
    try:
        told = Rehearsal.model_validate_json(line)
    except ValidationError:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else ""
        raise ConfigFaultError(f"the sandbox did not start: {last or 'it said nothing'}") from None
    ports = {"github": _port(told.github_api), "cluster": _port(told.cluster_url)}
    folders.write_json(
        log.parent / "ports.json" if log.parent.name == "sandbox" else told.kubeconfig.parent / "ports.json",
        ports,
    )
    return told


def _port(url: str) -> int:
    return urlsplit(url).port or 80
